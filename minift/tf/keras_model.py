"""What Keras' `compile`, `fit`, `evaluate` and `predict` have to know of a model that returns named fields."""

from typing import Any

import optree

from minift.model.outputs import ModelOutput
from minift.tf.backend import Tensor, keras, tf
from minift.tf.checks import check_labels, named_errors

# Keras opens dictionaries to work on what is in them, but not their subclasses: here is how to open and to close ours.
for output_class in ModelOutput.__subclasses__():
    optree.register_pytree_node(
        output_class,
        lambda output: (list(output.values()), list(output), list(output)),
        lambda names, values, output_class=output_class: output_class(**dict(zip(names, values, strict=True))),
        namespace="keras",
    )

LABELS = ("labels", "start_positions", "end_positions", "next_sentence_label")


class KerasTraining(keras.Model):
    """Trains on the loss that the model has itself, or on loss and metrics of Keras on its logits.

    Where `compile` names no loss, the labels go to `own_loss`: they may be among the inputs as "labels", or beside
    them. Where it names one, it gets the labels, from the same two places, and the logits. Re-implements the Keras
    parts of transformers 4's modeling_tf_utils.py.
    """

    def compile(self, *args: Any, jit_compile: bool | str = False, **options: Any) -> None:
        """As `keras.Model.compile`, but without XLA unless asked for.

        Keras' "auto" would turn it on, and XLA compiles anew for each length of a batch; `jit_compile=True` is for
        batches that are padded to few lengths.
        """
        super().compile(*args, jit_compile=jit_compile is True, **options)

    @named_errors()
    def fit(self, x: Any = None, *args: Any, **options: Any) -> keras.callbacks.History:
        if isinstance(x, tf.data.Dataset):
            options.setdefault("shuffle", False)  # Keras would warn that it cannot do what nobody asked it for
        return super().fit(x, *args, **options)

    @named_errors()
    def evaluate(self, *args: Any, **options: Any) -> Any:
        return super().evaluate(*args, **options)

    @named_errors()
    def predict(self, *args: Any, **options: Any) -> ModelOutput:
        """Give the fields of all rows together as numpy arrays; `logits` of batches of various lengths are ragged."""
        return super().predict(*args, **options)

    def predict_step(self, data: Any) -> ModelOutput:
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        if isinstance(x, dict):
            x = {name: value for name, value in x.items() if name not in LABELS}  # the loss of a batch is no row
        return self(x, training=False)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: ModelOutput | None = None,
        sample_weight: Tensor | None = None,
        training: bool = True,
    ) -> Tensor:
        labels, logits = _labels(x, y), self._logits(y_pred)
        if self.loss is not None:
            if labels is not None and labels.dtype.is_integer and logits.shape[-1] > 1:
                labels = check_labels(labels, logits.shape[-1])
            return super().compute_loss(x, labels, logits, sample_weight, training)
        if sample_weight is not None:
            raise ValueError("sample_weight and class_weight need a loss in compile: the model's own takes none")
        loss = y_pred.get("loss")
        if loss is None and labels is None:
            raise ValueError("the batches have no labels, neither among the inputs nor beside them")
        if loss is None:
            loss = self.own_loss(logits, labels)
        return loss / tf.distribute.get_strategy().num_replicas_in_sync  # gradients of the replicas are summed

    def compute_metrics(self, x: Any, y: Any, y_pred: ModelOutput, sample_weight: Tensor | None = None) -> dict:
        return super().compute_metrics(x, _labels(x, y), self._logits(y_pred), sample_weight)

    def own_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Compute the loss of a head, which overrides this."""
        raise ValueError(f"{type(self).__name__} has no loss of its own: name one in compile")

    def _logits(self, y_pred: ModelOutput) -> Tensor:
        if "logits" not in y_pred:
            raise ValueError(f"{type(self).__name__} has no logits to train: take a model with a head")
        return y_pred["logits"]


def _labels(x: Any, y: Any) -> Any:
    """Find the labels of a batch: beside the inputs, also as {"labels": …}, or among them."""
    if y is None and isinstance(x, dict):
        y = x.get("labels")
    return y.get("labels") if isinstance(y, dict) else y
