"""Sequence classification: an encoder, one vector a text, and a linear layer to the classes; and its losses."""

import tensorflow as tf
from tensorflow import Tensor

from minift.model.config import BertConfig, DistilBertConfig, PretrainedConfig
from minift.model.outputs import SequenceClassifierOutput, finish, of_layers
from minift.tf.bert import TFBertModel
from minift.tf.checks import check_labels
from minift.tf.distilbert import TFDistilBertModel, TFDistilBertPreTrainedModel
from minift.tf.layers import Dropout, Linear
from minift.tf.pretrained import TFPreTrainedModel


class TFBertForSequenceClassification(TFPreTrainedModel):
    """Pooled [CLS], dropout, classifier; to be read beside `model.heads.BertForSequenceClassification`."""

    config_class = BertConfig

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.bert = TFBertModel(config)
        rate = config.hidden_dropout_prob if config.classifier_dropout is None else config.classifier_dropout
        self.dropout = Dropout(rate)
        self.classifier = Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def call(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        training: bool | None = None,
    ) -> SequenceClassifierOutput | tuple[Tensor, ...]:
        """Classify a batch; inputs as for `TFBertModel.call`, `labels` and the loss as for `classification_loss`."""
        encoded = self.bert(
            input_ids,
            attention_mask,
            token_type_ids,
            position_ids,
            inputs_embeds,
            output_attentions,
            output_hidden_states,
            return_dict=True,
        )
        logits = tf.cast(self.classifier(self.dropout(encoded.pooler_output)), tf.float32)  # (B, num_labels)
        loss = None if labels is None else self.own_loss(logits, labels)
        output = SequenceClassifierOutput(loss=loss, logits=logits, **of_layers(encoded))
        return finish(output, self.config, return_dict)

    def own_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return classification_loss(logits, labels, self.config)


class TFDistilBertForSequenceClassification(TFDistilBertPreTrainedModel):
    """[CLS], dense, ReLU, dropout, classifier."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.distilbert = TFDistilBertModel(config)
        self.pre_classifier = Linear(config.dim, config.dim)
        self.classifier = Linear(config.dim, config.num_labels)
        self.dropout = Dropout(config.seq_classif_dropout)
        self.post_init()

    def call(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        position_ids: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        training: bool | None = None,
    ) -> SequenceClassifierOutput | tuple[Tensor, ...]:
        """Classify a batch; inputs as for `TFDistilBertModel.call`, `labels` as for `classification_loss`."""
        encoded = self.distilbert(
            input_ids,
            attention_mask,
            inputs_embeds,
            position_ids,
            output_attentions,
            output_hidden_states,
            return_dict=True,
        )
        first = encoded.last_hidden_state[:, 0]  # (B, E)
        pooled = tf.nn.relu(self.pre_classifier(first))  # (B, E)
        logits = tf.cast(self.classifier(self.dropout(pooled)), tf.float32)  # (B, num_labels)
        loss = None if labels is None else self.own_loss(logits, labels)
        output = SequenceClassifierOutput(loss=loss, logits=logits, **of_layers(encoded))
        return finish(output, self.config, return_dict)

    def own_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return classification_loss(logits, labels, self.config)


def classification_loss(logits: Tensor, labels: Tensor, config: PretrainedConfig) -> Tensor:
    """The mean loss of a batch, by `config.problem_type`, which is inferred from the first labels and kept.

    Args:
        logits: (B, C) float32.
        labels: single_label_classification: (B,) or (B, 1) integers below C; multi_label_classification: (B, C) of
            0 and 1; regression: (B,) or, for C > 1, (B, C) numbers. Inferred: C = 1 is regression, integers are
            single_label_classification, other labels multi_label_classification.
        config: the model's configuration.

    Returns:
        A scalar.

    Raises:
        ValueError: a label is no class (its row is named), or the labels have the wrong shape.
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
