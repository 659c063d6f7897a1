"""The stages of the demo that compute, in torch: a model, its training, and its answers."""

from pathlib import Path
from typing import Any

from minift.demo.corpus import WITHOUT_DROPOUT
from minift.model.bert import BertModel
from minift.model.config import BertConfig
from minift.model.heads.masked_lm import BertForMaskedLM
from minift.pipelines.pipeline import pipeline
from minift.tasks.classify import finetune
from minift.tasks.mlm import mlm
from minift.train.seed import set_seed

ENCODER, ANSWERS, pretrain, train = BertModel, pipeline, mlm, finetune  # the demo calls these, or names their files


def make_model(folder: Path, seed: int) -> int:
    """Save a BERT with random weights beside its configuration; return the number of its parameters."""
    set_seed(seed)
    model = BertForMaskedLM(BertConfig.from_pretrained(folder, **WITHOUT_DROPOUT))
    model.save_pretrained(folder)
    return model.num_parameters()


def classify(folder: Path, texts: list[str]) -> list[dict[str, Any]]:
    """Return the label of each text and its probability."""
    return pipeline("text-classification", model=folder)(texts)


def fill_mask(folder: Path, text: str, top_k: int) -> list[dict[str, Any]]:
    """Return the likeliest tokens for the [MASK] of a text, the best first."""
    return pipeline("fill-mask", model=folder)(text, top_k=top_k)
