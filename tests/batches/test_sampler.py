"""Which rows a rank gets, for any number of ranks and rows."""

from hypothesis import given
from hypothesis import strategies as st

from minift.batches.sampler import BatchSampler, SequentialOrder

shapes = st.tuples(st.integers(1, 60), st.integers(1, 7), st.integers(1, 6))


def batches_of(length, batch_size, ranks, even, drop_last=False):
    """The batches of every rank."""
    return [
        list(BatchSampler(SequentialOrder(length), batch_size, drop_last, rank, ranks, even)) for rank in range(ranks)
    ]


@given(shapes)
def test_evaluation_shares_out_the_batches_of_one_rank(shape):
    length, batch_size, ranks = shape
    (alone,) = batches_of(length, batch_size, 1, even=False)
    shared = batches_of(length, batch_size, ranks, even=False)
    in_turn = [shared[number % ranks][number // ranks] for number in range(len(alone))]
    assert in_turn == alone
    assert sum(map(len, shared)) == len(alone)
    assert [row for batch in in_turn for row in batch] == list(range(length))


@given(shapes)
def test_training_gives_all_ranks_as_many_full_batches(shape):
    length, batch_size, ranks = shape
    shared = batches_of(length, batch_size, ranks + 1, even=True)
    assert len({len(batches) for batches in shared}) == 1
    assert all(len(batch) == batch_size for batches in shared for batch in batches)
    rows = [row for step in zip(*shared, strict=True) for batch in step for row in batch]
    assert rows[:length] == list(range(length))
    assert rows[length:] == [row % length for row in range(length, len(rows))]


@given(shapes, st.booleans())
def test_drop_last_leaves_out_what_does_not_fill_a_batch_on_every_rank(shape, even):
    length, batch_size, ranks = shape
    shared = batches_of(length, batch_size, ranks, even, drop_last=True)
    rows = [row for step in zip(*shared, strict=True) for batch in step for row in batch]
    together = batch_size * ranks
    assert rows == list(range(length // together * together))


def test_one_rank_has_a_shorter_last_batch_though_batches_are_evened_out():
    assert batches_of(5, 2, 1, even=True) == [[[0, 1], [2, 3], [4]]]


def test_a_set_smaller_than_the_ranks_comes_round_again():
    assert batches_of(2, 3, 2, even=True) == [[[0, 1, 0]], [[1, 0, 1]]]
    assert batches_of(2, 3, 2, even=False) == [[[0, 1]], []]
    assert [len(BatchSampler(SequentialOrder(2), 3, False, rank, 2)) for rank in range(2)] == [1, 0]
