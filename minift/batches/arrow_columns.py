"""Batches from the disk to the collator without a Python object for a number in them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from minift.batches.collate import DataCollatorWithPadding, DefaultDataCollator, default_data_collator
from minift.batches.mask import DataCollatorForLanguageModeling, DataCollatorForWholeWordMask
from minift.data.reader import TableReader
from minift.tokenizer.ragged import Ragged

# Collators that take columns of arrays as they take rows; a subclass or a wrapper may count on a list of dicts
TAKE_COLUMNS = (
    DataCollatorWithPadding,
    DefaultDataCollator,
    DataCollatorForLanguageModeling,
    DataCollatorForWholeWordMask,
)


def fetch_columns(dataset: Any, collate: Callable) -> Any:
    """`dataset` as a DataLoader of `collate` should have it: batches of columns if both can do that, else as it is."""
    can_take = type(collate) in TAKE_COLUMNS or collate is default_data_collator
    can_give = isinstance(dataset, TableReader) and dataset.format.kind is None and dataset.format.columns is None
    return ColumnFetcher(dataset) if can_take and can_give else dataset


class ColumnFetcher:
    """The rows of a dataset, fetched as a dict of columns.

    Numbers and lists of numbers are copied once, from views of the memory-mapped Arrow buffers to one array a batch;
    other columns are lists of Python values, as the dataset itself hands them out.
    """

    def __init__(self, dataset: TableReader):
        self.dataset = dataset
        batches = dataset._rows.batches
        self._starts = np.cumsum([0] + [batch.num_rows for batch in batches])
        parts = {name: [_part(batch.column(name)) for batch in batches] for name in dataset.column_names}
        self._views = {name: views for name, views in parts.items() if views and not any(v is None for v in views)}
        self._others = [name for name in dataset.column_names if name not in self._views]

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, row: int) -> dict[str, Any]:
        return self.dataset[row]

    def __getitems__(self, rows: list[int]) -> dict[str, Ragged | np.ndarray | list]:
        """The columns of these rows: `Ragged`, an array, or a list."""
        numbers = np.asarray(rows) if self.dataset._indices is None else self.dataset._indices[rows]
        batch = np.searchsorted(self._starts, numbers, side="right") - 1  # the record batch of each row
        places = list(zip(batch.tolist(), (numbers - self._starts[batch]).tolist(), strict=True))
        columns = {name: _gather(views, places) for name, views in self._views.items()}
        if self._others:
            columns |= self.dataset.select_columns(self._others)[rows]
        return {name: columns[name] for name in self.dataset.column_names}


def _part(column: pa.Array) -> Any:
    """What `_gather` reads of one record batch's column; None where it holds neither integers nor lists of them.

    Integers are an array; lists of integers the offsets of the rows (one more than rows) and the values, which stay in
    Arrow where some are missing.
    """
    if column.null_count:
        return None
    if pa.types.is_integer(column.type):
        return column.to_numpy()
    if not pa.types.is_list(column.type) or not pa.types.is_integer(column.type.value_type):
        return None
    values = column.values
    return column.offsets.to_numpy(), values if values.null_count else values.to_numpy()


def _gather(parts: Sequence[Any], places: list[tuple[int, int]]) -> Ragged | np.ndarray:
    """The rows at `places`, pairs of a record batch and a row in it."""
    if isinstance(parts[0], np.ndarray):
        return np.array([parts[batch][row] for batch, row in places])
    rows = []
    for batch, row in places:
        offsets, values = parts[batch]
        rows.append(values[offsets[row] : offsets[row + 1]])
    lengths = np.array([len(row) for row in rows])
    if all(isinstance(row, np.ndarray) for row in rows):
        return Ragged(np.concatenate(rows), lengths)
    joined = pa.concat_arrays([row if isinstance(row, pa.Array) else pa.array(row) for row in rows])
    return Ragged(joined.fill_null(0).to_numpy(), lengths, joined.is_valid().to_numpy(zero_copy_only=False))
