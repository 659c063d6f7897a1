"""The right class for whatever a folder or a Hub repository holds: one table a task."""

from typing import ClassVar

from minift.model.auto_class import AutoClass
from minift.tf import heads, other_heads
from minift.tf.bert import TFBertModel
from minift.tf.distilbert import TFDistilBertModel


class TFAutoModel(AutoClass):
    """The encoder alone."""

    classes: ClassVar = {"bert": TFBertModel, "distilbert": TFDistilBertModel}


class TFAutoModelForSequenceClassification(AutoClass):
    """The encoder with a head that classifies texts."""

    classes: ClassVar = {
        "bert": heads.TFBertForSequenceClassification,
        "distilbert": heads.TFDistilBertForSequenceClassification,
    }


class TFAutoModelForMaskedLM(AutoClass):
    """The encoder with the head that predicts masked tokens."""

    classes: ClassVar = {"bert": heads.TFBertForMaskedLM, "distilbert": heads.TFDistilBertForMaskedLM}


class TFAutoModelForTokenClassification(AutoClass):
    """The encoder with a head that classifies tokens."""

    classes: ClassVar = {
        "bert": other_heads.TFBertForTokenClassification,
        "distilbert": other_heads.TFDistilBertForTokenClassification,
    }


class TFAutoModelForQuestionAnswering(AutoClass):
    """The encoder with a head that scores spans."""

    classes: ClassVar = {
        "bert": other_heads.TFBertForQuestionAnswering,
        "distilbert": other_heads.TFDistilBertForQuestionAnswering,
    }


class TFAutoModelForMultipleChoice(AutoClass):
    """The encoder with a head that scores choices."""

    classes: ClassVar = {
        "bert": other_heads.TFBertForMultipleChoice,
        "distilbert": other_heads.TFDistilBertForMultipleChoice,
    }


class TFAutoModelForNextSentencePrediction(AutoClass):
    """BERT with the head that tells whether one sentence follows another."""

    classes: ClassVar = {"bert": other_heads.TFBertForNextSentencePrediction}


class TFAutoModelForPreTraining(AutoClass):
    """The encoder with all heads that it was pre-trained with."""

    classes: ClassVar = {"bert": other_heads.TFBertForPreTraining, "distilbert": heads.TFDistilBertForMaskedLM}
