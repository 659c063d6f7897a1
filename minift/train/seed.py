"""The random generators that a run draws from: seed them, look at their state, put it back."""

import os
import random
from typing import Any

import numpy as np
import torch


def set_seed(seed: int, deterministic: bool = False) -> None:
    """Seed Python, numpy and torch (all devices), as transformers' `set_seed` does.

    Args:
        seed: any integer that numpy accepts, 0 to 2**32 - 1.
        deterministic: also make torch refuse kernels whose result may vary from run to run.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.cuda.manual_seed_all(seed)
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":16:8")
        torch.use_deterministic_algorithms(True)


def rng_state(collator: Any = None) -> dict[str, Any]:
    """The state of every global generator, and of the one that a collator may have of its own (`state_dict`).

    It costs a few microseconds: a training loop may ask for it at every batch.
    """
    return {
        "python": random.getstate(),
        "numpy": np.random.get_state(),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "collator": collator.state_dict() if hasattr(collator, "state_dict") else None,
    }


def set_rng_state(state: dict[str, Any], collator: Any = None) -> None:
    """Put back what `rng_state` returned."""
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available() and state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
    if hasattr(collator, "load_state_dict") and state["collator"] is not None:
        collator.load_state_dict(state["collator"])


def rng_state_to_json(state: dict[str, Any]) -> dict[str, Any]:
    """The same state in numbers and lists (about 6,000 integers), so that a checkpoint needs no pickle."""
    algorithm, keys, *rest = state["numpy"]
    return {
        "python": state["python"],
        "numpy": [algorithm, keys.tolist(), *rest],
        "torch": state["torch"].tolist(),
        "cuda": [device.tolist() for device in state["cuda"]],
        "collator": state["collator"],
    }


def rng_state_from_json(stored: dict[str, Any]) -> dict[str, Any]:
    """Undo `rng_state_to_json` after a journey through JSON, which has turned tuples into lists."""
    version, keys, gauss = stored["python"]
    return {
        "python": (version, tuple(keys), gauss),
        "numpy": tuple(stored["numpy"]),
        "torch": torch.tensor(stored["torch"], dtype=torch.uint8),
        "cuda": [torch.tensor(device, dtype=torch.uint8) for device in stored["cuda"]],
        "collator": stored["collator"],
    }
