"""A rank that fails ends the run, says why, and does not hang; torchrun starts it anew, and it goes on to the bit."""

import random
import signal
import subprocess

import pytest

from minift import Trainer, TrainingArguments
from tests.ranks.launch import ROOT, environment, launch, start, torchrun
from tests.tiny import tiny_model, tiny_rows


@pytest.mark.parametrize(
    ("rank", "speaks"), [pytest.param(1, 1, id="one rank"), pytest.param(-1, 0, id="all ranks", marks=pytest.mark.long)]
)
def test_an_exception_ends_the_run_within_a_minute_and_is_shown_once(tmp_path, rank, speaks):
    done = start(2, "-m", "tests.ranks.run", str(tmp_path), f"raise@3@{rank}", timeout=60)
    assert done.returncode == 1
    assert done.stderr.count("ArithmeticError: rank") == 1
    assert f"ArithmeticError: rank {speaks} has failed on purpose" in done.stderr
    assert "PeerLostError" not in done.stderr


@pytest.mark.long
def test_a_wrong_argument_is_shown_once(tmp_path):
    done = start(2, "-m", "minift", "finetune", "--model", str(tmp_path / "none"), "--dataset", str(tmp_path / "no"))
    assert done.returncode == 1
    assert done.stderr.count("minift finetune: ") == 1


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("max_steps", "the ranks do not agree on max_steps: rank 0 has 8, rank 1 has 4"),
        pytest.param(
            "rows",
            "the ranks do not agree on the length of the training set: rank 0 has 48, rank 1 has 40",
            marks=pytest.mark.long,
        ),
    ],
)
def test_ranks_that_are_not_told_the_same_do_not_hang(tmp_path, what, message):
    done = start(2, "-m", "tests.ranks.disagree", what, str(tmp_path), timeout=60)
    assert done.returncode == 1
    assert message in done.stderr


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a run of two ranks that nothing interrupts."""
    folder = tmp_path_factory.mktemp("whole")
    launch(2, "-m", "tests.ranks.run", str(folder))
    return folder


@pytest.mark.parametrize(
    "shard",
    [pytest.param("0", id="whole optimizer"), pytest.param("1", id="sharded optimizer")],
)
@pytest.mark.long
def test_a_killed_rank_is_started_anew_and_the_run_ends_with_the_same_bits(tmp_path, whole, shard):
    step, rank = random.randint(1, 13), random.randint(0, 1)  # before the first checkpoint, too
    run = ("-m", "tests.ranks.run", str(tmp_path), f"kill@{step}@{rank}")
    done = launch(2, *run, options=("--max-restarts=1",), RESUME="1", SHARD=shard)
    assert (tmp_path / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes(), (
        f"killed rank {rank} at step {step}"
    )
    assert "SIGKILL" in done.stderr or "exitcode: -9" in done.stderr


@pytest.mark.long
def test_a_checkpoint_of_two_ranks_is_not_for_one(whole):
    trainer = Trainer(tiny_model(), TrainingArguments(str(whole), use_cpu=True), train_dataset=tiny_rows(9))
    with pytest.raises(ValueError, match="checkpoint-14 was written by 2 processes, and this run has 1"):
        trainer.train(resume_from_checkpoint=True)


@pytest.mark.long
def test_a_rank_that_lost_its_launcher_ends_too(tmp_path):
    """As on a second machine: its launcher knows nothing of the first, so that each rank has to end by itself."""
    command = torchrun(2, "-m", "tests.ranks.run", str(tmp_path), "raise@3@1")
    command[command.index("--nproc_per_node=2")] = "--nproc_per_node=1"
    command[command.index("--nnodes=1")] = "--nnodes=2"
    nodes = []
    for node in range(2):
        nodes.append(
            subprocess.Popen(
                [*command[:3], f"--node_rank={node}", *command[3:]],
                **dict(cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True),
            )
        )
    try:
        errors = [node.communicate(timeout=60)[1] for node in nodes]
    finally:
        for node in nodes:
            node.send_signal(signal.SIGKILL)
    assert [node.returncode for node in nodes] == [1, 1]
    assert "ArithmeticError: rank 1 has failed on purpose" in errors[1]
    assert "rank 0: stopped, because another rank ended" in errors[0]
