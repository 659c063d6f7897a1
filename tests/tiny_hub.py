"""The repositories that the course names, as a folder to be served by a loopback Hub: real words, tiny random models.

The vocabularies and GLUE MRPC are the real ones. IMDb has all its rows, labels and types; most of its reviews are cut
short, which is what makes it quick.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import minift
from tests.hub import BERT_BASE, DISTILBERT_BASE, IMDB, MRPC
from tests.pages import WHOLE

BERT = dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
DISTILBERT = dict(dim=8, n_layers=1, n_heads=2, hidden_dim=8)
LONG_ROWS = 200  # whole reviews at the start of each split: 128-token blocks enough to train on
SHUFFLED_ROWS = 3  # the course prints the first rows of ``shuffle(seed=42)``


def save_models(root: Path) -> None:
    torch.manual_seed(0)
    labels = {0: "NEGATIVE", 1: "POSITIVE"}
    models = {
        "google-bert/bert-base-uncased": minift.BertModel(minift.BertConfig(**BERT)),
        "google-bert/bert-base-cased": minift.BertModel(minift.BertConfig(**BERT)),
        "distilbert/distilbert-base-uncased": minift.DistilBertForMaskedLM(minift.DistilBertConfig(**DISTILBERT)),
        "huggingface-course/distilbert-base-uncased-finetuned-imdb": minift.DistilBertForMaskedLM(
            minift.DistilBertConfig(**DISTILBERT)
        ),
        "distilbert/distilbert-base-uncased-finetuned-sst-2-english": minift.DistilBertForSequenceClassification(
            minift.DistilBertConfig(**DISTILBERT, id2label=labels)
        ),
    }
    for name, model in models.items():
        model.save_pretrained(root / name)
        vocabulary = BERT_BASE if name.startswith("google-bert") else DISTILBERT_BASE
        minift.AutoTokenizer.from_pretrained(vocabulary).save_pretrained(root / name)


def save_short_imdb(folder: Path) -> None:
    (folder / "plain_text").mkdir(parents=True)
    (folder / "README.md").write_bytes((IMDB / "README.md").read_bytes())
    for file in sorted((IMDB / "plain_text").glob("*.parquet")):
        table = pq.read_table(file)
        shuffled = np.random.default_rng(42).permutation(len(table))[:SHUFFLED_ROWS]
        whole = {*range(LONG_ROWS), *shuffled.tolist()}
        texts = [text if row in whole else text[:8] for row, text in enumerate(table["text"].to_pylist())]
        pq.write_table(
            table.set_column(0, table.schema.field("text"), pa.array(texts)), folder / "plain_text" / file.name
        )


@pytest.fixture(scope="session")
def tiny_hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the repositories."""
    root = tmp_path_factory.mktemp("hub")
    save_models(root / "models")
    glue, imdb = root / "datasets" / "nyu-mll" / "glue", root / "datasets" / "stanfordnlp" / "imdb"
    glue.parent.mkdir(parents=True)
    glue.symlink_to(MRPC)
    if WHOLE:
        imdb.parent.mkdir(parents=True)
        imdb.symlink_to(IMDB)
    else:
        save_short_imdb(imdb)
    return root
