"""Run a model over a data set without training it: losses, metrics, and logits only where they are asked for."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from minift.batches.look_ahead import look_ahead
from minift.distributed.exchange import gather_nests
from minift.distributed.world import world
from minift.fast.casts import keep_casts
from minift.metrics.losses import weighted_mean
from minift.tensors import map_nest
from minift.train.arguments import TrainingArguments
from minift.train.loader import Loader


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
    predict: Callable[[Any], dict[str, Any]],
    loader: Loader,
    args: TrainingArguments,
    prefix: str,
    loss_only: bool,
    compute_metrics: Callable[..., dict[str, float]] | None = None,
    keep_logits: bool = False,
    after_batch: Callable[[], Any] = lambda: None,
) -> EvalLoopOutput:
    """Call `predict` on every batch of `loader` and add up what comes out (transformers' `Trainer.evaluation_loop`).

    Two losses are reported. ``{prefix}_loss`` is the library's: the loss of a batch counts once for each of its rows.
    ``{prefix}_weighted_loss`` counts it once for each of its labels, so that it does not depend on how rows were
    batched; for classification the two agree, for masked language modelling only this one is the loss per token.

    Memory grows with the rows only if logits are kept: with `keep_logits`, and for a `compute_metrics` that wants them
    all at once. With ``batch_eval_metrics`` the metric sees a batch at a time and nothing is kept.

    Several ranks share out the batches that one would have, and each sees the results of all in the order of one: every
    number is that of one rank, to the bit, however many rows and ranks there are.

    Args:
        predict: a batch -> its "rows" (a number), "loss" (a number or None), "num_labels", and "logits", "labels" and
            "inputs" (arrays, tuples of arrays or None).
        prefix: what the names of the metrics begin with, as in "eval_loss".
        loss_only: compute no metrics.
        compute_metrics: `EvalPrediction` to a dict of numbers.
        after_batch: called after each batch of this rank.

    Raises:
        ValueError: there is no batch to evaluate.
        TypeError: `compute_metrics` returned something else than a dict.
    """
    streaming = args.batch_eval_metrics and compute_metrics is not None
    place, rows = world(), 0
    start, metrics = time.time(), {}
    losses, weights, kept = [], [], []
    with keep_casts():
        for index, (result, is_last) in enumerate(look_ahead(in_turn(map(predict, loader)))):
            rows += result["rows"]
            if result["loss"] is not None:
                losses.append(np.full(result["rows"], result["loss"], dtype=np.float32))
                weights.append((result["loss"], result["num_labels"]))
            if not loss_only:
                if streaming and result["labels"] is not None:
                    prediction = make_prediction(result, losses[-1] if losses else None, args)
                    metrics = compute_metrics(prediction, compute_result=is_last)
                if keep_logits or not streaming:
                    kept.append({name: result[name] for name in ("logits", "labels", "inputs")})
            if index % place.size == place.rank:
                after_batch()

    if rows == 0:
        raise ValueError(f"the data set to evaluate ({prefix}) is empty")
    all_losses = np.concatenate(losses) if losses else None
    whole = concatenate(kept) if kept else {"logits": None, "labels": None}
    if args.eval_sort_by_length and getattr(loader, "batches", None):  # a stream or a user's loader keeps its order
        all_losses, whole = put_back((all_losses, whole), loader.batches.rows())
    if compute_metrics is not None and not streaming and whole["logits"] is not None and whole["labels"] is not None:
        metrics = compute_metrics(make_prediction(whole, all_losses, args))
    if not isinstance(metrics, dict):
        raise TypeError(f"compute_metrics must return a dict of numbers, not {metrics!r}")
    metrics = map_nest(plain_number, metrics)
    if all_losses is not None:
        metrics |= {"loss": all_losses.mean().item(), "weighted_loss": weighted_mean(weights)}
    prefixed = {name if name.startswith(f"{prefix}_") else f"{prefix}_{name}": value for name, value in metrics.items()}
    dataset = getattr(loader, "dataset", None)
    num_samples = len(dataset) if hasattr(dataset, "__len__") else rows
    prefixed |= speed_metrics(prefix, start, num_samples, math.ceil(num_samples / args.per_device_eval_batch_size))
    return EvalLoopOutput(whole["logits"], whole["labels"], prefixed, num_samples)


def plain_number(value: Any) -> Any:
    """Turn a number of numpy or a tensor of one element into a Python number, and other arrays into lists."""
    if isinstance(value, np.generic) or (isinstance(value, torch.Tensor) and value.numel() == 1):
        return value.item()
    return value.tolist() if isinstance(value, np.ndarray | torch.Tensor) else value


def make_prediction(result: dict[str, Any], losses: Any, args: TrainingArguments) -> EvalPrediction:
    """Give `compute_metrics` what it asks for in ``include_for_metrics``."""
    losses = losses if "loss" in args.include_for_metrics else None
    return EvalPrediction(result["logits"], result["labels"], result["inputs"], losses)


def in_turn(results: Iterator[Any]) -> Iterator[Any]:
    """Yield the results of all ranks, as if one rank had had all batches (*collective*); the last ones may lack one."""
    while True:
        gathered = gather_nests(next(results, None))
        yield from (result for result in gathered if result is not None)
        if any(result is None for result in gathered):
            return


def to_numpy(nest: Any) -> Any:
    """Turn the tensors of a nest into numpy arrays on the CPU; bfloat16, which numpy lacks, becomes float32."""

    def convert(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        value = value.detach()
        return (value.float() if value.dtype == torch.bfloat16 else value).cpu().numpy()

    return map_nest(convert, nest)


def concatenate(parts: Sequence[Any]) -> Any:
    """Join batches, nests of arrays, along the rows; None, where the first one has None."""
    return map_nest(lambda *arrays: None if arrays[0] is None else join(arrays), *parts)


def join(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Join arrays (B, …) along the rows.

    Batches may differ in their second axis (tokens); the shorter ones are filled up with -100 on the right.
    """
    if arrays[0].ndim < 2 or len({array.shape[1] for array in arrays}) == 1:
        return np.concatenate(arrays)
    rows, longest = sum(len(array) for array in arrays), max(array.shape[1] for array in arrays)
    joined = np.full((rows, longest, *arrays[0].shape[2:]), -100, dtype=arrays[0].dtype)
    row = 0
    for array in arrays:
        joined[row : row + len(array), : array.shape[1]] = array
        row += len(array)
    return joined


def put_back(nest: Any, rows: Sequence[int]) -> Any:
    """Undo an order: value i of each array in a nest belongs to row ``rows[i]`` of the data set."""
    order = np.argsort(rows)
    return map_nest(lambda array: None if array is None else array[order], nest)


def speed_metrics(
    split: str,
    start_time: float,
    num_samples: float | None = None,
    num_steps: float | None = None,
    num_tokens: float | None = None,
) -> dict[str, float]:
    """Give the seconds since `start_time` (a `time.time()`), and rows, steps and tokens per second, where counted.

    Source: transformers/trainer_utils.py, speed_metrics.
    """
    runtime = time.time() - start_time
    counts = {"samples": num_samples, "steps": num_steps, "tokens": num_tokens}
    rates = {f"{split}_{name}_per_second": count / runtime for name, count in counts.items() if count is not None}
    return {f"{split}_runtime": round(runtime, 4)} | {name: round(rate, 3) for name, rate in rates.items()}
