"""Rows to padded batches: the collators alone, on rows as lists, and with the reading of the rows before them."""

from collections.abc import Iterator

import numpy as np

from benchmarks import workloads
from benchmarks.checks import equal
from benchmarks.harness import Case, Side
from benchmarks.settings import Settings
from minift.data.collate import DataCollatorWithPadding
from minift.data.fetch import fetch_columns
from minift.data.padding import inside_rows


def cases(settings: Settings) -> Iterator[Case]:
    import transformers

    data = workloads.tokenised_pairs()
    peer = workloads.as_peer(data)
    tokenizers = workloads.tokenizers(workloads.minilm())
    ours = DataCollatorWithPadding(tokenizers[0])
    theirs = transformers.DataCollatorWithPadding(tokenizers[1])
    source = fetch_columns(data, ours)  # what minift's Trainer reads from
    for size, target in ((8, 5), (64, 10)):
        numbers = data.shuffle(seed=size)._indices[:size].tolist()
        rows = data.__getitems__(numbers)
        yield Case(
            f"pad a batch of {size}",
            Side("DataCollatorWithPadding", lambda rows=rows: dict(theirs(rows))),
            [Side("collator", lambda rows=rows: dict(ours(rows)), equal, target, floor=fill(rows))],
            facts={"floor": "numpy fills the padded arrays from one flat array"},
        )
        yield Case(
            f"read {size} random rows and pad them",
            Side("datasets, then the collator", lambda n=numbers: dict(theirs(peer.__getitems__(n)))),
            [Side("columns, then the collator", lambda n=numbers: dict(ours(source.__getitems__(n))), equal, target)],
        )


def fill(rows: list[dict]) -> object:
    """The least that padding takes: three arrays of int64 written once, from values that lie end to end."""
    lengths = np.array([len(row["input_ids"]) for row in rows])
    names = [name for name in rows[0] if name != "label"]
    values = [np.concatenate([np.array(row[name], np.int32) for row in rows]) for name in names]

    def work() -> list[np.ndarray]:
        inside = inside_rows(lengths, lengths.max(), "right")
        padded = [np.zeros(inside.shape, np.int64) for _ in values]
        for array, flat in zip(padded, values, strict=True):
            array[inside] = flat
        return padded

    return work
