"""What `Accelerator.save_state` writes and `load_state` reads: safetensors and JSON, no pickle.

model.safetensors, model_1.safetensors, …          the prepared models, in the order of their preparation
optimizer.safetensors, optimizer_1.safetensors, …  the tensors of the optimizers
state.json                                         everything else, with the generators of every process
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors.torch
import torch

from minift.distributed.exchange import barrier, gather_objects
from minift.files import atomic_path, read_json, write_json
from minift.train.checkpoint import load_optimizer, save_optimizer
from minift.train.seed import rng_state, rng_state_from_json, rng_state_to_json, set_rng_state

if TYPE_CHECKING:
    from minift.accelerator.accelerator import Accelerator

STATE_FILE = "state.json"


def _file(kind: str, number: int) -> str:
    return f"{kind}_{number}.safetensors" if number else f"{kind}.safetensors"


def save(accelerator: "Accelerator", output_dir: str | os.PathLike) -> str:
    """Write the folder, whole or not at all; the first process does, when all have told what they know (*collective*).

    Returns:
        `output_dir`.
    """
    ranks = gather_objects(_rank_record(accelerator))
    if accelerator.is_main_process:
        with atomic_path(output_dir) as fresh:
            fresh.mkdir()
            for number, model in enumerate(accelerator._models):
                safetensors.torch.save_model(model, str(fresh / _file("model", number)))
            state = {
                "ranks": ranks,
                "optimizers": [
                    save_optimizer(fresh, optimizer.state_dict(), _file("optimizer", number))
                    for number, optimizer in enumerate(accelerator._optimizers)
                ],
                "schedulers": [schedule.scheduler.state_dict() for schedule in accelerator._schedulers],
                "scaler": accelerator.scaler.state_dict(),
                "batches": accelerator._batches,
            }
            write_json(fresh / STATE_FILE, state)
    barrier()
    return str(output_dir)


def _rank_record(accelerator: "Accelerator") -> dict[str, Any]:
    orders = [loader.generator.get_state().tolist() if loader.generator else None for loader in accelerator._loaders]
    return {"rng": rng_state_to_json(rng_state()), "orders": orders}


def load(accelerator: "Accelerator", input_dir: str | os.PathLike) -> None:
    """Undo `save`, for the same parts, prepared in the same order. Every process reads the folder.

    Raises:
        FileNotFoundError: the folder is not one that `save` has written.
        ValueError: it was written by another number of processes, or for other models.
    """
    folder = Path(input_dir)
    if not (folder / STATE_FILE).is_file():
        raise FileNotFoundError(f"{folder} was not written by save_state: it has no {STATE_FILE}")
    state = read_json(folder / STATE_FILE)
    if len(state["ranks"]) != accelerator.num_processes:
        raise ValueError(
            f"{folder} was written by {len(state['ranks'])} processes, and these are {accelerator.num_processes}"
        )
    for kind, parts in (("optimizers", accelerator._optimizers), ("schedulers", accelerator._schedulers)):
        if len(state[kind]) != len(parts):
            raise ValueError(f"{folder} holds {len(state[kind])} {kind}; prepared are {len(parts)}")
    for number, model in enumerate(accelerator._models):
        file = folder / _file("model", number)
        try:
            safetensors.torch.load_model(model, str(file))
        except (safetensors.SafetensorError, RuntimeError) as error:
            raise ValueError(f"{file} does not hold the weights of this {type(model).__name__}: {error}") from error
    for number, (optimizer, stored) in enumerate(zip(accelerator._optimizers, state["optimizers"], strict=True)):
        load_optimizer(folder, optimizer, stored, _file("optimizer", number))
    for schedule, stored in zip(accelerator._schedulers, state["schedulers"], strict=True):
        schedule.scheduler.load_state_dict(stored)
    accelerator.scaler.load_state_dict(state["scaler"])
    accelerator._batches = state["batches"]
    own = state["ranks"][accelerator.process_index]
    set_rng_state(rng_state_from_json(own["rng"]))
    for loader, order in zip(accelerator._loaders, own["orders"], strict=True):
        if loader.generator is not None:
            loader.generator.set_state(torch.tensor(order, dtype=torch.uint8))
