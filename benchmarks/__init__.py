"""Every stage measured beside the library that it re-implements: ``python -m benchmarks --help``."""

import os
import sys
from pathlib import Path

HUB = Path(os.environ.get("MINIFT_HUB", Path(__file__).resolve().parents[2] / "shared" / "hub"))
MRPC = HUB / "datasets" / "nyu-mll" / "glue"
IMDB = HUB / "datasets" / "stanfordnlp" / "imdb"
BERT_BASE = HUB / "models" / "google-bert" / "bert-base-uncased"  # config and vocabulary, no weights
DISTILBERT_BASE = HUB / "models" / "distilbert" / "distilbert-base-uncased"  # config and vocabulary, no weights
MINILM = HUB / "models" / "sentence-transformers" / "all-MiniLM-L6-v2"


def require(*folders: Path) -> None:
    """End the script, and say why, where some of the real data is not there."""
    for folder in folders:
        if not folder.is_dir():
            print(f"not measured: there is no {folder}; set MINIFT_HUB to a folder of Hub repositories")
            sys.exit(0)
