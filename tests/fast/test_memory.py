"""Freed memory that stays with the process, seen from its resident size in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fast.test_trainer import make

CODE = """
import sys, torch
from minift.fast.memory import keep_freed_memory

def resident():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) // 1024 for line in file if line.startswith("VmRSS"))

if sys.argv[1] == "keep":
    assert keep_freed_memory()
before = resident()
for _ in range(2):
    tensor = torch.ones(64 << 18)  # 64 MiB
    del tensor
print(resident() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the resident size from /proc")
@pytest.mark.parametrize(("how", "kept"), [("keep", True), ("usual", False)])
def test_freed_memory_is_kept(how, kept):
    done = subprocess.run([sys.executable, "-c", CODE, how], capture_output=True, text=True, check=True)
    assert (int(done.stdout) > 50) == kept


@pytest.mark.parametrize("option", [True, False])
def test_the_trainer_asks_for_it(tmp_path, monkeypatch, option):
    asked = []
    monkeypatch.setattr("minift.train.setup.keep_freed_memory", lambda: asked.append(True))
    make(tmp_path, keep_memory=option)
    assert asked == [True] * option
