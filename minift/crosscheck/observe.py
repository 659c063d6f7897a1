"""Watch a script from outside, in a process of its own: what its models are given and give, and what its steps do.

`python -m minift.crosscheck.observe SIDE FOLDER STEPS SCRIPT ARGS…`; the two sides are run by script.py, each on one
thread. Nothing is drawn and no number is changed: only copies are made, in hooks that torch calls on both sides.
"""

import hashlib
import json
import math
import random
import runpy
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook, register_optimizer_step_pre_hook

EVENTS_FILE, TENSORS_FILE = "events.json", "tensors.safetensors"
LARGE = 2**20  # numbers in a tensor, such as the logits of a masked language model
NO_INPUTS = ("num_items_in_batch",)  # transformers' Trainer hands it to models, minift's keeps it


class Enough(BaseException):
    """The steps that were asked for are taken."""


class Observer:
    """Notes, in order, what happens: each event is a kind and its values; tensors are kept apart, by their number.

    Kinds are "inputs" and "outputs" of a model that is called from outside of any other, "random state" before it and
    before a step, "gradient norm" and "learning rate" of a step, "optimizer" at the first one, and "weights …".
    """

    def __init__(self, steps: int):
        self.limit, self.steps, self.depth = steps, 0, 0
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.tensors: dict[str, Tensor] = {}
        self.model: nn.Module | None = None  # the one that was called last

    def install(self) -> None:
        call = nn.Module.__call__
        observer = self

        def watched(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
            is_model = observer.depth == 0 and next(module.parameters(), None) is not None
            if is_model:
                observer.before(module, args, kwargs)
            observer.depth += 1
            try:
                output = call(module, *args, **kwargs)
            finally:
                observer.depth -= 1
            if is_model:
                observer.note("outputs", flat(output))
            return output

        nn.Module.__call__ = watched
        register_optimizer_step_pre_hook(self.before_step)
        register_optimizer_step_post_hook(self.after_step)

    def note(self, kind: str, values: Mapping[str, Any]) -> None:
        """Keep an event; of tensors a copy as they are now, or a hash of those too large to keep at every call."""
        kept = {}
        for name, value in values.items():
            if isinstance(value, Tensor):
                copy = value.detach().cpu().contiguous().clone()
                if copy.numel() > LARGE and not kind.startswith("weights"):
                    value = {
                        "sha256": hashlib.sha256(copy.view(torch.uint8).numpy()).hexdigest(),
                        "shape": list(copy.shape),
                    }
                else:
                    number = f"{len(self.tensors):08}"
                    self.tensors[number] = copy
                    value = {"tensor": number}
            kept[name] = value
        self.events.append((kind, kept))

    def before(self, model: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        if self.model is None:
            self.model = model
            self.note_weights("weights at the start")
        self.model = model
        self.note("random state", random_state())
        given = {name: value for name, value in (dict(enumerate(args)) | kwargs).items() if name not in NO_INPUTS}
        self.note("inputs", {"training": model.training, **flat(given)})

    def before_step(self, optimizer: Optimizer, *_: Any) -> None:
        if self.steps == 0:
            self.note("optimizer", settings_of(optimizer))
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        gradients = [parameter.grad.detach() for parameter in parameters if parameter.grad is not None]
        norm = math.sqrt(sum(gradient.double().pow(2).sum().item() for gradient in gradients))  # 0.0 without any
        self.note("random state", random_state())
        self.note("gradient norm", {"norm": norm})
        self.note("learning rate", {"rate": [float(group["lr"]) for group in optimizer.param_groups]})

    def after_step(self, optimizer: Optimizer, *_: Any) -> None:
        self.steps += 1
        if self.steps == 1:
            self.note_weights("weights after step 1")
        if self.steps == self.limit:
            raise Enough

    def note_weights(self, kind: str) -> None:
        if self.model is not None:
            self.note(kind, dict(self.model.named_parameters()))

    def write(self, folder: Path) -> None:
        self.note_weights("weights at the end")
        save_file(self.tensors, folder / TENSORS_FILE)
        (folder / EVENTS_FILE).write_text(json.dumps(self.events), encoding="utf-8")


def flat(value: Any, place: str = "") -> dict[str, Any]:
    """Return the tensors of a nest by their places in it: ``hidden_states.0``; numbers and None are left out."""
    parts: Iterator[tuple[Any, Any]]
    if isinstance(value, Tensor):
        return {place or "value": value}
    if isinstance(value, Mapping):
        parts = iter(value.items())
    elif isinstance(value, list | tuple):
        parts = iter(enumerate(value))
    else:
        return {}
    found: dict[str, Any] = {}
    for name, part in parts:
        found |= flat(part, f"{place}.{name}" if place else str(name))
    return found


def random_state() -> dict[str, str]:
    """Return the states of the three generators, as hashes: a script may draw from any of them."""
    _, keys, *place = np.random.get_state()
    states = {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": keys.tobytes() + repr(place).encode(),
        "python": repr(random.getstate()).encode(),
    }
    return {name: hashlib.sha256(state).hexdigest()[:16] for name, state in states.items()}


def settings_of(optimizer: Optimizer) -> dict[str, Any]:
    """Return what decides an update besides the rate: for each group its numbers, and how many weights it has."""
    groups = {}
    for number, group in enumerate(optimizer.param_groups):
        numbers = {name: group.get(name) for name in ("betas", "eps", "weight_decay", "fused")}
        numbers["fused"] = bool(numbers["fused"])
        numbers["betas"] = list(numbers["betas"] or [])
        groups[f"group {number}"] = numbers | {"weights": sum(parameter.numel() for parameter in group["params"])}
    return groups


def main() -> None:
    side, folder, steps, script, *argv = sys.argv[1:]
    observer = Observer(int(steps))
    observer.install()
    torch.set_num_threads(1)
    try:
        if side == "minift":  # as `python -m minift run SCRIPT ARGS`
            sys.argv = ["minift", "run", script, *argv]
            runpy.run_module("minift", run_name="__main__")
        else:
            sys.argv = [script, *argv]
            sys.path[0] = str(Path(script).resolve().parent)
            runpy.run_path(script, run_name="__main__")
    except Enough:
        print(f"[stopped after {steps} steps]")
    finally:
        observer.write(Path(folder))


if __name__ == "__main__":
    main()
