"""Collating one batch ahead of the loop, which is part of the arithmetic of the libraries' loaders."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

END = object()


def look_ahead(batches: Iterable[Any], before_each: Callable[[], Any] | None = None) -> Iterator[tuple[Any, bool]]:
    """Yield each batch and whether it is the last; batch k+1 is collated before batch k is handed out.

    A collator that draws random masks and a model that draws dropout share one generator. Collated one ahead, they
    draw from it as mask 1, mask 2, dropout 1, mask 3, dropout 2, … (accelerate/data_loader.py, `DataLoaderShard`).
    `before_each` is called right before each batch is collated, and once more at the end.
    """
    iterator, before_each = iter(batches), before_each or (lambda: None)
    before_each()
    waiting = next(iterator, END)
    while waiting is not END:
        batch = waiting
        before_each()
        waiting = next(iterator, END)
        yield batch, waiting is END
