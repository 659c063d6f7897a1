"""Several ranks give the numbers of one. Each number of ranks is started once, and all tests look at what it wrote."""

import json

import pytest
import torch
from safetensors.torch import load_file

from minift.distributed.buckets import TABLE_ROWS
from tests.ranks import numbers
from tests.ranks.launch import launch

PARTS = ("exchanges", "sixteen", "kinds", "tables", "token_weights", "sharded", "evaluations")


TWO_AND_FOUR = [2, pytest.param(4, marks=pytest.mark.long)]


class Written(dict):
    """(rank, ranks) -> name -> tensors. A number of ranks is started when its numbers are first asked for."""

    def __init__(self, folder):
        self.folder = folder

    def __missing__(self, key):
        ranks = key[1]
        if ranks == 1:
            before = torch.get_num_threads()
            numbers.main(str(self.folder), *PARTS, "unequal_batches")
            torch.set_num_threads(before)
        else:
            more = ["unequal_batches", "mutations"] if ranks == 2 else []
            launch(ranks, "-m", "tests.ranks.numbers", str(self.folder), *PARTS, *more)
        for rank in range(ranks):
            parts = self[rank, ranks] = {}
            for key_of_tensor, tensor in load_file(self.folder / f"{rank}-of-{ranks}.safetensors").items():
                name, inner = key_of_tensor.split("|")
                parts.setdefault(name, {})[inner] = tensor
        return self[key]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The numbers, and the folder that holds the evaluations as JSON."""
    folder = tmp_path_factory.mktemp("ranks")
    return Written(folder), folder


def difference(got, want):
    """The largest difference of two dicts of tensors; infinite where one has what the other lacks."""
    if got.keys() != want.keys():
        return float("inf")
    return max((got[name] - want[name]).abs().max().item() for name in want)


@pytest.mark.parametrize("ranks", [1, *TWO_AND_FOUR])
def test_sixteen_rows_give_one_gradient_however_they_are_shared(written, ranks):
    found, _ = written
    ways = [name for name in found[0, ranks] if name.startswith("16 = ")]
    assert len(ways) == {1: 5, 2: 4, 4: 3}[ranks]  # 16, 8, 4, 2 and 1 rows in a batch, as far as the ranks allow
    for name in ways:
        for rank in range(ranks):
            assert difference(found[rank, ranks][name], found[0, 1]["16 = 16 x 1 x 1"]) < 1e-6, (name, rank)


@pytest.mark.parametrize("ranks", TWO_AND_FOUR)
@pytest.mark.parametrize("what", ["dropout", "unused"])
def test_three_ways_to_average_are_equal_to_the_bit(written, what, ranks):
    found, _ = written
    want = found[0, ranks][f"{what}, naive, 25"]
    for rank in range(ranks):
        for kind in ("naive, 25", "bucketed, 0.01", "overlapped, 0.01", "overlapped, 25"):
            assert difference(found[rank, ranks][f"{what}, {kind}"], want) == 0, (kind, rank)


@pytest.mark.parametrize("ranks", TWO_AND_FOUR)
@pytest.mark.parametrize("accumulated", [1, 2])
def test_embedding_tables_get_the_same_gradients_to_the_bit(written, accumulated, ranks):
    found, _ = written
    want = found[0, ranks][f"tables, naive, {accumulated}"]
    assert want["gradient.0.few.weight"][3:5].unique() == 1 / ranks
    for rank in range(ranks):
        for kind in ("naive", "bucketed", "overlapped"):
            assert difference(found[rank, ranks][f"tables, {kind}, {accumulated}"], want) == 0, (kind, rank)


@pytest.mark.parametrize("ranks", TWO_AND_FOUR)
def test_of_an_embedding_table_only_the_rows_in_use_travel(written, ranks):
    """At most 12 tokens of each text, of a vocabulary of 400, and 2 texts in a batch, of which 1 or 2 make a step."""
    found, _ = written
    for rank in range(ranks):
        sent = found[rank, ranks]["rows sent"]["numbers"]
        assert 0 < sent.max() <= 48
    assert TABLE_ROWS <= 28996  # BERT's smallest vocabulary


@pytest.mark.parametrize("ranks", TWO_AND_FOUR)
def test_a_parameter_without_gradient_on_a_rank_counts_as_zero_there_and_without_any_keeps_none(written, ranks):
    found, _ = written
    for rank in range(ranks):
        results = found[rank, ranks]["unused, overlapped, 25"]
        assert torch.equal(results["gradient.0.sometimes"], torch.full((2,), 1 / ranks))
        assert not any("never" in name for name in results if name.startswith("gradient"))
        assert torch.equal(results["weight.never"], torch.ones(3))


@pytest.mark.parametrize("ranks", TWO_AND_FOUR)
def test_unequal_numbers_of_labels_are_weighted(written, ranks):
    """Also where a rank's batch has no label at all, as one of four has here."""
    found, _ = written
    assert difference(found[0, ranks]["labels, True"], found[0, 1]["labels, True"]) < 1e-6
    if ranks == 2:  # the mean of means is another number: that of plain DistributedDataParallel
        assert difference(found[0, 2]["labels, False"], found[0, 1]["labels, True"]) > 1e-2


@pytest.mark.parametrize("ranks", TWO_AND_FOUR)
def test_shared_out_optimizer_state_gives_the_same_weights_for_a_share_of_the_memory(written, ranks):
    found, _ = written
    whole = dict(found[0, ranks]["shard False"])
    elements = whole.pop("elements")
    shares = []
    for rank in range(ranks):
        own = dict(found[rank, ranks]["shard True"])
        shares.append(own.pop("elements").item())
        assert difference(own, whole) == 0
    assert sum(shares) == elements
    assert max(shares) <= elements / ranks * 1.001


@pytest.mark.parametrize("ranks", TWO_AND_FOUR)
def test_evaluation_is_that_of_one_rank_to_the_bit_on_every_rank(written, ranks):
    found, folder = written
    places = [key for key in [(0, 1), *((rank, ranks) for rank in range(ranks))] if found[key]]
    alone, *others = [json.loads((folder / f"{rank}-of-{size}.json").read_text()) for rank, size in places]
    assert len(alone) == 9
    assert others == [alone] * ranks


@pytest.mark.parametrize("wrong", ["average_parameters_instead", "forget_the_division"])
def test_the_comparison_catches(written, wrong):
    found, _ = written
    assert difference(found[0, 2][wrong], found[0, 1]["16 = 16 x 1 x 1"]) > 1e-3


def test_the_comparison_catches_a_forgotten_parameter(written):
    found, _ = written
    right, wrong = found[0, 2]["unused, naive, 25"], found[0, 2]["forget_parameters_without_gradient"]
    assert difference(wrong, right) > 1e-3
    assert "gradient.0.sometimes" not in wrong
    assert "gradient.0.sometimes" in right


def test_the_comparison_catches_unequal_last_batches(written):
    """A mean of the ranks' means, where the ranks' batches differ in size."""
    found, _ = written
    assert difference(found[0, 2]["unequal_batches, means"], found[0, 1]["unequal_batches"]) > 1e-3
    assert difference(found[0, 2]["unequal_batches"], found[0, 1]["unequal_batches"]) < 1e-6
