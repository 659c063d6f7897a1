"""`concatenate_datasets` and `interleave_datasets`: the rows, or the columns, of several datasets as one."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from minift.data.cast import common_features
from minift.data.features import Features
from minift.data.formats import Format
from minift.data.info import joined_info
from minift.data.order import interleaved_rows
from minift.data.table import join_rows
from minift.data.view import TableView
from minift.libraries.keywords import drops_keywords


@drops_keywords
def concatenate_datasets(dsets: Sequence[TableView], split: str | None = None, axis: int = 0) -> TableView:
    """Put the rows of all datasets one after the other or, with ``axis=1``, their columns side by side.

    A column that a dataset lacks is None in its rows. Columns of one name must be of one type, class labels with the
    same names in the same order; a ValueError names the one that is not. Re-implements
    `datasets.concatenate_datasets` (combine.py).
    """
    _check("concatenate_datasets", dsets)
    if axis not in (0, 1):
        raise ValueError(f"concatenate_datasets: axis={axis} must be 0 (rows) or 1 (columns)")
    kind, first = type(dsets[0]), dsets[0]
    if axis == 1:
        return _side_by_side(dsets, split)
    features = common_features([dataset.features for dataset in dsets])
    parts = [dataset for dataset in dsets if len(dataset)] or dsets[:1]
    flat = [_with_columns(dataset.flatten_indices(), features) for dataset in parts]
    same_format = all(dataset.formatter == first.formatter for dataset in dsets)
    rows = join_rows([dataset.rows for dataset in flat])
    format_ = first.formatter if same_format else Format()
    info = joined_info(dataset.info for dataset in dsets)
    return kind(rows, features, info=info, split=split or first.split, format=format_)


@drops_keywords
def interleave_datasets(
    datasets: Sequence[TableView],
    probabilities: list[float] | None = None,
    seed: int | None = None,
    split: str | None = None,
    stopping_strategy: str = "first_exhausted",
) -> TableView:
    """Take rows from several datasets in turns, or (`probabilities`) from one that is drawn: see `interleaved_rows`."""
    _check("interleave_datasets", datasets)
    joined = concatenate_datasets(datasets, split=split)
    lengths = [len(dataset) for dataset in datasets]
    return joined.select(interleaved_rows(lengths, probabilities, seed, stopping_strategy))


def _check(function: str, datasets: Sequence[Any]) -> None:
    if not datasets:
        raise ValueError(f"{function}: expected at least one dataset")
    for dataset in datasets:
        if isinstance(dataset, dict):
            raise ValueError(f"{function}: got a dict of splits {list(dataset)}; choose one split of it")
        if not isinstance(dataset, TableView):
            raise ValueError(f"{function}: {type(dataset).__name__} is not supported, only Dataset")


def _with_columns(dataset: TableView, features: Features) -> TableView:
    """Bring a dataset to these columns, in their order; those that it lacks are None."""
    for name in features.keys() - dataset.features.keys():
        dataset = dataset.add_column(name, pa.nulls(len(dataset)), features[name])
    return dataset.select_columns(list(features)).cast(features)


def _side_by_side(dsets: Sequence[TableView], split: str | None) -> TableView:
    if len({len(dataset) for dataset in dsets}) > 1:
        raise ValueError(f"concatenate_datasets(axis=1): the datasets have {[len(d) for d in dsets]} rows")
    names = Counter(name for dataset in dsets for name in dataset.column_names)
    duplicated = [name for name, times in names.items() if times > 1]
    if duplicated:
        raise ValueError(
            f"concatenate_datasets(axis=1): the column {duplicated[0]!r} is duplicated; rename one of them"
        )
    joined, *others = [dataset.flatten_indices() for dataset in dsets]
    for other in others:
        for name, feature in other.features.items():
            joined = joined.add_column(name, other.data[name], feature)
    return joined.changed(split=split or dsets[0].split, about=joined_info(dataset.info for dataset in dsets))
