"""The random generators that a run draws from: seed them, look at their state, put it back."""

import os
import random
from typing import Any

import numpy as np
import torch


def set_seed(seed: int, deterministic: bool = False) -> None:
    """Seed Python, numpy and torch (all devices) with a number from 0 to 2³² − 1, as transformers' `set_seed` does.

    `deterministic` also makes torch refuse kernels whose result may vary from run to run.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.cuda.manual_seed_all(seed)
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":16:8")
        torch.use_deterministic_algorithms(True)


def enable_full_determinism(seed: int, warn_only: bool = False) -> None:
    """Seed everything, and make torch refuse kernels whose result may vary; or (`warn_only`) warn of them."""
    set_seed(seed, deterministic=True)
    torch.use_deterministic_algorithms(True, warn_only=warn_only)


def rng_state(collator: Any = None) -> dict[str, Any]:
    """Return the state of every global generator, and of the one that a collator may have (`state_dict`).

    It costs a few microseconds: a training loop may ask for it at every batch.
    """
    return {
        "python": random.getstate(),
        "numpy": np.random.get_state(),
        "torch": torch.get_rng_state().numpy(),
        "cuda": [state.numpy() for state in torch.cuda.get_rng_state_all()] if torch.cuda.is_available() else [],
        "collator": collator.state_dict() if hasattr(collator, "state_dict") else None,
    }


def set_rng_state(state: dict[str, Any], collator: Any = None) -> None:
    """Put back what `rng_state` returned, also after a journey through JSON, where tuples and arrays become lists."""
    version, keys, gauss = state["python"]
    random.setstate((version, tuple(keys), gauss))
    np.random.set_state(tuple(state["numpy"]))
    torch.set_rng_state(torch.tensor(state["torch"], dtype=torch.uint8))
    if torch.cuda.is_available() and state["cuda"]:
        torch.cuda.set_rng_state_all([torch.tensor(device, dtype=torch.uint8) for device in state["cuda"]])
    if hasattr(collator, "load_state_dict") and state["collator"] is not None:
        collator.load_state_dict(state["collator"])
