"""What a dict of splits has: the methods of a dataset, done to each split."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any, Self

from minift.data.publish import publish
from minift.data.saved_folder import save
from minift.data.stream import IterableDataset
from minift.data.view import TableView
from minift.libraries.keywords import drops_keywords


def on_each_split(method: Callable) -> Callable:
    """Make a method of a dict of splits that does a dataset's method to each; name and arguments are the same."""

    @wraps(method)
    def call(self: "Splits", *args: Any, **options: Any) -> Any:
        self.check_values()
        results = {split: method(dataset, *args, **options) for split, dataset in self.items()}
        if all(result is None for result in results.values()):  # it has changed the splits themselves
            return None if self else type(self)()
        made = all(isinstance(result, TableView | IterableDataset) for result in results.values())
        return type(self)(results) if made else results

    return call


class Splits(dict[str, Any]):
    """Split name -> dataset."""

    def __getitem__(self, split: str) -> Any:
        try:
            return super().__getitem__(split)
        except KeyError:
            raise KeyError(f"no split {split!r}: there are {list(self)}") from None

    def __repr__(self) -> str:
        splits = "\n".join(f"{split}: {dataset!r}" for split, dataset in self.items())
        return f"{type(self).__name__}({{\n" + "".join(f"    {line}\n" for line in splits.splitlines()) + "})"

    def check_values(self) -> None:
        """Raise a TypeError that names a split which is no dataset."""
        for split, dataset in self.items():
            if not isinstance(dataset, TableView | IterableDataset):
                raise TypeError(f"split {split!r} is a {type(dataset).__name__}; expected a dataset")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing to close."""


class SplitsOfTables(Splits):
    """The methods that a `DatasetDict` has of `Dataset`."""

    column_names = property(on_each_split(TableView.column_names.fget))
    data = property(on_each_split(TableView.data.fget))
    num_columns = property(on_each_split(TableView.num_columns.fget))
    num_rows = property(on_each_split(TableView.num_rows.fget))
    shape = property(on_each_split(TableView.shape.fget))

    align_labels_with_mapping = on_each_split(TableView.align_labels_with_mapping)
    batch = on_each_split(TableView.batch)
    cast = on_each_split(TableView.cast)
    cast_column = on_each_split(TableView.cast_column)
    class_encode_column = on_each_split(TableView.class_encode_column)
    filter = on_each_split(TableView.filter)
    flatten = on_each_split(TableView.flatten)
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

    @contextmanager
    def formatted_as(self, *args: Any, **options: Any) -> Iterator[None]:
        """Apply ``set_format(*args, **options)`` to each split for the length of a `with` block."""
        with ExitStack() as stack:
            for dataset in self.values():
                stack.enter_context(dataset.formatted_as(*args, **options))
            yield

    def map(
        self,
        function: Callable | None = None,
        *args: Any,
        with_split: bool = False,
        cache_file_names: dict[str, str] | None = None,
        **options: Any,
    ) -> Self:
        """Do `Dataset.map` to each split; `cache_file_names` is a file for each; `with_split` passes its name last."""
        self.check_values()
        files = dict.fromkeys(self) | (cache_file_names or {})
        mapped = {}
        for split, rows in self.items():
            call = (lambda *given, split=split, **kwargs: function(*given, split, **kwargs)) if with_split else function
            mapped[split] = rows.map(call, *args, cache_file_name=files[split], **options)
        return type(self)(mapped)

    def shuffle(
        self,
        seeds: int | dict[str, int] | None = None,
        seed: int | None = None,
        generators: dict[str, Any] | None = None,
        **options: Any,
    ) -> Self:
        """Shuffle each split with its own of `seeds` or `generators`, or all with `seed`."""
        if seed is not None and seeds is not None:
            raise ValueError("pass seed or seeds, not both")
        self.check_values()
        seeds = seeds if isinstance(seeds, dict) else dict.fromkeys(self, seed if seeds is None else seeds)
        generators = generators or {}
        shuffled = {
            split: rows.shuffle(seeds.get(split), generator=generators.get(split), **options)
            for split, rows in self.items()
        }
        return type(self)(shuffled)

    @drops_keywords
    def save_to_disk(self, dataset_dict_path: str, num_shards: dict[str, int] | None = None, **options: Any) -> None:
        """Write a folder that `load_from_disk`, here and in `datasets`, reads."""
        save(self, dataset_dict_path, num_shards=num_shards, **options)

    @drops_keywords
    def push_to_hub(self, repo_id: str, config_name: str = "default", **options: Any) -> str:
        """Upload all splits; arguments as of `publish.publish`."""
        self.check_values()
        return publish(self, repo_id, config_name, **options)


class IterableDatasetDict(Splits):
    """Split name -> `IterableDataset`. Re-implements `datasets.IterableDatasetDict` (dataset_dict.py)."""

    column_names = property(on_each_split(IterableDataset.column_names.fget))

    batch = on_each_split(IterableDataset.batch)
    cast = on_each_split(IterableDataset.cast)
    cast_column = on_each_split(IterableDataset.cast_column)
    filter = on_each_split(IterableDataset.filter)
    map = on_each_split(IterableDataset.map)
    remove_columns = on_each_split(IterableDataset.remove_columns)
    rename_column = on_each_split(IterableDataset.rename_column)
    rename_columns = on_each_split(IterableDataset.rename_columns)
    select_columns = on_each_split(IterableDataset.select_columns)
    shuffle = on_each_split(IterableDataset.shuffle)
    with_format = on_each_split(IterableDataset.with_format)
