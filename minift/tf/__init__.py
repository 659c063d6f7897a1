"""The same pipeline in TensorFlow and Keras 3: everything before the model is shared, and torch is never imported."""

from minift.tensors import import_tensorflow

import_tensorflow()  # or an error that says how to install it

import keras  # noqa: E402 - comes with TensorFlow

if keras.config.backend() != "tensorflow":
    raise ImportError(
        f"Keras runs on {keras.config.backend()!r} here, but minift's Keras models are written for TensorFlow: "
        "unset KERAS_BACKEND and the backend in Keras' configuration file"
    )
