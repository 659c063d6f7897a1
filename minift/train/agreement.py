"""Whether all ranks are about to do the same: otherwise one waits for ever for what another does not send."""

import hashlib
import json
import platform
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from minift import __version__
from minift.distributed.exchange import gather_objects
from minift.train.run import Run


def check_agreement(run: Run, train_dataset: Any) -> None:
    """Raise a ValueError that names the first difference between rank 0 and another rank (*collective*).

    Compared are the arguments, the lengths of the data, the versions, and the script.
    """
    if run.args.world_size == 1:
        return
    ours = json.loads(json.dumps(facts(run, train_dataset), default=str))
    for rank, theirs in enumerate(everyones := gather_objects(ours)):
        for name, value in everyones[0].items():
            if theirs.get(name) != value:
                raise ValueError(
                    f"the ranks do not agree on {name}: rank 0 has {value!r}, rank {rank} has {theirs.get(name)!r}"
                )


def facts(run: Run, train_dataset: Any) -> dict[str, Any]:
    script = Path(getattr(sys.modules["__main__"], "__file__", None) or "")
    return {
        **{name: value for name, value in asdict(run.args).items() if name != "hub_token"},
        "the length of the training set": len(train_dataset) if hasattr(train_dataset, "__len__") else None,
        "the version of Python": platform.python_version(),
        "the version of torch": torch.__version__,
        "the version of minift": __version__,
        "the collator": type(run.data_collator).__name__,
        "the script": hashlib.sha256(script.read_bytes()).hexdigest()[:12] if script.is_file() else None,
    }
