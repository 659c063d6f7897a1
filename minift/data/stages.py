"""The stages of a stream: each hands out rows, dicts, and passes on what it is told of shards and of random numbers."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Self

import numpy as np
import pyarrow as pa

from minift.data.features import Features
from minift.data.formats import Format
from minift.data.from_arrow import to_python
from minift.data.to_arrow import to_arrow

READ_ROWS = 1000  # rows of a table that are decoded together


class FixedOrder(Exception):
    """The order of the shards must stay: `take` and `skip` count rows in it."""


@dataclass(frozen=True)
class Stage(ABC):
    """A stage after another one, `before`. What a stage does not change, it asks of the one before."""

    before: Any

    @abstractmethod
    def rows(self) -> Iterator[dict]:
        """Read the rows from the first on."""

    @property
    def num_shards(self) -> int:
        return self.before.num_shards

    @property
    def is_arrow(self) -> bool:
        """Whether `datasets` would pass tables here: rows then reach a shuffling buffer in groups."""
        return self.before.is_arrow

    def shuffled(self, generator: np.random.Generator) -> Self:
        """The same with the shards in an order that `generator` draws."""
        return replace(self, before=self.before.shuffled(generator))

    def part(self, count: int, index: int, contiguous: bool = True) -> Self:
        """The same over part `index` of `count` of the shards."""
        return replace(self, before=self.before.part(count, index, contiguous))

    def shifted(self, by: int) -> Self:
        """The same with other random numbers: those of another epoch or worker."""
        return replace(self, before=self.before.shifted(by))


@dataclass(frozen=True)
class Shards:
    """The first stage: shards, and the function that reads one of them as tables or rows."""

    shards: tuple[Any, ...]
    read: Callable[[Any], Iterator[Any]]
    is_arrow: bool

    def rows(self) -> Iterator[dict]:
        for shard in self.shards:
            for chunk in self.read(shard):
                if not self.is_arrow:
                    yield dict(chunk)
                    continue
                for start in range(0, chunk.num_rows, READ_ROWS):
                    yield from Format().rows(chunk.slice(start, READ_ROWS))

    @property
    def num_shards(self) -> int:
        return len(self.shards)

    def shuffled(self, generator: np.random.Generator) -> Self:
        order = list(range(len(self.shards)))
        deepcopy(generator).shuffle(order)
        return replace(self, shards=tuple(self.shards[i] for i in order))

    def part(self, count: int, index: int, contiguous: bool = True) -> Self:
        numbers = np.arange(len(self.shards))
        chosen = np.array_split(numbers, count)[index] if contiguous else numbers[index::count]
        return replace(self, shards=tuple(self.shards[i] for i in chosen))

    def shifted(self, by: int) -> Self:
        return self


@dataclass(frozen=True)
class Selected(Stage):
    names: tuple[str, ...]

    def rows(self) -> Iterator[dict]:
        return ({name: row[name] for name in self.names} for row in self.before.rows())


@dataclass(frozen=True)
class Cast(Stage):
    """Values of the types of `features`; a column that a row lacks is None."""

    features: Features

    def rows(self) -> Iterator[dict]:
        for row in self.before.rows():
            unknown = [name for name in row if name not in self.features]
            if unknown:
                raise ValueError(f"a row has the column {unknown[0]!r}; the features name {list(self.features)}")
            yield {name: self._value(name, row.get(name)) for name in self.features}

    def _value(self, name: str, value: Any) -> Any:
        return to_python(to_arrow([value], name, self.features[name]))[0]


@dataclass(frozen=True)
class Taken(Stage):
    count: int
    splits: bool  # whether parts of the shards share the count

    def rows(self) -> Iterator[dict]:
        return islice(self.before.rows(), self.count)

    def shuffled(self, generator: np.random.Generator) -> Self:
        raise FixedOrder

    def part(self, count: int, index: int, contiguous: bool = True) -> Self:
        new = super().part(count, index, contiguous)
        if not self.splits:
            return new
        sources = min(count, self.before.num_shards)
        share = self.count // sources + (index < self.count % sources) if index < sources else 0
        return replace(new, count=share)


@dataclass(frozen=True)
class Skipped(Taken):
    def rows(self) -> Iterator[dict]:
        return islice(self.before.rows(), self.count, None)


@dataclass(frozen=True)
class Stepped(Stage):
    """Every `step`-th row, from row `offset` on."""

    step: int
    offset: int

    def rows(self) -> Iterator[dict]:
        return islice(self.before.rows(), self.offset, None, self.step)


@dataclass(frozen=True)
class Repeated(Stage):
    times: int | None

    def rows(self) -> Iterator[dict]:
        done = 0
        while self.times is None or done < self.times:
            yield from self.before.rows()
            done += 1


@dataclass(frozen=True)
class Shuffled(Stage):
    """Rows out of a buffer that is shuffled when it is full, half of which then goes out."""

    size: int
    generator: np.random.Generator
    max_shards: int  # that fill the buffer in turns

    def rows(self) -> Iterator[dict]:
        generator, buffer = deepcopy(self.generator), []
        for group in self._groups():
            buffer.extend(group)
            if len(buffer) >= self.size:
                buffer = [buffer[i] for i in generator.permutation(len(buffer))]
                ready = len(buffer) - self.size // 2
                yield from buffer[:ready]
                buffer = buffer[ready:]
        yield from (buffer[i] for i in generator.permutation(len(buffer)) if buffer)

    def _groups(self) -> Iterator[list[dict]]:
        """Read groups of rows from up to `max_shards` parts of the shards in turns, until all are exhausted."""
        size = max(1, self.size // max(1, self.max_shards)) if self.is_arrow else 1
        count = min(self.num_shards, self.max_shards)
        parts = [self.before.part(count, i) for i in range(count)] if count > 1 else [self.before]
        readers = [part.rows() for part in parts]
        while readers:
            for reader in list(readers):
                group = list(islice(reader, size))
                if group:
                    yield group
                if len(group) < size:
                    readers.remove(reader)

    def shifted(self, by: int) -> Self:
        seed = deepcopy(self.generator).integers(0, 1 << 63) - by
        return replace(super().shifted(by), generator=np.random.default_rng(seed))


@dataclass(frozen=True)
class Mapped(Stage):
    call: Callable[[Any, Any], Any]  # of a row and its number, or of a batch and its numbers
    batched: bool
    batch_size: int | None
    drops_last: bool
    removed: tuple[str, ...] | None  # columns of the input that the result does not keep; None: all
    formatter: Format

    is_arrow = False

    def rows(self) -> Iterator[dict]:
        for numbers, given in _batches(self):
            returned = self.call(given, numbers if self.batched else numbers[0])
            if not isinstance(returned, Mapping):
                raise TypeError(f"the map function returned {type(returned).__name__}: expected a dict")
            removed = list(given) if self.removed is None else self.removed
            kept = {name: value for name, value in given.items() if name not in removed}
            row = kept if returned is given else kept | dict(returned)
            if not self.batched:
                yield row
                continue
            lengths = {name: len(values) for name, values in row.items()}
            if len(set(lengths.values())) > 1:
                raise ValueError(f"the columns of a batch differ in length: {lengths}; use remove_columns=")
            yield from (dict(zip(row, values, strict=True)) for values in zip(*row.values(), strict=True))


@dataclass(frozen=True)
class Filtered(Stage):
    call: Callable[[Any, Any], Any]
    batched: bool
    batch_size: int | None
    formatter: Format

    is_arrow, drops_last = False, False

    def rows(self) -> Iterator[dict]:
        for numbers, given in _batches(self):
            answer = self.call(given, numbers if self.batched else numbers[0])
            if not self.batched:
                if answer:
                    yield given
                continue
            rows = zip(*given.values(), strict=True)
            yield from (dict(zip(given, row, strict=True)) for row, keep in zip(rows, answer, strict=True) if keep)


def _batches(stage: Mapped | Filtered) -> Iterator[tuple[list[int], dict]]:
    """Read rows, or batches of them as a dict of columns, in the stage's format; with the numbers of the rows."""
    rows, start = stage.before.rows(), 0
    size = (stage.batch_size if stage.batch_size and stage.batch_size > 0 else None) if stage.batched else 1
    while batch := list(islice(rows, size)):
        if stage.drops_last and size and stage.batched and len(batch) < size:
            return
        numbers = list(range(start, start + len(batch)))
        start += len(batch)
        names = dict.fromkeys(name for row in batch for name in row)
        given = {name: [row.get(name) for row in batch] for name in names} if stage.batched else batch[0]
        if stage.formatter != Format():
            columns = given if stage.batched else {name: [value] for name, value in given.items()}
            table = pa.table({name: to_arrow(values, name) for name, values in columns.items()})
            given = stage.formatter.batch(table) if stage.batched else stage.formatter.row(table)
        yield numbers, given
