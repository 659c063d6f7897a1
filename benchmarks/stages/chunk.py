"""Documents to blocks of 128 tokens: minift on Arrow buffers beside the course's group_texts in datasets.map."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks import workloads
from benchmarks.checks import same_rows
from benchmarks.harness import Case, Side
from benchmarks.settings import Settings
from minift.batches.chunk import chunk_dataset

BLOCK, MAP_ROWS = 128, 1000


def cases(settings: Settings) -> Iterator[Case]:
    rows = settings.pick(quick=1_000, full=workloads.REVIEWS)
    data = workloads.tokenised_reviews(rows)
    peer = workloads.as_peer(data)
    held = np.zeros(sum(batch.nbytes for batch in data.data.to_batches()), np.uint8)
    target = np.empty_like(held)

    def theirs() -> Any:
        return peer.map(group_texts, batched=True, batch_size=MAP_ROWS, load_from_cache_file=False)

    yield Case(
        f"chunk {rows:,} tokenised reviews into blocks of {BLOCK}",
        Side("datasets.map(group_texts)", theirs),
        [
            Side(
                "chunk_dataset",
                lambda: chunk_dataset(data, BLOCK, batch_size=MAP_ROWS),
                same_rows,
                target=40,
                floor=lambda: np.copyto(target, held),
            )
        ],
        repeats=settings.pick(quick=2, full=5),
        facts={"floor": "a memory copy of the columns"},
    )


def group_texts(rows: dict[str, list]) -> dict[str, list]:
    """Concatenates a batch and cuts it, as the course does: with ``sum``, which copies the sum at every addition."""
    joined = {name: sum(column, []) for name, column in rows.items()}  # noqa: RUF017 - the peer is the course's
    whole = len(joined["input_ids"]) // BLOCK * BLOCK
    blocks = {name: [flat[i : i + BLOCK] for i in range(0, whole, BLOCK)] for name, flat in joined.items()}
    return blocks | {"labels": blocks["input_ids"].copy()}
