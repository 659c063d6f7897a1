"""Files to rows: reading Parquet, mapping a Python function, shuffling, and fetching rows at random."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import workloads
from benchmarks.checks import equal, same_rows
from benchmarks.harness import Case, Side
from benchmarks.settings import Settings
from minift.data.load import load_dataset

BATCH = 64


def cases(settings: Settings) -> Iterator[Case]:
    import datasets

    rows = settings.pick(quick=5_000, full=workloads.REVIEWS)
    data = workloads.reviews(rows)
    peer = workloads.as_peer(data)
    parquet = workloads.folder() / f"{rows}.parquet"
    data.to_parquet(parquet)

    def fresh_cache() -> Path:
        return Path(tempfile.mkdtemp(dir=workloads.folder()))  # gone with the folder when the run ends

    def load_theirs() -> Any:
        return datasets.load_dataset("parquet", data_files=str(parquet), split="train", cache_dir=str(fresh_cache()))

    yield Case(
        f"read {rows:,} reviews from Parquet, nothing cached",
        Side("datasets.load_dataset", load_theirs),
        [
            Side(
                "load_dataset",
                lambda: load_dataset("parquet", data_files=str(parquet), split="train", cache_dir=fresh_cache()),
                same_rows,
                target=1,
            )
        ],
    )
    yield Case(
        f"map a Python function over {rows:,} rows",
        Side("datasets.map", lambda: peer.map(count_words, load_from_cache_file=False)),
        [Side("minift map", lambda: data.map(count_words), same_rows, target=1)],
        repeats=settings.pick(quick=2, full=5),
    )
    yield Case(
        f"filter {rows:,} rows by a Python function",
        Side("datasets.filter", lambda: peer.filter(is_long, load_from_cache_file=False)),
        [Side("minift filter", lambda: data.filter(is_long), same_rows, target=1)],
        repeats=settings.pick(quick=2, full=5),
    )
    yield Case(
        f"shuffle {rows:,} rows and read the first {BATCH}",
        Side("datasets.shuffle", lambda: peer.shuffle(seed=42, load_from_cache_file=False)[:BATCH]),
        [Side("minift shuffle", lambda: data.shuffle(seed=42)[:BATCH], equal, target=1)],
    )
    numbers = data.shuffle(seed=1).indices[:BATCH].tolist()
    yield Case(
        f"read {BATCH} rows at random",
        Side("datasets", lambda: peer[numbers]),
        [Side("minift", lambda: data[numbers], equal, target=1)],
    )


def count_words(row: dict) -> dict:
    return {"words": len(row["text"].split())}


def is_long(row: dict) -> bool:
    return len(row["text"]) > 1000
