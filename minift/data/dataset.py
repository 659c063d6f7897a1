"""`Dataset`: rows over memory-mapped Arrow, made from files or Python values; `DatasetDict`: the splits by name."""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa

from minift.data.combine import concatenate_datasets
from minift.data.features import ClassLabel, Features, Value
from minift.data.formats import Format
from minift.data.from_arrow import python_batch
from minift.data.from_files import files_reader
from minift.data.info import DatasetInfo
from minift.data.order import random_generator, split_sizes, stratified_rows
from minift.data.publish import publish
from minift.data.saved_folder import read_saved, save, saved_splits
from minift.data.splits import SplitsOfTables
from minift.data.stream import IterableDataset
from minift.data.table import read_arrow
from minift.data.to_arrow import ArrowWriter, texts_where_asked, to_arrow
from minift.data.view import TableView
from minift.data.write_files import to_csv, to_json, to_parquet
from minift.libraries.keywords import drops_keywords


def splits_reader(kind: str) -> classmethod:
    """Make the constructor of a `DatasetDict` that reads files of one format: split -> path(s)."""

    def read(cls: type, path_or_paths: dict[str, Any], **options: Any) -> "DatasetDict":
        constructor = getattr(Dataset, f"from_{kind}")
        return cls({split: constructor(paths, split=split, **options) for split, paths in path_or_paths.items()})

    read.__doc__ = f"Read {kind} files: split -> path or paths; the other arguments are those of Dataset.from_{kind}."
    return classmethod(read)


class Dataset(TableView):
    """Rows over memory-mapped Arrow. Re-implements `datasets.Dataset` (arrow_dataset.py).

    How rows are read stands in `reader.py`; what selects, orders, renames, maps and formats them, in `view.py`.
    """

    @classmethod
    def from_dict(
        cls,
        mapping: dict[str, Sequence],
        features: Features | None = None,
        info: DatasetInfo | None = None,
        split: str | None = None,
    ) -> Self:
        """Make a dataset of columns: name -> values."""
        features = _declared(features, info)
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
        return cls(pa.table(list(arrays.values()), schema=features.arrow_schema), features, info=info, split=split)

    @classmethod
    def from_list(
        cls,
        mapping: list[dict],
        features: Features | None = None,
        info: DatasetInfo | None = None,
        split: str | None = None,
    ) -> Self:
        """Make a dataset of rows, a dict each; where a row lacks a column, its value is None."""
        features = _declared(features, info)
        names = dict.fromkeys(name for row in mapping for name in row) or features or {}
        return cls.from_dict({name: [row.get(name) for row in mapping] for name in names}, features, info, split)

    @classmethod
    def from_pandas(
        cls,
        df: Any,
        features: Features | None = None,
        info: DatasetInfo | None = None,
        split: str | None = None,
        preserve_index: bool | None = None,
    ) -> Self:
        """Make a dataset of a pandas frame; an index other than 0, 1, … becomes a column, as in `datasets`."""
        features = _declared(features, info)
        table = pa.Table.from_pandas(df, preserve_index=preserve_index)
        dataset = cls(table.replace_schema_metadata(None), info=info, split=split)
        return dataset if features is None else dataset.cast(features)

    @classmethod
    @drops_keywords
    def from_file(cls, filename: str | Path, info: DatasetInfo | None = None, split: str | None = None) -> Self:
        """Make a dataset over an Arrow file, which is memory-mapped."""
        return cls(read_arrow(filename), info=info, split=split)

    @drops_keywords
    def push_to_hub(
        self, repo_id: str, config_name: str = "default", *, split: str | None = None, **options: Any
    ) -> str:
        """Upload the rows as a split ("train", or the dataset's own name); arguments as of `publish.publish`."""
        return publish({split or self.split or "train": self}, repo_id, config_name, **options)

    @classmethod
    @drops_keywords
    def from_generator(
        cls,
        generator: Callable[..., Iterable[dict]],
        features: Features | None = None,
        gen_kwargs: dict[str, Any] | None = None,
        split: str | None = "train",
    ) -> Self:
        """Make a dataset of the rows, dicts, that a function yields; they are written to a file 1,000 at a time."""
        rows = iter(generator(**(gen_kwargs or {})))
        with tempfile.TemporaryDirectory(prefix="minift-map-", ignore_cleanup_errors=True) as folder:
            with ArrowWriter(Path(folder, "rows.arrow"), features) as writer:
                while batch := list(islice(rows, 1000)):
                    names = dict.fromkeys(name for row in batch for name in row)
                    writer.write({name: [row.get(name) for row in batch] for name in features or names})
            return cls(read_arrow(Path(folder, "rows.arrow")), split=split or "train")

    from_csv = files_reader("csv")
    from_json = files_reader("json")
    from_parquet = files_reader("parquet")
    from_text = files_reader("text")

    @drops_keywords
    def add_item(self, item: dict[str, Any]) -> Self:
        """Put one more row at the end; a column that it lacks is None."""
        row = type(self).from_list([item])
        known = {name: feature for name, feature in self.features.items() if feature != Value("null")}
        row = row.cast(Features({name: known.get(name, feature) for name, feature in row.features.items()}))
        return concatenate_datasets([self, row.changed(formatter=self.formatter)])

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

    def to_dict(self, batch_size: int | None = None, batched: bool = False) -> dict[str, list] | Iterator[dict]:
        """Hand out all rows as a dict of columns or, `batched`, one dict after the other."""
        if batched:
            return map(python_batch, self.arrow_batches(batch_size or 1000))
        return python_batch(self.arrow_rows())

    def to_list(self) -> list[dict]:
        return Format().rows(self.arrow_rows())

    def to_pandas(self, batch_size: int | None = None, batched: bool = False) -> Any:
        """Hand out all rows as a pandas frame or, `batched`, one frame after the other."""
        if batched:
            return (rows.to_pandas() for rows in self.arrow_batches(batch_size or 1000))
        return self.arrow_rows().to_pandas()

    to_csv, to_json, to_parquet = to_csv, to_json, to_parquet

    @drops_keywords
    def save_to_disk(
        self, dataset_path: str | Path, max_shard_size: str | int | None = None, num_shards: int | None = None
    ) -> None:
        """Write a folder that `load_from_disk`, here and in `datasets`, reads.

        The rows go to `num_shards` files, or to as many of at most `max_shard_size` bytes (500MB) as they need.
        """
        save(self, dataset_path, num_shards=num_shards, max_shard_size=max_shard_size)

    @classmethod
    @drops_keywords
    def load_from_disk(cls, dataset_path: str | Path) -> Self:
        """Read a folder that `save_to_disk` wrote; the rows are memory-mapped."""
        folder = Path(dataset_path).expanduser()
        if saved_splits(folder) is not None:
            raise ValueError(f"{folder} holds several splits: use DatasetDict.load_from_disk")
        return cls(**read_saved(folder))

    def to_iterable_dataset(self, num_shards: int = 1) -> IterableDataset:
        """Make a stream of the rows, in `num_shards` shards: see `IterableDataset`."""
        if not 1 <= num_shards <= max(1, len(self)):
            raise ValueError(f"to_iterable_dataset: num_shards={num_shards} must be from 1 to the {len(self)} rows")
        if self.formatter.kind == "custom" or self.formatter.columns is not None:
            raise ValueError("to_iterable_dataset takes no transform or chosen columns: call with_format(None)")
        shards = [self.shard(num_shards, index) for index in range(num_shards)]
        options = {"features": self.features, "split": self.split, "info": self.about, "format": self.formatter}
        return IterableDataset.from_tables(shards, lambda shard: shard.arrow_batches(1000), **options)

    def to_tf_dataset(self, *args: Any, **options: Any) -> Any:
        """Make a `tf.data.Dataset` of batches for Keras' `fit`: see `minift.tf.batches.to_tf_dataset`."""
        from minift.tf.batches import to_tf_dataset

        return to_tf_dataset(self, *args, **options)


def _declared(features: Features | None, info: DatasetInfo | None) -> Features | None:
    """The features that the caller names, here or in the info; two that differ are a ValueError."""
    told = info and info.features
    if features is not None and told is not None and features != told:
        raise ValueError(f"features= and info.features differ: {features} and {told}")
    return features if told is None else told


class DatasetDict(SplitsOfTables):
    """Split name -> `Dataset`. Re-implements `datasets.DatasetDict` (dataset_dict.py)."""

    from_csv, from_json = splits_reader("csv"), splits_reader("json")
    from_parquet, from_text = splits_reader("parquet"), splits_reader("text")

    @classmethod
    @drops_keywords
    def load_from_disk(cls, dataset_dict_path: str | Path) -> Self:
        """Read a folder of splits that `save_to_disk` wrote; the rows are memory-mapped."""
        folder = Path(dataset_dict_path).expanduser()
        splits = saved_splits(folder)
        if splits is None:
            raise ValueError(f"{folder} holds one dataset without splits: use Dataset.load_from_disk")
        return cls({split: Dataset.load_from_disk(folder / split) for split in splits})
