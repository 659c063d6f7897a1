"""What a process knows of the run before it joins the others, and refusals that need no second process."""

import os
import subprocess
import sys

import pytest
import torch

from minift.distributed.process import is_main_process, notebook_launcher, process_count
from minift.distributed.sharded import ShardedOptimizer
from minift.distributed.world import World, world
from minift.optim.adamw import AdamW
from tests.ranks.launch import ROOT


@pytest.fixture
def without_torchrun(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_one_process_is_the_main_one(without_torchrun):
    assert (process_count(), is_main_process(), world()) == (1, True, World())


def test_the_second_process_is_not(without_torchrun):
    without_torchrun.setenv("WORLD_SIZE", "2")
    without_torchrun.setenv("RANK", "1")
    assert (process_count(), is_main_process()) == (2, False)


@pytest.mark.parametrize("missing", ["RANK", "LOCAL_RANK"])
def test_a_missing_variable_is_named(without_torchrun, missing):
    for name in {"WORLD_SIZE", "RANK", "LOCAL_RANK"} - {missing}:
        without_torchrun.setenv(name, "2")
    with pytest.raises(ValueError, match=f"WORLD_SIZE is 2 but {missing} is not set: start the run with torchrun"):
        world()


def test_neither_the_environment_nor_a_failure_needs_torch():
    code = "import sys, minift.distributed.process; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize("before", [None, "bf16"])
def test_notebook_launcher_restores_the_environment(monkeypatch, before):
    monkeypatch.delenv("ACCELERATE_MIXED_PRECISION", raising=False)
    if before:
        monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", before)
    seen = []
    notebook_launcher(lambda: seen.append(os.environ["ACCELERATE_MIXED_PRECISION"]), mixed_precision="fp16")
    assert seen == ["fp16"]
    assert os.environ.get("ACCELERATE_MIXED_PRECISION") == before


def test_a_sharded_optimizer_refuses_what_it_cannot_share_out():
    weight = torch.nn.Parameter(torch.ones(2, 3))
    used = AdamW([weight])
    weight.grad = torch.ones(2, 3)
    used.step()
    with pytest.raises(ValueError, match="has not stepped yet"):
        ShardedOptimizer(used)
    with pytest.raises(ValueError, match="contiguous parameters, not one of torch.Size"):
        ShardedOptimizer(AdamW([torch.nn.Parameter(torch.ones(2, 3).T)]))
    with pytest.raises(ValueError, match="takes no closure"):
        ShardedOptimizer(AdamW([weight])).step(lambda: None)
