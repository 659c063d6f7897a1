"""Two hosts, played by two network namespaces with a cable between them: torchrun on each, gloo over the cable."""

import os
import shutil
import subprocess
import sys
import uuid

import pytest

from tests.ranks.launch import ROOT, environment, launch

HOSTS = ("10.77.5.1", "10.77.5.2")


def ip(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=True)


@pytest.fixture(scope="module")
def hosts():
    """The names of two namespaces that see each other and nothing else."""
    if shutil.which("ip") is None:
        pytest.skip("two hosts: needs the command ip (iproute2)")
    if os.geteuid() != 0:
        pytest.skip("two hosts: making network namespaces needs root")
    tag = uuid.uuid4().hex[:6]
    names = [f"minift-{tag}-{number}" for number in range(2)]
    made = []
    try:
        try:
            for name in names:
                ip("netns", "add", name)
                made.append(name)
            ends = [f"v{tag}{number}" for number in range(2)]
            ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
            for name, end, address in zip(names, ends, HOSTS, strict=True):
                ip("link", "set", end, "netns", name)
                ip("-n", name, "addr", "add", f"{address}/24", "dev", end)
                ip("-n", name, "link", "set", end, "up")
                ip("-n", name, "link", "set", "lo", "up")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"two hosts: no network namespaces here ({error.stderr.strip()})")
        yield list(zip(names, ends, strict=True))
    finally:
        for name in made:
            subprocess.run(["ip", "netns", "delete", name], check=False)


def run_on(hosts, *arguments: str, timeout: float = 100) -> list[tuple[int, str]]:
    """Start one rank on each host; (exit code, what it wrote to stderr) of each."""
    nodes = []
    for number, (name, end) in enumerate(hosts):
        options = (f"--node_rank={number}", "--nnodes=2", "--nproc_per_node=1", f"--master_addr={HOSTS[0]}")
        command = ["ip", "netns", "exec", name, sys.executable, "-m", "torch.distributed.run", *options]
        streams = dict(stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        nodes.append(
            subprocess.Popen(
                [*command, "--master_port=29500", *arguments],
                cwd=ROOT,
                env=environment(GLOO_SOCKET_IFNAME=end),
                **streams,
            )
        )
    try:
        errors = [node.communicate(timeout=timeout)[1] for node in nodes]
    finally:
        for node in nodes:
            node.kill()
    return [(node.returncode, error) for node, error in zip(nodes, errors, strict=True)]


@pytest.mark.long
def test_two_hosts_give_the_numbers_of_one_with_two_ranks(hosts, tmp_path):
    ended = run_on(hosts, "-m", "tests.ranks.run", str(tmp_path / "two"))
    assert [code for code, _ in ended] == [0, 0], ended
    launch(2, "-m", "tests.ranks.run", str(tmp_path / "one"))
    two, one = (tmp_path / name / "model.safetensors" for name in ("two", "one"))
    assert two.read_bytes() == one.read_bytes()


@pytest.mark.long
def test_a_rank_killed_on_one_host_ends_both_within_a_minute(hosts, tmp_path):
    (first, first_error), (second, second_error) = run_on(
        hosts, "-m", "tests.ranks.run", str(tmp_path), "kill@4@1", timeout=60
    )
    assert (first, second) == (1, 1)
    assert "SIGKILL" in second_error
    assert "rank 0: stopped, because another rank ended" in first_error
