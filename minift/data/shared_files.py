"""Files that the processes of one run share: what the first one makes in `map`, the others read."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count
from pathlib import Path


class SharedFolder:
    """A folder of Arrow files, numbered in the order of the calls of `map`, which is the same in every process.

    Args:
        path: the folder.
        writes: whether this process makes the files; the others read them.
    """

    def __init__(self, path: Path, writes: bool):
        self.path, self.writes = path, writes
        self._numbers = count(1)

    def next_file(self) -> Path:
        """The file of the next call of `map`."""
        return self.path / f"{next(self._numbers)}.arrow"


_folder: ContextVar[SharedFolder | None] = ContextVar("the shared folder of the `with` block", default=None)


@contextmanager
def share_files(folder: str | Path, writes: bool) -> Iterator[None]:
    """In the `with` block, `map` writes its results to `folder` (`writes`), or reads the results that it finds there.

    If there is no such folder, because it is on another machine, nothing is shared.
    """
    token = _folder.set(SharedFolder(Path(folder), writes) if Path(folder).is_dir() else None)
    try:
        yield
    finally:
        _folder.reset(token)


def shared_folder() -> SharedFolder | None:
    """The folder of the `share_files` block that this code runs in; None outside of one."""
    return _folder.get()
