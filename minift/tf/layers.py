"""Linear, Embedding and LayerNorm, whose parameters have torch's names, and position embeddings that are not learnt.

Keras' own layers are general: on batches of varying length its `Dense` reads the shape with a dozen operations a call,
its `Embedding` casts the whole table in mixed precision, and neither leaves out the gradient of the padding token.
"""

from functools import partial

import numpy as np

from minift.tf.backend import Tensor, keras, tf

Dropout = keras.layers.Dropout

ACTIVATION = {
    "gelu": partial(tf.nn.gelu, approximate=False),
    "gelu_new": partial(tf.nn.gelu, approximate=True),
    "gelu_pytorch_tanh": partial(tf.nn.gelu, approximate=True),
    "relu": tf.nn.relu,
    "silu": tf.nn.silu,
    "tanh": tf.tanh,
}


class Linear(keras.layers.Layer):
    """x W + b. The weight is (in, out), torch's transposed: `variables.py` turns it when it reads and writes."""

    def __init__(self, size_in: int, size_out: int) -> None:
        super().__init__()
        self.weight = self.add_weight(name="weight", shape=(size_in, size_out), initializer="zeros")
        self.bias = self.add_weight(name="bias", shape=(size_out,), initializer="zeros")
        self.built = True

    def call(self, x: Tensor) -> Tensor:
        size_in, size_out = self.weight.shape
        y = tf.nn.bias_add(tf.matmul(tf.reshape(x, (-1, size_in)), self.weight), self.bias)  # (B * T, size_out)
        return y if x.shape.rank == 2 else tf.reshape(y, (-1, tf.shape(x)[1], size_out))  # (B, T, size_out)


class Embedding(keras.layers.Layer):
    """A table with a row for each id; the row `padding_idx` gets no gradient."""

    def __init__(self, rows: int, size: int, padding_idx: int | None = None) -> None:
        super().__init__()
        self.padding_idx = padding_idx
        self.weight = self.add_weight(name="weight", shape=(rows, size), initializer="zeros", autocast=False)
        self.built = True

    def call(self, ids: Tensor) -> Tensor:
        rows = self.weight.shape[0]

        @tf.custom_gradient
        def lookup(table: Tensor) -> tuple[Tensor, object]:
            def backward(gradient: Tensor) -> Tensor:
                kept = ids if self.padding_idx is None else tf.where(ids == self.padding_idx, -tf.ones_like(ids), ids)
                return tf.math.unsorted_segment_sum(gradient, kept, rows)  # (rows, size); row -1 is left out

            return tf.gather(table, ids), backward  # (B, T, size)

        return tf.cast(lookup(tf.convert_to_tensor(self.weight)), self.compute_dtype)


class LayerNorm(keras.layers.Layer):
    """(x - mean) / √(variance + eps) * weight + bias over the last axis, always in float32 (arXiv 1607.06450)."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = self.add_weight(name="weight", shape=(size,), initializer="ones", autocast=False)
        self.bias = self.add_weight(name="bias", shape=(size,), initializer="zeros", autocast=False)
        self.built = True

    def call(self, x: Tensor) -> Tensor:
        x = tf.cast(x, self.weight.dtype)
        x -= tf.reduce_mean(x, axis=-1, keepdims=True)  # (B, T, E)
        scale = tf.math.rsqrt(tf.reduce_mean(tf.square(x), axis=-1, keepdims=True) + self.eps)  # (B, T, 1)
        return tf.cast(x * scale * self.weight + self.bias, self.compute_dtype)  # (B, T, E)


def sinusoids(positions: int, size: int) -> np.ndarray:
    """Position p, components 2i and 2i+1: sin and cos of p / 10000^(2i / size) (arXiv 1706.03762, section 3.5)."""
    position = np.arange(positions)[:, None]  # (positions, 1)
    component = np.arange(size)  # (size,)
    angle = position / 10000 ** (component // 2 * 2 / size)  # (positions, size)
    return np.where(component % 2 == 0, np.sin(angle), np.cos(angle))  # (positions, size)
