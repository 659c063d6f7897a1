"""`DatasetDict`: the splits of a dataset by name; what is asked of it is done to each split."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Self

from minift.data.saved_folder import save
from minift.data.view import TableView


def on_each_split(method: Callable) -> Callable:
    """Make a method of `DatasetDict` that does a method of `Dataset` to each split; name and arguments are the same."""

    @wraps(method)
    def call(self: "DatasetDict", *args: Any, **options: Any) -> Any:
        results = {split: method(dataset, *args, **options) for split, dataset in self.items()}
        if all(result is None for result in results.values()):  # it has changed the splits themselves
            return None
        return DatasetDict(results) if all(isinstance(result, TableView) for result in results.values()) else results

    return call


class DatasetDict(dict[str, TableView]):
    """Split name -> `Dataset`. Re-implements `datasets.DatasetDict` (dataset_dict.py)."""

    column_names = property(on_each_split(TableView.column_names.fget))
    num_columns = property(on_each_split(TableView.num_columns.fget))
    num_rows = property(on_each_split(TableView.num_rows.fget))
    shape = property(on_each_split(TableView.shape.fget))

    cast = on_each_split(TableView.cast)
    cast_column = on_each_split(TableView.cast_column)
    class_encode_column = on_each_split(TableView.class_encode_column)
    filter = on_each_split(TableView.filter)
    flatten_indices = on_each_split(TableView.flatten_indices)
    remove_columns = on_each_split(TableView.remove_columns)
    rename_column = on_each_split(TableView.rename_column)
    rename_columns = on_each_split(TableView.rename_columns)
    reset_format = on_each_split(TableView.reset_format)
    select_columns = on_each_split(TableView.select_columns)
    set_format = on_each_split(TableView.set_format)
    set_transform = on_each_split(TableView.set_transform)
    sort = on_each_split(TableView.sort)
    unique = on_each_split(TableView.unique)
    with_format = on_each_split(TableView.with_format)
    with_transform = on_each_split(TableView.with_transform)

    def __getitem__(self, split: str) -> TableView:
        try:
            return super().__getitem__(split)
        except KeyError:
            raise KeyError(f"no split {split!r}: there are {list(self)}") from None

    def __repr__(self) -> str:
        splits = "\n".join(f"{split}: {dataset!r}" for split, dataset in self.items())
        return "DatasetDict({\n" + "".join(f"    {line}\n" for line in splits.splitlines()) + "})"

    def map(self, *args: Any, cache_file_names: dict[str, str] | None = None, **options: Any) -> Self:
        """Do `Dataset.map` to each split; `cache_file_names` is a file for each of them."""
        files = dict.fromkeys(self) | (cache_file_names or {})
        mapped = {split: rows.map(*args, cache_file_name=files[split], **options) for split, rows in self.items()}
        return DatasetDict(mapped)

    def shuffle(self, seeds: int | dict[str, int] | None = None, seed: int | None = None, **options: Any) -> Self:
        """Shuffle each split with its own of `seeds`, or all with `seed`."""
        if seed is not None and seeds is not None:
            raise ValueError("pass seed or seeds, not both")
        seeds = seeds if isinstance(seeds, dict) else dict.fromkeys(self, seed if seeds is None else seeds)
        return DatasetDict({split: rows.shuffle(seeds.get(split), **options) for split, rows in self.items()})

    def save_to_disk(self, dataset_dict_path: str | Path) -> None:
        """Write a folder that `load_from_disk`, here and in `datasets`, reads."""
        save(self, dataset_dict_path)
