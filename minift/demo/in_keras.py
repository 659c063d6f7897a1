"""The functions of in_torch.py in Keras, where answers are computed by hand: there is no pipeline."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from minift.demo.corpus import WITHOUT_DROPOUT
from minift.model.config import BertConfig
from minift.tf.auto import TFAutoModelForMaskedLM, TFAutoModelForSequenceClassification
from minift.tf.bert import TFBertModel
from minift.tf.classify import finetune
from minift.tf.heads import TFBertForMaskedLM
from minift.tf.mlm import mlm
from minift.tokenizer.classes import AutoTokenizer

ENCODER, pretrain, train = TFBertModel, mlm, finetune


def make_model(folder: Path, seed: int) -> int:
    keras.utils.set_random_seed(seed)
    model = TFBertForMaskedLM(BertConfig.from_pretrained(folder, **WITHOUT_DROPOUT))
    model.save_pretrained(folder)
    return model.count_params()


def classify(folder: Path, texts: list[str]) -> list[dict[str, Any]]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = TFAutoModelForSequenceClassification.from_pretrained(folder)
    batch = tokenizer(texts, padding=True, truncation=True, return_tensors="tf")
    scores = tf.nn.softmax(model(dict(batch))["logits"]).numpy()  # (B, C)
    return [{"label": model.config.id2label[int(row.argmax())], "score": float(row.max())} for row in scores]


def fill_mask(folder: Path, text: str, top_k: int) -> list[dict[str, Any]]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = TFAutoModelForMaskedLM.from_pretrained(folder)
    batch = tokenizer([text], return_tensors="tf")
    mask = np.flatnonzero(batch["input_ids"][0] == tokenizer.mask_token_id)[0]
    scores = tf.nn.softmax(model(dict(batch))["logits"][0, mask]).numpy()  # (V,)
    best = np.argsort(-scores)[:top_k]
    return [{"token_str": tokenizer.decode([int(token)]), "score": float(scores[token])} for token in best]


ANSWERS = classify
