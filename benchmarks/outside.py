"""Stages that are scripts of their own: run one, and take over the rows of the document that it writes."""

import importlib.util
from collections.abc import Iterator

from benchmarks import child
from benchmarks.harness import Row
from benchmarks.settings import Settings


def rows_of(stage: str, module: str, settings: Settings, needs: str | None = None) -> Iterator[Row | str]:
    """The script's rows, or a remark where it or a library that it needs is not there.

    Its document is a list of rows, or has them under "rows"; each has the fields of `Row`.
    """
    for name in filter(None, (needs, module)):
        if importlib.util.find_spec(name) is None:
            yield f"not measured: there is no {name}"
            return
    document = child.script(module, *(["--quick"] if settings.quick else []))
    for row in document["rows"] if isinstance(document, dict) else document:
        yield Row(**{**row, "stage": stage})
