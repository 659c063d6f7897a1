"""The small models of tests/model/small.py on the TensorFlow path, and their results in the form compared there."""

from pathlib import Path

import numpy as np
import tensorflow as tf
import torch
from torch import Tensor

from minift.tf.heads import (
    TFBertForMaskedLM,
    TFBertForSequenceClassification,
    TFDistilBertForMaskedLM,
    TFDistilBertForSequenceClassification,
)
from minift.tf.pretrained import TFPreTrainedModel
from tests.model import small

_CLASSES = (
    TFBertForSequenceClassification,
    TFDistilBertForSequenceClassification,
    TFBertForMaskedLM,
    TFDistilBertForMaskedLM,
)
CLASSES = {cls.__name__.removeprefix("TF"): cls for cls in _CLASSES}


def build(name: str, folder: Path, **overrides) -> TFPreTrainedModel:
    """The model that `small.build` builds, by way of a file."""
    small.build(name).save_pretrained(folder)
    return CLASSES[name].from_pretrained(folder, strict=True, **overrides)


def batch(name: str, **options) -> dict[str, np.ndarray]:
    return {key: value.numpy() for key, value in small.batch(name, **options).items()}


def results(model: TFPreTrainedModel, inputs: dict[str, np.ndarray]) -> dict[str, Tensor]:
    """Each layer's output, logits, loss, and the gradient of each parameter, under torch's names."""
    with tf.GradientTape() as tape:
        output = model(inputs, output_hidden_states=True)
    parameters = {name: p for name, p in model.named_parameters() if name not in model.tied}
    gradients = tape.gradient(output.loss, [p.variable.value for p in parameters.values()])
    found = {"logits": output.logits, "loss": output.loss}
    found |= {f"hidden.{i}": x for i, x in enumerate(output.hidden_states)}
    for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True):
        if gradient is not None:
            found[f"gradient.{name}"] = tf.transpose(gradient) if parameter.transposed else gradient
    return {name: torch.from_numpy(np.array(x)) for name, x in found.items()}
