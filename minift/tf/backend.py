"""TensorFlow and Keras, checked once: the other files of this folder import them from here."""

from minift.tensors import import_tensorflow

tf = import_tensorflow()  # or an error that says how to install it

import keras  # noqa: E402 - comes with TensorFlow

Tensor = tf.Tensor

if keras.config.backend() != "tensorflow":
    raise ImportError(
        f"Keras runs on {keras.config.backend()!r} here, but minift's Keras models are written for TensorFlow: "
        "unset KERAS_BACKEND and the backend in Keras' configuration file"
    )
