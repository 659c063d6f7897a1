"""The same pipeline in TensorFlow and Keras 3: everything before the model is shared, and torch is never imported."""

try:
    import tensorflow  # noqa: F401
except ImportError as error:
    message = f"the TensorFlow path needs TensorFlow ({error})"
    raise ImportError(message + ': pip install -e ".[tf]"') from error

import keras

if keras.config.backend() != "tensorflow":
    raise ImportError(
        f"Keras runs on {keras.config.backend()!r} here, but minift's Keras models are written for TensorFlow: "
        "unset KERAS_BACKEND and the backend in Keras' configuration file"
    )
