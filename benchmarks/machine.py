"""What the numbers were measured on: versions, processor, threads, and its rates, taken on the spot."""

import contextlib
import functools
import gc
import importlib.metadata
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.harness import clock

LIBRARIES = (
    *("torch", "numpy", "tokenizers", "pyarrow", "safetensors", "transformers", "datasets", "accelerate"),
    *("evaluate", "scikit-learn", "tensorflow"),
)
COPY_BYTES = 1 << 28  # far more than any cache holds
MATRIX = 2048  # rows and columns
RATE_SECONDS = 3.0  # that a rate is measured for, because other users of the machine can slow it down for a while


def header(threads: int) -> dict[str, Any]:
    """Versions, processor, cores, threads."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "threads": threads,
        "gpu": _gpu(),
        "versions": versions,
    }


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor() or "unknown"
    lines = info.read_text().splitlines()
    name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    has = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    return f"{name} ({', '.join(has)})" if has else name


def _gpu() -> str | None:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


@functools.cache
def rates(device: str) -> dict[str, float]:
    """Bytes a second that memory is copied at (read and written counted), and FLOP a second of matrix products."""
    import torch

    source = torch.ones(COPY_BYTES // 4, device=device)
    target = torch.empty_like(source)
    found = {"copy": 2 * COPY_BYTES / _best(lambda: target.copy_(source), device)}
    for dtype in ("float32", "bfloat16"):
        # operands like a linear layer's: the weight is transposed in the product
        left, right = (torch.randn(MATRIX, MATRIX, dtype=getattr(torch, dtype), device=device) for _ in range(2))
        work = functools.partial(torch.nn.functional.linear, left, right)
        found[dtype] = 2 * MATRIX**3 / _best(work, device)
    return found


def _best(work: Callable[[], Any], device: str) -> float:
    """Seconds of a call; a rate is what the machine can do, so the fastest of several counts."""
    import torch

    calls = 1 if device == "cpu" else 50  # so many in the GPU's queue that its start does not show

    def sample() -> None:
        for _ in range(calls):
            work()
        if device == "cuda":
            torch.cuda.synchronize()

    sample()
    found = [clock(sample).seconds]
    while sum(found) < RATE_SECONDS:
        found.append(clock(sample).seconds)
    return min(found) / calls


def peak_memory(work: Callable[[], Any]) -> int:
    """The bytes by which resident memory rises during a call above what it was (Linux; elsewhere 0)."""
    gc.collect()
    before = _status("VmRSS")
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts from here
    work()
    return max(0, _status("VmHWM") - before)


def peak_resident() -> int:
    """The most bytes that this process ever held (Linux; elsewhere 0). What `getrusage` gives survives exec: a program
    that a large process starts would have its parent's."""
    return _status("VmHWM")


def _status(name: str) -> int:
    file = Path("/proc/self/status")
    lines = file.read_text().splitlines() if file.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), 0)
