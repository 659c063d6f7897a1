"""The right class for whatever a folder or a Hub repository holds: one table a task."""

from typing import ClassVar

from minift.model.auto_class import AutoClass
from minift.tf import heads
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
