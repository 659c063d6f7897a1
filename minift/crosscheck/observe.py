"""Train and evaluate, and keep what a Trainer shows: its batches, logits, losses and weights, as numpy arrays.

minift's Trainer and transformers' have the same methods, so the same code observes both.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch

from minift.crosscheck.job import Job
from minift.tasks.task import Task
from minift.train.seed import rng_state, set_rng_state


def observe(
    trainer: Any, new: Iterable[str], row_numbers: Callable[[Any], Iterable[list[int]]], metrics: Iterable[str]
) -> dict[str, Any]:
    """Train and evaluate, and return what the stages from "batch composition" on compare.

    Args:
        trainer: a Trainer of either library, ready to train.
        new: names of the tensors that the checkpoint lacked.
        row_numbers: a training loader -> the row numbers of each batch.
        metrics: what to keep of `evaluate()`, without the prefix "eval_".

    Returns:
        For each stage a nest of arrays, as `compare` takes it.
    """
    seen: dict[str, Any] = {}
    weights = trainer.model.state_dict()
    drawn = {weights[name].data_ptr() for name in new if name in weights}  # a tied copy is as new as its source
    is_new = {name: weight.data_ptr() in drawn for name, weight in weights.items()}
    seen["loaded weights"] = arrays({name: weight for name, weight in weights.items() if not is_new[name]})
    seen["weights of the new head"] = arrays({name: weight for name, weight in weights.items() if is_new[name]})

    state = rng_state()  # reading the batches draws numbers that the training needs: they are put back
    seen["batch composition"] = numbered("batch", row_numbers(trainer.get_train_dataloader()))
    batches = [arrays(batch) for batch in trainer.get_train_dataloader()]
    set_rng_state(state)
    seen["padding"] = seen["masks"] = numbered("batch", batches)
    seen["logits"] = logits_of(trainer.model, batches[0])

    inputs = record_inputs(trainer)
    trainer.train()
    seen["inputs by step"] = numbered("step", inputs, start=1)
    log = [entry for entry in trainer.state.log_history if "loss" in entry]
    for name, key in (("learning rate", "learning_rate"), ("loss", "loss"), ("gradient norm", "grad_norm")):
        seen[f"{name} by step"] = {f"step {entry['step']}": entry[key] for entry in log}
    seen["weights after training"] = arrays(trainer.model.state_dict())
    scores = trainer.evaluate()
    seen["evaluation loss"] = scores["eval_loss"]
    seen["metrics"] = {name: scores.get(f"eval_{name}") for name in metrics}
    return seen


def record_inputs(trainer: Any) -> list[dict[str, np.ndarray]]:
    """Put a function in the place of the trainer's `training_step` that also keeps the batches; return their list."""
    inputs, step = [], trainer.training_step

    def training_step(model: torch.nn.Module, batch: Mapping[str, torch.Tensor], *rest: Any) -> torch.Tensor:
        inputs.append(arrays(batch))
        return step(model, batch, *rest)

    trainer.training_step = training_step
    return inputs


@torch.no_grad()
def logits_of(model: torch.nn.Module, batch: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the logits (B, C) or (B, T, V) of a batch, without dropout."""
    model.eval()
    return model(**{name: torch.from_numpy(array) for name, array in batch.items()}).logits.numpy()


def arrays(tensors: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """Return copies of tensors: training changes weights in place."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in tensors.items()}


def choose(data: Any, task: Task, job: Job) -> dict[str, Any]:
    """Return the rows to train and to evaluate on, of a data set of either library.

    Without an evaluation split, both are training rows.
    """
    train, evaluation = data["train"], data[task.eval_split or "train"]
    return {
        use: rows if len(rows) <= limit else rows.shuffle(seed=job.seed).select(range(limit))
        for use, rows, limit in (("train", train, job.max_rows), ("evaluation", evaluation, job.max_eval_rows))
    }


def table(rows: Any) -> dict[str, Any]:
    """Return the columns of a data set of either library, and their types as both write them to dataset_info.json."""
    types = {name: json.dumps(feature, sort_keys=True) for name, feature in rows.features.to_dict().items()}
    return {"features": types, **rows[:]}


def numbered(name: str, items: Iterable[Any], start: int = 0) -> dict[str, Any]:
    """Return ``{"batch 0": …, "batch 1": …}``."""
    return {f"{name} {number}": item for number, item in enumerate(items, start)}
