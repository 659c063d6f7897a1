"""`Dataset`: rows over memory-mapped Arrow; what selects, orders or renames them copies none of them."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from minift.data.features import ClassLabel, Feature, Features, Value, first_misfit
from minift.data.formats import Format, python_batch, to_python
from minift.data.reader import TableReader
from minift.data.split import split_sizes
from minift.data.table import read_arrow
from minift.data.transform import Call, kept_rows, map_to_file
from minift.data.writer import to_arrow
from minift.files import atomic_path

if TYPE_CHECKING:
    from minift.data.dataset_dict import DatasetDict


class Dataset(TableReader):
    """Rows over memory-mapped Arrow.

    Every method returns a new dataset and leaves this one as it is, except the `set_…` methods. Re-implements
    `datasets.Dataset` (arrow_dataset.py) without its fingerprints: nothing is cached behind the caller's back.
    """

    # -- made from Python values -----------------------------------------------------------------------------------

    @classmethod
    def from_dict(
        cls, mapping: dict[str, Sequence], features: Features | None = None, split: str | None = None
    ) -> "Dataset":
        """From column name -> values."""
        lengths = {name: len(values) for name, values in mapping.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"from_dict: the columns differ in length: {lengths}")
        if features is not None and set(features) != set(mapping):
            raise ValueError(f"from_dict: the columns are {list(mapping)}; the features name {list(features)}")
        arrays = {name: to_arrow(values, name, features and features[name]) for name, values in mapping.items()}
        inferred = Features.from_arrow_schema(pa.schema({name: array.type for name, array in arrays.items()}))
        features = inferred if features is None else Features({name: features[name] for name in mapping})
        return cls(pa.table(list(arrays.values()), schema=features.arrow_schema), features, split=split)

    @classmethod
    def from_list(cls, mapping: list[dict], features: Features | None = None, split: str | None = None) -> "Dataset":
        """From a dict for each row; a row without one of the columns has None there."""
        names = dict.fromkeys(name for row in mapping for name in row) or features or {}
        return cls.from_dict({name: [row.get(name) for row in mapping] for name in names}, features, split)

    @classmethod
    def from_pandas(cls, df: Any, features: Features | None = None, split: str | None = None) -> "Dataset":
        table = pa.Table.from_pandas(df)
        dataset = cls(table.replace_schema_metadata(None), split=split)
        return dataset if features is None else dataset.cast(features)

    @classmethod
    def from_file(cls, filename: str | Path, split: str | None = None) -> "Dataset":
        """Over an Arrow stream file, memory-mapped."""
        return cls(read_arrow(filename), split=split)

    # -- other rows, or the same in another order: only `indices` change ----------------------------------------

    def select(self, indices: Iterable[int]) -> "Dataset":
        """The rows with these numbers, in this order."""
        numbers = self._row_numbers(indices)
        return self._with(indices=numbers if self._indices is None else self._indices[numbers])

    def shuffle(self, seed: int | None = None, generator: np.random.Generator | None = None) -> "Dataset":
        """The rows in the order of ``numpy.random.default_rng(seed).permutation(n)``."""
        return self.select(_generator(seed, generator).permutation(len(self)))

    def sort(
        self,
        column_names: str | Sequence[str],
        reverse: bool | Sequence[bool] = False,
        null_placement: str = "at_end",
    ) -> "Dataset":
        """Sorted by one or more columns, each ascending or (`reverse`) descending; equal rows keep their order."""
        names = [column_names] if isinstance(column_names, str) else list(column_names)
        self.check_columns(names)
        reverse = [reverse] * len(names) if isinstance(reverse, bool) else list(reverse)
        if len(reverse) != len(names):
            raise ValueError(f"sort: {len(names)} columns but {len(reverse)} values of reverse")
        placement = {"first": "at_start", "last": "at_end"}.get(null_placement, null_placement)
        keys = [(name, "descending" if down else "ascending") for name, down in zip(names, reverse, strict=True)]
        rows = self.select_columns(names).arrow_rows(slice(None))
        options = {} if placement == "at_end" else {"null_placement": placement}
        order = pc.sort_indices(rows, sort_keys=keys, **options)
        return self.select(order.to_numpy().astype(np.int64))

    def train_test_split(
        self,
        test_size: float | int | None = None,
        train_size: float | int | None = None,
        shuffle: bool = True,
        stratify_by_column: str | None = None,
        seed: int | None = None,
        generator: np.random.Generator | None = None,
    ) -> "DatasetDict":
        """Two datasets, ``train`` and ``test``: the first rows of the permutation are for testing.

        `test_size` and `train_size` are parts (float) or numbers of rows (int); 0.25 is for testing by default.
        """
        from minift.data.dataset_dict import DatasetDict

        if stratify_by_column is not None:
            raise ValueError("train_test_split: stratify_by_column is not supported; leave it out")
        if len(self) == 0:
            return DatasetDict(train=self, test=self)
        train, test = split_sizes(len(self), test_size, train_size)
        if not shuffle:
            return DatasetDict(train=self.select(range(train)), test=self.select(range(train, train + test)))
        order = _generator(seed, generator).permutation(len(self))
        return DatasetDict(train=self.select(order[test : test + train]), test=self.select(order[:test]))

    def shard(self, num_shards: int, index: int, contiguous: bool = True) -> "Dataset":
        """Part `index` of `num_shards`: a contiguous run of rows, or every `num_shards`-th row."""
        if not 0 <= index < num_shards:
            raise ValueError(f"shard: index={index} must be from 0 to num_shards - 1 = {num_shards - 1}")
        rows = np.arange(len(self))
        return self.select(np.array_split(rows, num_shards)[index] if contiguous else rows[index::num_shards])

    def take(self, n: int) -> "Dataset":
        """The first `n` rows, or all where there are fewer."""
        return self.select(range(min(_not_negative("take", n), len(self))))

    def skip(self, n: int) -> "Dataset":
        """All rows but the first `n`."""
        return self.select(range(min(_not_negative("skip", n), len(self)), len(self)))

    def flatten_indices(self) -> "Dataset":
        """The same rows in a file of their own, in their order."""
        if self._indices is None:
            return self
        if len(self) == 0:
            return self._with(table=self.data.slice(0, 0), indices=None)
        return self.with_format(None).map(batched=True, desc="Flatten")._with(format=self.format)

    # -- other columns over the same rows ------------------------------------------------------------------------

    def select_columns(self, column_names: str | Sequence[str]) -> "Dataset":
        """Only these columns, in this order."""
        names = [column_names] if isinstance(column_names, str) else list(column_names)
        self.check_columns(names)
        features = Features({name: self.features[name] for name in names})
        return self._with(table=self._rows.table.select(names), features=features)

    def remove_columns(self, column_names: str | Sequence[str]) -> "Dataset":
        """Without these columns."""
        names = [column_names] if isinstance(column_names, str) else list(column_names)
        self.check_columns(names)
        return self.select_columns([name for name in self.column_names if name not in names])

    def rename_column(self, original_column_name: str, new_column_name: str) -> "Dataset":
        return self.rename_columns({original_column_name: new_column_name})

    def rename_columns(self, column_mapping: dict[str, str]) -> "Dataset":
        """Old name -> new name."""
        self.check_columns(column_mapping)
        names = [column_mapping.get(name, name) for name in self.column_names]
        if len(set(names)) < len(names):
            raise ValueError(f"rename_columns: {column_mapping} would give two columns one name: {names}")
        features = Features(zip(names, self.features.values(), strict=True))
        columns = self.format.columns and tuple(column_mapping.get(name, name) for name in self.format.columns)
        format_ = replace(self.format, columns=columns)
        return self._with(table=self._rows.table.rename_columns(names), features=features, format=format_)

    def add_column(self, name: str, column: Sequence, feature: Feature | None = None) -> "Dataset":
        """With one more column, whose values are in the order of the rows."""
        if name in self.features:
            raise ValueError(f"add_column: there is a column {name!r} already")
        if len(column) != len(self):
            raise ValueError(f"add_column: {len(column)} values for {len(self)} rows")
        array = to_arrow(column, name, feature)
        flat = self.flatten_indices()
        added = Features({name: feature}) if feature else Features.from_arrow_schema(pa.schema({name: array.type}))
        features = Features(self.features | added)
        return flat._with(table=flat.data.append_column(name, array), features=features)

    def cast(self, features: Features) -> "Dataset":
        """All columns as `features` say; columns whose type does not change are not copied.

        Raises:
            ValueError: a value of a column does not fit its new type.
        """
        if set(features) != set(self.features):
            raise ValueError(f"cast: the features name {sorted(features)}; the dataset has {self.column_names}")
        columns = []
        for name, feature in features.items():
            try:
                columns.append(to_arrow(self.data[name], name, feature))
            except ValueError as error:
                if self._indices is not None:  # the value may be in a row that was not selected
                    return self.flatten_indices().cast(features)
                raise ValueError(f"row {first_misfit(self.data[name], feature)}, {error}") from error
        features = Features(features)
        return self._with(table=pa.table(columns, schema=features.arrow_schema), features=features)

    def cast_column(self, column: str, feature: Feature) -> "Dataset":
        """One column as another type: ``cast_column("label", ClassLabel(names=["no", "yes"]))``."""
        self.check_columns([column])
        return self.cast(Features(self.features | {column: feature}))

    def class_encode_column(self, column: str, include_nulls: bool = False) -> "Dataset":
        """A column's values as class labels, named and numbered in the sorted order of the values as text."""
        self.check_columns([column])
        if not isinstance(self.features[column], Value):
            raise ValueError(f"class_encode_column: {column!r} holds {self.features[column]!r}; expected a Value")
        text = {value: None if value is None and not include_nulls else str(value) for value in self.unique(column)}
        label = ClassLabel(names=sorted({name for name in text.values() if name is not None}))
        number = {value: None if name is None else label.str2int(name) for value, name in text.items()}
        flat = self.flatten_indices()
        labels = pa.array([number[value] for value in to_python(flat.data[column])], pa.int64())
        features = Features(self.features | {column: label})
        table = flat.data.set_column(self.column_names.index(column), column, labels)
        return flat._with(table=table, features=features)

    def unique(self, column: str) -> list:
        """The column's different values, in the order in which they first occur."""
        self.check_columns([column])
        return self._of_column(column).arrow_rows(slice(None))[column].unique().to_pylist()

    # -- what a function makes of the rows -----------------------------------------------------------------------

    def map(
        self,
        function: Callable | None = None,
        with_indices: bool = False,
        with_rank: bool = False,
        input_columns: str | list[str] | None = None,
        batched: bool = False,
        batch_size: int | None = 1000,
        drop_last_batch: bool = False,
        remove_columns: str | list[str] | None = None,
        keep_in_memory: bool = False,
        load_from_cache_file: bool | None = None,
        cache_file_name: str | None = None,
        writer_batch_size: int | None = 1000,
        features: Features | None = None,
        fn_kwargs: dict[str, Any] | None = None,
        num_proc: int | None = None,
        desc: str | None = None,
    ) -> "Dataset":
        """The dataset updated by what `function` returns: a dict of values for a row, of columns for a batch.

        Args:
            function: called with a row or (`batched`) a batch of `batch_size` rows, a dict in this dataset's format;
                None returns the rows as they are. What it returns replaces or joins the columns; where it returns
                None, the dataset stays as it is.
            with_indices: pass the row number(s), too.
            with_rank: pass the number of the process (None without `num_proc`), too.
            input_columns: pass the values of these columns in the place of the dict.
            drop_last_batch: leave out the rows of a last, shorter batch.
            remove_columns: columns that the result does not keep; a column of the same name may be returned.
            keep_in_memory: read the result into memory instead of mapping its file.
            load_from_cache_file: there is no implicit cache to load from, so this changes nothing.
            cache_file_name: the Arrow file to write, whole or not at all; by default a temporary file.
            writer_batch_size: rows a record batch of the result where `batched` is false.
            features: the result's columns and types; by default kept where the values fit, and inferred.
            num_proc: that many processes share the rows, a contiguous part each.

        Raises:
            ValueError: a batched function returns columns of another length than those that are kept, or values
                of several types; `remove_columns` or `input_columns` name a column that there is not.
        """
        removed = [remove_columns] if isinstance(remove_columns, str) else list(remove_columns or [])
        self.check_columns(removed)
        if len(self) == 0:
            return self.remove_columns(removed)
        size = batch_size if batched else writer_batch_size
        call = self._call(function, batched, size, with_indices, with_rank, input_columns, fn_kwargs)
        call = replace(call, drop_last_batch=drop_last_batch, remove_columns=removed, features=features)
        made = map_to_file(
            self,
            call,
            num_proc=num_proc and min(num_proc, len(self)),
            path=cache_file_name,
            in_memory=keep_in_memory,
            desc=desc,
        )
        return self if made is None else self._with(table=made[0], features=made[1], indices=None)

    def filter(
        self,
        function: Callable | None = None,
        with_indices: bool = False,
        with_rank: bool = False,
        input_columns: str | list[str] | None = None,
        batched: bool = False,
        batch_size: int | None = 1000,
        load_from_cache_file: bool | None = None,
        fn_kwargs: dict[str, Any] | None = None,
        num_proc: int | None = None,
        desc: str | None = None,
    ) -> "Dataset":
        """The rows for which `function` returns true; arguments as for `map`. Copies no rows."""
        if function is None or len(self) == 0:
            return self
        call = self._call(function, batched, batch_size, with_indices, with_rank, input_columns, fn_kwargs)
        return self.select(kept_rows(self, call, num_proc=num_proc and min(num_proc, len(self)), desc=desc))

    def _call(
        self,
        function: Callable | None,
        batched: bool,
        batch_size: int | None,
        with_indices: bool,
        with_rank: bool,
        input_columns: str | list[str] | None,
        fn_kwargs: dict[str, Any] | None,
    ) -> Call:
        columns = [input_columns] if isinstance(input_columns, str) else input_columns
        self.check_columns(columns or [])
        function = function or (lambda rows, *_: rows)
        return Call(function, batched, batch_size, with_indices, with_rank, columns, fn_kwargs or {})

    # -- handed out whole ----------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, list]:
        return python_batch(self.arrow_rows(slice(None)))

    def to_list(self) -> list[dict]:
        return Format().rows(self.arrow_rows(slice(None)))

    def to_pandas(self) -> Any:
        return self.arrow_rows(slice(None)).to_pandas()

    def to_parquet(self, path_or_buf: str | Path) -> None:
        """One Parquet file, with the features in its metadata."""
        with atomic_path(path_or_buf) as fresh, pq.ParquetWriter(fresh, self.features.arrow_schema) as writer:
            for rows in self.with_format("arrow").iter(10_000):
                writer.write_table(rows.cast(writer.schema))

    def to_json(self, path_or_buf: str | Path) -> None:
        """One JSON object a line, which `load_dataset("json", …)` reads."""
        with atomic_path(path_or_buf) as fresh, open(fresh, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in self.with_format(None))

    def to_tf_dataset(self, *args: Any, **kwargs: Any) -> Any:
        """A tf.data.Dataset of batches, for Keras."""
        raise NotImplementedError("to_tf_dataset: the TensorFlow path is not there yet")

    def save_to_disk(self, dataset_path: str | Path) -> None:
        """Write a folder that `load_from_disk`, here and in `datasets`, reads."""
        from minift.data.disk import save_dataset

        save_dataset(self, dataset_path)


def concatenate_datasets(dsets: list[Dataset]) -> Dataset:
    """The rows of all datasets, one after the other; the columns and types must be the same."""
    if not dsets:
        raise ValueError("concatenate_datasets: expected at least one dataset")
    for other in dsets[1:]:
        if set(other.features) != set(dsets[0].features):
            raise ValueError(f"concatenate_datasets: columns {dsets[0].column_names} and {other.column_names} differ")
    dsets = [dataset for dataset in dsets if len(dataset)] or dsets[:1]
    first = dsets[0]
    flat = [dataset.flatten_indices().select_columns(first.column_names).cast(first.features) for dataset in dsets]
    table = pa.concat_tables([dataset.data for dataset in flat])
    return Dataset(table, first.features, split=first.split, format=first.format)


def _not_negative(method: str, n: int) -> int:
    if n < 0:
        raise ValueError(f"{method}: n={n} must not be negative")
    return n


def _generator(seed: int | None, generator: np.random.Generator | None) -> np.random.Generator:
    if seed is not None and generator is not None:
        raise ValueError("pass seed or generator, not both")
    if generator is not None:
        return generator
    return np.random.default_rng(np.random.randint(2**31) if seed is None else seed)
