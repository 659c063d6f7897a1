"""`IterableDataset`: rows that are read one after the other and never held; a corpus may be larger than the disk.

A stream is a chain of stages. The first reads shards (files, or parts of a table); each other stage takes rows from the
stage before it. Shards are shared out over ranks and over the workers of a DataLoader. Re-implements
`datasets.IterableDataset` (iterable_dataset.py).
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import copy, deepcopy
from dataclasses import replace
from itertools import islice
from typing import Any, Self

import numpy as np
import pyarrow as pa

from minift.data.features import Feature, Features, List
from minift.data.formats import Format
from minift.data.info import DatasetInfo, NamedSplit
from minift.data.stages import (
    Cast,
    Filtered,
    FixedOrder,
    Mapped,
    Repeated,
    Selected,
    Shards,
    Shuffled,
    Skipped,
    Stage,
    Stepped,
    Taken,
)
from minift.data.to_arrow import to_arrow
from minift.libraries.keywords import drops_keywords


class IterableDataset:
    """A stream of rows, a dict each. Every method returns a new stream, except `set_epoch` and `load_state_dict`.

    `features` are the columns and types; None where they are known only when rows are read, as after a `map`.
    """

    def __init__(
        self,
        stage: Stage,
        features: Features | None = None,
        split: str | None = None,
        info: DatasetInfo | None = None,
        format: Format | None = None,
    ):
        self.stage, self.features, self.formatter = stage, features, format or Format()
        self.split, self._info = split and NamedSplit(split), info or DatasetInfo()
        self.epoch = 0
        self._node: tuple[int, int] | None = None  # the rank and the number of ranks that share the rows
        self._given, self._to_skip = 0, 0  # rows that the present pass has handed out; rows that the next one skips
        with suppress(ImportError):  # a torch DataLoader asks whether this is torch's kind of iterable dataset
            from torch.utils.data import IterableDataset as TorchIterable

            TorchIterable.register(IterableDataset)

    @classmethod
    def from_tables(cls, shards: Sequence[Any], read: Callable[[Any], Iterator[pa.Table]], **options: Any) -> Self:
        """Make a stream of shards, each of which `read` reads as Arrow tables; `options` are those of the class."""
        return cls(Shards(tuple(shards), read, is_arrow=True), **options)

    @classmethod
    def from_generator(
        cls,
        generator: Callable[..., Iterable[dict]],
        features: Features | None = None,
        gen_kwargs: dict[str, Any] | None = None,
        split: str | None = "train",
    ) -> Self:
        """Make a stream of the rows that a function yields; lists in `gen_kwargs` are shards, an item each."""
        lists = {name: value for name, value in (gen_kwargs or {}).items() if isinstance(value, list)}
        if len({len(value) for value in lists.values()}) > 1:
            raise ValueError(f"from_generator: the lists in gen_kwargs differ in length: {list(lists)}")
        count = len(next(iter(lists.values()))) if lists else 1
        shards = [(gen_kwargs or {}) | {name: [value[i]] for name, value in lists.items()} for i in range(count)]
        stage = Shards(tuple(shards), lambda kwargs: generator(**kwargs), is_arrow=False)
        return cls(stage if features is None else Cast(stage, features), features, split)

    # -- what it holds

    @property
    def column_names(self) -> list[str] | None:
        return None if self.features is None else list(self.features)

    @property
    def num_shards(self) -> int:
        """The number of parts that can be read at once: `num_workers` of a DataLoader should not be larger."""
        return self.stage.num_shards

    n_shards = num_shards

    @property
    def info(self) -> DatasetInfo:
        return DatasetInfo.from_dict(vars(self._info) | {"features": self.features})

    def __repr__(self) -> str:
        names = "Unknown" if self.features is None else self.column_names
        return f"IterableDataset({{\n    features: {names},\n    num_shards: {self.num_shards}\n}})"

    # -- reading

    def __iter__(self) -> Iterator[Any]:
        stage, skip = self._stage_here(), self._to_skip
        self._given, self._to_skip = 0, 0
        for row in stage.rows() if stage else ():
            self._given += 1
            if self._given > skip:
                yield self.formatter.row(_table([row], self.features)) if self.formatter != Format() else row

    def iter(self, batch_size: int, drop_last_batch: bool = False) -> Iterator[Any]:
        """Read batches of rows, a dict of columns each."""
        rows = iter(self.with_format(None).changed(epoch=self.epoch))
        while batch := list(islice(rows, batch_size)):
            if len(batch) == batch_size or not drop_last_batch:
                yield self.formatter.batch(_table(batch, self.features))

    def __getitem__(self, name: str) -> Iterator[Any]:
        """Read a column, value by value."""
        if not isinstance(name, str):
            raise TypeError(f"a stream has no row {name!r}: iterate over it, or use take() and skip()")
        return StreamColumn(self, name)

    def _stage_here(self) -> Stage | None:
        """The stages of this pass on this rank and in this worker; None if the worker has no shard."""
        stage = self.stage
        if self.epoch:
            with suppress(FixedOrder):
                stage = stage.shuffled(np.random.default_rng(self.epoch))
            stage = stage.shifted(self.epoch)
        if self._node is not None:
            rank, ranks = self._node
            by_shards = stage.num_shards % ranks == 0
            stage = stage.part(ranks, rank, contiguous=False) if by_shards else Stepped(stage, ranks, rank)
        worker = _worker()
        if worker is None:
            return stage
        if worker.id >= stage.num_shards:
            return None
        return stage.part(worker.num_workers, worker.id, contiguous=False).shifted(worker.id)

    def set_epoch(self, epoch: int) -> None:
        """Begin the next pass with other shards first, and other draws: ``seed`` and `epoch` decide them."""
        self.epoch = epoch

    def state_dict(self) -> dict[str, int]:
        """Tell how many rows the present pass has handed out."""
        return {"epoch": self.epoch, "rows": max(self._given, self._to_skip)}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Begin the next pass after the rows that a `state_dict` counts: they are read again and passed over."""
        self.epoch, self._to_skip, self._given = state_dict["epoch"], state_dict["rows"], 0

    # -- other rows

    def take(self, n: int) -> Self:
        return self.changed(Taken(self.stage, n, splits=self._node is None))

    def skip(self, n: int) -> Self:
        return self.changed(Skipped(self.stage, n, splits=self._node is None))

    def repeat(self, num_times: int | None) -> Self:
        """Begin again at the end, `num_times` times in all or (None) without end."""
        return self.changed(Repeated(self.stage, num_times))

    def shard(self, num_shards: int, index: int, contiguous: bool = True) -> Self:
        """Keep a part of the shards."""
        return self.changed(self.stage.part(num_shards, index, contiguous))

    def for_node(self, rank: int, world_size: int) -> Self:
        """Keep the shards of one of `world_size` ranks; where they cannot be shared out evenly, every N-th row."""
        if self._node is not None:
            raise ValueError(f"split_dataset_by_node: the stream is split already, for rank {self._node[0]}")
        return self.changed(_node=(rank, world_size))

    def described(self, features: Features) -> Self:
        """The same rows, whose types are known to be `features`."""
        return self.changed(features=features)

    def shuffle(
        self,
        seed: int | None = None,
        generator: np.random.Generator | None = None,
        buffer_size: int = 1000,
        max_buffer_input_shards: int = 10,
    ) -> Self:
        """Shuffle the shards, and the rows within a buffer: when it is full, half of it goes out in a drawn order."""
        generator = np.random.default_rng(seed) if generator is None else deepcopy(generator)
        try:
            stage = self.stage.shuffled(generator)
        except FixedOrder:  # after take and skip
            stage, max_buffer_input_shards = self.stage, 1
        return self.changed(Shuffled(stage, buffer_size, generator, max_buffer_input_shards))

    def filter(
        self,
        function: Callable | None = None,
        with_indices: bool = False,
        input_columns: str | list[str] | None = None,
        batched: bool = False,
        batch_size: int | None = 1000,
        fn_kwargs: dict[str, Any] | None = None,
    ) -> Self:
        """Keep the rows for which `function` returns true."""
        call = _call("filter", function, input_columns, fn_kwargs, with_indices)
        return self.changed(Filtered(self.stage, call, batched, batch_size, self.formatter))

    # -- other values

    @drops_keywords
    def map(
        self,
        function: Callable | None = None,
        with_indices: bool = False,
        input_columns: str | list[str] | None = None,
        batched: bool = False,
        batch_size: int | None = 1000,
        drop_last_batch: bool = False,
        remove_columns: str | list[str] | None = None,
        features: Features | None = None,
        fn_kwargs: dict[str, Any] | None = None,
    ) -> Self:
        """Update rows or batches by what `function` returns, when they are read; the arguments are those of Dataset."""
        removed = [remove_columns] if isinstance(remove_columns, str) else list(remove_columns or [])
        call = _call("map", function, input_columns, fn_kwargs, with_indices)
        stage = Mapped(self.stage, call, batched, batch_size, drop_last_batch, tuple(removed), self.formatter)
        return self.changed(stage if features is None else Cast(stage, features), features=features)

    def batch(self, batch_size: int, drop_last_batch: bool = False) -> Self:
        """Make a row of every `batch_size` rows: each column holds their values as a list."""
        features = self.features and Features({name: List(feature) for name, feature in self.features.items()})
        together = {"batched": True, "batch_size": batch_size, "drop_last_batch": drop_last_batch}
        return self.map(lambda batch: {name: [values] for name, values in batch.items()}, **together, features=features)

    def add_column(self, name: str, column: Sequence) -> Self:
        return self.map(lambda row, number: {name: column[number]}, with_indices=True)

    def rename_column(self, original_column_name: str, new_column_name: str) -> Self:
        return self.rename_columns({original_column_name: new_column_name})

    def rename_columns(self, column_mapping: dict[str, str]) -> Self:
        """Rename columns: old name -> new name."""
        features = self.features
        if features is not None:
            self._check_columns(column_mapping)
            features = Features({column_mapping.get(name, name): feature for name, feature in features.items()})
        renamed = self.map(lambda row: {column_mapping.get(name, name): row[name] for name in row})
        return self.changed(replace(renamed.stage, removed=None), features=features)

    def remove_columns(self, column_names: str | list[str]) -> Self:
        names = [column_names] if isinstance(column_names, str) else list(column_names)
        self._check_columns(names)
        features = self.features and Features({n: kind for n, kind in self.features.items() if n not in names})
        return self.map(remove_columns=names).changed(features=features)

    def select_columns(self, column_names: str | list[str]) -> Self:
        names = [column_names] if isinstance(column_names, str) else list(column_names)
        self._check_columns(names)
        features = self.features and Features({name: self.features[name] for name in names})
        return self.changed(Selected(self.stage, tuple(names)), features=features)

    def cast(self, features: Features) -> Self:
        return self.changed(Cast(self.stage, features), features=features)

    def cast_column(self, column: str, feature: Feature) -> Self:
        self._check_columns([column])
        if self.features is None:
            raise ValueError("cast_column: the types of this stream are not known; use cast(features) with all columns")
        return self.cast(Features(self.features | {column: feature}))

    def with_format(self, type: str | None = None) -> Self:
        """Hand out rows as ``torch``, ``numpy``, ``arrow``, …: see `Dataset.set_format`."""
        return self.changed(formatter=Format(type))

    def changed(self, stage: Stage | None = None, **changes: Any) -> Self:
        new = copy(self)
        changes |= {} if stage is None else {"stage": stage}
        vars(new).update({"epoch": 0, "_given": 0, "_to_skip": 0} | changes)
        return new

    def _check_columns(self, names: Iterable[str]) -> None:
        unknown = [name for name in names if self.features is not None and name not in self.features]
        if unknown:
            raise ValueError(f"no column {unknown[0]!r}: the stream has {self.column_names}")


class StreamColumn:
    """``stream["text"]``: the values of a column, one after the other; of a struct, also ``stream["a"]["b"]``."""

    def __init__(self, rows: Iterable, name: str):
        self._rows, self._name = rows, name

    def __iter__(self) -> Iterator[Any]:
        return (row[self._name] for row in self._rows)

    def __getitem__(self, name: str) -> "StreamColumn":
        return StreamColumn(self, name)


def split_dataset_by_node(dataset: Any, rank: int, world_size: int) -> Any:
    """Take the part of a dataset that rank `rank` of `world_size` reads: a run of rows, or `for_node` of a stream.

    Re-implements `datasets.distributed.split_dataset_by_node`.
    """
    if isinstance(dataset, IterableDataset):
        return dataset.for_node(rank, world_size)
    return dataset.shard(world_size, rank, contiguous=True)


def _call(
    method: str, function: Callable | None, input_columns: str | list[str] | None, kwargs: dict | None, indexed: bool
) -> Callable[[Any, Any], Any]:
    """Make the function of a row (or batch) and its number (or numbers) that a stage calls."""
    if inspect.iscoroutinefunction(function):
        raise TypeError(f"{method}: async functions are not supported; pass one that returns its result")
    names = [input_columns] if isinstance(input_columns, str) else input_columns

    def call(given: Mapping, number: Any) -> Any:
        if function is None:
            return given
        arguments = [given] if names is None else [given[name] for name in names]
        return function(*arguments, *([number] if indexed else []), **(kwargs or {}))

    return call


def _table(rows: Sequence[dict], features: Features | None) -> pa.Table:
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return pa.table({name: to_arrow(values, name, (features or {}).get(name)) for name, values in columns.items()})


def _worker() -> Any:
    """The worker of a torch DataLoader in which this runs, or None."""
    try:
        from torch.utils.data import get_worker_info
    except ImportError:
        return None
    return get_worker_info()
