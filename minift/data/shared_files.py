"""Files that the processes of one run share: what the first one makes in `map`, the others read."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count
from pathlib import Path

# of the `share_files` block: its folder, whether this process writes, and the numbers of the next calls of `map`
_shared: ContextVar[tuple[Path, bool, Iterator[int]] | None] = ContextVar("shared", default=None)


@contextmanager
def share_files(folder: str | Path, writes: bool) -> Iterator[None]:
    """In the `with` block, `map` writes its results to `folder` (`writes`), or reads the results that it finds there.

    All processes must call `map` in the same order. If the folder is on another machine, nothing is shared.
    """
    token = _shared.set((Path(folder), writes, count()) if Path(folder).is_dir() else None)
    try:
        yield
    finally:
        _shared.reset(token)


def next_shared_file() -> tuple[Path, bool] | None:
    """The file of this call of `map`, and whether this process writes it; None outside of a `share_files` block."""
    shared = _shared.get()
    if shared is None:
        return None
    folder, writes, numbers = shared
    return folder / f"{next(numbers)}.arrow", writes
