"""Files that the processes of a run share: the first writes in `map`, the others read, and nothing is left behind."""

import pytest

from minift.data.dataset import Dataset
from minift.data.processes import next_shared_file, share_files


def double(row):
    return {"m": 2 * row["n"]}


def never(row):
    raise AssertionError("the result is there already")


def test_the_first_process_writes_and_the_others_read(tmp_path):
    dataset = Dataset.from_dict({"n": [1, 2]})
    with share_files(tmp_path, writes=True):
        dataset.map(double)
        dataset.map(lambda row: None)
        dataset.map(double, remove_columns="n")
    with share_files(tmp_path, writes=False):
        assert dataset.map(never)[:] == {"n": [1, 2], "m": [2, 4]}
        assert dataset.map(never)[:] == {"n": [1, 2]}
        assert dataset.map(never, remove_columns="n")[:] == {"m": [2, 4]}
    assert next_shared_file() is None


def test_blocks_nest(tmp_path):
    (tmp_path / "inner").mkdir()
    with share_files(tmp_path, writes=True):
        first, _ = next_shared_file()
        with share_files(tmp_path / "inner", writes=False):
            assert next_shared_file() == (tmp_path / "inner" / first.name, False)
        with share_files(tmp_path / "on another machine", writes=False):
            assert next_shared_file() is None
        assert next_shared_file()[0] not in (None, first)


def test_a_block_ends_after_an_error(tmp_path):
    with pytest.raises(AssertionError), share_files(tmp_path, writes=True):
        Dataset.from_dict({"n": [1]}).map(never)
    assert next_shared_file() is None
