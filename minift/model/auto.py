"""The right class for whatever a folder or a Hub repository holds: one table a task."""

from typing import ClassVar

from minift.model.auto_class import AutoClass
from minift.model.bert import BertModel
from minift.model.distilbert import DistilBertModel
from minift.model.heads.choices import BertForMultipleChoice, DistilBertForMultipleChoice
from minift.model.heads.classification import BertForSequenceClassification, DistilBertForSequenceClassification
from minift.model.heads.masked_lm import BertForMaskedLM, DistilBertForMaskedLM
from minift.model.heads.sentences import BertForNextSentencePrediction, BertForPreTraining
from minift.model.heads.spans import BertForQuestionAnswering, DistilBertForQuestionAnswering
from minift.model.heads.tokens import BertForTokenClassification, DistilBertForTokenClassification


class AutoModel(AutoClass):
    """The encoder alone."""

    classes: ClassVar = {"bert": BertModel, "distilbert": DistilBertModel}


class AutoModelForSequenceClassification(AutoClass):
    """The encoder with a head that classifies texts."""

    classes: ClassVar = {"bert": BertForSequenceClassification, "distilbert": DistilBertForSequenceClassification}


class AutoModelForMaskedLM(AutoClass):
    """The encoder with the head that predicts masked tokens."""

    classes: ClassVar = {"bert": BertForMaskedLM, "distilbert": DistilBertForMaskedLM}


class AutoModelForTokenClassification(AutoClass):
    """The encoder with a head that classifies tokens."""

    classes: ClassVar = {"bert": BertForTokenClassification, "distilbert": DistilBertForTokenClassification}


class AutoModelForQuestionAnswering(AutoClass):
    """The encoder with a head that finds an answer in a text."""

    classes: ClassVar = {"bert": BertForQuestionAnswering, "distilbert": DistilBertForQuestionAnswering}


class AutoModelForMultipleChoice(AutoClass):
    """The encoder with a head that chooses one of several texts."""

    classes: ClassVar = {"bert": BertForMultipleChoice, "distilbert": DistilBertForMultipleChoice}


class AutoModelForNextSentencePrediction(AutoClass):
    """The encoder with a head that says whether one text follows another."""

    classes: ClassVar = {"bert": BertForNextSentencePrediction}


class AutoModelForPreTraining(AutoClass):
    """The encoder with the heads that it was pre-trained with."""

    classes: ClassVar = {"bert": BertForPreTraining, "distilbert": DistilBertForMaskedLM}
