"""An Accelerator's loop on each rank: saved and loaded in the middle, its exchanges, and a forked launch."""

import sys
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from minift import Accelerator, AdamW, DataLoaderConfiguration, PartialState
from minift.accelerator import nests
from minift.distributed.world import world
from tests.tiny import NoisyRows, tiny_model, tiny_rows


def parts(accelerator):
    torch.manual_seed(5)
    model = tiny_model()
    optimizer = AdamW(model.parameters(), lr=5e-4)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, 40)
    loader = DataLoader(tiny_rows(43), shuffle=True, batch_size=4, collate_fn=NoisyRows())
    return accelerator.prepare(model, optimizer, schedule, loader)


def epoch(accelerator, model, optimizer, schedule, loader):
    losses = []
    for batch in loader:
        loss = model(**batch).loss
        loss.backward() if len(losses) % 2 else accelerator.backward(loss)  # the averages begin in either
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def saved_and_loaded(folder):
    accelerator = Accelerator(cpu=True)
    first = parts(accelerator)
    epoch(accelerator, *first)
    accelerator.save_state(folder / "state")
    want = epoch(accelerator, *first)
    other = Accelerator(cpu=True)
    second = parts(other)
    torch.rand(7)
    other.load_state(folder / "state")
    assert epoch(other, *second) == want
    for name, tensor in first[0].state_dict().items():
        assert torch.equal(second[0].state_dict()[name], tensor), name
        assert torch.equal(accelerator.gather(tensor[None])[0], accelerator.gather(tensor[None])[-1]), name
    assert not [path for path in (folder / "state").iterdir() if path.suffix not in (".json", ".safetensors")]


def exchanged(folder):
    accelerator = Accelerator(cpu=True)
    rank, size = accelerator.process_index, accelerator.num_processes
    assert accelerator.gather(torch.full((rank + 1,), rank)).tolist() == [r for r in range(size) for _ in range(r + 1)]
    assert accelerator.gather({"a": [torch.tensor(rank)]})["a"][0].tolist() == list(range(size))
    assert accelerator.reduce(torch.tensor([1.0, rank])).tolist() == [size, sum(range(size))]
    assert accelerator.reduce(torch.tensor([1.0, rank]), "mean").tolist() == [1, sum(range(size)) / size]
    padded = accelerator.pad_across_processes(torch.ones(2, 1 + rank), dim=1, pad_index=7, pad_first=True)
    assert padded.tolist() == [[7.0] * (size - 1 - rank) + [1.0] * (1 + rank)] * 2
    for rows in (1, 5, 8, 11):  # fewer than the ranks, and sets that do not divide
        seen = []
        for batch in accelerator.prepare(DataLoader(range(rows), batch_size=2)):
            seen += accelerator.gather_for_metrics(batch).tolist()
        assert seen == list(range(rows))
    words = []
    for batch in accelerator.prepare(DataLoader([f"row {i}" for i in range(5)], batch_size=2)):
        words += accelerator.gather_for_metrics(batch)
    assert words == [f"row {i}" for i in range(5)]
    uneven = Accelerator(cpu=True, even_batches=False).prepare(DataLoader(range(5), batch_size=2))
    assert [batch.tolist() for batch in uneven] == ([[0, 1], [4]], [[2, 3]])[rank]
    order = []
    with accelerator.main_process_first():
        order.append(rank)
    accelerator.save({"a": torch.ones(1)}, folder / "a.safetensors")


def joined(folder):
    """One rank has a batch more: its last gradient is that of the mean with a zero."""
    accelerator = Accelerator(cpu=True, even_batches=False)
    model = torch.nn.Linear(1, 1, bias=False)
    model, loader = accelerator.prepare(model, DataLoader(torch.arange(1.0, 6).view(5, 1), batch_size=1))
    gradients = []
    with accelerator.join_uneven_inputs([model]):
        for batch in loader:
            model.zero_grad()
            accelerator.backward(model(batch).sum())
            gradients.append(model.weight.grad.item())
    assert gradients == [1.5, 3.5, 2.5][: 3 - world().rank]
    losses = []
    for x in (1.0, 2.0):  # two forward passes, then two backward passes of which the last averages both
        with accelerator.no_sync(model):
            losses.append(model(torch.full((1, 1), x + world().rank)).sum())
    model.zero_grad()
    accelerator.backward(losses[0])
    assert model.weight.grad.item() == 1.0 + world().rank
    with accelerator.trigger_sync_in_backward(model):
        accelerator.backward(losses[1])
    assert model.weight.grad.item() == 4.0
    accelerator.free_memory()
    assert not model._forward_pre_hooks


def told_apart(folder):
    """What runs on one rank, and what ranks that disagree are told."""
    state, rank = PartialState(), world().rank
    assert [state.on_main_process(lambda: "main")(), state.on_last_process(lambda: "last")()] == [
        ["main", None],
        [None, "last"],
    ][rank]
    assert state.on_process(process_index=1)(lambda: "one")() == [None, "one"][rank]
    with state.split_between_processes([1, 2, 3]) as rows:
        assert rows == [[1, 2], [3]][rank]
    with state.split_between_processes({"a": (1, 2, 3), "b": torch.arange(3)}, apply_padding=True) as rows:
        assert rows["a"] == [(1, 2), (3, 3)][rank]
        assert rows["b"].tolist() == [[0, 1], [2, 2]][rank]
    with pytest.raises(ValueError, match=r"the values of the dict have \[1, 2\] rows"):
        state.split_between_processes({"a": [1], "b": [1, 2]}).__enter__()
    assert nests.gather_object([{"rank": rank}, torch.ones(1)])[::2] == [{"rank": 0}, {"rank": 1}]
    assert nests.broadcast_object_list([rank, None], from_process=1) == [1, None]
    assert nests.broadcast(torch.tensor([rank]), from_process=1).tolist() == [1]
    assert nests.reduce(torch.tensor([rank, -rank]), "max").tolist() == [1, 0]
    with pytest.raises(nests.DistributedOperationException, match="process 1 has .*3"):
        nests.reduce(torch.zeros(2 + rank))
    accelerator = Accelerator(cpu=True)
    assert not accelerator.check_trigger()
    if rank == 1:
        accelerator.set_trigger()
    assert accelerator.check_trigger()
    assert not accelerator.check_trigger()


def resumed(folder):
    """A loader whose state was kept after two batches goes on with the third, on each rank."""
    config = DataLoaderConfiguration(use_stateful_dataloader=True)
    for shuffle in (False, True):
        accelerator = Accelerator(cpu=True, dataloader_config=config)
        loader = accelerator.prepare(DataLoader(range(24), batch_size=3, shuffle=shuffle))
        list(loader)
        seen = []
        for batch in loader:
            seen.append(batch.tolist())
            if len(seen) == 2:
                accelerator.save_state(folder / "place")
        accelerator.load_state(folder / "place")
        assert [batch.tolist() for batch in loader] == seen[2:]
        assert len(seen) == 4


def refused(folder):
    with pytest.raises(ValueError, match="cannot share out a DataLoader whose batch_size is None"):
        Accelerator(cpu=True).prepare(DataLoader(range(4), batch_size=None))
    with pytest.raises(ValueError, match="2 processes cannot share out a batch_size of 3"):
        Accelerator(cpu=True, split_batches=True).prepare(DataLoader(range(4), batch_size=3))
    with (
        pytest.raises(ValueError, match="need a model that has been prepared"),
        Accelerator(cpu=True).no_sync(tiny_model()),
    ):
        pass


def in_a_notebook(folder: str) -> None:
    """What `notebook_launcher` runs in each process."""
    torch.set_num_threads(1)
    accelerator = Accelerator(cpu=True)
    epoch(accelerator, *parts(accelerator))
    Path(folder, f"notebook-{accelerator.process_index}-of-{accelerator.num_processes}").touch()


if __name__ == "__main__":
    torch.set_num_threads(1)
    assert world().size == 2
    for part in (saved_and_loaded, exchanged, joined, told_apart, resumed, refused):
        part(Path(sys.argv[1]))
    Path(sys.argv[1], f"{world().rank}.txt").touch()
