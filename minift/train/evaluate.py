"""Run a model over a data set without training it: losses, metrics, and logits only where they are asked for."""

import math
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from minift.distributed.exchange import gather_nests, sum_over_ranks
from minift.metrics.losses import weighted_mean
from minift.train.loader import Loader
from minift.train.setup import keep_casts

if TYPE_CHECKING:
    from minift.train.trainer import Trainer


class EvalPrediction:
    """What `compute_metrics` receives; unpacks as ``logits, labels = eval_prediction``.

    Attributes:
        predictions: the logits, float32 (rows, …), or a tuple of arrays if the model returns more than logits.
        label_ids: the labels, int64 or float32 (rows, …), -100 where there is none.
        inputs: the input ids, if ``include_for_metrics`` holds "inputs".
        losses: the loss of each row's batch, (rows,), if it holds "loss".
    """

    def __init__(self, predictions: Any, label_ids: Any, inputs: Any = None, losses: Any = None):
        self.predictions, self.label_ids, self.inputs, self.losses = predictions, label_ids, inputs, losses
        self._fields = [value for value in (predictions, label_ids, inputs, losses) if value is not None]

    def __iter__(self):
        return iter(self._fields)

    def __getitem__(self, index: int) -> Any:
        return self._fields[index]


class PredictionOutput(NamedTuple):
    """What `Trainer.predict` returns: logits (rows, …), labels or None, and the metrics."""

    predictions: Any
    label_ids: Any
    metrics: dict[str, float]


class EvalLoopOutput(NamedTuple):
    """What `evaluation_loop` returns."""

    predictions: Any
    label_ids: Any
    metrics: dict[str, float]
    num_samples: int


def evaluation_loop(
    trainer: "Trainer", loader: Loader, prefix: str, loss_only: bool, keep_logits: bool = False
) -> EvalLoopOutput:
    """Run the model over every batch of `loader` (transformers' `Trainer.evaluation_loop`).

    Two losses are reported. ``{prefix}_loss`` is the library's: the loss of a batch counts once for each of its rows.
    ``{prefix}_weighted_loss`` counts it once for each of its labels, so that it does not depend on how rows were
    batched; for classification the two agree, for masked language modelling only this one is the loss per token.

    Memory grows with the rows only if logits are kept: with `keep_logits`, and for a `compute_metrics` that wants them
    all at once. With ``batch_eval_metrics`` the metric sees a batch at a time and nothing is kept.

    Several ranks share out the batches that one would have, and each sees the results of all in the order of one: every
    number is that of one rank, to the bit, however many rows and ranks there are.

    Raises:
        ValueError: there is no batch to evaluate.
    """
    args, compute_metrics = trainer.args, trainer.compute_metrics
    streaming = args.batch_eval_metrics and compute_metrics is not None
    num_batches = int(sum_over_ranks(len(loader))[0])
    if num_batches == 0:
        raise ValueError(f"the data set to evaluate ({prefix}) is empty")
    start, metrics = time.time(), {}
    losses, weights, logits, labels, inputs = [], [], [], [], []
    trainer.model_in_use.eval()
    with keep_casts():
        for index, result in enumerate(in_turn(_results(trainer, loader, loss_only))):
            if result["loss"] is not None:
                losses.append(np.full(result["rows"], result["loss"], dtype=np.float32))
                weights.append((result["loss"], result["num_labels"]))
            if not loss_only:
                batch_losses = losses[-1] if "loss" in args.include_for_metrics and losses else None
                if streaming and result["labels"] is not None:
                    prediction = EvalPrediction(result["logits"], result["labels"], result["inputs"], batch_losses)
                    metrics = compute_metrics(prediction, compute_result=index + 1 == num_batches)
                if keep_logits or not streaming:
                    logits.append(result["logits"])
                    labels.append(result["labels"])
                    inputs.append(result["inputs"])
            if index % args.world_size == args.process_index:
                trainer.fire("on_prediction_step", eval_dataloader=loader)

    all_losses = np.concatenate(losses) if losses else None
    logits, labels, inputs = (concatenate(parts) for parts in (logits, labels, inputs))
    if args.eval_sort_by_length and isinstance(loader, Loader):  # a loader of the user's own keeps its order
        order = loader.batches.rows()  # in which the rows were evaluated
        all_losses, logits, labels, inputs = (put_back(part, order) for part in (all_losses, logits, labels, inputs))
    if compute_metrics is not None and not streaming and logits is not None and labels is not None:
        wants_loss = "loss" in args.include_for_metrics
        prediction = EvalPrediction(logits, labels, inputs, all_losses if wants_loss else None)
        metrics = compute_metrics(prediction)
    if not isinstance(metrics, dict):
        raise TypeError(f"compute_metrics must return a dict of numbers, not {metrics!r}")
    metrics = {name: value.item() if hasattr(value, "item") else value for name, value in metrics.items()}
    if all_losses is not None:
        metrics |= {"loss": all_losses.mean().item(), "weighted_loss": weighted_mean(weights)}
    prefixed = {name if name.startswith(f"{prefix}_") else f"{prefix}_{name}": value for name, value in metrics.items()}
    num_samples = len(loader.dataset)
    prefixed |= speed_metrics(prefix, start, num_samples, math.ceil(num_samples / args.per_device_eval_batch_size))
    return EvalLoopOutput(logits, labels, prefixed, num_samples)


def _results(trainer: "Trainer", loader: Loader, loss_only: bool) -> Iterator[dict[str, Any]]:
    """What the evaluation looks at, batch by batch of this rank: numbers, and arrays on the CPU."""
    for batch in loader:
        loss, logits, labels = trainer.prediction_step(trainer.model_in_use, batch, loss_only)
        if not loss_only and trainer.preprocess_logits_for_metrics is not None:
            logits = trainer.preprocess_logits_for_metrics(logits, labels)
        with_inputs = not loss_only and "inputs" in trainer.args.include_for_metrics
        yield {
            "rows": len(next(iter(batch.values()))),
            "loss": None if loss is None else loss.item(),
            "num_labels": count_labels(batch, trainer.label_names),
            "logits": to_numpy(logits),
            "labels": to_numpy(labels),
            "inputs": to_numpy(batch["input_ids"]) if with_inputs else None,
        }


def in_turn(results: Iterator[Any]) -> Iterator[Any]:
    """The results of all ranks, as if one rank had had all batches (*collective*); the last ones may lack one."""
    while True:
        gathered = gather_nests(next(results, None))
        yield from (result for result in gathered if result is not None)
        if any(result is None for result in gathered):
            return


def count_labels(batch: dict[str, torch.Tensor], label_names: list[str]) -> int:
    """The labels in a batch that the loss averages over: all but -100. Rows, where there are no labels."""
    found = [batch[name] for name in label_names if batch.get(name) is not None]
    if not found:
        return len(next(iter(batch.values())))
    return int((found[0] != -100).sum())


def to_numpy(value: Any) -> Any:
    """Tensors, in any nest of tuples, as numpy arrays on the CPU; bfloat16, which numpy lacks, as float32."""
    if isinstance(value, tuple | list):
        return tuple(to_numpy(item) for item in value)
    if isinstance(value, torch.Tensor):
        value = value.detach()
        return (value.float() if value.dtype == torch.bfloat16 else value).cpu().numpy()
    return value


def unpack_single(values: tuple | list) -> Any:
    """The one value there is, or a tuple of all."""
    return values[0] if len(values) == 1 else tuple(values)


def concatenate(parts: list[Any]) -> Any:
    """Join batches of arrays, or of tuples of arrays, along the rows.

    Batches may differ in their second axis (tokens); the shorter ones are filled up with -100 on the right.
    """
    if not parts or parts[0] is None:
        return None
    if isinstance(parts[0], tuple):
        return tuple(concatenate(list(column)) for column in zip(*parts, strict=True))
    if parts[0].ndim < 2 or len({part.shape[1] for part in parts}) == 1:
        return np.concatenate(parts)
    rows, longest = sum(len(part) for part in parts), max(part.shape[1] for part in parts)
    joined = np.full((rows, longest, *parts[0].shape[2:]), -100, dtype=parts[0].dtype)
    row = 0
    for part in parts:
        joined[row : row + len(part), : part.shape[1]] = part
        row += len(part)
    return joined


def put_back(values: Any, rows: Sequence[int]) -> Any:
    """Undo an order: value i, or value i of each array in a tuple, belongs to row ``rows[i]`` of the data set."""
    if values is None:
        return None
    if isinstance(values, tuple):
        return tuple(put_back(value, rows) for value in values)
    return values[np.argsort(rows)]


def speed_metrics(prefix: str, start: float, num_samples: float, num_steps: float) -> dict[str, float]:
    """Seconds since `start` (a `time.time()`), and rows and steps per second, under the library's names."""
    runtime = time.time() - start
    return {
        f"{prefix}_runtime": round(runtime, 4),
        f"{prefix}_samples_per_second": round(num_samples / runtime, 3),
        f"{prefix}_steps_per_second": round(num_steps / runtime, 3),
    }
