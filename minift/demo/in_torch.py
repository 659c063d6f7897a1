"""The stages of the demo that compute, in torch: a model, its training, and its answers."""

from pathlib import Path
from typing import Any

from minift.model.bert import BertModel
from minift.model.config import BertConfig
from minift.model.heads.masked_lm import BertForMaskedLM
from minift.pipelines.pipeline import pipeline
from minift.tasks.classify import finetune
from minift.tasks.mlm import mlm
from minift.train.arguments import TrainingArguments
from minift.train.seed import set_seed

ENCODER, ANSWERS = BertModel, pipeline  # the demo names their files
pretrain = mlm


def make_model(folder: Path, seed: int) -> int:
    """Save a BERT with random weights beside its configuration; return the number of its parameters."""
    set_seed(seed)
    model = BertForMaskedLM(BertConfig.from_pretrained(folder))
    model.save_pretrained(folder)
    return model.num_parameters()


def train(checkpoint: Path, corpus: Path, args: TrainingArguments, config: str) -> dict[str, float]:
    """Fine-tune; return the metrics of an evaluation."""
    trainer, _ = finetune(checkpoint, corpus, args, config=config)
    return trainer.evaluate()


def classify(folder: Path, texts: list[str]) -> list[dict[str, Any]]:
    """Return the label of each text and its probability."""
    return pipeline("text-classification", model=folder)(texts)


def fill_mask(folder: Path, text: str, top_k: int) -> list[dict[str, Any]]:
    """Return the likeliest tokens for the [MASK] of a text, the best first."""
    return pipeline("fill-mask", model=folder)(text, top_k=top_k)
