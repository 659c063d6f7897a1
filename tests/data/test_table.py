"""Rows of a table by number, across record batches; and the memory of the files in which they lie."""

import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minift.data.dataset import Dataset, concatenate_datasets
from minift.data.table import FEW, Rows

SIZES = st.lists(st.integers(0, 4 * FEW), min_size=1, max_size=5)


@settings(deadline=None)
@given(SIZES, st.data())
def test_rows_by_number(sizes, data):
    starts = np.cumsum([0, *sizes])
    schema = pa.schema({"number": pa.int64(), "text": pa.string()})
    batches = [
        pa.record_batch(
            [pa.array(range(start, stop)), pa.array([f"row {n}" for n in range(start, stop)])], schema=schema
        )
        for start, stop in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)
    ]
    rows = Rows(pa.Table.from_batches(batches, schema))
    total = int(starts[-1])
    numbers = data.draw(st.lists(st.integers(0, total - 1), max_size=3 * total)) if total else []
    for wanted in (numbers, list(range(total)), list(range(total))[::-1]):
        taken = rows.take(np.array(wanted, dtype=np.int64))
        assert taken.schema == schema
        assert taken["number"].to_pylist() == wanted
        assert taken["text"].to_pylist() == [f"row {n}" for n in wanted]


def mapped(folder, name, rows=100_000):
    """A dataset of one column, in a file of 8 bytes a row."""
    return Dataset.from_dict({name: np.arange(rows)}).map(batched=True, cache_file_name=folder / f"{name}.arrow")


def test_what_is_made_of_a_dataset_knows_its_files(tmp_path):
    one = mapped(tmp_path, "n")
    for made in (one.select([1]), one.rename_column("n", "m"), one.shuffle(seed=0), one.with_format("numpy")):
        assert made.rows.files == one.rows.files
    other = mapped(tmp_path, "m").rename_column("m", "n")
    assert set(concatenate_datasets([one, other]).rows.files) == {*one.rows.files, *other.rows.files}
    again = pickle.loads(pickle.dumps(one.select([3, 5])))
    assert (again["n"], again.rows.files) == ([3, 5], ())


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs Linux")
def test_a_pass_gives_the_memory_of_the_file_back(tmp_path):
    def resident():
        """KB of the file that are in this process's memory."""
        parts = Path("/proc/self/smaps").read_text().split(str(tmp_path / "n.arrow"))[1:]
        return sum(int(part.split("Rss:")[1].split()[0]) for part in parts)

    dataset = mapped(tmp_path, "n")
    dataset.rows.release_pages()
    before = resident()
    assert sum(dataset["n"]) == 99_999 * 50_000
    assert resident() > before + 700  # 800 KB have been read
    dataset.filter(lambda batch: [True] * len(batch["n"]), batched=True)
    assert resident() <= before + 100
