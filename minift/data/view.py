"""Other rows, other columns, another format, and what a function makes of the rows: each gives a new view."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from minift.data.cast import cast_table
from minift.data.class_labels import align_labels_with_mapping, class_encode_column
from minift.data.features import Feature, Features, List
from minift.data.formats import Format
from minift.data.order import random_generator
from minift.data.reader import TableReader
from minift.data.to_arrow import to_arrow
from minift.data.transform import Call, kept_rows, map_to_file
from minift.libraries.keywords import drops_keywords


class TableView(TableReader):
    """A table in an order of its rows and in a format.

    Every method returns a new view and leaves this one as it is, except ``set_…`` and ``reset_…``. What selects,
    orders or renames copies no rows; only `map` writes new ones, and keeps no hidden cache of them.
    """

    # -- other rows: only `indices` changes

    @drops_keywords
    def select(self, indices: Iterable[int]) -> Self:
        """Take the rows with these numbers, in this order."""
        return self.changed(indices=self._numbers_in_table(indices))

    @drops_keywords
    def shuffle(self, seed: int | None = None, generator: np.random.Generator | None = None) -> Self:
        """Put the rows in the order of ``numpy.random.default_rng(seed).permutation(n)``."""
        return self.select(random_generator(seed, generator).permutation(len(self)))

    @drops_keywords
    def sort(
        self, column_names: str | Sequence[str], reverse: bool | Sequence[bool] = False, null_placement: str = "at_end"
    ) -> Self:
        """Sort by one or more columns, each ascending or (`reverse`) descending; equal rows keep their order."""
        names = self._names(column_names)
        reverse = [reverse] * len(names) if isinstance(reverse, bool) else list(reverse)
        if len(reverse) != len(names):
            raise ValueError(f"sort: {len(names)} columns but {len(reverse)} values of reverse")
        keys = [(name, "descending" if down else "ascending") for name, down in zip(names, reverse, strict=True)]
        placement = {"first": "at_start", "last": "at_end"}.get(null_placement, null_placement)
        options = {} if placement == "at_end" else {"null_placement": placement}
        order = pc.sort_indices(self.select_columns(names).arrow_rows(), sort_keys=keys, **options)
        return self.select(order.to_numpy().astype(np.int64))

    @drops_keywords
    def shard(self, num_shards: int, index: int, contiguous: bool = True) -> Self:
        """Take part `index` of `num_shards`: rows in a run, or (not `contiguous`) every `num_shards`-th row."""
        if not 0 <= index < num_shards:
            raise ValueError(f"shard: index={index} must be from 0 to num_shards - 1 = {num_shards - 1}")
        rows = np.arange(len(self))
        return self.select(np.array_split(rows, num_shards)[index] if contiguous else rows[index::num_shards])

    def take(self, n: int) -> Self:
        """Take the first `n` rows, or all if there are fewer."""
        return self.select(range(len(self))[: _not_negative("take", n)])

    def skip(self, n: int) -> Self:
        """Leave out the first `n` rows."""
        return self.select(range(len(self))[_not_negative("skip", n) :])

    def repeat(self, num_times: int) -> Self:
        """Take all rows `num_times` times, one pass after the other."""
        if num_times is None:
            raise ValueError("repeat: num_times=None has no end; only an IterableDataset repeats for ever")
        return self.select(np.tile(np.arange(len(self)), max(0, num_times)))

    @drops_keywords
    def flatten_indices(self) -> Self:
        """Copy the rows, in their order, to a file of their own."""
        if self.indices is None:
            return self
        if len(self) == 0:
            return self.changed(self.data.slice(0, 0), indices=None)
        return self.changed(rows=self.as_python().map(batched=True, desc="Flatten").rows, indices=None)

    # -- other columns of the same rows

    @drops_keywords
    def select_columns(self, column_names: str | Sequence[str]) -> Self:
        """Keep only these columns, in this order."""
        names = self._names(column_names)
        return self.changed(self.data.select(names), features=Features({name: self.features[name] for name in names}))

    @drops_keywords
    def remove_columns(self, column_names: str | Sequence[str]) -> Self:
        """Leave out these columns."""
        names = self._names(column_names)
        return self.select_columns([name for name in self.column_names if name not in names])

    @drops_keywords
    def rename_column(self, original_column_name: str, new_column_name: str) -> Self:
        return self.rename_columns({original_column_name: new_column_name})

    @drops_keywords
    def rename_columns(self, column_mapping: dict[str, str]) -> Self:
        """Rename columns: old name -> new name."""
        self.check_columns(column_mapping)
        names = [column_mapping.get(name, name) for name in self.column_names]
        if "" in names:
            raise ValueError(f"rename_columns: {column_mapping} would give a column an empty name")
        if len(set(names)) < len(names):
            raise ValueError(f"rename_columns: {column_mapping} would give two columns one name: {names}")
        columns = self.formatter.columns and tuple(column_mapping.get(name, name) for name in self.formatter.columns)
        new_format = replace(self.formatter, columns=columns)
        features = Features(zip(names, self.features.values(), strict=True))
        return self.changed(self.data.rename_columns(names), features=features, formatter=new_format)

    @drops_keywords
    def add_column(self, name: str, column: Sequence, feature: Feature | None = None) -> Self:
        """Add a column; its values are in the order of the rows."""
        if name in self.features:
            raise ValueError(f"add_column: there is a column {name!r} already")
        if len(column) != len(self):
            raise ValueError(f"add_column: {len(column)} values for {len(self)} rows")
        if self.indices is not None:
            return self.flatten_indices().add_column(name, column, feature)
        array = to_arrow(column, name, feature)
        added = Features({name: feature}) if feature else Features.from_arrow_schema(pa.schema({name: array.type}))
        return self.changed(self.data.append_column(name, array), features=Features(self.features | added))

    @drops_keywords
    def flatten(self) -> Self:
        """Make a column of each field of a struct, at every depth: ``answers`` -> ``answers.text``, …"""
        table, features = self.data, self.features
        while any(isinstance(feature, dict) for feature in features.values()):
            table, features = table.flatten(), features.flatten(max_depth=2)
        features = Features({name: features[name] for name in table.column_names})
        return self.changed(table, features=features)

    @drops_keywords
    def cast(self, features: Features) -> Self:
        """Convert all columns to the types of `features`; columns whose type does not change are not copied.

        A ValueError names the row and column of a value that does not fit its new type.
        """
        if set(features) != set(self.features):
            raise ValueError(f"cast: the features name {sorted(features)}; the dataset has {self.column_names}")
        try:
            return self.changed(cast_table(self.data, features), features=Features(features))
        except ValueError:
            if self.indices is None:
                raise
            return self.flatten_indices().cast(features)  # the value may be in a row that is not selected

    @drops_keywords
    def cast_column(self, column: str, feature: Feature) -> Self:
        """Convert one column: ``cast_column("label", ClassLabel(names=["no", "yes"]))``."""
        self.check_columns([column])
        return self.cast(Features(self.features | {column: feature}))

    class_encode_column, align_labels_with_mapping = class_encode_column, align_labels_with_mapping

    def unique(self, column: str) -> list:
        """List the column's different values, in the order in which they first occur."""
        self.check_columns([column])
        return self.arrow_column(column).unique().to_pylist()

    # -- what a function makes of the rows

    @drops_keywords
    def map(
        self,
        function: Callable | None = None,
        with_indices: bool = False,
        with_rank: bool = False,
        input_columns: str | list[str] | None = None,
        batched: bool = False,
        batch_size: int | None = 1000,
        drop_last_batch: bool = False,
        remove_columns: str | list[str] | None = None,
        *,
        cache_file_name: str | None = None,
        writer_batch_size: int | None = 1000,
        features: Features | None = None,
        try_original_type: bool | None = True,
        fn_kwargs: dict[str, Any] | None = None,
        num_proc: int | None = None,
        desc: str | None = None,
    ) -> Self:
        """Update the rows by what `function` returns: a dict of values for a row, of columns for a batch.

        Args:
            function: called with a row or (`batched`) a batch of `batch_size` rows, a dict in this dataset's format.
                What it returns replaces or joins the columns; if it returns None, the dataset stays as it is.
            with_indices, with_rank: pass the row number(s) and the number of the process (None: no processes), too.
            input_columns: pass the values of these columns instead of the dict.
            remove_columns: columns that the result does not keep; a column of the same name may be returned.
            cache_file_name: the Arrow file to write, complete or not at all; by default a temporary file.
            writer_batch_size: the rows that are written together, if not `batched`.
            features: the result's columns and types; by default kept where the values fit, else inferred.
            try_original_type: whether types are kept where the values fit.
            num_proc: the number of processes that share the rows, a contiguous part each.

        Raises a ValueError for missing columns, and for returned columns that differ in length from those that are kept
        or mix types; a RuntimeError that names the rows of a process that died.
        """
        removed = self._names(remove_columns or [])
        if len(self) == 0:
            return self.remove_columns(removed)
        size = batch_size if batched else writer_batch_size
        columns, desc = self._names(input_columns), desc or "Map"
        call = Call(
            function, batched, size, with_indices, with_rank, columns, fn_kwargs, num_proc, desc, drop_last_batch
        )
        keep = try_original_type is not False
        made = map_to_file(self, call, removed, features, cache_file_name, keep)
        if made is None:
            return self
        return self.changed(rows=made, features=Features.from_arrow_schema(made.table.schema), indices=None)

    @drops_keywords
    def filter(
        self,
        function: Callable | None = None,
        with_indices: bool = False,
        with_rank: bool = False,
        input_columns: str | list[str] | None = None,
        batched: bool = False,
        batch_size: int | None = 1000,
        *,
        fn_kwargs: dict[str, Any] | None = None,
        num_proc: int | None = None,
        desc: str | None = None,
    ) -> Self:
        """Keep the rows for which `function` returns true; the arguments are those of `map`. Copies no rows."""
        if function is None or len(self) == 0:
            return self
        columns, desc = self._names(input_columns), desc or "Filter"
        call = Call(function, batched, batch_size, with_indices, with_rank, columns, fn_kwargs, num_proc, desc)
        return self.select(kept_rows(self, call))

    @drops_keywords
    def batch(self, batch_size: int, drop_last_batch: bool = False, num_proc: int | None = None) -> Self:
        """Make a row of every `batch_size` rows: each column holds their values as a list."""
        features = Features({name: List(feature) for name, feature in self.features.items()})
        together = {"batched": True, "batch_size": batch_size, "drop_last_batch": drop_last_batch}
        together |= {"features": features, "num_proc": num_proc}
        rows = self.as_python().map(lambda batch: {name: [batch[name]] for name in batch}, **together)
        return rows.changed(formatter=self.formatter)

    # -- another format

    def set_format(
        self,
        type: str | None = None,
        columns: str | list[str] | None = None,
        output_all_columns: bool = False,
        dtype: Any = None,
        transform: Callable[[dict], dict] | None = None,
        format_kwargs: dict[str, Any] | None = None,
    ) -> None:
        """From now on, hand out `columns` (None: all) as ``numpy``, ``torch``, ``tf``, ``arrow`` or ``pandas``.

        `format_kwargs` are the last arguments as `format` hands them out: ``set_format(**dataset.format)``.
        """
        if format_kwargs is not None:
            return self.set_format(type, columns, output_all_columns, **format_kwargs)
        self.formatter = Format(type, self._names(columns), output_all_columns, dtype, transform)

    def with_format(self, *args: Any, **options: Any) -> Self:
        """A view of the same rows with ``set_format(*args, **options)`` applied."""
        new = self.changed()
        new.set_format(*args, **options)
        return new

    def reset_format(self) -> None:
        """From now on, hand out Python values."""
        self.set_format()

    @contextmanager
    def formatted_as(self, *args: Any, **options: Any) -> Iterator[None]:
        """Apply ``set_format(*args, **options)`` for the length of a `with` block."""
        before = self.formatter
        self.set_format(*args, **options)
        try:
            yield
        finally:
            self.formatter = before

    def set_transform(
        self, transform: Callable[[dict], dict], columns: list[str] | None = None, output_all_columns: bool = False
    ) -> None:
        """From now on, rows are what `transform` makes of a batch (a dict of lists) when they are read."""
        self.formatter = Format("custom", self._names(columns), output_all_columns, transform=transform)

    def with_transform(self, *args: Any, **options: Any) -> Self:
        """A view of the same rows with ``set_transform(*args, **options)`` applied."""
        new = self.changed()
        new.set_transform(*args, **options)
        return new

    def _names(self, columns: str | Sequence[str] | None) -> tuple[str, ...] | None:
        """One column or several as a tuple, None as it is; an error if one is missing."""
        if columns is None:
            return None
        names = (columns,) if isinstance(columns, str) else tuple(columns)
        self.check_columns(names)
        return names


def _not_negative(method: str, n: int) -> int:
    if n < 0:
        raise ValueError(f"{method}: n={n} must not be negative")
    return n
