"""The same pipeline in TensorFlow and Keras 3: everything before the model is shared, and torch is never imported."""
