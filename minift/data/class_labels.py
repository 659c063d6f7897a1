"""Columns of class labels: made of a column's values, and numbered in another way. Methods of `TableView`."""

from typing import Any

import pyarrow as pa

from minift.data.features import ClassLabel, Features, Value
from minift.data.from_arrow import to_python


def class_encode_column(rows: Any, column: str, include_nulls: bool = False) -> Any:
    """Convert a column's values to class labels, named and numbered in the sorted order of the values as text."""
    rows.check_columns([column])
    if not isinstance(rows.features[column], Value):
        raise ValueError(f"class_encode_column: {column!r} holds {rows.features[column]!r}; expected a Value")
    if rows.indices is not None:
        return rows.flatten_indices().class_encode_column(column, include_nulls)
    names = {value: None if value is None and not include_nulls else str(value) for value in rows.unique(column)}
    label = ClassLabel(names=sorted({name for name in names.values() if name is not None}))
    number = {value: None if name is None else label.str2int(name) for value, name in names.items()}
    labels = pa.array([number[value] for value in to_python(rows.data[column])], pa.int64())
    table = rows.data.set_column(rows.column_names.index(column), column, labels)
    return rows.changed(table, features=Features(rows.features | {column: label}))


def align_labels_with_mapping(rows: Any, label2id: dict[str, int], label_column: str) -> Any:
    """Number a column of class labels as `label2id` does: class name (in any case) -> its new number."""
    rows.check_columns([label_column])
    old = rows.features[label_column]
    if not isinstance(old, ClassLabel):
        raise ValueError(f"align_labels_with_mapping: {label_column!r} holds {old!r}; expected a ClassLabel")
    ordered = sorted(label2id, key=label2id.get)
    number = {name.lower(): label2id[name] for name in ordered}
    missing = [name for name in old.names if name.lower() not in number]
    if missing:
        raise ValueError(f"align_labels_with_mapping: label2id has no number for the class {missing[0]!r}")
    new = ClassLabel(names=ordered)

    def renumber(labels: list[int | None]) -> dict[str, list[int | None]]:
        return {label_column: [None if i is None else number[old.int2str(i).lower()] for i in labels]}

    features = Features(rows.features | {label_column: new})
    return rows.as_python().map(renumber, batched=True, input_columns=[label_column], features=features)
