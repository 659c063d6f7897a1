"""Scaled dot-product attention (arXiv 1706.03762), and the run through the layers; beside model/attention.py."""

# Axes here and in the models: B batch, T tokens, H heads, D head size, E hidden (E = H * D), V vocabulary.

import keras
import tensorflow as tf
from tensorflow import Tensor

from minift.model.config import PretrainedConfig
from minift.model.outputs import EncoderOutput, choose


def attention(
    q: Tensor, k: Tensor, v: Tensor, padding: Tensor | None, dropout: keras.layers.Dropout
) -> tuple[Tensor, Tensor]:
    """Compute softmax(q kᵀ / √D) v, every step written out.

    Args:
        q, k, v: (B, H, T, D).
        padding: (B, 1, 1, T), added to the scores: 0 for a token, a huge negative number for padding; None: nothing.
        dropout: drops probabilities; does nothing outside training.

    Returns:
        The attended values (B, H, T, D), and the probabilities (B, H, T, T), whose rows sum to 1.
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
    """Make what is added to the scores of each key: attention_mask (B, T), embeddings x (B, T, E) -> (B, 1, 1, T)."""
    if attention_mask is None:
        return None
    return (1.0 - tf.cast(attention_mask, x.dtype)[:, None, None, :]) * x.dtype.min  # (B, 1, 1, T)


def run_layers(
    layers: list[keras.layers.Layer],
    x: Tensor,
    attention_mask: Tensor | None,
    config: PretrainedConfig,
    output_attentions: bool | None,
    output_hidden_states: bool | None,
) -> EncoderOutput:
    """Send the embeddings x (B, T, E) through the layers; an option that is None takes the configuration's value."""
    padding = padding_scores(attention_mask, x)  # (B, 1, 1, T) or None
    hidden_states, attentions = [x], []
    for layer in layers:
        x, probabilities = layer(x, padding)  # (B, T, E), (B, H, T, T)
        hidden_states.append(x)
        attentions.append(probabilities)
    wants_states = choose(output_hidden_states, config.output_hidden_states)
    wants_attentions = choose(output_attentions, config.output_attentions)
    return EncoderOutput(
        last_hidden_state=x,
        hidden_states=tuple(hidden_states) if wants_states else None,
        attentions=tuple(attentions) if wants_attentions else None,
    )
