"""Several processes of a run: what one of them maps, the others on its machine need not map again."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_open: "_Folder | None" = None


def is_main_process() -> bool:
    """Whether this is the first of the processes that torchrun started, or the only one."""
    return os.environ.get("RANK", "0") == "0"


class _Folder:
    """A folder of Arrow files, numbered in the order of the calls that make them or look for them."""

    def __init__(self, path: Path, makes: bool):
        self.path, self.makes, self.calls = path, makes, 0


@contextmanager
def hand_over(folder: str | Path, makes: bool) -> Iterator[None]:
    """In the `with` block, `map` leaves the files that it makes in `folder`, or takes those that it finds there.

    A folder that is not there, since it is on another machine, hands nothing over.
    """
    global _open
    before, _open = _open, _Folder(Path(folder), makes) if Path(folder).is_dir() else None
    try:
        yield
    finally:
        _open = before


def next_file() -> tuple[Path, bool] | None:
    """The file of this call, and whether to make it; None outside of `hand_over`."""
    if _open is None:
        return None
    _open.calls += 1
    return _open.path / f"{_open.calls}.arrow", _open.makes
