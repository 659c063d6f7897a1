"""The stages of the demo that compute, in Keras: a model, its training, and its answers at their plainest."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from minift.files import read_json
from minift.model.config import BertConfig
from minift.tf.auto import TFAutoModelForMaskedLM, TFAutoModelForSequenceClassification
from minift.tf.bert import TFBertModel
from minift.tf.classify import finetune
from minift.tf.heads import TFBertForMaskedLM
from minift.tf.mlm import mlm
from minift.tokenizer.tokenizer import AutoTokenizer
from minift.train.arguments import TrainingArguments

pretrain = mlm


def make_model(folder: Path, seed: int) -> int:
    """Save a BERT with random weights beside its configuration; return the number of its parameters."""
    keras.utils.set_random_seed(seed)
    model = TFBertForMaskedLM(BertConfig.from_pretrained(folder))
    model.save_pretrained(folder)
    return model.count_params()


def train(checkpoint: Path, corpus: Path, args: TrainingArguments, config: str) -> dict[str, float]:
    """Fine-tune; return the metrics of the last evaluation."""
    finetune(checkpoint, corpus, args, config=config)
    return read_json(Path(args.output_dir, "trainer_state.json"))["log_history"][-1]


def classify(folder: Path, texts: list[str]) -> list[dict[str, Any]]:
    """Return the label of each text and its probability."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = TFAutoModelForSequenceClassification.from_pretrained(folder)
    batch = tokenizer(texts, padding=True, truncation=True, return_tensors="tf")
    scores = tf.nn.softmax(model(dict(batch))["logits"]).numpy()  # (B, C)
    return [{"label": model.config.id2label[int(row.argmax())], "score": float(row.max())} for row in scores]


def fill_mask(folder: Path, text: str, top_k: int) -> list[dict[str, Any]]:
    """Return the likeliest tokens for the first [MASK] of a text, the best first."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = TFAutoModelForMaskedLM.from_pretrained(folder)
    batch = tokenizer([text], return_tensors="tf")
    mask = np.flatnonzero(batch["input_ids"][0] == tokenizer.mask_token_id)[0]
    scores = tf.nn.softmax(model(dict(batch))["logits"][0, mask]).numpy()  # (V,)
    best = np.argsort(-scores)[:top_k]
    return [{"token_str": tokenizer.decode([int(token)]), "score": float(scores[token])} for token in best]


ENCODER, ANSWERS = TFBertModel, classify  # the demo names their files
