"""`DatasetDict`: the splits of a dataset by name; what is asked of it is done to each split."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from minift.data.dataset import Dataset
from minift.data.features import Features


class DatasetDict(dict[str, Dataset]):
    """Split name -> `Dataset`. Re-implements `datasets.DatasetDict` (dataset_dict.py)."""

    def __getitem__(self, split: str) -> Dataset:
        try:
            return super().__getitem__(split)
        except KeyError:
            raise KeyError(f"no split {split!r}: there are {list(self)}") from None

    @property
    def num_rows(self) -> dict[str, int]:
        return {split: dataset.num_rows for split, dataset in self.items()}

    @property
    def num_columns(self) -> dict[str, int]:
        return {split: dataset.num_columns for split, dataset in self.items()}

    @property
    def column_names(self) -> dict[str, list[str]]:
        return {split: dataset.column_names for split, dataset in self.items()}

    @property
    def shape(self) -> dict[str, tuple[int, int]]:
        return {split: dataset.shape for split, dataset in self.items()}

    def __repr__(self) -> str:
        splits = "\n".join(f"{split}: {dataset!r}" for split, dataset in self.items())
        return "DatasetDict({\n" + "".join(f"    {line}\n" for line in splits.splitlines()) + "})"

    def map(
        self,
        function: Callable | None = None,
        *args: Any,
        cache_file_names: dict[str, str] | None = None,
        **kwargs: Any,
    ) -> "DatasetDict":
        """`Dataset.map` on each split; `cache_file_names` is a file for each of them."""
        files = cache_file_names or {}
        return DatasetDict(
            {
                split: dataset.map(function, *args, cache_file_name=files.get(split), **kwargs)
                for split, dataset in self.items()
            }
        )

    def filter(self, function: Callable | None = None, *args: Any, **kwargs: Any) -> "DatasetDict":
        return self._each("filter", function, *args, **kwargs)

    def shuffle(self, seeds: int | dict[str, int] | None = None, seed: int | None = None) -> "DatasetDict":
        """Shuffle each split with its own of `seeds`, or all with `seed`."""
        if seed is not None and seeds is not None:
            raise ValueError("pass seed or seeds, not both")
        seeds = seeds if isinstance(seeds, dict) else dict.fromkeys(self, seed if seeds is None else seeds)
        return DatasetDict({split: dataset.shuffle(seeds.get(split)) for split, dataset in self.items()})

    def sort(
        self, column_names: str | list[str], reverse: bool | list[bool] = False, null_placement: str = "at_end"
    ) -> "DatasetDict":
        return self._each("sort", column_names, reverse, null_placement)

    def select_columns(self, column_names: str | list[str]) -> "DatasetDict":
        return self._each("select_columns", column_names)

    def remove_columns(self, column_names: str | list[str]) -> "DatasetDict":
        return self._each("remove_columns", column_names)

    def rename_column(self, original_column_name: str, new_column_name: str) -> "DatasetDict":
        return self._each("rename_column", original_column_name, new_column_name)

    def rename_columns(self, column_mapping: dict[str, str]) -> "DatasetDict":
        return self._each("rename_columns", column_mapping)

    def cast(self, features: Features) -> "DatasetDict":
        return self._each("cast", features)

    def cast_column(self, column: str, feature: Any) -> "DatasetDict":
        return self._each("cast_column", column, feature)

    def class_encode_column(self, column: str, include_nulls: bool = False) -> "DatasetDict":
        return self._each("class_encode_column", column, include_nulls)

    def flatten_indices(self) -> "DatasetDict":
        return self._each("flatten_indices")

    def unique(self, column: str) -> dict[str, list]:
        return {split: dataset.unique(column) for split, dataset in self.items()}

    def set_format(self, *args: Any, **kwargs: Any) -> None:
        for dataset in self.values():
            dataset.set_format(*args, **kwargs)

    def reset_format(self) -> None:
        self.set_format()

    def set_transform(self, *args: Any, **kwargs: Any) -> None:
        for dataset in self.values():
            dataset.set_transform(*args, **kwargs)

    def with_format(self, *args: Any, **kwargs: Any) -> "DatasetDict":
        return self._each("with_format", *args, **kwargs)

    def with_transform(self, *args: Any, **kwargs: Any) -> "DatasetDict":
        return self._each("with_transform", *args, **kwargs)

    def save_to_disk(self, dataset_dict_path: str | Path) -> None:
        """Write a folder that `load_from_disk`, here and in `datasets`, reads."""
        from minift.data.disk import save_dataset_dict

        save_dataset_dict(self, dataset_dict_path)

    def _each(self, method: str, *args: Any, **kwargs: Any) -> "DatasetDict":
        return DatasetDict({split: getattr(dataset, method)(*args, **kwargs) for split, dataset in self.items()})
