"""What a processor can do: whether its bfloat16 products are real, or emulated and many times slower."""

import functools
import time
from pathlib import Path

import torch

# flags of /proc/cpuinfo: x86 with AVX-512 or AMX products in bfloat16, Arm
REAL = {"avx512_bf16", "amx_bf16", "avx10_2", "bf16"}
ROWS, SIZE, TRIES = 512, 512, 7  # of the measured product: (ROWS, SIZE) · (SIZE, SIZE)


@functools.cache
def bf16_is_real() -> bool:
    """Say whether bfloat16 products on the CPU are faster than float32's: by the processor's flags, or measured."""
    flags = cpu_flags()
    if flags:
        return bool(flags & REAL)
    rates = product_rates()
    return rates["bfloat16"] > rates["float32"]


def cpu_flags() -> set[str]:
    """Return the processor's flags; empty where the system does not tell them."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    return next((set(line.split()) for line in lines if line.startswith(("flags", "Features"))), set())


@functools.cache
def product_rates() -> dict[str, float]:
    """Measure matrix products in both types: GFLOP a second, the fastest of a few; some milliseconds."""
    rates = {}
    for name in ("float32", "bfloat16"):
        dtype = getattr(torch, name)
        left, right = torch.randn(ROWS, SIZE).to(dtype), torch.randn(SIZE, SIZE).to(dtype)
        seconds = []
        for _ in range(TRIES):
            start = time.perf_counter()
            torch.nn.functional.linear(left, right)
            seconds.append(time.perf_counter() - start)
        rates[name] = 2 * ROWS * SIZE * SIZE / min(seconds) / 1e9
    return rates


def emulated(name: str) -> str:
    """Say in one line that the type that an argument asks for is emulated here, with the measured rates."""
    rates = product_rates()
    return (
        f"{name}: this processor has no bfloat16 products; they are emulated, at {rates['bfloat16']:.0f} GFLOP/s "
        f"({rates['float32']:.0f} in float32)"
    )
