"""Checkpoints: everything a run needs to go on as if it had never stopped, without pickle."""

import dataclasses
import json
import logging
import math
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from minift.distributed.exchange import barrier, broadcast_object, gather_nests
from minift.files import atomic_path, read_json_object, write_json
from minift.train.arguments import TrainingArguments
from minift.train.callbacks import CallbackHandler, is_exported
from minift.train.run import Run
from minift.train.seed import rng_state, set_rng_state
from minift.train.state import TrainerControl, TrainerState

logger = logging.getLogger(__name__)

STATE_FILE = "trainer_state.json"  # as transformers writes it
RESUME_FILE = "resume.json"  # generators, position in the data, schedule, loss so far
OPTIMIZER_FILE = "optimizer.safetensors"
MODEL_FILE = "model.safetensors"
ARGUMENTS_FILE = "training_args.json"
OF_NO_CONCERN = ("resume_from_checkpoint", "overwrite_output_dir", "hub_token")  # for `changed_arguments`
NOT_UPLOADED = [".*", "checkpoint-*", OPTIMIZER_FILE, RESUME_FILE]


# -- the parts of a checkpoint


def save_model(folder: str | Path, model: torch.nn.Module, tokenizer: Any = None, args: Any = None) -> None:
    """Write a model as `from_pretrained` reads it (any other module as safetensors), its tokenizer and settings."""
    folder = Path(folder)
    if hasattr(model, "save_pretrained"):
        model.save_pretrained(folder)
    else:
        with atomic_path(folder / MODEL_FILE) as fresh:
            safetensors.torch.save_model(model, str(fresh))
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)
    if args is not None:
        write_json(folder / ARGUMENTS_FILE, args.to_dict())


def load_weights(folder: str | Path, model: torch.nn.Module, file: str = MODEL_FILE) -> None:
    """Fill `model` with the weights of a checkpoint.

    Raises:
        FileNotFoundError: the folder holds no such file.
        ValueError: the file is broken, or its tensors are not those of the model.
    """
    path = Path(folder) / file
    if not path.is_file():
        raise FileNotFoundError(f"no {file} in {folder}")
    try:
        safetensors.torch.load_model(model, str(path))
    except (safetensors.SafetensorError, RuntimeError) as error:
        raise ValueError(f"{path} does not hold the weights of this {type(model).__name__}: {error}") from error


def save_optimizer(folder: Path, state: dict[str, Any], file: str = OPTIMIZER_FILE) -> dict[str, Any]:
    """Write the tensors of an optimizer's `state_dict` as safetensors; return the rest of it, which is JSON."""
    tensors, numbers = {}, {}
    for parameter, entries in state["state"].items():
        for name, value in entries.items():
            target = tensors if isinstance(value, torch.Tensor) else numbers
            target[f"{parameter}.{name}"] = value.contiguous() if isinstance(value, torch.Tensor) else value
    safetensors.torch.save_file(tensors, str(folder / file))
    return {"numbers": numbers, "param_groups": state["param_groups"]}


def load_optimizer(
    folder: Path, optimizer: torch.optim.Optimizer, stored: dict[str, Any], file: str = OPTIMIZER_FILE
) -> None:
    """Undo `save_optimizer`: `optimizer` must have the same parameter groups as the one that was saved."""
    state: dict[int, dict[str, Any]] = {}
    try:
        tensors = safetensors.torch.load_file(str(folder / file))
    except safetensors.SafetensorError as error:
        raise ValueError(f"{folder / file} is damaged: {error}") from error
    for key, value in {**tensors, **stored["numbers"]}.items():
        parameter, name = key.split(".", 1)
        state.setdefault(int(parameter), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": stored["param_groups"]})


def note_callbacks(state: TrainerState, callbacks: CallbackHandler) -> None:
    """Note what the callbacks remember, where it is in transformers' form, for ``trainer_state.json``."""
    states = {type(callback).__name__: callback.state() for callback in callbacks.callbacks}
    state.stateful_callbacks = {name: remembered for name, remembered in states.items() if is_exported(remembered)}


def save_state(folder: str | Path, state: TrainerState, control: TrainerControl) -> None:
    """Write ``trainer_state.json`` with the fields and the layout that transformers gives it."""
    exported = state.stateful_callbacks | {"TrainerControl": control.state()}
    write_json(Path(folder) / STATE_FILE, dataclasses.asdict(state) | {"stateful_callbacks": exported})


# -- a whole checkpoint


def write_checkpoint(run: Run, callbacks: CallbackHandler, save: Callable[..., None]) -> Path:
    """Write ``checkpoint-{step}`` in `output_dir`, and delete those beyond `save_total_limit` (*collective*).

    `save` is `Trainer.save_model`, which writes the model into the folder that it is given.
    """
    folder, state = Path(run.args.output_dir) / f"checkpoint-{run.state.global_step}", run.state
    if state.best_global_step is not None:
        best = folder.with_name(f"checkpoint-{state.best_global_step}")
        if best == folder or best.is_dir():
            state.best_model_checkpoint = str(best)
    save_checkpoint(folder, run, callbacks, save)
    run.saved.add(folder.name)
    if run.args.process_index == 0:
        rotate_checkpoints(run.args.output_dir, run.args.save_total_limit, state.best_model_checkpoint)
    barrier()  # no rank goes on to read, or to end, before all is there
    return folder


def save_checkpoint(folder: Path, run: Run, callbacks: CallbackHandler, save: Callable[..., None]) -> None:
    """Write all that a run needs to go on; the folder appears when it is complete, or not at all (*collective*).

    Rank 0 writes it, after it has collected what differs from rank to rank: generators, the place in the data, and the
    loss since the last entry of the log.
    """
    resumable = not run.args.save_only_model
    ranks = gather_nests(_rank_record(run)) if resumable else []
    optimizer = run.optimizer.state_dict() if resumable else {}
    if run.args.process_index != 0:
        return
    with atomic_path(folder) as fresh:
        fresh.mkdir()
        save(str(fresh), _internal_call=True)
        if resumable:
            record = {
                "optimizer": save_optimizer(fresh, optimizer),
                "scheduler": run.lr_scheduler.state_dict(),
                "scaler": run.scaler.state_dict(),
                "epoch": run.epoch + 1 if run.epoch_ended else run.epoch,
                "batches": [len(run.loader), run.args.gradient_accumulation_steps],
                "ranks": ranks,
                "total_loss": run.total_loss,
                "logged_step": run.logged_step,
                "grad_norm": run.grad_norm.item(),
                "learning_rate": run.learning_rate,
                "callbacks": {type(callback).__name__: callback.state() for callback in callbacks.callbacks},
            }
            write_json(fresh / RESUME_FILE, record)
        note_callbacks(run.state, callbacks)
        save_state(fresh, run.state, run.control)


def _rank_record(run: Run) -> dict[str, Any]:
    """What only this rank knows."""
    return {
        "rng": rng_state(run.data_collator),
        "position": None if run.epoch_ended else run.loader.position,
        "running_loss": run.running_loss.item(),
    }


def resume(folder: str | Path, run: Run, callbacks: CallbackHandler) -> tuple[int, dict[str, Any] | None]:
    """Bring a run to where the checkpoint was written. Every rank reads the folder.

    Returns:
        The epoch to go on with, and the place in it as `Loader.epoch` takes it (None: its beginning).

    Raises:
        ValueError: the checkpoint was written by another number of processes.
    """
    stored_state, record = read_resume(folder)
    args = run.args
    if changes := changed_arguments(folder, args):
        logger.warning("resuming with other arguments than those of %s: %s", folder, ", ".join(changes))
    if len(record["ranks"]) != args.world_size:
        raise ValueError(
            f"{folder} was written by {len(record['ranks'])} processes, and this run has {args.world_size}: a place in "
            "the data cannot be carried over"
        )
    own = record["ranks"][args.process_index]
    load_weights(folder, run.model)
    load_optimizer(Path(folder), run.optimizer, record["optimizer"])
    run.lr_scheduler.load_state_dict(record["scheduler"])
    run.scaler.load_state_dict(record["scaler"])
    fresh, run.state = run.state, TrainerState.from_json(stored_state)
    run.state.set_intervals(args, fresh.max_steps)  # the arguments may have changed in the meantime
    for name in ("num_train_epochs", "is_world_process_zero", "is_local_process_zero"):
        setattr(run.state, name, getattr(fresh, name))
    run.running_loss += own["running_loss"]
    run.total_loss, run.logged_step = record["total_loss"], record["logged_step"]
    run.grad_norm, run.learning_rate = torch.tensor(record["grad_norm"]), record["learning_rate"]
    for callback in callbacks.callbacks:
        stored = record["callbacks"].get(type(callback).__name__, {})
        if args.restore_callback_states_from_checkpoint or not is_exported(stored):
            callback.load_state(stored)
    set_rng_state(own["rng"], run.data_collator)
    epoch, position = record["epoch"], own["position"]
    batches = [len(run.loader), args.gradient_accumulation_steps]
    if record.get("batches", batches) != batches:
        epoch, position = _other_batches(run, record["batches"], position or {"epoch_rng": own["rng"]})
    return epoch, None if args.ignore_data_skip else position


def changed_arguments(folder: str | Path, args: TrainingArguments) -> list[str]:
    """List the arguments that are others now than when the checkpoint was written, each with both values."""
    path = Path(folder) / ARGUMENTS_FILE
    before = read_json_object(path) if path.is_file() else {}
    now = json.loads(args.to_json_string())  # as JSON, as those before are
    return [
        f"{name} {before[name]!r} -> {value!r}"
        for name, value in now.items()
        if name in before and name not in OF_NO_CONCERN and before[name] != value
    ]


def _other_batches(run: Run, before: list[int], position: dict[str, Any]) -> tuple[int, dict[str, Any] | None]:
    """Find the place of a run whose batches are others now: the same number of steps, counted in today's batches."""
    batches, accumulated = len(run.loader), run.args.gradient_accumulation_steps
    epoch, step = divmod(run.state.global_step, math.ceil(batches / accumulated))
    logger.warning(
        "the checkpoint had %d batches in an epoch, %d a step; this run has %d, %d a step: it goes on at step %d of "
        "epoch %d, on other rows than an uninterrupted run",
        *(*before, batches, accumulated, step, epoch),
    )
    rng = position["epoch_rng"]
    return epoch, {"batches": step * accumulated, "epoch_rng": rng, "batch_rng": rng} if step else None


def read_resume(folder: str | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read the trainer's state and the resume record of a checkpoint.

    Raises:
        FileNotFoundError: it is no checkpoint, or one that cannot be resumed from (`save_only_model`, or written by
            transformers, whose optimizer and generator files are pickles, which minift does not open).
    """
    folder = Path(folder)
    if not (folder / STATE_FILE).is_file():
        raise FileNotFoundError(f"{folder} is not a checkpoint: it has no {STATE_FILE}")
    if not (folder / RESUME_FILE).is_file():
        raise FileNotFoundError(
            f"{folder} cannot be resumed from: it has no {RESUME_FILE} (saved with save_only_model=True, or by "
            "transformers, whose pickled optimizer state minift does not open)"
        )
    return read_json_object(folder / STATE_FILE), read_json_object(folder / RESUME_FILE)


# -- the checkpoints of a folder


def checkpoints(output_dir: str | Path) -> list[Path]:
    """List the complete checkpoints of a run, oldest first: ``checkpoint-N`` with its state file."""
    found = [
        folder
        for folder in Path(output_dir).glob("checkpoint-*")
        if re.fullmatch(r"checkpoint-\d+", folder.name) and (folder / STATE_FILE).is_file()
    ]
    return sorted(found, key=lambda folder: int(folder.name.split("-")[1]))


def get_last_checkpoint(output_dir: str | Path) -> str | None:
    """Find the newest complete checkpoint in a folder; None if there is none."""
    found = checkpoints(output_dir)
    return str(found[-1]) if found else None


def find_checkpoint(output_dir: str | Path) -> str | None:
    """Find the newest complete checkpoint of a run to be resumed (*collective*: all ranks get rank 0's answer).

    Returns:
        None, where there is none, for a run that torchrun starts anew when it fails: it may fail before its first
        checkpoint.

    Raises:
        ValueError: there is none, and torchrun does not start the run anew.
    """
    found = broadcast_object(get_last_checkpoint(output_dir))
    if found is None and int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", 0)) == 0:
        raise ValueError(f"no complete checkpoint in {output_dir} to resume from")
    return found


def clear_way(run: Run) -> None:
    """Before a run from the start: what to do with checkpoints of another run in `output_dir` (*collective*).

    With `overwrite_output_dir` they are deleted. Otherwise they stay; with `save_total_limit`, which would delete some
    of them, or in their favour what this run writes, that is a ValueError.
    """
    args = run.args
    found = [folder.name for folder in checkpoints(args.output_dir) if folder.name not in run.saved]
    others = broadcast_object(found if args.save_strategy != "no" else [])  # rank 0's disk is the one that is written
    if others and args.overwrite_output_dir:
        for name in others if args.process_index == 0 else ():
            remove_checkpoint(Path(args.output_dir) / name)
        barrier()
    elif others:
        said = f"{args.output_dir} holds {others[-1]} of another run, and a new one begins at step 0"
        choices = "resume_from_checkpoint=True goes on with it, overwrite_output_dir=True deletes it"
        if args.save_total_limit:
            raise ValueError(f"{said}: save_total_limit={args.save_total_limit} would delete from both. {choices}")
        logger.warning("%s. %s", said, choices)


def remove_checkpoint(folder: Path) -> None:
    (folder / STATE_FILE).unlink()  # from here on it no longer counts as a checkpoint, however far rmtree gets
    shutil.rmtree(folder)


def rotate_checkpoints(output_dir: str | Path, limit: int | None, best: str | None) -> None:
    """Delete the checkpoints that were written first until `limit` are left; the last and the best always stay.

    What a save that was killed has left, ``.checkpoint-N-…``, is deleted, too.
    """
    for left in Path(output_dir).glob(".checkpoint-*-*"):
        shutil.rmtree(left, ignore_errors=True)
    found = sorted(checkpoints(output_dir), key=lambda folder: (folder / STATE_FILE).stat().st_mtime_ns)
    if not limit or len(found) <= limit:
        return
    best_path = Path(best).resolve() if best else None
    others_first = sorted(found[:-1], key=lambda folder: folder.resolve() == best_path)
    keep = max(limit, 2) if best_path in [folder.resolve() for folder in found[:-1]] else limit
    for folder in others_first[: len(found) - keep]:
        remove_checkpoint(folder)
