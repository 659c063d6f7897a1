"""What several ranks must agree with one rank on: gradients, weights, evaluations. Prints nothing, writes a file."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from minift import Trainer, TrainerCallback, TrainingArguments
from minift.batches.sampler import RandomOrder
from minift.distributed import buckets, exchange, gradients
from minift.distributed.exchange import main_process_first
from minift.distributed.world import world
from tests.tiny import NoisyRows, PadRows, tiny_model, tiny_rows

WITHOUT_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


class Unused(torch.nn.Module):
    """A classifier beside parameters that no loss depends on, and one that only batches of rank 1 use."""

    def __init__(self):
        super().__init__()
        self.inner = tiny_model(**WITHOUT_DROPOUT)
        self.never = torch.nn.Parameter(torch.ones(3))
        self.sometimes = torch.nn.Parameter(torch.ones(2))

    def forward(self, input_ids=None, attention_mask=None, labels=None):
        output = self.inner(input_ids=input_ids, attention_mask=attention_mask, labels=labels)
        if world().rank == world().size - 1:
            output["loss"] = output["loss"] + self.sometimes.sum()
        return output


class Tables(torch.nn.Module):
    """A classifier beside embedding tables of which only batches of the last rank use something: rows, all, nothing."""

    def __init__(self):
        super().__init__()
        self.inner = tiny_model(vocab_size=400)
        self.few, self.all, self.none = (torch.nn.Embedding(40, 2) for _ in range(3))

    def forward(self, input_ids=None, attention_mask=None, labels=None):
        output = self.inner(input_ids=input_ids, attention_mask=attention_mask, labels=labels)
        if world().rank == world().size - 1:
            used = self.few.weight[3:5].sum() + self.all.weight.sum() + 0 * self.none.weight.sum()
            output["loss"] = output["loss"] + used
        return output


class Gradients(Trainer):
    """Keeps the gradients of every step as they are when the optimizer gets them."""

    def __init__(self, *args, **options):
        self.kept = {}
        super().__init__(*args, **options)
        self.add_callback(KeepGradients(self.kept))


class KeepGradients(TrainerCallback):
    def __init__(self, kept):
        self.kept = kept

    def state(self):
        return {}

    def on_pre_optimizer_step(self, args, state, control, model=None, **objects):
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                self.kept[f"{state.global_step}.{name}"] = parameter.grad.clone()


def train(folder, model=None, rows=None, collator=None, kind=Gradients, **options):
    """Three steps of 16 rows by plain SGD, whose rounding no root enlarges; the trainer."""
    model = tiny_model(**WITHOUT_DROPOUT) if model is None else model
    settings = dict(
        max_steps=3,
        optim="sgd",
        learning_rate=0.02,
        max_grad_norm=0,
        save_strategy="no",
        disable_tqdm=True,
        logging_steps=1,
    )
    args = TrainingArguments(str(folder), use_cpu=True, **(settings | options))
    trainer = kind(model, args, collator or PadRows(), train_dataset=tiny_rows(48) if rows is None else rows)
    trainer.train()
    return trainer


def tensors(trainer):
    weights = {f"weight.{name}": tensor for name, tensor in trainer.model.state_dict().items()}
    losses = torch.tensor([entry["loss"] for entry in trainer.state.log_history if "loss" in entry])
    return {"losses": losses, **weights, **{f"gradient.{name}": grad for name, grad in trainer.kept.items()}}


def sixteen(folder, results):
    """16 rows a step in every way that these ranks can share them: batch × accumulation × ranks."""
    for accumulation in (1, 2, 4, 8, 16):
        batch = 16 // accumulation // world().size
        if batch >= 1:
            options = dict(per_device_train_batch_size=batch, gradient_accumulation_steps=accumulation)
            results[f"16 = {batch} x {accumulation} x {world().size}"] = tensors(train(folder, **options))


def kinds(folder, results):
    """The three ways to average, with small and large buckets, dropout on; parameters without gradients."""
    for name, make in (("dropout", tiny_model), ("unused", Unused)):
        for kind, size in (("naive", 25), ("bucketed", 0.01), ("overlapped", 0.01), ("overlapped", 25)):
            options = dict(per_device_train_batch_size=4, ddp_averaging=kind, ddp_bucket_cap_mb=size)
            results[f"{name}, {kind}, {size}"] = tensors(train(folder, make(), collator=NoisyRows(), **options))


def tables(folder, results):
    """The three ways to average embedding tables, with accumulation and without; how many rows of them travel."""
    sent = []

    def note(tensor, shapes):
        sent.append(len(tensor))
        return exchange.gather(tensor, shapes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(buckets, "TABLE_ROWS", 30)
        patch.setattr(buckets, "gather", note)
        for kind in ("naive", "bucketed", "overlapped"):
            for steps in (1, 2):
                options = dict(ddp_averaging=kind, gradient_accumulation_steps=steps, per_device_train_batch_size=2)
                results[f"tables, {kind}, {steps}"] = tensors(train(folder, Tables(), collator=NoisyRows(), **options))
    results["rows sent"] = {"numbers": torch.tensor(sent)}


def token_weights(folder, results):
    """Ranks with unequal numbers of labels, as in masked language modelling: regression rows of -100 count nothing."""
    rows = tiny_rows(16)
    for number, row in enumerate(rows):
        row["label"] = -100 if number % 3 else row["label"]
    for across in (True, False) if world().size < 4 else (True,):  # of four ranks, one has a batch without labels
        options = dict(per_device_train_batch_size=16 // world().size, average_tokens_across_devices=across)
        results[f"labels, {across}"] = tensors(train(folder, rows=rows, **options))


class Uneven(torch.utils.data.Dataset):
    """Not a data set of rows but of batches of 5, 1, 5, 1, … rows: what two ranks get may differ in size."""

    def __init__(self):
        rows = iter(tiny_rows(36))
        self.batches = [[next(rows) for _ in range(size)] for size in (5, 1) * 6]

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return {"batch": self.batches[index]}


def unequal_batches(folder, results):
    """Steps of 6 rows, of which one rank has 5 and the other 1: weighted, and as the mean of two means."""

    def flatten(items):
        return PadRows()([row for item in items for row in item["batch"]])

    options = dict(per_device_train_batch_size=2 // world().size, max_steps=6, remove_unused_columns=False)
    options["collator"] = flatten
    original = RandomOrder.order
    RandomOrder.order = lambda self, epoch: list(range(self.length))  # 5 and 1 stay neighbours
    try:
        results["unequal_batches"] = tensors(train(folder, rows=Uneven(), **options))
        if world().size == 2:
            options["average_tokens_across_devices"] = False
            results["unequal_batches, means"] = tensors(train(folder, rows=Uneven(), **options))
    finally:
        RandomOrder.order = original


def sharded(folder, results):
    """AdamW whole and in shares, with a schedule and weight decay; and how many elements each rank keeps."""
    for shard in (False, True):
        options = dict(optim="adamw_torch", weight_decay=0.1, shard_optimizer=shard, per_device_train_batch_size=4)
        trainer = train(folder, tiny_model(), collator=NoisyRows(), **options)
        results[f"shard {shard}"] = tensors(trainer)
        inner = getattr(trainer.optimizer, "optimizer", trainer.optimizer)
        kept = sum(value.numel() for state in inner.state.values() for value in state.values() if value.dim())
        results[f"shard {shard}"]["elements"] = torch.tensor(kept)


def evaluations(folder, results):
    """Every number of an evaluation, for sets of many sizes."""

    def metrics(prediction):
        logits, labels = prediction
        return {"sum": float(logits.sum()), "correct": int((logits.argmax(-1) == labels).sum()), "rows": len(labels)}

    for rows in (1, 2, 3, 7, 8, 9, 16, 21, 33):
        args = TrainingArguments(str(folder), disable_tqdm=True, use_cpu=True, per_device_eval_batch_size=4)
        trainer = Trainer(tiny_model(), args, PadRows(), eval_dataset=tiny_rows(rows), compute_metrics=metrics)
        found = {name: value for name, value in trainer.evaluate().items() if not name.endswith(("second", "runtime"))}
        found["logits"] = trainer.predict(tiny_rows(rows)).predictions.tolist()
        results[f"evaluation of {rows}"] = found


def exchanges(folder, results):
    """Collectives on unequal tensors, nests and objects; rank 0's map results, taken over."""
    import numpy as np

    from minift import Dataset

    rank, size = world().rank, world().size
    for dtype in (torch.float32, torch.bfloat16, torch.bool, torch.int64):
        parts = exchange.gather((torch.arange(rank * 6).reshape(rank * 2, 3) % 2).to(dtype))
        assert [list(part.shape) for part in parts] == [[2 * r, 3] for r in range(size)]
        assert all(torch.equal(p, (torch.arange(r * 6).reshape(r * 2, 3) % 2).to(dtype)) for r, p in enumerate(parts))
    nests = exchange.gather_nests({"a": (np.full((rank, 2), rank), None, 1.5), "rank": rank})
    assert [nest["a"][0].tolist() for nest in nests] == [[[r, r]] * r for r in range(size)]
    assert [nest["a"][1:] for nest in nests] == [(None, 1.5)] * size
    first, *others = exchange.gather_nests({"a": ((np.arange(rank), [rank]), {"b": float("nan")})} if rank else None)
    assert first is None
    for r, nest in enumerate(others, 1):
        (array, numbers), nan = nest["a"]
        assert (array.tolist(), numbers, nan["b"] != nan["b"], type(nest["a"][0])) == ([*range(r)], [r], True, tuple)
    assert exchange.broadcast_object([rank]) == [0]
    if size > 1:
        with pytest.raises(ValueError, match="gather needs one dtype on all ranks, not torch.float32, torch.float64"):
            exchange.gather(torch.ones(1, dtype=torch.float64 if rank else torch.float32))
    calls = []

    def note(row):
        calls.append(row["x"])
        return {"y": row["x"] + 1}

    with main_process_first():
        mapped = Dataset.from_dict({"x": [1, 2, 3]}).map(note)
        again = mapped.map(lambda row: {"z": row["y"] * 2})
    assert calls == ([1, 2, 3] if rank == 0 else []), calls
    assert again["z"][:] == [4, 6, 8]
    model = torch.nn.Linear(2, 3 + (rank == size - 1 and size > 1))
    if size > 1:
        with pytest.raises(ValueError, match=f"the model of rank {size - 1} is not that of rank 0"):
            exchange.broadcast_module(model)
        linear = torch.nn.Linear(2, 1)
        gradients.make_averaging(linear, "overlapped", 25)
        linear(torch.ones(2)).sum().backward()
        with pytest.raises(RuntimeError, match="a second backward pass has changed a gradient that is on its way"):
            linear(torch.ones(2)).sum().backward()


def average_parameters_instead(self):
    for parameter in self.parameters:
        exchange.all_reduce(parameter.data)
        parameter.data.div_(world().size)


def forget_the_division(self):
    for parameter in self.parameters:
        if parameter.grad is not None:
            exchange.all_reduce(parameter.grad)


def forget_parameters_without_gradient(self):
    """Each rank sends what it has: the ranks' sums are of different parameters as soon as one has none somewhere."""
    for parameter in self.parameters[::-1]:
        if parameter.grad is not None and parameter.grad.shape != (2,):
            parameter.grad.div_(world().size)
            exchange.all_reduce(parameter.grad)


def mutations(folder, results):
    """What a wrong averaging gives, for the same 16 rows a step."""
    correct = gradients.NaiveAveraging.average
    options = dict(per_device_train_batch_size=16 // world().size, ddp_averaging="naive")
    try:
        for wrong in (average_parameters_instead, forget_the_division):
            gradients.NaiveAveraging.average = wrong
            results[wrong.__name__] = tensors(train(folder, **options))
        gradients.NaiveAveraging.average = forget_parameters_without_gradient
        options = dict(per_device_train_batch_size=4, ddp_averaging="naive")
        results["forget_parameters_without_gradient"] = tensors(
            train(folder, Unused(), collator=NoisyRows(), **options)
        )
    finally:
        gradients.NaiveAveraging.average = correct


def main(output: str, *parts: str) -> None:
    torch.set_num_threads(1)
    folder, results = Path(output), {}
    for part in parts:
        globals()[part](folder / part, results)
    place = world() if parts else SimpleNamespace(rank=0, size=1)
    flat = {
        f"{name}|{key}": tensor.contiguous().clone()
        for name, found in results.items()
        for key, tensor in found.items()
        if isinstance(tensor, torch.Tensor)
    }
    save_file(flat, folder / f"{place.rank}-of-{place.size}.safetensors")
    others = {name: found for name, found in results.items() if name.startswith("evaluation")}
    (folder / f"{place.rank}-of-{place.size}.json").write_text(json.dumps(others))


if __name__ == "__main__":
    main(*sys.argv[1:])
