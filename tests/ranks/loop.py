"""An Accelerator's loop on each rank: saved and loaded in the middle, its exchanges, and a forked launch."""

import sys
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset

from minift import Accelerator, AdamW
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


def refused(folder):
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(range(4))

    for loader in (DataLoader(Stream(), batch_size=2), DataLoader(range(4), batch_size=None)):
        with pytest.raises(ValueError, match="batch_size over an indexable dataset"):
            Accelerator(cpu=True).prepare(loader)
    with pytest.raises(ValueError, match="2 processes cannot share out a batch_size of 3"):
        Accelerator(cpu=True, split_batches=True).prepare(DataLoader(range(4), batch_size=3))
    with (
        pytest.raises(ValueError, match="no_sync needs a model that has been prepared"),
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
    for part in (saved_and_loaded, exchanged, refused):
        part(Path(sys.argv[1]))
    Path(sys.argv[1], f"{world().rank}.txt").touch()
