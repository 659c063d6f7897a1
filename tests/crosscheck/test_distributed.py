"""Two ranks against two ranks of transformers and accelerate, dropout on; and accelerate's sharing out of batches."""

import json

import pytest
from accelerate.data_loader import BatchSamplerShard, IterableDatasetShard
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import BatchSampler as TorchBatchSampler
from torch.utils.data import IterableDataset

from minift.accelerator import shares
from minift.batches.sampler import BatchSampler, SequentialOrder
from tests.hub import needs_hub
from tests.ranks.launch import launch

TRAINED = ("log", "rows", "generator", "weights")


@given(st.integers(1, 60), st.integers(1, 7), st.integers(2, 5), st.booleans(), st.booleans(), st.booleans())
def test_batches_are_those_of_batch_sampler_shard(length, size, ranks, drop_last, even, split):
    for rank in range(ranks):
        whole = TorchBatchSampler(range(length), size * ranks if split else size, drop_last)
        theirs = BatchSamplerShard(whole, ranks, rank, split, even)
        assert list(BatchSampler(SequentialOrder(length), size, drop_last, rank, ranks, even)) == list(theirs)
        shared = shares.BatchSamplerShard(whole, ranks, rank, split, even)
        assert list(shared) == list(theirs)
        assert len(shared) == len(theirs)


class Words(IterableDataset):
    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length

    def __iter__(self):
        return (f"row {i}" for i in range(self.length))


@given(st.integers(1, 60), st.integers(1, 7), st.integers(1, 5), st.booleans(), st.booleans())
def test_rows_of_a_stream_are_those_of_iterable_dataset_shard(length, size, ranks, drop_last, split):
    for rank in range(ranks):
        arguments = (Words(length), size * ranks if split else size, drop_last, ranks, rank, split)
        assert list(shares.IterableDatasetShard(*arguments)) == list(IterableDatasetShard(*arguments))
        if not split:  # accelerate's length is that of all ranks then
            assert len(shares.IterableDatasetShard(*arguments)) == len(IterableDatasetShard(*arguments))


def test_a_short_batch_before_the_last_is_refused_instead_of_lost():
    batches = TorchBatchSampler(range(4), 2, False)
    batches.sampler = None
    uneven = type("Uneven", (), {"batch_size": 2, "__iter__": lambda self: iter([[0, 1], [2], [3, 4], [5, 6]])})()
    with pytest.raises(ValueError, match="less than its batch_size .2 rows. before the last one"):
        list(shares.BatchSamplerShard(uneven, 2, 0))


@pytest.fixture(scope="module")
def shared_out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared")
    launch(2, "-m", "tests.ranks.library", str(folder), "shared_loaders")
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.parametrize("rank", [0, 1])
def test_prepared_loaders_give_the_rows_of_accelerate(shared_out, rank):
    """Two epochs of many kinds of loaders, shared out in seven ways; gathered, and without the first batches."""
    found = shared_out[rank]
    cases = [name.removesuffix(", library") for name in found if name.endswith(", library")]
    assert len(cases) > 110
    for case in cases:
        assert found[f"{case}, minift"] == found[f"{case}, library"], case


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """What each of two ranks got from both libraries, on a small model."""
    folder = tmp_path_factory.mktemp("small")
    launch(2, "-m", "tests.ranks.library", str(folder), "small_sets", "accelerator_loops", "joined_loops")
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.parametrize("case", ["uneven", "drop last", "five rows", "stream", "stream, drop last"])
@pytest.mark.parametrize("rank", [0, 1])
def test_trainer_is_equal_to_the_bit(small, case, rank):
    """Every loss, norm and rate, the rows of every batch, the generator at the end, and the weights."""
    ours, theirs = small[rank][f"{case}, minift"], small[rank][f"{case}, transformers"]
    for part in TRAINED:
        assert numbers(ours[part]) == numbers(theirs[part]), part
    assert small[0][f"{case}, minift"]["rows"] != small[1][f"{case}, minift"]["rows"]


def numbers(part):
    """A log without its last entry, whose training loss the library takes from rank 0 alone."""
    return part[:-1] if isinstance(part, list) and part and isinstance(part[0], dict) else part


def test_the_library_multiplies_the_loss_by_the_number_of_ranks(small):
    """Its default, average_tokens_across_devices, takes the loss of a BERT for a sum, which it is not."""
    ours, theirs = (
        [entry["loss"] for entry in small[0][f"default, {who}"]["log"] if "loss" in entry]
        for who in ("minift", "transformers")
    )
    assert len(ours) == 2
    assert theirs == pytest.approx([2 * loss for loss in ours], rel=1e-4)


def test_ranks_with_other_numbers_of_batches_end_with_the_weights_of_torchs_join(small):
    """accelerate's own `join_uneven_inputs` does nothing for ranks on CPUs, and the run hangs or breaks."""
    for rank in range(2):
        assert small[rank]["joined, minift"] == pytest.approx(small[rank]["joined, torch"], rel=1e-6)
    assert small[0]["joined, minift"] == small[1]["joined, minift"]


@pytest.mark.parametrize(("steps", "split"), [(1, False), (2, False), (1, True)])
def test_the_accelerator_loop_is_equal_to_the_bit(small, steps, split):
    for rank in range(2):
        name = f"loop, {steps} steps, split {split}"
        assert len(small[rank][f"{name}, minift"]) > 80
        assert small[rank][f"{name}, minift"] == small[rank][f"{name}, library"]


@pytest.mark.long
@needs_hub
def test_real_mrpc_from_the_real_checkpoint_is_equal_to_the_bit(tmp_path):
    launch(2, "-m", "tests.ranks.library", str(tmp_path), "real_mrpc", timeout=240)
    for rank in range(2):
        results = json.loads((tmp_path / f"{rank}.json").read_text())
        ours, theirs = results["minift"], results["transformers"]
        losses = [entry["loss"] for entry in ours["log"] if "loss" in entry]
        assert len(losses) == 12
        for part in TRAINED:
            assert numbers(ours[part]) == numbers(theirs[part]), part
