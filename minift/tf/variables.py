"""Stored tensors to Keras variables and back: the name table of the torch path, and the transposes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from minift.model.files.folder import Stored, match_tensors
from minift.model.files.names import LoadingReport
from minift.tf.backend import keras
from minift.tf.layers import Linear


class Parameter(NamedTuple):
    """A variable of a model, seen as the torch path has it: a linear layer's weight is (out, in)."""

    variable: Any
    transposed: bool

    @property
    def shape(self) -> tuple[int, ...]:
        return self.variable.shape[::-1] if self.transposed else tuple(self.variable.shape)

    def assign(self, array: np.ndarray) -> None:
        array = array.astype(self.variable.dtype, copy=False)
        self.variable.assign(array.T if self.transposed else array)

    def numpy(self) -> np.ndarray:
        array = keras.ops.convert_to_numpy(self.variable)
        return np.ascontiguousarray(array.T if self.transposed else array)


def named_parameters(part: Any, name: str = "") -> Iterator[tuple[str, Parameter]]:
    """Walk through the variables of a model: torch's name and the `Parameter`, tied ones under each of their names.

    A name is the way to the variable: attributes of layers, keys of dictionaries, indices of lists.
    """
    inner = {}
    if isinstance(part, keras.Variable):
        yield name, Parameter(part, transposed=False)
    elif isinstance(part, keras.layers.Layer):
        inner = {key: value for key, value in vars(part).items() if not key.startswith("_")}
    elif isinstance(part, dict):
        inner = part
    elif isinstance(part, list):
        inner = dict(enumerate(part))
    for key, value in inner.items():
        for path, parameter in named_parameters(value, f"{name}.{key}" if name else str(key)):
            turned = isinstance(part, Linear) and key == "weight"
            yield path, parameter._replace(transposed=parameter.transposed or turned)


def map_file(file: Path) -> dict[str, np.ndarray]:
    """Read the tensors of a safetensors file."""
    if file.suffix == ".bin":
        raise ValueError(f"{file} is a pickle, which TensorFlow models do not read: load and save it as a torch model")
    with safe_open(file, framework="np") as tensors:
        return tensors.get_tensors()


def write_file(tensors: dict[str, np.ndarray], file: Path) -> None:
    """Write a safetensors file that torch's readers take for theirs, since names and layout are."""
    save_file(tensors, file, metadata={"format": "pt"})


def choose_dtype(asked: Any, configured: str | None, stored: dict[str, Stored]) -> Any:
    """Choose the types that a model stores and computes in, as a Keras policy.

    None is Keras' global policy; "auto" the configured type, else that of the first stored floating-point tensor.
    """
    if asked is None:
        return keras.config.dtype_policy()
    name = getattr(asked, "name", asked)
    if name == "auto":
        floating = (str(s.tensor.dtype) for s in stored.values() if "float" in str(s.tensor.dtype))
        name = configured or next(floating, "float32")
    if name not in ("float32", "float64", "bfloat16", "float16", "mixed_bfloat16", "mixed_float16"):
        raise ValueError(
            f'dtype={asked!r}: expected "auto", "float32", "bfloat16", "float16", "mixed_bfloat16", "mixed_float16"'
        )
    return keras.DTypePolicy(name)


def load_weights(model: Any, stored: dict[str, Stored], ignore_mismatched_sizes: bool = False) -> LoadingReport:
    """Assign the stored tensors to the parameters of a `TFPreTrainedModel`, and draw those that are not stored.

    The values take the type of the variables. Errors are those of `match_tensors`.
    """
    parameters = dict(model.named_parameters())
    wanted = {name: parameter.shape for name, parameter in parameters.items()}
    report = match_tensors(stored, wanted, model.config.model_type, model.tied, ignore_mismatched_sizes)
    for name, source in report.stored_as.items():
        if name not in report.tied:
            parameters[name].assign(stored[source].tensor)
    model.init_weights(report.missing + [name for name, *_ in report.mismatched if name not in report.tied])
    return report
