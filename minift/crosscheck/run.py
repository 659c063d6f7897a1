"""The job, written once: minift's names are the libraries' names, so that the same script runs on either side.

What the stages compare is kept on the way, as nests of numpy arrays, numbers and texts.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
import torch

from minift.crosscheck.job import BLOCK_SIZE, MLM_PROBABILITY, Job, metric_names
from minift.model.checks import check_vocabulary
from minift.tasks.task import Task
from minift.train.seed import rng_state, set_rng_state


@dataclass(frozen=True)
class Side:
    """What the script runs on, and the steps that minift and the libraries take in different ways."""

    library: ModuleType  # minift or transformers
    data: Mapping[str, Any]  # split -> rows
    token_ids: Callable[[Any], dict[str, Any]]  # a tokenizer -> "train" and "evaluation" as token ids and labels
    blocks: Callable[[Any, int], Any]  # token ids of texts, a size -> blocks of so many tokens
    row_numbers: Callable[[Any], Iterable[list[int]]]  # a training loader -> the row numbers of each batch
    trainer: Callable[..., Any]
    printer: type  # the callback that prints the log
    arguments: dict[str, Any] = field(default_factory=dict)  # further ones, which only this side knows


def run(side: Side, job: Job, task: Task, folder: str) -> dict[str, Any]:
    """Run the job on one side; return what each stage compares. Files that it needs on the way go to `folder`."""
    library, is_mlm = side.library, job.task == "mlm"
    seen: dict[str, Any] = {"rows and features": each(table, choose(side.data, task, job))}
    tokenizer = library.AutoTokenizer.from_pretrained(job.model)
    library.set_seed(job.seed)
    auto = library.AutoModelForMaskedLM if is_mlm else library.AutoModelForSequenceClassification
    head = {} if is_mlm else {"num_labels": task.num_labels, "problem_type": task.problem_type}
    model, loading = auto.from_pretrained(job.model, dtype="float32", output_loading_info=True, **head)
    check_vocabulary(len(tokenizer), model.config)
    longest = model.config.max_position_embeddings
    tokenizer.model_max_length = min(tokenizer.model_max_length, longest)

    rows = side.token_ids(tokenizer)
    seen["token ids"] = each(lambda part: part[:], rows)
    if is_mlm:
        rows = each(lambda part: side.blocks(part, min(BLOCK_SIZE, longest)), rows)
        rows["evaluation"] = rows["evaluation"].select(range(min(len(rows["evaluation"]), job.max_eval_rows)))
        seen["blocks"] = each(lambda part: part[:], rows)
        collator = library.DataCollatorForLanguageModeling(tokenizer, mlm_probability=MLM_PROBABILITY)
    else:
        collator = library.DataCollatorWithPadding(tokenizer)

    arguments = library.TrainingArguments(**job.training_arguments(folder), **side.arguments)
    trainer = side.trainer(model, arguments, collator, train_dataset=rows["train"], eval_dataset=rows["evaluation"])
    trainer.remove_callback(side.printer)
    keep_weights(trainer.model, loading["missing_keys"], seen)
    keep_batches(trainer, side.row_numbers, seen)
    train_and_evaluate(trainer, metric_names(job.task, task), seen)
    return seen


def keep_weights(model: torch.nn.Module, new: Iterable[str], seen: dict[str, Any]) -> None:
    """Keep the weights, those that the checkpoint lacked apart; `new` are their names."""
    weights = model.state_dict()
    drawn = {weights[name].data_ptr() for name in new if name in weights}  # a tied copy is as new as its source
    for stage, is_new in (("loaded weights", False), ("weights of the new head", True)):
        seen[stage] = arrays({name: one for name, one in weights.items() if (one.data_ptr() in drawn) == is_new})


@torch.no_grad()
def keep_batches(trainer: Any, row_numbers: Callable[[Any], Iterable[list[int]]], seen: dict[str, Any]) -> None:
    """Keep the batches of the first epoch, and the logits (B, C) or (B, T, V) of the first one, without dropout."""
    state = rng_state()  # reading the batches draws numbers that the training needs: they are put back
    seen["batch composition"] = numbered("batch", row_numbers(trainer.get_train_dataloader()))
    batches = [arrays(batch) for batch in trainer.get_train_dataloader()]
    set_rng_state(state)
    seen["padding"] = seen["masks"] = numbered("batch", batches)
    inputs = {name: torch.from_numpy(array) for name, array in batches[0].items()}
    seen["logits"] = trainer.model.eval()(**inputs).logits.numpy()


def train_and_evaluate(trainer: Any, metrics: Iterable[str], seen: dict[str, Any]) -> None:
    """Train and keep every step, then evaluate; of `evaluate()` keep the loss and `metrics`."""
    inputs, step = [], trainer.training_step

    def training_step(model: torch.nn.Module, batch: Mapping[str, torch.Tensor], *rest: Any) -> torch.Tensor:
        inputs.append(arrays(batch))
        return step(model, batch, *rest)

    trainer.training_step = training_step
    trainer.train()
    seen["inputs by step"] = numbered("step", inputs, start=1)
    log = [entry for entry in trainer.state.log_history if "loss" in entry]
    for name, key in (("learning rate", "learning_rate"), ("loss", "loss"), ("gradient norm", "grad_norm")):
        seen[f"{name} by step"] = {f"step {entry['step']}": entry[key] for entry in log}
    seen["weights after training"] = arrays(trainer.model.state_dict())
    scores = trainer.evaluate()
    seen["evaluation loss"] = scores["eval_loss"]
    seen["metrics"] = {name: scores.get(f"eval_{name}") for name in metrics}


def choose(data: Mapping[str, Any], task: Task, job: Job) -> dict[str, Any]:
    """Return the rows to train and to evaluate on; without an evaluation split, both are training rows."""
    train, evaluation = data["train"], data[task.eval_split or "train"]
    return {
        use: rows if len(rows) <= limit else rows.shuffle(seed=job.seed).select(range(limit))
        for use, rows, limit in (("train", train, job.max_rows), ("evaluation", evaluation, job.max_eval_rows))
    }


def table(rows: Any) -> dict[str, Any]:
    """Return the columns and their types, as both libraries write these to dataset_info.json."""
    types = {name: json.dumps(feature, sort_keys=True) for name, feature in rows.features.to_dict().items()}
    return {"features": types, **rows[:]}


def arrays(tensors: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """Return copies of tensors: training changes weights in place."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in tensors.items()}


def each(function: Callable[[Any], Any], values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: function(value) for name, value in values.items()}


def numbered(name: str, items: Iterable[Any], start: int = 0) -> dict[str, Any]:
    """Return ``{"batch 0": …, "batch 1": …}``."""
    return {f"{name} {number}": item for number, item in enumerate(items, start)}
