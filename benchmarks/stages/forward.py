"""One batch forward, and forward and backward, without a Trainer: the models themselves."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch

import minift
from benchmarks import workloads
from benchmarks.checks import close
from benchmarks.harness import Case, Side
from benchmarks.machine import rates
from benchmarks.settings import Settings
from benchmarks.stages.classification import classify
from benchmarks.training import NO_DROPOUT, make_model

BATCH = 8


def cases(settings: Settings) -> Iterator[Case]:
    import transformers

    data = workloads.tokenised_pairs()
    collate = minift.DataCollatorWithPadding(minift.AutoTokenizer.from_pretrained(workloads.minilm()))
    batch = dict(collate(data.__getitems__(list(range(BATCH)))))
    job = classify(data, BATCH)
    models = [make_model(job, library, **NO_DROPOUT["bert"]) for library in (transformers, minift)]
    flops = job.flops(models[1].config, batch["attention_mask"].sum(1).numpy()) / rates("cpu")["float32"]
    for name, work, floor in (("forward", forward, flops / 3), ("forward and backward", backward, flops)):
        theirs, ours = (partial(work, model, batch) for model in models)
        side = Side("model", ours, close(1e-4), 1.0, floor)
        facts = {"floor": "FLOP of the real tokens at the measured rate of matrix products"}
        yield Case(f"{name}, MRPC, MiniLM, batch {BATCH}", Side("transformers model", theirs), [side], facts=facts)


def forward(model: Any, batch: dict) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(**batch).logits


def backward(model: Any, batch: dict) -> dict[str, torch.Tensor]:
    model.train().zero_grad()
    model(**batch).loss.backward()
    return {"classifier": model.classifier.weight.grad, "words": model.bert.embeddings.word_embeddings.weight.grad}
