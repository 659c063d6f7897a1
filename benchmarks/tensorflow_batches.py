"""Batches of 8 for Keras: `to_tf_dataset` beside the one of `datasets`, on the real MRPC, with dynamic padding.

    python -m benchmarks.tensorflow_batches [--repeats 7] [--json FILE]

Both read the same token ids, each from its own Arrow table, and pad with the same tokenizer's settings; the batches of
an epoch are compared before anything is timed. Repeats take turns. The ratio of the medians is the result.
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import MINILM, MRPC, require

COLUMNS = ["attention_mask", "input_ids", "token_type_ids"]
TARGET = 5.0


def make_datasets(batch_size: int, folder: Path) -> dict[str, Any]:
    """The two `tf.data.Dataset`s of the training split, in the order of its rows."""
    import datasets
    import transformers

    import minift

    tokenizer = minift.AutoTokenizer.from_pretrained(MINILM)
    rows = minift.load_dataset(MRPC, "mrpc", cache_dir=folder)["train"]
    rows = rows.map(lambda r: tokenizer(r["sentence1"], r["sentence2"], truncation=True), batched=True)
    columns = {name: rows[name][:] for name in [*COLUMNS, "label"]}
    theirs = datasets.Dataset.from_dict(columns)
    their_tokenizer = transformers.AutoTokenizer.from_pretrained(MINILM)
    their_tokenizer.backend_tokenizer.no_padding()
    options = dict(columns=COLUMNS, label_cols=["labels"], batch_size=batch_size)
    return {
        "datasets": theirs.to_tf_dataset(
            collate_fn=transformers.DataCollatorWithPadding(their_tokenizer, return_tensors="np"), **options
        ),
        "minift": rows.to_tf_dataset(
            collate_fn=minift.DataCollatorWithPadding(tokenizer, return_tensors="tf"), **options
        ),
    }


def check_equal(sides: dict[str, Any]) -> None:
    """Raise an AssertionError where the sides' elements differ."""
    import tensorflow as tf

    for ours, theirs in zip(sides["minift"], sides["datasets"], strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, ours, theirs)


def measure(sides: dict[str, Any], repeats: int) -> dict[str, list[float]]:
    """Milliseconds a batch, of each side and epoch."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, batches in sides.items():
            start = time.perf_counter()
            for _ in batches:
                pass
            times[name].append((time.perf_counter() - start) / len(batches) * 1e3)
    return times


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7, help="epochs that are timed, of each side [7]")
    parser.add_argument("--batch_size", type=int, default=8, help="rows in a batch [8]")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args(argv)
    require(MINILM, MRPC)
    import datasets
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        sides = make_datasets(options.batch_size, Path(folder))
        check_equal(sides)  # warms both up, too
        times = measure(sides, options.repeats)
    medians = {name: statistics.median(values) for name, values in times.items()}
    result = {
        "versions": {"tensorflow": tf.__version__, "datasets": datasets.__version__},
        "cpu": platform.processor() or platform.machine(),
        "batch_size": options.batch_size,
        "milliseconds": times,
        "ratio": medians["datasets"] / medians["minift"],
        "target": TARGET,
    }
    print(f"{len(sides['minift'])} batches of {options.batch_size}, equal on both sides; {result['versions']}")
    for name, values in times.items():
        print(f"{name:>10}: {medians[name]:.3f} ms a batch (from {min(values):.3f} to {max(values):.3f})")
    print(f"minift is {result['ratio']:.1f} times as fast; the target is {TARGET:g}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    return result


if __name__ == "__main__":
    main()
