"""Rows to padded batches: the collators alone, on rows as lists, and with the reading of the rows before them."""

from collections.abc import Callable, Iterator
from itertools import chain

import numpy as np

from benchmarks import workloads
from benchmarks.checks import equal
from benchmarks.harness import Case, Side
from benchmarks.settings import Settings
from minift.batches.collate import DataCollatorWithPadding
from minift.batches.column_batches import column_batches
from minift.tokenizer.padding import inside_rows


def cases(settings: Settings) -> Iterator[Case]:
    import transformers

    data = workloads.tokenised_pairs()
    peer = workloads.as_peer(data)
    tokenizers = workloads.tokenizers(workloads.minilm())
    ours = DataCollatorWithPadding(tokenizers[0])
    theirs = transformers.DataCollatorWithPadding(tokenizers[1])
    source = column_batches(data, ours)  # what minift's Trainer reads from
    for size, target in ((8, 5), (64, 10)):
        numbers = data.shuffle(seed=size).indices[:size].tolist()
        rows = data.__getitems__(numbers)
        yield Case(
            f"pad a batch of {size}",
            Side("DataCollatorWithPadding", lambda rows=rows: dict(theirs(rows))),
            [Side("collator", lambda rows=rows: dict(ours(rows)), equal, target, fill(rows, flat=False))],
            facts={"floor": "numpy reads the lists once and fills the padded arrays"},
        )
        yield Case(
            f"read {size} random rows and pad them",
            Side("datasets, then the collator", lambda n=numbers: dict(theirs(peer.__getitems__(n)))),
            [
                Side(
                    "columns, then the collator",
                    lambda n=numbers: dict(ours(source.__getitems__(n))),
                    equal,
                    target,
                    fill(rows, flat=True),
                )
            ],
            facts={"floor": "numpy fills the padded arrays from one flat array"},
        )


def fill(rows: list[dict], flat: bool) -> Callable[[], list[np.ndarray]]:
    """The least that padding takes: three arrays of int64 written once, from lists or from values end to end."""
    lengths = np.array([len(row["input_ids"]) for row in rows])
    columns = [[row[name] for row in rows] for name in rows[0] if name != "label"]
    arrays = [read(column) for column in columns]

    def work() -> list[np.ndarray]:
        inside = inside_rows(lengths, lengths.max(), "right")
        padded = [np.zeros(inside.shape, np.int64) for _ in columns]
        for target, array, column in zip(padded, arrays, columns, strict=True):
            target[inside] = array if flat else read(column)
        return padded

    return work


def read(column: list[list[int]]) -> np.ndarray:
    return np.fromiter(chain.from_iterable(column), np.int64)
