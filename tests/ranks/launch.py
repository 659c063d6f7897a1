"""Start a module of tests.ranks on several ranks by torchrun, one thread each, and wait for it."""

import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def environment(**extra: str) -> dict[str, str]:
    """That of the tests, without what another launcher may have left in it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TORCHELASTIC", "MASTER_"))}
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        kept.pop(name, None)
    return kept | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "", **extra}


def torchrun(ranks: int, *arguments: str, options: tuple[str, ...] = (), **settings) -> list[str]:
    """The command that runs ``python ARGUMENTS`` on `ranks` ranks of this machine."""
    local = ("--nnodes=1", "--master_addr=127.0.0.1", f"--master_port={free_port()}")
    launcher = (sys.executable, "-m", "torch.distributed.run", f"--nproc_per_node={ranks}", *local, *options)
    return [*launcher, *arguments]


def launch(ranks: int, *arguments: str, timeout: float = 120, options: tuple[str, ...] = (), **env: str):
    """Run it to its end; fails with what it printed if it fails."""
    done = start(ranks, *arguments, timeout=timeout, options=options, **env)
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def start(ranks: int, *arguments: str, timeout: float = 120, options: tuple[str, ...] = (), **env: str):
    """Run it to its end, whatever that is."""
    command = torchrun(ranks, *arguments, options=options)
    return subprocess.run(
        command, cwd=ROOT, env=environment(**env), capture_output=True, text=True, timeout=timeout, check=False
    )
