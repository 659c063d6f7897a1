"""The checks of model/checks.py for tensors: at once when a model is called, in the graph when `fit` calls it.

A graph is built before there are values, so that there the check becomes an operation: when it fails, the run of the
graph ends with an InvalidArgumentError, which `named_errors` turns into the ValueError that the torch path raises. On
a GPU the check would cost a wait for the device, and XLA leaves such operations out: neither is checked.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from minift.batches.mask import IGNORED
from minift.model import checks
from minift.model.config import PretrainedConfig
from minift.tf.backend import Tensor, tf

_FAILED = re.compile(r"assertion failed: \[(.*?)\]((?: \[-?\d+\])+)$", re.MULTILINE)  # a text and its numbers


def check_batch(inputs: dict[str, Any], config: PretrainedConfig) -> dict[str, Any]:
    """Raise a ValueError for anything but one batch of ids (B, T), or embeddings, that the model has vectors for.

    Returns the inputs; in a graph, ids that cannot be read before they are checked.
    """
    ids, embeds, mask = (inputs.get(name) for name in ("input_ids", "inputs_embeds", "attention_mask"))
    limit = config.max_position_embeddings
    limits = {"input_ids": "vocab_size", "token_type_ids": "type_vocab_size", "position_ids": "max_position_embeddings"}
    limits = {name: key for name, key in limits.items() if inputs.get(name) is not None}
    words = embeds if ids is None else ids
    if tf.executing_eagerly():
        checks.check_input(*(None if x is None else x.numpy() for x in (ids, embeds)), limit)
        for name, key in limits.items():
            checks.check_ids(name, inputs[name].numpy(), getattr(config, key), key)
        if mask is not None and mask.shape != words.shape[:2]:
            raise ValueError(
                f"attention_mask has shape {tuple(mask.shape)}, but the input has {tuple(words.shape[:2])}"
            )
        return inputs
    if words.shape[1] is not None and words.shape[1] > limit:
        raise ValueError(checks.TOO_LONG.format(length=words.shape[1], limit=limit))
    length = tf.shape(words)[1]
    required = [_require(length <= limit, checks.TOO_LONG.format(length="{}", limit=limit), length)]
    for name, key in limits.items():
        top = getattr(config, key)
        text = checks.OUTSIDE.format(name=name, place="[{}, {}]", value="{}", limit=top, limit_name=key)
        required.append(_require_none((inputs[name] < 0) | (inputs[name] >= top), inputs[name], text))
    with tf.control_dependencies(required):
        return inputs | {name: tf.identity(inputs[name]) for name in limits}


def check_labels(labels: Tensor, classes: int) -> Tensor:
    """Raise a ValueError when one of `labels` (B,) or (B, T) is neither a class nor -100; returns them, checked."""
    if tf.executing_eagerly():
        checks.check_labels(labels.numpy(), classes)
        return labels
    if not labels.dtype.is_integer:
        raise ValueError(f"class labels must be integers, not {labels.dtype.name}")
    text = checks.NO_CLASS.format(row="{0}", label="{2}", classes=classes, last=classes - 1)
    wrong = ((labels < 0) & (labels != IGNORED)) | (labels >= classes)
    with tf.control_dependencies([_require_none(wrong, labels, text)]):
        return tf.identity(labels)


def _require_none(wrong: Tensor, values: Tensor, text: str) -> tf.Operation:
    """In the graph: no entry of `wrong` (B, T) is True; the gaps of `text` are its row, its column and its value."""
    values = tf.reshape(values, (tf.shape(values)[0], -1))  # (B, T)
    flat = tf.reshape(wrong, (-1,))  # (B * T,)
    first, width = tf.argmax(flat, output_type=tf.int32), tf.shape(values)[1]
    value = tf.gather(tf.reshape(values, (-1,)), first)
    return _require(~tf.reduce_any(flat), text, first // width, first % width, value)


def _require(condition: Tensor, text: str, *numbers: Tensor) -> tf.Operation:
    """In the graph: fail with `text`, the numbers in its gaps, unless the condition holds."""
    if tf.config.list_logical_devices("GPU"):
        return tf.no_op()
    return tf.debugging.Assert(condition, [text, *numbers])


@contextmanager
def named_errors() -> Iterator[None]:
    """Give a check that failed in a graph the form that it has outside."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        if found := _FAILED.search(error.message):
            raise ValueError(found[1].format(*re.findall(r"-?\d+", found[2]))) from None
        raise
