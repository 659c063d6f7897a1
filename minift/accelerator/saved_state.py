"""What `Accelerator.save_state` writes and `load_state` reads: safetensors and JSON, no pickle.

model.safetensors, model_1.safetensors, …          the prepared models, in the order of preparation
optimizer.safetensors, optimizer_1.safetensors, …  the tensors of the optimizers
state.json                                         everything else, with the generators of every process
"""

import os
from pathlib import Path

import safetensors.torch
import torch

from minift.accelerator.prepared import Loop
from minift.distributed.exchange import barrier, gather_nests
from minift.distributed.world import world
from minift.files import atomic_path, read_json, write_json
from minift.train.checkpoint import load_optimizer, load_weights, save_optimizer
from minift.train.seed import rng_state, set_rng_state

STATE_FILE = "state.json"


def tensor_file(kind: str, number: int) -> str:
    return f"{kind}_{number}.safetensors" if number else f"{kind}.safetensors"


def save_state(loop: Loop, output_dir: str | os.PathLike) -> str:
    """Write the folder, whole or not at all, and return it. The first process writes what all have told it."""
    orders = [loader.generator.get_state().tolist() if loader.generator else None for loader in loop.loaders]
    ranks = gather_nests({"rng": rng_state(), "orders": orders})
    if world().is_main:
        with atomic_path(output_dir) as fresh:
            fresh.mkdir()
            for number, model in enumerate(loop.models):
                safetensors.torch.save_model(model, str(fresh / tensor_file("model", number)))
            optimizers = [
                save_optimizer(fresh, optimizer.state_dict(), tensor_file("optimizer", number))
                for number, optimizer in enumerate(loop.optimizers)
            ]
            schedulers = [scheduler.state_dict() for scheduler in loop.schedulers]
            state = {"ranks": ranks, "optimizers": optimizers, "schedulers": schedulers}
            write_json(fresh / STATE_FILE, {**state, "scaler": loop.scaler.state_dict(), "batches": loop.batches})
    barrier()
    return str(output_dir)


def load_state(loop: Loop, input_dir: str | os.PathLike) -> None:
    """Bring parts that were prepared in the same order, and the generators, to where they were at `save_state`."""
    folder = Path(input_dir)
    if not (folder / STATE_FILE).is_file():
        raise FileNotFoundError(f"{folder} was not written by save_state: it has no {STATE_FILE}")
    state = read_json(folder / STATE_FILE)
    if len(state["ranks"]) != world().size:
        raise ValueError(f"{folder} was written by {len(state['ranks'])} processes; this run has {world().size}")
    for kind, parts in (("optimizers", loop.optimizers), ("schedulers", loop.schedulers)):
        if len(state[kind]) != len(parts):
            raise ValueError(f"{folder} holds {len(state[kind])} {kind}; {len(parts)} have been prepared")
    for number, model in enumerate(loop.models):
        load_weights(folder, model, tensor_file("model", number))
    for number, (optimizer, stored) in enumerate(zip(loop.optimizers, state["optimizers"], strict=True)):
        load_optimizer(folder, optimizer, stored, tensor_file("optimizer", number))
    for scheduler, stored in zip(loop.schedulers, state["schedulers"], strict=True):
        scheduler.load_state_dict(stored)
    loop.scaler.load_state_dict(state["scaler"])
    loop.batches = state["batches"]
    own = state["ranks"][world().rank]
    set_rng_state(own["rng"])
    for loader, order in zip(loop.loaders, own["orders"], strict=True):
        if loader.generator is not None:
            loader.generator.set_state(torch.tensor(order, dtype=torch.uint8))
