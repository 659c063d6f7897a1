"""Heads on tokens, spans, choices and pairs of sentences; to be read beside model/heads."""

from abc import abstractmethod
from typing import Any, ClassVar

from minift.model.config import BertConfig, DistilBertConfig
from minift.model.outputs import (
    BertForPreTrainingOutput,
    EncoderOutput,
    ModelOutput,
    MultipleChoiceModelOutput,
    NextSentencePredictorOutput,
    QuestionAnsweringModelOutput,
    TokenClassifierOutput,
    finish,
    of_layers,
)
from minift.tf.backend import Tensor, tf
from minift.tf.bert import TFBertModel
from minift.tf.distilbert import TFDistilBertModel
from minift.tf.heads import TFBertHead, TFBertPredictions, TFDistilBertHead
from minift.tf.layers import Dropout, Linear
from minift.tf.losses import choice_loss, masked_lm_loss, span_loss, token_loss
from minift.tf.pretrained import TFPreTrainedModel


def classifier_dropout(config: BertConfig) -> Dropout:
    return Dropout(config.hidden_dropout_prob if config.classifier_dropout is None else config.classifier_dropout)


# -- token classification: a linear layer to the classes of each token


class TFBertForTokenClassification(TFBertHead):
    """Dropout, classifier."""

    output_class = TokenClassifierOutput
    own_loss = staticmethod(token_loss)

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config, add_pooling_layer=False)
        self.num_labels = config.num_labels
        self.dropout = classifier_dropout(config)
        self.classifier = Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def score(self, encoded: EncoderOutput) -> Tensor:
        return self.classifier(self.dropout(encoded.last_hidden_state))  # (B, T, num_labels)


class TFDistilBertForTokenClassification(TFDistilBertHead):
    """Dropout, classifier."""

    output_class = TokenClassifierOutput
    own_loss = staticmethod(token_loss)

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.dropout = Dropout(config.dropout)
        self.classifier = Linear(config.dim, config.num_labels)
        self.post_init()

    def score(self, encoded: EncoderOutput) -> Tensor:
        return self.classifier(self.dropout(encoded.last_hidden_state))  # (B, T, num_labels)


# -- multiple choice: C texts a row, and a score for each


class TFBertForMultipleChoice(TFBertHead):
    """Pooled [CLS], dropout, a score."""

    output_class = MultipleChoiceModelOutput
    own_loss = staticmethod(choice_loss)
    flattens = True

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.dropout = classifier_dropout(config)
        self.classifier = Linear(config.hidden_size, 1)
        self.post_init()

    def score(self, encoded: EncoderOutput) -> Tensor:
        return self.classifier(self.dropout(encoded.pooler_output))  # (B · C, 1)


class TFDistilBertForMultipleChoice(TFDistilBertHead):
    """[CLS], dense, ReLU, dropout, a score."""

    output_class = MultipleChoiceModelOutput
    own_loss = staticmethod(choice_loss)
    flattens = True

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config)
        self.pre_classifier = Linear(config.dim, config.dim)
        self.classifier = Linear(config.dim, 1)
        self.dropout = Dropout(config.seq_classif_dropout)
        self.post_init()

    def score(self, encoded: EncoderOutput) -> Tensor:
        pooled = tf.nn.relu(self.pre_classifier(encoded.last_hidden_state[:, 0]))  # (B · C, E)
        return self.classifier(self.dropout(pooled))  # (B · C, 1)


# -- next sentence: two classes of pairs


class TFBertForNextSentencePrediction(TFBertHead):
    """A linear layer from the pooler to two classes: 0, the second text follows the first; 1, it is another's."""

    output_class = NextSentencePredictorOutput

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.cls = {"seq_relationship": Linear(config.hidden_size, 2)}
        self.post_init()

    def score(self, encoded: EncoderOutput) -> Tensor:
        return self.cls["seq_relationship"](encoded.pooler_output)  # (B, 2)

    def own_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return token_loss(logits[:, None], tf.reshape(labels, (-1, 1)))


# -- heads with several logits, which train on their own loss only


class TFSeveralLogits(TFPreTrainedModel):
    """A model whose logits and labels are several: its loss cannot be one that `compile` names."""

    label_names: ClassVar[tuple[str, ...]]
    output_class: ClassVar[type[ModelOutput]]

    @abstractmethod
    def several_loss(self, output: ModelOutput, labels: dict[str, Tensor]) -> Tensor:
        """Compute the loss of a batch from the logits and the labels, by their names."""

    def several(self, fields: dict[str, Tensor], encoded: EncoderOutput, labels: dict, return_dict: bool | None) -> Any:
        """Make the output of logits, in float32; with a loss, if no label is missing."""
        output = self.output_class(**{name: tf.cast(x, tf.float32) for name, x in fields.items()}, **of_layers(encoded))
        if all(value is not None for value in labels.values()):
            output = type(output)(loss=self.several_loss(output, labels), **output)
        return finish(output, self.config, return_dict)

    def compile(self, *args: Any, loss: Any = None, metrics: Any = None, **options: Any) -> None:
        if loss is not None or metrics is not None:
            raise ValueError(f"{type(self).__name__} trains on its own loss: name no loss and no metrics in compile")
        super().compile(*args, **options)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: ModelOutput | None = None,
        sample_weight: Tensor | None = None,
        training: bool = True,
    ) -> Tensor:
        if sample_weight is not None:
            raise ValueError(f"{type(self).__name__} trains on its own loss, which takes no weights of rows")
        loss = y_pred.get("loss")
        if loss is None:
            labels = y if isinstance(y, dict) else {}
            if missing := [name for name in self.label_names if name not in labels]:
                raise ValueError(f"the batches have no {missing[0]}, neither among the inputs nor beside them")
            loss = self.several_loss(y_pred, labels)
        return loss / tf.distribute.get_strategy().num_replicas_in_sync  # gradients of the replicas are summed

    def compute_metrics(self, x: Any, y: Any, y_pred: ModelOutput, sample_weight: Tensor | None = None) -> dict:
        return self.get_metrics_result()  # the loss


class TFSpans(TFSeveralLogits):
    """Two scores a token, that an answer begins and that it ends there."""

    output_class = QuestionAnsweringModelOutput
    label_names = ("start_positions", "end_positions")

    def spans(self, scores: Tensor, encoded: EncoderOutput, start: Any, end: Any, return_dict: bool | None) -> Any:
        fields = {"start_logits": scores[..., 0], "end_logits": scores[..., 1]}  # (B, T) each
        return self.several(fields, encoded, {"start_positions": start, "end_positions": end}, return_dict)

    def several_loss(self, output: ModelOutput, labels: dict[str, Tensor]) -> Tensor:
        losses = [span_loss(output[f"{at}_logits"], labels[f"{at}_positions"]) for at in ("start", "end")]
        return (losses[0] + losses[1]) / 2


class TFBertForQuestionAnswering(TFSpans):
    """A linear layer to two scores."""

    config_class = BertConfig

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = TFBertModel(config, add_pooling_layer=False)
        self.qa_outputs = Linear(config.hidden_size, 2)
        self.post_init()

    def call(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        training: bool | None = None,
    ) -> ModelOutput | tuple[Tensor, ...]:
        """Score spans; inputs as for `TFBertModel.call`, positions (B,) as for `span_loss`."""
        tensors = (input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        encoded = self.bert(*tensors, output_attentions, output_hidden_states, return_dict=True)
        scores = self.qa_outputs(encoded.last_hidden_state)  # (B, T, 2)
        return self.spans(scores, encoded, start_positions, end_positions, return_dict)


class TFDistilBertForQuestionAnswering(TFSpans):
    """Dropout, a linear layer to two scores."""

    config_class = DistilBertConfig

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config)
        self.distilbert = TFDistilBertModel(config)
        self.qa_outputs = Linear(config.dim, 2)
        self.dropout = Dropout(config.qa_dropout)
        self.post_init()

    def call(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        position_ids: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        training: bool | None = None,
    ) -> ModelOutput | tuple[Tensor, ...]:
        """Score spans; inputs as for `TFDistilBertModel.call`, positions (B,) as for `span_loss`."""
        tensors = (input_ids, attention_mask, inputs_embeds, position_ids)
        encoded = self.distilbert(*tensors, output_attentions, output_hidden_states, return_dict=True)
        scores = self.qa_outputs(self.dropout(encoded.last_hidden_state))  # (B, T, 2)
        return self.spans(scores, encoded, start_positions, end_positions, return_dict)


class TFBertForPreTraining(TFSeveralLogits):
    """Masked words and pairs of sentences: the loss is the sum of theirs."""

    config_class = BertConfig
    output_class = BertForPreTrainingOutput
    label_names = ("labels", "next_sentence_label")

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = TFBertModel(config)
        words = self.bert.embeddings.word_embeddings
        self.cls = {"predictions": TFBertPredictions(config, words), "seq_relationship": Linear(config.hidden_size, 2)}
        self.post_init()

    def call(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        next_sentence_label: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        training: bool | None = None,
    ) -> ModelOutput | tuple[Tensor, ...]:
        """Predict words and pairs; `labels` (B, T), -100 where no word is asked for, `next_sentence_label` (B,)."""
        tensors = (input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        encoded = self.bert(*tensors, output_attentions, output_hidden_states, return_dict=True)
        fields = {
            "prediction_logits": self.cls["predictions"](encoded.last_hidden_state),  # (B, T, V)
            "seq_relationship_logits": self.cls["seq_relationship"](encoded.pooler_output),  # (B, 2)
        }
        given = {"labels": labels, "next_sentence_label": next_sentence_label}
        return self.several(fields, encoded, given, return_dict)

    def several_loss(self, output: ModelOutput, labels: dict[str, Tensor]) -> Tensor:
        pairs = tf.reshape(labels["next_sentence_label"], (-1, 1))
        words = masked_lm_loss(output.prediction_logits, labels["labels"])
        return words + token_loss(output.seq_relationship_logits[:, None], pairs)
