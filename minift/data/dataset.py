"""`Dataset`: rows over memory-mapped Arrow, made from files or Python values; `DatasetDict`: the splits by name."""

import tempfile
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from minift.data.cast import common_features
from minift.data.data_files import DataFiles, convert_to_arrow
from minift.data.features import ClassLabel, Features
from minift.data.formats import Format
from minift.data.from_arrow import python_batch
from minift.data.order import interleaved_rows, random_generator, split_sizes, stratified_rows
from minift.data.saved_folder import save
from minift.data.table import join_rows, read_arrow
from minift.data.to_arrow import ArrowWriter, texts_where_asked, to_arrow
from minift.data.view import TableView
from minift.data.write_files import csv_text, json_text
from minift.files import atomic_path
from minift.libraries.keywords import drops_keywords


def files_reader(kind: str) -> classmethod:
    """Make the constructor that reads files of one format."""

    def read(
        cls: type,
        path_or_paths: str | Path | Sequence[str | Path],
        split: str | None = None,
        features: Features | None = None,
        cache_dir: str | Path | None = None,
        **options: Any,
    ) -> "Dataset":
        paths = [path_or_paths] if isinstance(path_or_paths, str | Path) else path_or_paths
        files = DataFiles([Path(path).expanduser() for path in paths], kind, features, options)
        rows = cls(convert_to_arrow(files, cache_dir), split=split or "train")
        return rows if features is None else rows.cast(features)

    read.__doc__ = f"Read {kind} files as one dataset; `options` are those of `load_dataset({kind!r}, …)`."
    read.__qualname__ = f"Dataset.from_{kind}"
    return classmethod(drops_keywords(read))


class Dataset(TableView):
    """Rows over memory-mapped Arrow. Re-implements `datasets.Dataset` (arrow_dataset.py).

    How rows are read stands in `reader.py`; what selects, orders, renames, maps and formats them, in `view.py`.
    """

    @classmethod
    def from_dict(
        cls, mapping: dict[str, Sequence], features: Features | None = None, split: str | None = None
    ) -> Self:
        """Make a dataset of columns: name -> values."""
        lengths = {name: len(values) for name, values in mapping.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"from_dict: the columns differ in length: {lengths}")
        if features is not None and set(features) != set(mapping):
            raise ValueError(f"from_dict: the columns are {list(mapping)}; the features name {list(features)}")
        if features is not None:
            mapping = {name: texts_where_asked(values, features[name]) for name, values in mapping.items()}
        arrays = {name: to_arrow(values, name, features and features[name]) for name, values in mapping.items()}
        inferred = Features.from_arrow_schema(pa.schema({name: array.type for name, array in arrays.items()}))
        features = inferred if features is None else Features({name: features[name] for name in mapping})
        return cls(pa.table(list(arrays.values()), schema=features.arrow_schema), features, split=split)

    @classmethod
    def from_list(cls, mapping: list[dict], features: Features | None = None, split: str | None = None) -> Self:
        """Make a dataset of rows, a dict each; where a row lacks a column, its value is None."""
        names = dict.fromkeys(name for row in mapping for name in row) or features or {}
        return cls.from_dict({name: [row.get(name) for row in mapping] for name in names}, features, split)

    @classmethod
    def from_pandas(cls, df: Any, features: Features | None = None, split: str | None = None) -> Self:
        dataset = cls(pa.Table.from_pandas(df).replace_schema_metadata(None), split=split)
        return dataset if features is None else dataset.cast(features)

    @classmethod
    @drops_keywords
    def from_file(cls, filename: str | Path, split: str | None = None) -> Self:
        """Make a dataset over an Arrow file, which is memory-mapped."""
        return cls(read_arrow(filename), split=split)

    @classmethod
    @drops_keywords
    def from_generator(
        cls,
        generator: Callable[..., Iterable[dict]],
        features: Features | None = None,
        gen_kwargs: dict[str, Any] | None = None,
        split: str | None = None,
    ) -> Self:
        """Make a dataset of the rows, dicts, that a function yields; they are written to a file 1,000 at a time."""
        rows = iter(generator(**(gen_kwargs or {})))
        with tempfile.TemporaryDirectory(prefix="minift-map-", ignore_cleanup_errors=True) as folder:
            with ArrowWriter(Path(folder, "rows.arrow"), features) as writer:
                while batch := list(islice(rows, 1000)):
                    names = dict.fromkeys(name for row in batch for name in row)
                    writer.write({name: [row.get(name) for row in batch] for name in features or names})
            return cls(read_arrow(Path(folder, "rows.arrow")), split=split)

    from_csv = files_reader("csv")
    from_json = files_reader("json")
    from_parquet = files_reader("parquet")
    from_text = files_reader("text")

    def add_item(self, item: dict[str, Any]) -> Self:
        """Put one more row at the end; a column that it lacks is None."""
        return concatenate_datasets([self, type(self).from_list([item]).cast_known(self.features)])

    def cast_known(self, features: Features) -> Self:
        """Convert the columns that `features` names, and leave the others as they are."""
        return self.cast(Features({name: features.get(name, feature) for name, feature in self.features.items()}))

    @drops_keywords
    def train_test_split(
        self,
        test_size: float | int | None = None,
        train_size: float | int | None = None,
        shuffle: bool = True,
        stratify_by_column: str | None = None,
        seed: int | None = None,
        generator: np.random.Generator | None = None,
    ) -> "DatasetDict":
        """Split into ``train`` and ``test``: the first rows of the permutation are for testing.

        `test_size` (0.25 by default) and `train_size` are fractions (float) or numbers of rows (int). With
        `stratify_by_column`, a column of class labels, both hold each class in its share.
        """
        if len(self) == 0:
            return DatasetDict(train=self, test=self)
        train, test = split_sizes(len(self), test_size, train_size)
        if not shuffle and stratify_by_column is not None:
            raise ValueError("train_test_split: stratify_by_column needs shuffle=True")
        if not shuffle:
            return DatasetDict(train=self.select(range(train)), test=self.select(range(train, train + test)))
        random = random_generator(seed, generator)
        if stratify_by_column is not None:
            self.check_columns([stratify_by_column])
            if not isinstance(self.features[stratify_by_column], ClassLabel):
                raise ValueError(f"stratify_by_column: make {stratify_by_column!r} class labels: class_encode_column")
            classes = np.asarray(self.arrow_column(stratify_by_column))
            for_train, for_test = stratified_rows(classes, train, test, random)
        else:
            order = random.permutation(len(self))
            for_train, for_test = order[test : test + train], order[:test]
        return DatasetDict(train=self.select(for_train), test=self.select(for_test))

    # -- handed out whole

    def to_dict(self) -> dict[str, list]:
        return python_batch(self.arrow_rows())

    def to_list(self) -> list[dict]:
        return Format().rows(self.arrow_rows())

    def to_pandas(self) -> Any:
        return self.arrow_rows().to_pandas()

    @drops_keywords
    def to_parquet(self, path_or_buf: str | Path) -> None:
        """Write one Parquet file, with the features in its metadata."""
        with atomic_path(path_or_buf) as fresh, pq.ParquetWriter(fresh, self.features.arrow_schema) as writer:
            for rows in self.arrow_batches(10_000):
                writer.write_table(rows.cast(writer.schema))

    @drops_keywords
    def to_json(
        self, path_or_buf: str | Path, lines: bool = True, orient: str = "records", force_ascii: bool = True
    ) -> int:
        """Write an object a line or, without `lines`, one list of objects; returns the number of bytes.

        Numbers, dates and text are spelled as `datasets` spells them: floats have at most 10 decimals.
        """
        if orient != "records":
            raise ValueError(f"to_json: orient={orient!r} is not supported, only 'records'")
        rows = (json_text(row, force_ascii) for row in self.with_format(None))
        parts = (row + "\n" for row in rows) if lines else ["[" + ",".join(rows) + "]\n"]
        return _write(path_or_buf, parts)

    @drops_keywords
    def to_csv(self, path_or_buf: str | Path, header: bool = True, sep: str = ",") -> int:
        """Write a CSV file; returns the number of bytes. Columns of lists or structs are a ValueError."""
        batches = enumerate(self.arrow_batches(10_000))
        if not len(self):
            return _write(path_or_buf, [csv_text(self.arrow_rows(), header, sep)])
        return _write(path_or_buf, (csv_text(rows, header and number == 0, sep) for number, rows in batches))

    @drops_keywords
    def save_to_disk(self, dataset_path: str | Path) -> None:
        """Write a folder that `load_from_disk`, here and in `datasets`, reads."""
        save(self, dataset_path)

    def to_tf_dataset(self, *args: Any, **options: Any) -> Any:
        """Make a `tf.data.Dataset` of batches for Keras' `fit`: see `minift.tf.batches.to_tf_dataset`."""
        from minift.tf.batches import to_tf_dataset

        return to_tf_dataset(self, *args, **options)


def _write(path: str | Path, parts: Iterable[str]) -> int:
    """Write a text file, whole or not at all; return its size in bytes."""
    with atomic_path(path) as fresh:
        with open(fresh, "w", encoding="utf-8", newline="") as file:
            file.writelines(parts)
        return fresh.stat().st_size


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

    def __getitem__(self, split: str) -> TableView:
        try:
            return super().__getitem__(split)
        except KeyError:
            raise KeyError(f"no split {split!r}: there are {list(self)}") from None

    def __repr__(self) -> str:
        splits = "\n".join(f"{split}: {dataset!r}" for split, dataset in self.items())
        return "DatasetDict({\n" + "".join(f"    {line}\n" for line in splits.splitlines()) + "})"

    def map(
        self,
        function: Callable | None = None,
        *args: Any,
        with_split: bool = False,
        cache_file_names: dict[str, str] | None = None,
        **options: Any,
    ) -> Self:
        """Do `Dataset.map` to each split; `cache_file_names` is a file for each; `with_split` passes its name last."""
        files = dict.fromkeys(self) | (cache_file_names or {})
        mapped = {}
        for split, rows in self.items():
            call = (lambda *given, split=split, **kwargs: function(*given, split, **kwargs)) if with_split else function
            mapped[split] = rows.map(call, *args, cache_file_name=files[split], **options)
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


@drops_keywords
def concatenate_datasets(dsets: list[Dataset], split: str | None = None, axis: int = 0) -> Dataset:
    """Put the rows of all datasets one after the other or, with ``axis=1``, their columns side by side.

    A column that a dataset lacks is None in its rows. Columns of one name must be of one type, class labels with the
    same names in the same order; a ValueError names the one that is not. Re-implements
    `datasets.concatenate_datasets` (combine.py).
    """
    if not dsets:
        raise ValueError("concatenate_datasets: expected at least one dataset")
    if axis == 1:
        return _side_by_side(dsets, split)
    features = common_features([dataset.features for dataset in dsets])
    parts = [dataset for dataset in dsets if len(dataset)] or dsets[:1]
    flat = [_with_columns(dataset.flatten_indices(), features) for dataset in parts]
    same_format = all(dataset.format == dsets[0].format for dataset in dsets)
    rows = join_rows([dataset.rows for dataset in flat])
    return Dataset(rows, features, split=split or dsets[0].split, format=dsets[0].format if same_format else Format())


def _with_columns(dataset: TableView, features: Features) -> TableView:
    """Bring a dataset to these columns, in their order; those that it lacks are None."""
    for name in features.keys() - dataset.features.keys():
        dataset = dataset.add_column(name, pa.nulls(len(dataset)), features[name])
    return dataset.select_columns(list(features)).cast(features)


def _side_by_side(dsets: list[Dataset], split: str | None) -> Dataset:
    if len({len(dataset) for dataset in dsets}) > 1:
        raise ValueError(f"concatenate_datasets(axis=1): the datasets have {[len(d) for d in dsets]} rows")
    joined, *others = [dataset.flatten_indices() for dataset in dsets]
    for other in others:
        for name, feature in other.features.items():
            joined = joined.add_column(name, other.data[name], feature)
    joined.split = split or dsets[0].split
    return joined


@drops_keywords
def interleave_datasets(
    datasets: list[Dataset],
    probabilities: list[float] | None = None,
    seed: int | None = None,
    split: str | None = None,
    stopping_strategy: str = "first_exhausted",
) -> Dataset:
    """Take rows from several datasets in turns, or (`probabilities`) from one that is drawn: see `interleaved_rows`."""
    joined = concatenate_datasets(datasets, split=split)
    lengths = [len(dataset) for dataset in datasets]
    return joined.select(interleaved_rows(lengths, probabilities, seed, stopping_strategy))
