"""Rows to batches for Keras: a `tf.data.Dataset` of what a collator makes of a `Dataset`."""

import inspect
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from minift.batches.collate import LABEL_COLUMNS, DataCollatorWithPadding, DefaultDataCollator
from minift.batches.column_batches import TAKE_COLUMNS, ColumnBatches
from minift.batches.sampler import randperm
from minift.data.dataset import Dataset
from minift.data.from_arrow import is_list_of, is_number
from minift.tf.backend import tf

FOR_THE_COLLATOR = ("special_tokens_mask", "word_ids")  # columns that the masking collators read and take out

Batch = dict[str, tf.Tensor]


def to_tf_dataset(
    dataset: Dataset,
    batch_size: int | None = None,
    columns: str | list[str] | None = None,
    shuffle: bool = False,
    collate_fn: Callable | None = None,
    drop_remainder: bool = False,
    collate_fn_args: dict[str, Any] | None = None,
    label_cols: str | list[str] | None = None,
    prefetch: bool = True,
    num_workers: int = 0,
    num_test_batches: int = 20,
    seed: int | None = None,
) -> tf.data.Dataset:
    """Make batches of a data set's rows, as Keras' `fit`, `evaluate` and `predict` take them; `len` counts them.

    The elements are dicts of tensors, or pairs (features, labels) where `columns` are named and `label_cols` too; a
    dict of one tensor is that tensor. Integers and booleans are int64, floats float32. A column ``label`` or
    ``label_ids`` that the collator renames may be called ``labels`` here, or by its own name. Re-implements
    datasets/arrow_dataset.py (``to_tf_dataset``) and utils/tf_utils.py, without a Python call a row: dynamic padding
    is done by TensorFlow operations on the columns' Arrow buffers, the other collators of minift get columns of arrays.

    Args:
        batch_size: B; None for single rows, without the axis B.
        columns: the features; None: all columns, and no labels apart.
        collate_fn: makes a batch of a list of rows (dicts of numpy values); None stacks rows of one length.
        num_workers: only 0.
        num_test_batches: batches of one row from which dtypes and shapes are read, where `collate_fn` is not minift's.
        seed: iteration e is in the order of ``torch.randperm`` seeded with ``seed + e``, which is how `Trainer` visits
            the rows in epoch e. None draws it, now, from numpy's global generator, which
            ``keras.utils.set_random_seed`` seeds.

    Raises:
        ValueError: no rows, no such column, a null in one, rows of different lengths in a column that is not padded,
            or an argument out of range; the message names it.
    """
    columns, label_cols = _names("columns", columns), _names("label_cols", label_cols)
    if len(dataset) == 0:
        raise ValueError("to_tf_dataset: the dataset is empty")
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"to_tf_dataset: batch_size={batch_size} must be at least 1")
    if drop_remainder and len(dataset) < (batch_size or 1):
        raise ValueError(f"to_tf_dataset: {len(dataset)} rows do not fill one batch of {batch_size}: drop_remainder")
    if num_workers != 0:
        raise ValueError(f"to_tf_dataset: num_workers={num_workers} is not supported; leave it out")
    if label_cols and not columns:
        raise ValueError("to_tf_dataset: label_cols without columns: name the features, too")

    names = _columns_to_read(dataset, [*columns, *label_cols], collate_fn)
    collate = _padding(dataset, names, collate_fn) if not collate_fn_args else None
    if collate is None:
        collate = _collated(dataset, names, collate_fn, collate_fn_args or {}, num_test_batches, batch_size or 1)
    rows = _row_numbers(len(dataset), shuffle, seed).batch(batch_size or 1, drop_remainder)
    batches = rows.map(lambda numbers: collate(tf.ensure_shape(numbers, [batch_size if drop_remainder else None])))
    if columns:
        made = list(batches.element_spec)
        columns, label_cols = _in_their_collated_names(columns, made), _in_their_collated_names(label_cols, made)
        for name in [*columns, *label_cols]:
            if name not in made:
                raise ValueError(f"to_tf_dataset: no column {name!r}: the collator makes {made} of {names}")
        batches = batches.map(lambda batch: _features_and_labels(batch, columns, label_cols))
    if batch_size is None:
        batches = batches.unbatch()
    whole, rest = divmod(len(dataset), batch_size or 1)
    batches = batches.apply(tf.data.experimental.assert_cardinality(whole + (rest > 0 and not drop_remainder)))
    return batches.prefetch(tf.data.AUTOTUNE) if prefetch else batches


def prepare_tf_dataset(
    model: Any,
    dataset: Dataset,
    batch_size: int = 8,
    shuffle: bool = True,
    tokenizer: Any = None,
    collate_fn: Callable | None = None,
    collate_fn_args: dict[str, Any] | None = None,
    drop_remainder: bool | None = None,
    prefetch: bool = True,
    *,
    seed: int | None = None,
) -> tf.data.Dataset:
    """Make batches by `to_tf_dataset` of the columns that `model` takes: features, and labels where there are some.

    The `tokenizer` pads the rows, unless there is a `collate_fn`; without both, rows of one length are stacked.
    `drop_remainder` None is `shuffle`, since a smaller last batch matters in training only. Re-implements transformers
    4's modeling_tf_utils.py (``TFPreTrainedModel.prepare_tf_dataset``).

    Raises:
        ValueError: as for `to_tf_dataset`, or no column is one of the model's inputs.
    """
    if collate_fn is None:
        collate_fn = DefaultDataCollator("np") if tokenizer is None else DataCollatorWithPadding(tokenizer)
    inputs = inspect.signature(model.call).parameters
    if dataset.formatter.kind != "custom":
        used = {*inputs, *LABEL_COLUMNS, *FOR_THE_COLLATOR}
        dataset = dataset.select_columns([name for name in dataset.column_names if name in used])
    collated = {"collate_fn": collate_fn, "collate_fn_args": collate_fn_args}
    made = to_tf_dataset(dataset.take(1), 1, **collated).element_spec
    features = [name for name in made if name in inputs and "label" not in name]
    labels = [name for name in made if name in inputs and "label" in name]
    if not features:
        raise ValueError(f"none of the columns {list(made)} is an input of {type(model).__name__}: {list(inputs)}")
    drop = shuffle if drop_remainder is None else drop_remainder
    served = {"drop_remainder": drop, "prefetch": prefetch, "seed": seed}
    return to_tf_dataset(dataset, batch_size, features, shuffle, label_cols=labels, **collated, **served)


# -- which rows, which columns


def _row_numbers(length: int, shuffle: bool, seed: int | None) -> tf.data.Dataset:
    """The row numbers, one by one; with `shuffle`, the order is drawn when an iteration starts."""
    if not shuffle:
        return tf.data.Dataset.range(length)
    seeds = count(int(np.random.randint(2**31)) if seed is None else seed)

    def order() -> np.ndarray:
        return np.array(randperm(length, next(seeds)))

    start = tf.data.Dataset.range(1)
    return start.flat_map(lambda _: tf.data.Dataset.from_tensor_slices(tf.numpy_function(order, [], tf.int64)))


def _names(argument: str, names: str | list[str] | None) -> list[str]:
    names = [names] if isinstance(names, str) else list(names or [])
    if len(set(names)) < len(names):
        raise ValueError(f"to_tf_dataset: {argument} names a column twice: {names}")
    return names


def _columns_to_read(dataset: Dataset, wanted: list[str], collate_fn: Callable | None) -> list[str]:
    """The columns of `dataset` that a batch may need: the wanted ones and, always, the labels. None holds a null."""
    visible = dataset.formatter.columns
    names = [name for name in dataset.column_names if visible is None or name in visible]
    if wanted:
        wanted = {*wanted, *LABEL_COLUMNS, "labels"}
        if isinstance(collate_fn, TAKE_COLUMNS):
            wanted.update(FOR_THE_COLLATOR)
        names = [name for name in names if name in wanted]
    for name in names:
        row = pc.index(dataset.arrow_column(name).is_null(), True).as_py()
        if row >= 0:
            raise ValueError(f"to_tf_dataset: row {row}: column {name!r} is null")
    return names


def _in_their_collated_names(names: list[str], made: Iterable[str]) -> list[str]:
    """``label`` and ``label_ids`` as ``labels``, where the collator has made that of them."""
    if "labels" not in made:
        return names
    return list(dict.fromkeys("labels" if name in LABEL_COLUMNS else name for name in names))


def _features_and_labels(batch: Batch, columns: list[str], label_cols: list[str]) -> Any:
    def pick(names: list[str]) -> Any:
        return batch[names[0]] if len(names) == 1 else {name: batch[name] for name in names}

    return (pick(columns), pick(label_cols)) if label_cols else pick(columns)


# -- batches


def _padding(dataset: Dataset, names: list[str], collator: Any) -> Callable[[tf.Tensor], Batch] | None:
    """`DataCollatorWithPadding` as TensorFlow operations: row numbers (B,) -> columns (B, T) and (B,).

    The columns' values lie end to end in one tensor each, of the dtype that they have in the Arrow file; a batch is
    gathered from them without entering Python. None where this is not what `collator` does with these columns.
    """
    if type(collator) is not DataCollatorWithPadding or collator.padding not in (True, "longest"):
        return None
    tokenizer, multiple = collator.tokenizer, collator.pad_to_multiple_of or 1
    fills = {
        "input_ids": tokenizer.pad_token_id,
        "token_type_ids": tokenizer.pad_token_type_id,
        "special_tokens_mask": 1,
        "attention_mask": 0,
    }
    columns = {name: dataset.arrow_column(name) for name in names}
    are_lists = {name: is_list_of(column.type, pa.types.is_integer) for name, column in columns.items()}
    if not are_lists.get("input_ids") or any(
        not is_list if name in fills else not is_number(columns[name].type) for name, is_list in are_lists.items()
    ):
        return None
    offsets, _ = dataset.offsets_and_values("input_ids")
    flat, numbers = {}, {}
    with tf.device("CPU:0"):
        for name, column in columns.items():
            if name not in fills:
                values = column.to_numpy()
                numbers[name] = tf.constant(values.astype(np.float32 if values.dtype.kind == "f" else np.int64))
                continue
            own, values = dataset.offsets_and_values(name)
            unequal = np.flatnonzero(np.diff(own) != np.diff(offsets))
            if unequal.size:
                row = unequal[0]
                lengths = f"{np.diff(own)[row]} values in row {row}, but input_ids has {np.diff(offsets)[row]}"
                raise ValueError(f"to_tf_dataset: column {name!r} has {lengths}")
            if values.dtype.kind == "f":  # what pyarrow makes of integers with nulls among them
                row = np.searchsorted(own, np.flatnonzero(np.isnan(values))[0], "right") - 1
                raise ValueError(f"to_tf_dataset: row {row}: column {name!r} holds a null")
            flat[name] = tf.constant(values)
        offsets = tf.constant(offsets)

    def batch(rows: tf.Tensor) -> Batch:
        start = tf.gather(offsets, rows)[:, None]  # (B, 1)
        length = tf.gather(offsets, rows + 1)[:, None] - start  # (B, 1)
        width = -(-tf.reduce_max(length) // multiple) * multiple  # T
        position = tf.range(width)[None]  # (1, T), counted from the row's first token
        if tokenizer.padding_side == "left":
            position -= width - length  # (B, T)
        inside = (position >= 0) & (position < length)  # (B, T)
        where = tf.where(inside, start + position, 0)
        padded = {
            name: tf.where(inside, tf.cast(tf.gather(values, where), tf.int64), fills[name])
            for name, values in flat.items()
        }
        if "attention_mask" not in padded and "attention_mask" in tokenizer.model_input_names:
            padded["attention_mask"] = tf.cast(inside, tf.int64)
        for name, values in numbers.items():
            padded["labels" if name in LABEL_COLUMNS else name] = tf.gather(values, rows)  # (B,)
        return padded

    return batch


def _collated(
    dataset: Dataset,
    names: list[str],
    collate_fn: Callable | None,
    options: dict[str, Any],
    num_test_batches: int,
    batch_size: int,
) -> Callable[[tf.Tensor], Batch]:
    """Any collator, called from TensorFlow: row numbers (B,) -> a batch of what it returns."""
    is_custom = dataset.formatter.kind == "custom"
    formatted = dataset if is_custom else dataset.select_columns(names).with_format("numpy")
    read = formatted.__getitem__  # row numbers -> columns
    if type(collate_fn) in TAKE_COLUMNS and not is_custom:
        read = ColumnBatches(formatted.with_format(None)).__getitems__
        options = {"return_tensors": "np"} | options

    def collated(rows: np.ndarray) -> dict[str, Any]:
        columns = read(rows)
        if collate_fn is None:
            return _stack(columns)
        if type(collate_fn) not in TAKE_COLUMNS or is_custom:
            columns = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        return collate_fn(columns, **options)

    def arrays(rows: np.ndarray) -> dict[str, np.ndarray]:
        return {name: _as_tf_reads_it(name, np.asarray(column)) for name, column in collated(rows).items()}

    if collate_fn is None:
        collated(np.arange(min(batch_size, len(dataset))))  # or an error, now
    own, shared = getattr(collate_fn, "state_dict", dict)(), np.random.get_state()
    tests = np.linspace(0, len(dataset) - 1, min(num_test_batches, len(dataset))).astype(np.int64)
    tests = [arrays(row[None]) for row in tests]
    getattr(collate_fn, "load_state_dict", dict)(own)  # what the tests have drawn is given back
    np.random.set_state(shared)
    dtypes = {name: tf.string if array.dtype == object else array.dtype for name, array in tests[0].items()}
    shapes = {
        name: [None, *(sizes.pop() if len(sizes) == 1 else None for sizes in map(set, zip(*shapes, strict=True)))]
        for name in dtypes
        for shapes in [[test[name].shape[1:] for test in tests]]
    }

    def batch(rows: tf.Tensor) -> Batch:
        made = tf.numpy_function(lambda rows: [*arrays(rows).values()], [rows], list(dtypes.values()))
        named = dict(zip(dtypes, made, strict=True))
        return {name: tf.ensure_shape(tensor, [rows.shape[0], *shapes[name][1:]]) for name, tensor in named.items()}

    return batch


def _stack(columns: dict[str, Any]) -> dict[str, np.ndarray]:
    try:
        return {name: np.stack(rows) for name, rows in columns.items()}
    except ValueError:
        name = next(name for name, rows in columns.items() if len({np.shape(row) for row in rows}) > 1)
        raise ValueError(
            f"to_tf_dataset: the rows of column {name!r} have different lengths: "
            "pad them with collate_fn=DataCollatorWithPadding(tokenizer)"
        ) from None


def _as_tf_reads_it(name: str, array: np.ndarray) -> np.ndarray:
    kinds = {"i": np.int64, "u": np.int64, "b": np.int64, "f": np.float32, "U": object, "S": object}
    if array.dtype.kind not in kinds:
        raise ValueError(f"to_tf_dataset: column {name!r} holds {array.dtype} values; expected numbers or text")
    return array.astype(kinds[array.dtype.kind], copy=False)
