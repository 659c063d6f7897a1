"""The works whose growth is measured: data, collators, steps, the optimizer, loading."""

from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

import minift
from benchmarks import MINILM, MRPC, workloads
from benchmarks.distributed import start
from benchmarks.harness import Timed, Work
from benchmarks.settings import Settings
from benchmarks.stages.chunk import group_texts
from minift.batches.chunk import chunk_dataset
from minift.data.dataset import Dataset
from minift.fast.adamw import AdamW

TOKENS = 32  # of each row of generated ids
VOCABULARY = 30_522


def works(settings: Settings) -> Iterator[Work]:
    rows = [10**power for power in range(3, settings.pick(quick=5, full=7))]
    batches, lengths = settings.pick(quick=[8, 32], full=[8, 16, 32, 64, 128, 256]), [32, 64, 128, 256, 512]
    yield Work("map, a batched function", "rows", rows, map_rows)
    yield Work("chunk", "rows", rows, chunk_rows)
    yield Work("chunk, all rows in one batch", "rows", rows[:3], chunk_one_batch)
    yield Work("shuffle and read 64 rows", "rows", rows, shuffle_rows)
    yield Work("pad a batch of 64 tokens", "batch", batches, lambda size: pad(size, 64))
    yield Work("pad a batch of 32", "tokens", lengths, lambda size: pad(32, size))
    yield Work("mask a batch of 128 tokens", "batch", batches, lambda size: mask(size, 128))
    yield Work("mask a batch of 32", "tokens", lengths, lambda size: mask(32, size))
    yield Work(
        "step of MiniLM, 64 tokens", "batch", settings.pick(quick=[2, 8], full=[2, 4, 8, 16, 32]), lambda n: step(n, 64)
    )
    yield Work("step of MiniLM, batch 4", "tokens", settings.pick(quick=[32, 128], full=lengths), lambda n: step(4, n))
    yield Work("AdamW", "parameters", [10**power for power in range(4, settings.pick(quick=7, full=9))], adamw)
    yield Work("load a model", "layers", settings.pick(quick=[1, 4], full=[1, 2, 4, 8, 12]), load)
    if MINILM.is_dir() and MRPC.is_dir() and not settings.quick:
        yield Work("step of MiniLM, batch 8 each", "ranks", [1, 2, 4], on_ranks)


@cache
def ids(rows: int) -> tuple[Dataset, Any]:
    values = np.random.default_rng(0).integers(1000, 30_000, (rows, TOKENS)).astype(np.int32)
    data = Dataset.from_dict({"input_ids": values, "attention_mask": np.ones((rows, TOKENS), np.int8)})
    data.to_parquet(file := workloads.folder() / f"{rows}.parquet")
    data = minift.load_dataset("parquet", data_files=str(file), split="train", cache_dir=workloads.folder())
    return data, workloads.as_peer(data)


def map_rows(rows: int) -> dict[str, Callable]:
    data, peer = ids(rows)
    return {
        "minift": lambda: data.map(first_ids, batched=True),
        "datasets": lambda: peer.map(first_ids, batched=True, load_from_cache_file=False),
    }


def first_ids(rows: dict) -> dict:
    return {"first": [row[0] for row in rows["input_ids"]]}


def chunk_rows(rows: int, batch: int = 1000) -> dict[str, Callable]:
    data, peer = ids(rows)
    return {
        "minift": lambda: chunk_dataset(data, 128, batch_size=batch),
        "datasets, group_texts": lambda: peer.map(
            group_texts, batched=True, batch_size=batch, load_from_cache_file=False
        ),
    }


def chunk_one_batch(rows: int) -> dict[str, Callable]:
    return chunk_rows(rows, batch=rows)


def shuffle_rows(rows: int) -> dict[str, Callable]:
    data, peer = ids(rows)
    return {
        "minift": lambda: data.shuffle(seed=0)[:64],
        "datasets": lambda: peer.shuffle(seed=0, load_from_cache_file=False)[:64],
    }


def features(batch: int, tokens: int) -> list[dict]:
    draw = np.random.default_rng(0)
    lengths = draw.integers(tokens // 2, tokens + 1, batch)
    lengths[0] = tokens
    return [{"input_ids": draw.integers(1000, 30_000, n).tolist(), "attention_mask": [1] * int(n)} for n in lengths]


def pad(batch: int, tokens: int) -> dict[str, Callable]:
    import transformers

    rows, (ours, theirs) = features(batch, tokens), workloads.tokenizers(workloads.minilm())
    return {
        "minift": partial(minift.DataCollatorWithPadding(ours), rows),
        "transformers": partial(transformers.DataCollatorWithPadding(theirs), rows),
    }


def mask(batch: int, tokens: int) -> dict[str, Callable]:
    import transformers

    rows, (ours, theirs) = features(batch, tokens), workloads.tokenizers(workloads.minilm())
    return {
        "minift": partial(minift.DataCollatorForLanguageModeling(ours), rows),
        "transformers": partial(transformers.DataCollatorForLanguageModeling(theirs), rows),
    }


def step(batch: int, tokens: int) -> dict[str, Callable]:
    """Forward and backward, every other text half as long."""
    import transformers

    inputs = torch.randint(1000, 30_000, (batch, tokens))
    seen = torch.ones_like(inputs)
    seen[1::2, tokens // 2 :] = 0
    given = {"input_ids": inputs, "attention_mask": seen, "labels": torch.zeros(batch, dtype=torch.long)}
    models = {
        "minift": classifier(minift),
        "minift, padding_free": minift.use_fast_path(classifier(minift), padding_free=True),
        "transformers": classifier(transformers),
    }
    return {name: partial(backward, model, given) for name, model in models.items()}


def classifier(library: Any) -> torch.nn.Module:
    return library.AutoModelForSequenceClassification.from_pretrained(workloads.minilm()).train()


def backward(model: torch.nn.Module, batch: dict) -> None:
    model(**batch).loss.backward()


def on_ranks(ranks: int) -> dict[str, Callable]:
    """On MRPC, by gloo, one thread and a batch for each rank; measured here, in processes of their own."""
    kinds = {"minift": "overlapped 8", "accelerate, DDP": "transformers 8"}
    found = {side: start(ranks, [run], 6, workloads.folder()) for side, run in kinds.items()}
    timed = {
        side: Timed(median(found[side]["times"][run]), facts={"peak_bytes": found[side]["peak_bytes"]})
        for side, run in kinds.items()
    }
    return {side: lambda result=result: result for side, result in timed.items()}


def adamw(parameters: int) -> dict[str, Callable]:
    """In tensors of at most a million parameters, as in a model."""
    sizes = [min(10**6, parameters)] * max(1, parameters // 10**6)
    weights = [torch.nn.Parameter(torch.zeros(size)) for size in sizes]
    for weight in weights:
        weight.grad = torch.ones_like(weight)
    return {"minift": AdamW(weights).step, "torch": torch.optim.AdamW(weights, weight_decay=0.0).step}


def load(layers: int) -> dict[str, Callable]:
    import transformers

    folder = _saved(layers)
    return {
        "minift": lambda: minift.AutoModelForMaskedLM.from_pretrained(folder),
        "transformers": lambda: transformers.AutoModelForMaskedLM.from_pretrained(folder),
    }


@cache
def _saved(layers: int) -> Path:
    folder = workloads.folder() / f"layers-{layers}"
    config = minift.BertConfig(num_hidden_layers=layers)
    minift.AutoModelForMaskedLM.from_config(config).save_pretrained(folder)
    return folder
