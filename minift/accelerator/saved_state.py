"""What `Accelerator.save_state` writes and `load_state` reads: safetensors and JSON, no pickle.

model.safetensors, model_1.safetensors, …          the prepared models, in the order of preparation
optimizer.safetensors, optimizer_1.safetensors, …  the tensors of the optimizers
state.json                                         everything else, with the generators of every process
"""

import os
from pathlib import Path

import safetensors.torch
import torch

from minift.accelerator.prepared import Prepared
from minift.distributed.exchange import barrier, gather_nests
from minift.distributed.world import world
from minift.files import atomic_path, read_json, write_json
from minift.train.checkpoint import load_optimizer, save_optimizer
from minift.train.seed import rng_state, set_rng_state

STATE_FILE = "state.json"


def tensor_file(kind: str, number: int) -> str:
    """Name the file of a model or an optimizer, as accelerate does."""
    return f"{kind}_{number}.safetensors" if number else f"{kind}.safetensors"


def save_state(prepared: Prepared, output_dir: str | os.PathLike) -> None:
    """Write the folder, whole or not at all. The first process writes what all have told it (*collective*)."""
    orders = [loader.generator.get_state().tolist() if loader.generator else None for loader in prepared.loaders]
    ranks = gather_nests({"rng": rng_state(), "orders": orders})
    if world().is_main:
        with atomic_path(output_dir) as fresh:
            fresh.mkdir()
            for number, model in enumerate(prepared.models):
                safetensors.torch.save_model(model, str(fresh / tensor_file("model", number)))
            state = {
                "ranks": ranks,
                "optimizers": [
                    save_optimizer(fresh, optimizer.state_dict(), tensor_file("optimizer", number))
                    for number, optimizer in enumerate(prepared.optimizers)
                ],
                "schedulers": [scheduler.state_dict() for scheduler in prepared.schedulers],
                "scaler": prepared.scaler.state_dict(),
                "batches": prepared.batches,
            }
            write_json(fresh / STATE_FILE, state)
    barrier()


def load_state(prepared: Prepared, input_dir: str | os.PathLike) -> None:
    """Undo `save_state`, for the same parts, prepared in the same order. Every process reads the folder.

    Raises:
        FileNotFoundError: the folder was not written by `save_state`.
        ValueError: it was written by another number of processes, or for other models.
    """
    folder = Path(input_dir)
    if not (folder / STATE_FILE).is_file():
        raise FileNotFoundError(f"{folder} was not written by save_state: it has no {STATE_FILE}")
    state = read_json(folder / STATE_FILE)
    if len(state["ranks"]) != world().size:
        raise ValueError(f"{folder} was written by {len(state['ranks'])} processes; this run has {world().size}")
    for kind, parts in (("optimizers", prepared.optimizers), ("schedulers", prepared.schedulers)):
        if len(state[kind]) != len(parts):
            raise ValueError(f"{folder} holds {len(state[kind])} {kind}; {len(parts)} have been prepared")
    for number, model in enumerate(prepared.models):
        file = folder / tensor_file("model", number)
        try:
            safetensors.torch.load_model(model, str(file))
        except (safetensors.SafetensorError, RuntimeError) as error:
            raise ValueError(f"{file} does not hold the weights of this {type(model).__name__}: {error}") from error
    for number, (optimizer, stored) in enumerate(zip(prepared.optimizers, state["optimizers"], strict=True)):
        load_optimizer(folder, optimizer, stored, tensor_file("optimizer", number))
    for scheduler, stored in zip(prepared.schedulers, state["schedulers"], strict=True):
        scheduler.load_state_dict(stored)
    prepared.scaler.load_state_dict(state["scaler"])
    prepared.batches = state["batches"]
    own = state["ranks"][world().rank]
    set_rng_state(own["rng"])
    for loader, order in zip(prepared.loaders, own["orders"], strict=True):
        if loader.generator is not None:
            loader.generator.set_state(torch.tensor(order, dtype=torch.uint8))
