"""Scaled dot-product attention (arXiv 1706.03762); to be read beside model/attention.py."""

# Axes here and in the models: B batch, T tokens, H heads, D head size, E hidden (E = H * D), V vocabulary.

from minift.tf.backend import Tensor, tf
from minift.tf.layers import Dropout


def attention(q: Tensor, k: Tensor, v: Tensor, padding: Tensor | None, dropout: Dropout) -> tuple[Tensor, Tensor]:
    """Compute softmax(q kᵀ / √D) v.

    Args:
        q, k, v: (B, H, T, D).
        padding: what `padding_scores` made.
        dropout: drops probabilities; does nothing outside training.

    Returns:
        The attended values (B, H, T, D), and the probabilities (B, H, T, T), whose rows sum to 1 before dropout.
    """
    scores = tf.matmul(q * q.shape[-1] ** -0.5, k, transpose_b=True)  # (B, H, T, T)
    if padding is not None:
        scores += padding
    probabilities = dropout(tf.nn.softmax(scores))  # (B, H, T, T)
    return tf.matmul(probabilities, v), probabilities  # (B, H, T, D)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, T, E) -> (B, H, T, D)."""
    return tf.transpose(tf.reshape(x, (-1, tf.shape(x)[1], heads, x.shape[2] // heads)), (0, 2, 1, 3))


def merge_heads(x: Tensor) -> Tensor:
    """(B, H, T, D) -> (B, T, E)."""
    return tf.reshape(tf.transpose(x, (0, 2, 1, 3)), (-1, tf.shape(x)[2], x.shape[1] * x.shape[3]))


def padding_scores(attention_mask: Tensor | None, x: Tensor) -> Tensor | None:
    """Make the scores of padding tokens hugely negative: attention_mask (B, T), embeddings x (B, T, E) -> (B, 1, 1, T).

    A mask that is None, for a batch without padding, stays None.
    """
    if attention_mask is None:
        return None
    return (1.0 - tf.cast(attention_mask, x.dtype)[:, None, None, :]) * x.dtype.min  # (B, 1, 1, T)
