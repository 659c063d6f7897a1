"""Rows of a table by number: few of them, many, in a row, repeated, across record batches."""

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

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
