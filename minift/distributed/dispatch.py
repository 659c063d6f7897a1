"""Batches that rank 0 reads and sends to all ranks: for rows that come as a stream."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import torch

from minift.batches.look_ahead import look_ahead
from minift.distributed.exchange import gather_nests
from minift.distributed.world import world
from minift.tensors import map_nest


def concatenate(nests: list[Any], dim: int = 0) -> Any:
    """Join nests of one form, tensor by tensor, at axis `dim`."""
    return map_nest(lambda *parts: torch.cat(parts, dim=dim), *nests)


def part_of(batch: Any, number: int, size: int) -> Any:
    """Return part `number` of a batch, of `size` rows each."""
    return map_nest(lambda column: column[number * size : (number + 1) * size], batch)


def rows_of(batch: Any) -> int:
    """Count the rows of a batch, a nest of columns."""
    lengths: list[int] = []
    map_nest(lambda column: lengths.append(len(column)), batch)
    return lengths[0]


def dispatch(
    batches: Iterator[Any],
    together: int,
    drop_last: bool,
    before_each: Callable[[], Any] = lambda: None,
    passed_over: int = 0,
) -> Iterator[tuple[Any, bool, int]]:
    """Yield this rank's part of what rank 0 reads, whether it is the last, and the rows for all ranks (*collective*).

    `together` batches are sent at once, and cut into a part for each rank. What comes last is filled up with rows of
    the first so that all parts are equally long; `drop_last` leaves it out if batches are missing. The other ranks read
    nothing of `batches`. Re-implements accelerate/data_loader.py, `DataLoaderDispatcher`.

    Args:
        before_each: called on every rank before rank 0 collates what is sent next, see `look_ahead`.
        passed_over: what is collated, and not sent, at the beginning.

    Raises:
        RuntimeError: the batches that go together are not equally wide.
    """
    place = world()
    groups = _groups(batches, together, drop_last)
    sent = _filled_up(groups, place.size, before_each, passed_over) if place.rank == 0 else None
    hear = before_each if sent is None else lambda: None  # on rank 0, `look_ahead` calls it
    hear()
    while True:
        group, is_last, rows = gather_nests(next(sent, (None, True, 0)) if sent else None)[0]
        if group is None:
            return
        hear()
        yield part_of(group, place.rank, rows_of(group) // place.size), is_last, rows


def _filled_up(
    groups: Iterator[Any], ranks: int, before_each: Callable[[], Any], passed_over: int
) -> Iterator[tuple[Any, bool, int]]:
    first = None  # a row for each rank
    for group in islice(groups, passed_over):
        first = part_of(group, 0, ranks) if first is None else first
    for group, is_last in look_ahead(groups, before_each):
        first = part_of(group, 0, ranks) if first is None else first
        rows = rows_of(group)
        yield concatenate([group, first]) if is_last and rows % ranks else group, is_last, rows


def _groups(batches: Iterator[Any], together: int, drop_last: bool) -> Iterator[Any]:
    while group := list(islice(batches, together)):
        if len(group) == together or not drop_last:
            try:
                yield concatenate(group)
            except RuntimeError as error:
                raise RuntimeError(
                    f"batches of a stream are sent to all processes together, and must be of one width ({error}): pad "
                    "them to one length, or in an Accelerator pass dispatch_batches=False or split_batches=True"
                ) from None
