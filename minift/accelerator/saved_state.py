"""What `Accelerator.save_state` writes and `load_state` reads: safetensors and JSON, no pickle.

model.safetensors, model_1.safetensors, …          the prepared models, in the order of preparation
optimizer.safetensors, optimizer_1.safetensors, …  the tensors of the optimizers
state.json                                         everything else, with the generators of every process
custom.safetensors, custom_1.safetensors, …        the tensors of what was registered; the rest is in state.json
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

from minift.accelerator.prepared import Loop
from minift.distributed.exchange import barrier, broadcast_object, gather_nests
from minift.distributed.world import world
from minift.files import atomic_path, read_json, write_json
from minift.tensors import map_nest
from minift.train.checkpoint import load_optimizer, load_weights, save_optimizer
from minift.train.seed import rng_state, set_rng_state

STATE_FILE = "state.json"
TENSOR, ARRAY = "\0tensor", "\0array"  # stand in state.json for what is in a file beside it; nobody's own keys


def tensor_file(kind: str, number: int) -> str:
    return f"{kind}_{number}.safetensors" if number else f"{kind}.safetensors"


def register_for_checkpointing(loop: Loop, *objects: Any) -> None:
    """Let `save_state` and `load_state` take care of objects with the methods `state_dict` and `load_state_dict`.

    Their state is a nest of tensors, arrays, and what JSON can hold.
    """
    for number, one in enumerate(objects):
        if not (hasattr(one, "state_dict") and hasattr(one, "load_state_dict")):
            raise ValueError(
                f"register_for_checkpointing: object {number}, a {type(one).__name__}, has no state_dict and "
                "load_state_dict"
            )
    loop.others.extend(objects)


def checkpoints(loop: Loop) -> list[Path]:
    """The folders of automatic names, from the oldest to the newest."""
    folders = Path(loop.project_dir or ".", "checkpoints").glob("checkpoint_*")
    return sorted((one for one in folders if one.name[11:].isdigit()), key=lambda one: int(one.name[11:]))


def save_state(
    loop: Loop,
    output_dir: str | os.PathLike | None = None,
    safe_serialization: bool = True,
    **unsupported: Any,
) -> str:
    """Write the folder, whole or not at all, and return it. The first process writes what all have told it.

    With automatic names it is ``project_dir/checkpoints/checkpoint_<iteration>``, and of older ones only `total_limit`
    stay, this one included.
    """
    if not safe_serialization or unsupported:
        what = ", ".join(unsupported) or "safe_serialization=False"
        raise ValueError(f"save_state writes safetensors and JSON only, without {what}: other formats can run code")
    project = loop.project_configuration
    if project.automatic_checkpoint_naming:
        output_dir = Path(loop.project_dir or ".", "checkpoints", f"checkpoint_{project.iteration}")
        if world().is_main and output_dir.exists():
            raise ValueError(f"{output_dir} exists: set project_configuration.iteration to the number to go on with")
    elif output_dir is None:
        raise ValueError("save_state needs output_dir, or ProjectConfiguration(automatic_checkpoint_naming=True)")
    orders = [loader.generator.get_state().tolist() if loader.generator else None for loader in loop.loaders]
    places = [loader.state_dict() if loader.stateful else None for loader in loop.loaders]
    ranks = gather_nests({"rng": rng_state(), "orders": orders, "places": places})
    if world().is_main:
        with atomic_path(output_dir) as fresh:
            fresh.mkdir()
            for number, model in enumerate(loop.models):
                safetensors.torch.save_model(model, str(fresh / tensor_file("model", number)))
            optimizers = [
                save_optimizer(fresh, optimizer.state_dict(), tensor_file("optimizer", number))
                for number, optimizer in enumerate(loop.optimizers)
            ]
            others = [
                save_nest(fresh / tensor_file("custom", n), one.state_dict()) for n, one in enumerate(loop.others)
            ]
            schedulers = [scheduler.state_dict() for scheduler in loop.schedulers]
            state = {"ranks": ranks, "optimizers": optimizers, "schedulers": schedulers, "others": others}
            write_json(fresh / STATE_FILE, {**state, "scaler": loop.scaler.state_dict(), "batches": loop.batches})
        if project.automatic_checkpoint_naming and project.total_limit is not None:
            for old in checkpoints(loop)[: -project.total_limit]:
                shutil.rmtree(old)
    barrier()
    project.iteration += 1
    return str(output_dir)


def save_nest(file: Path, nest: Any) -> Any:
    """Write the tensors and arrays of a nest; return the rest of it, with the name of each where it stood."""
    tensors: dict[str, torch.Tensor] = {}

    def taken(value: Any) -> Any:
        if not isinstance(value, torch.Tensor | np.ndarray):
            return value
        kind = TENSOR if isinstance(value, torch.Tensor) else ARRAY
        tensors[str(len(tensors))] = torch.as_tensor(value).detach().cpu().clone().contiguous()
        return {kind: str(len(tensors) - 1)}

    rest = map_nest(taken, nest)
    safetensors.torch.save_file(tensors, file)
    try:
        return json.loads(json.dumps(rest))
    except TypeError as error:
        raise TypeError(f"register_for_checkpointing: a state_dict holds what JSON cannot: {error}") from None


def load_nest(file: Path, rest: Any) -> Any:
    """Put the tensors and arrays back into the nest."""
    tensors = safetensors.torch.load_file(file)

    def filled(nest: Any) -> Any:
        if isinstance(nest, dict):
            for kind, name in nest.items() if len(nest) == 1 else ():
                if kind in (TENSOR, ARRAY) and name in tensors:
                    return tensors[name] if kind == TENSOR else tensors[name].numpy()
            return {key: filled(value) for key, value in nest.items()}
        return [filled(value) for value in nest] if isinstance(nest, list) else nest

    return filled(rest)


def load_state(loop: Loop, input_dir: str | os.PathLike | None = None, **unsupported: Any) -> None:
    """Bring parts that were prepared in the same order, and the generators, to where they were at `save_state`.

    With automatic names, None stands for the newest folder.
    """
    if unsupported:
        raise TypeError(f"load_state does not support {', '.join(map(repr, unsupported))}")
    if input_dir is None:
        found = checkpoints(loop) if loop.project_configuration.automatic_checkpoint_naming else []
        if not found:
            raise ValueError("load_state needs input_dir: there are no checkpoints of automatic names")
        input_dir = found[-1]
    folder = Path(input_dir)
    if world().is_main and not (folder / STATE_FILE).is_file():
        raise FileNotFoundError(f"{folder} was not written by save_state: it has no {STATE_FILE}")
    state = broadcast_object(read_json(folder / STATE_FILE) if world().is_main else None)
    if len(state["ranks"]) != world().size:
        raise ValueError(f"{folder} was written by {len(state['ranks'])} processes; this run has {world().size}")
    for kind, parts in (("optimizers", loop.optimizers), ("schedulers", loop.schedulers), ("others", loop.others)):
        if len(state[kind]) != len(parts):
            named = "registered objects" if kind == "others" else kind
            raise ValueError(f"{folder} holds {len(state[kind])} {named}; this Accelerator has {len(parts)}")
    for number, model in enumerate(loop.models):
        load_weights(folder, model, tensor_file("model", number))
    for number, (optimizer, stored) in enumerate(zip(loop.optimizers, state["optimizers"], strict=True)):
        load_optimizer(folder, optimizer, stored, tensor_file("optimizer", number))
    for scheduler, stored in zip(loop.schedulers, state["schedulers"], strict=True):
        scheduler.load_state_dict(stored)
    for number, (one, stored) in enumerate(zip(loop.others, state["others"], strict=True)):
        one.load_state_dict(load_nest(folder / tensor_file("custom", number), stored))
    loop.scaler.load_state_dict(state["scaler"])
    loop.batches = state["batches"]
    own = state["ranks"][world().rank]
    set_rng_state(own["rng"])
    for loader, order, place in zip(loop.loaders, own["orders"], own["places"], strict=True):
        if loader.generator is not None:
            loader.generator.set_state(torch.tensor(order, dtype=torch.uint8))
        if place is not None:
            loader.load_state_dict(place)
