"""Where the real data and the real checkpoint are: the folder that MINIFT_HUB names, or ../shared/hub."""

import os
from pathlib import Path

import pytest

_DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "hub"
HUB = Path(os.environ.get("MINIFT_HUB", _DEFAULT))

MRPC = HUB / "datasets" / "nyu-mll" / "glue"
IMDB = HUB / "datasets" / "stanfordnlp" / "imdb"
BERT_BASE = HUB / "models" / "google-bert" / "bert-base-uncased"  # config and vocabulary, no weights
DISTILBERT_BASE = HUB / "models" / "distilbert" / "distilbert-base-uncased"  # config and vocabulary, no weights
MINILM = HUB / "models" / "sentence-transformers" / "all-MiniLM-L6-v2"  # a pretrained BERT encoder

needs_hub = pytest.mark.skipif(not HUB.is_dir(), reason=f"real data: set MINIFT_HUB (no folder at {HUB})")
