"""Rows of a dataset as columns of arrays: from the disk to the collator without a Python object for each number."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from minift.batches.collate import DataCollatorWithPadding, DefaultDataCollator, default_data_collator
from minift.batches.mask import DataCollatorForLanguageModeling
from minift.batches.word_mask import DataCollatorForWholeWordMask
from minift.data.from_arrow import is_list_of
from minift.data.reader import TableReader
from minift.tokenizer.padding import Ragged

# Collators that take columns of arrays as they take rows; a subclass may expect a list of dicts
TAKE_COLUMNS = (
    DataCollatorWithPadding,
    DefaultDataCollator,
    DataCollatorForLanguageModeling,
    DataCollatorForWholeWordMask,
)


def column_batches(dataset: Any, collate: Callable) -> Any:
    """Choose what a DataLoader of `collate` reads: batches of columns if both sides can, else `dataset` itself."""
    can_take = type(collate) in TAKE_COLUMNS or collate is default_data_collator
    can_give = isinstance(dataset, TableReader) and dataset.formatter.kind is None and dataset.formatter.columns is None
    return ColumnBatches(dataset) if can_take and can_give else dataset


class ColumnBatches:
    """The rows of a dataset, read in batches as a dict of columns.

    Numbers and lists of numbers are copied once, from the memory-mapped Arrow buffers to one array for each batch;
    other columns are lists of Python values, as the dataset itself hands them out.
    """

    def __init__(self, dataset: TableReader):
        self.dataset = dataset
        views = {name: [_view(batch.column(name)) for batch in dataset.rows.batches] for name in dataset.column_names}
        self._views = {name: each for name, each in views.items() if each and not any(view is None for view in each)}
        others = [name for name in dataset.column_names if name not in self._views]
        self._others = dataset.select_columns(others) if others else None

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, row: int) -> dict[str, Any]:
        return self.dataset[row]

    def __getitems__(self, rows: list[int]) -> dict[str, Ragged | np.ndarray | list]:
        """The columns of these rows: `Ragged`, an array, or a list."""
        numbers = np.asarray(rows) if self.dataset.indices is None else self.dataset.indices[rows]
        batch, place = self.dataset.rows.find(numbers)
        places = list(zip(batch.tolist(), place.tolist(), strict=True))
        columns = {name: _gather(views, places) for name, views in self._views.items()}
        if self._others is not None:
            columns |= self._others[rows]
        return {name: columns[name] for name in self.dataset.column_names}


def _view(column: pa.Array) -> Any:
    """Prepare a record batch's column for `_gather`; None if it holds neither integers nor lists of integers.

    Integers become an array; lists of integers their offsets and their values, which stay in Arrow if some are missing.
    """
    if column.null_count:
        return None
    if pa.types.is_integer(column.type):
        return column.to_numpy()
    if not is_list_of(column.type, pa.types.is_integer) or pa.types.is_fixed_size_list(column.type):
        return None
    values = column.values
    return column.offsets.to_numpy(), values if values.null_count else values.to_numpy()


def _gather(views: Sequence[Any], places: list[tuple[int, int]]) -> Ragged | np.ndarray:
    """Read the rows at `places`, pairs of a record batch and a row in it."""
    if isinstance(views[0], np.ndarray):
        return np.array([views[batch][row] for batch, row in places])
    rows = []
    for batch, row in places:
        offsets, values = views[batch]
        rows.append(values[offsets[row] : offsets[row + 1]])
    lengths = np.array([len(row) for row in rows])
    if all(isinstance(row, np.ndarray) for row in rows):
        return Ragged(np.concatenate(rows), lengths)
    joined = pa.concat_arrays([row if isinstance(row, pa.Array) else pa.array(row) for row in rows])
    return Ragged(joined.fill_null(0).to_numpy(), lengths, joined.is_valid().to_numpy(zero_copy_only=False))
