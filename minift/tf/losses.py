"""The losses of the heads; to be read beside model/heads/losses.py."""

from minift.batches.mask import IGNORED
from minift.model.config import PretrainedConfig
from minift.tf.backend import Tensor, tf
from minift.tf.checks import check_labels


def classification_loss(logits: Tensor, labels: Tensor, config: PretrainedConfig) -> Tensor:
    """Compute the mean loss of a batch of texts, by `config.problem_type`.

    Arguments and errors are those of `model.heads.losses.classification_loss`; the logits are float32.
    """
    C = logits.shape[1]
    if config.problem_type is None:
        config.problem_type = infer_problem_type(labels, C)
    wide = 1 if labels.shape.rank == 1 else labels.shape[1]
    if config.problem_type == "single_label_classification":
        if wide != 1:
            raise ValueError(f"single-label classification needs one label a row: got shape {tuple(labels.shape)}")
        labels = tf.reshape(check_labels(labels, C), (-1,))  # (B,)
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
    if wide != C:
        raise ValueError(f"{config.problem_type} needs {C} labels a row: got shape {tuple(labels.shape)}")
    labels = tf.reshape(tf.cast(labels, logits.dtype), (-1, C))  # (B, C)
    if config.problem_type == "regression":
        return tf.reduce_mean(tf.square(logits - labels))
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels, logits))


def infer_problem_type(labels: Tensor, classes: int) -> str:
    """Name the problem that labels of this type pose to a head with this many outputs."""
    if classes == 1:
        return "regression"
    return "single_label_classification" if labels.dtype.is_integer else "multi_label_classification"


def masked_lm_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Compute the mean loss of the tokens to be predicted; arguments and errors as for the function's torch twin."""
    if not labels.shape.is_compatible_with(logits.shape[:2]):
        raise ValueError(f"labels have shape {tuple(labels.shape)}, but the input has {tuple(logits.shape[:2])}")
    labels = check_labels(labels, logits.shape[2])
    chosen = labels != IGNORED  # (B, T)
    targets = tf.where(chosen, labels, 0)  # (B, T)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)  # (B, T)
    chosen = tf.cast(chosen, losses.dtype)
    return tf.reduce_sum(losses * chosen) / tf.reduce_sum(chosen)


token_loss = masked_lm_loss  # logits (B, T, C), labels (B, T), -100 where a token has none


def choice_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Compute the mean loss of scores (B, C) and the right choices (B,)."""
    labels = tf.reshape(check_labels(labels, logits.shape[1]), (-1,))
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))


def span_loss(scores: Tensor, positions: Tensor) -> Tensor:
    """Compute the mean loss of scores (B, T) and positions (B,): one beyond T does not count, one below 0 is 0."""
    T = tf.shape(scores)[1]
    positions = tf.maximum(tf.cast(tf.reshape(positions, (-1,)), tf.int32), 0)
    counts = positions < T
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.where(counts, positions, 0), scores)
    counts = tf.cast(counts, losses.dtype)
    return tf.reduce_sum(losses * counts) / tf.reduce_sum(counts)
