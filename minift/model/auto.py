"""The right class for whatever a folder or a Hub repository holds: one table a task."""

from typing import ClassVar

from minift.model.auto_class import AutoClass
from minift.model.bert import BertModel
from minift.model.distilbert import DistilBertModel
from minift.model.heads.classification import BertForSequenceClassification, DistilBertForSequenceClassification
from minift.model.heads.masked_lm import BertForMaskedLM, DistilBertForMaskedLM


class AutoModel(AutoClass):
    """The encoder alone."""

    classes: ClassVar = {"bert": BertModel, "distilbert": DistilBertModel}


class AutoModelForSequenceClassification(AutoClass):
    """The encoder with a head that classifies texts."""

    classes: ClassVar = {"bert": BertForSequenceClassification, "distilbert": DistilBertForSequenceClassification}


class AutoModelForMaskedLM(AutoClass):
    """The encoder with the head that predicts masked tokens."""

    classes: ClassVar = {"bert": BertForMaskedLM, "distilbert": DistilBertForMaskedLM}
