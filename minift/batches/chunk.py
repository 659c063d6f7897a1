"""Chunking: tokenised documents are laid end to end and cut into blocks of one length, on Arrow buffers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from minift.data.dataset import Dataset
from minift.data.from_arrow import is_list, one_array
from minift.data.lazy import LazyBatch

# what fills a padded block; other columns (word_ids) are filled with None
PADDING = {"attention_mask": 0, "token_type_ids": 0, "special_tokens_mask": 1, "labels": -100}


@dataclass(frozen=True)
class Chunker:
    """Cut the documents of a batch into blocks: ``dataset.map(Chunker(128), batched=True)``.

    Every column of lists (``input_ids``, ``attention_mask``, ``word_ids``, …) is concatenated over the documents and
    cut at the same places; ``labels``, a copy of ``input_ids``, is added if there is none. An Arrow column is not
    copied: its blocks are new offsets over the same values. Gives the blocks of the function ``group_texts`` of the
    Hugging Face course, whose ``sum(lists, [])`` takes quadratic time.
    """

    block_size: int = 128  # T, the tokens in a block
    pad_token_id: int | None = None  # fills the last block up to T, with labels of -100; None drops this block
    within_documents: bool = False  # no block holds tokens of two documents: each has a last block of its own

    def __post_init__(self) -> None:
        if self.block_size < 1:
            raise ValueError(f"block_size={self.block_size}: a block holds at least 1 token")

    def __call__(self, batch: Any) -> Any:
        """Cut a batch: a table into a table, a batch of `map` into Arrow columns, a dict of lists into such a dict."""
        if isinstance(batch, pa.Table):
            return pa.table(self.cut(*self.flatten(batch)))
        if isinstance(batch, LazyBatch):
            return self.cut(*self.flatten(batch.to_arrow()))
        if not isinstance(batch, Mapping):
            raise TypeError(f"Chunker takes a batch of rows: use map(..., batched=True); got {type(batch).__name__}")
        blocks = self.cut(*self.flatten(pa.table({name: pa.array(rows) for name, rows in batch.items()})))
        return {name: rows.to_pylist() for name, rows in blocks.items()}

    def flatten(self, table: pa.Table) -> tuple[dict[str, pa.Array], np.ndarray]:
        """Lay the documents end to end: one flat array for each column of lists, and the length of each document."""
        columns = {name: table[name] for name in table.column_names if is_list(table[name].type)}
        if "input_ids" not in columns:
            raise ValueError(f"chunking needs a column 'input_ids' of token ids; there are {table.column_names}")
        lengths = {name: np.asarray(pc.list_value_length(column).fill_null(0)) for name, column in columns.items()}
        tokens = lengths["input_ids"]
        for name, found in lengths.items():
            if not np.array_equal(found, tokens):
                row = int((found != tokens).argmax())
                raise ValueError(f"row {row}: column {name!r} has {found[row]} values, but input_ids has {tokens[row]}")
        return {name: one_array(pc.list_flatten(column)) for name, column in columns.items()}, tokens

    def cut(self, columns: dict[str, pa.Array], lengths: np.ndarray) -> dict[str, pa.Array]:
        """Cut flat columns into columns of blocks, (N, T) each."""
        columns = {**columns, "labels": columns.get("labels", columns["input_ids"])}
        total = len(columns["input_ids"])
        if self.pad_token_id is None and not self.within_documents:  # blocks that touch need no copy
            whole = total - total % self.block_size
            return {name: self._as_blocks(values[:whole]) for name, values in columns.items()}
        index = self._positions(lengths if self.within_documents else np.array([total]))
        fills = PADDING | {"input_ids": self.pad_token_id}
        blocks = {name: values.take(index) for name, values in columns.items()}
        if index.null_count:
            for name in blocks.keys() & fills.keys():
                blocks[name] = pc.fill_null(blocks[name], pa.scalar(fills[name], blocks[name].type))
        return {name: self._as_blocks(values) for name, values in blocks.items()}

    def _positions(self, lengths: np.ndarray) -> pa.Array:
        """For each place in each block the position of its token (N·T,), null after the end of the document."""
        lengths = lengths.astype(np.int64)
        ends = np.cumsum(lengths)
        counts = lengths // self.block_size if self.pad_token_id is None else -(-lengths // self.block_size)
        document = np.repeat(np.arange(len(lengths)), counts)  # of each block
        number = np.arange(len(document)) - np.repeat(np.cumsum(counts) - counts, counts)  # within its document
        starts = (ends - lengths)[document] + number * self.block_size
        index = starts[:, None] + np.arange(self.block_size)  # (N, T)
        return pa.array(index.ravel(), mask=(index >= ends[document][:, None]).ravel())

    def _as_blocks(self, values: pa.Array) -> pa.Array:
        return pa.ListArray.from_arrays(np.arange(0, len(values) + 1, self.block_size, dtype=np.int32), values)


class _WholeSplit:
    """Chunks batch after batch as if they were one: the tokens of the last, unfinished block go to the next batch."""

    def __init__(self, chunker: Chunker, num_rows: int):
        self.chunker, self.last_row = chunker, num_rows - 1
        self.rest: dict[str, pa.Array] = {}

    def __call__(self, table: pa.Table, rows: list[int]) -> pa.Table:
        columns, _ = self.chunker.flatten(table)
        if self.rest:
            columns = {name: pa.concat_arrays([self.rest[name], values]) for name, values in columns.items()}
        total = len(columns["input_ids"])
        if rows[-1] == self.last_row:
            return pa.table(self.chunker.cut(columns, np.array([total])))
        whole = total - total % self.chunker.block_size
        self.rest = {name: values[whole:] for name, values in columns.items()}
        return pa.table(self.chunker.cut({name: values[:whole] for name, values in columns.items()}, np.array([whole])))


def chunk_dataset(
    dataset: Dataset,
    block_size: int = 128,
    *,
    pad_token_id: int | None = None,
    within_documents: bool = False,
    batch_size: int | None = None,
    cache_file_name: str | None = None,
) -> Dataset:
    """Cut a tokenised dataset into blocks of `block_size` tokens, as `Chunker`: linear in time, constant in memory.

    The blocks stream into an Arrow file, `cache_file_name` or a temporary one; columns that do not hold lists are left
    out. `batch_size` chunks this many rows at a time and drops the unfinished block of each (1000 gives the blocks of
    the Hugging Face course); None runs over the whole split and drops, or pads, only its last block. A ValueError says
    that the rows have fewer tokens than one block.
    """
    chunker = Chunker(block_size, pad_token_id, within_documents)
    arrow = dataset.with_format("arrow")
    options = {"batched": True, "cache_file_name": cache_file_name, "desc": "Chunk"}
    if batch_size is not None or within_documents:
        blocks = arrow.map(chunker, batch_size=batch_size or 1000, **options)
    else:
        blocks = arrow.map(_WholeSplit(chunker, len(dataset)), with_indices=True, **options)
    if len(blocks) == 0:
        raise ValueError(f"no block of block_size={block_size} tokens can be cut from these {len(dataset)} rows")
    return blocks.with_format(None)
