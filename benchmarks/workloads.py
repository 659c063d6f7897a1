"""What the stages work on: real data and checkpoints where they are at hand, else generated ones of that shape."""

import atexit
import random
import re
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import BERT_BASE, DISTILBERT_BASE, IMDB, MINILM, MRPC
from minift.data.dataset import Dataset
from minift.data.features import ClassLabel, Features, Value
from minift.data.load import load_dataset
from minift.model.config import BertConfig, DistilBertConfig
from minift.tokenizer.classes import AutoTokenizer
from minift.tokenizer.tokenizer import Tokenizer

WANTED = {"IMDb": IMDB, "MRPC": MRPC, "MiniLM": MINILM, "BERT's and DistilBERT's vocabularies": BERT_BASE}
FOUND, MISSING = ([name for name, path in WANTED.items() if path.is_dir() == there] for there in (True, False))
SOURCE = "; ".join(
    [f"real: {', '.join(FOUND)}"] * bool(FOUND)
    + [f"generated, of the same shape: {', '.join(MISSING)}"] * bool(MISSING)
    + ["models of base size have random weights"]
)
REVIEWS = 25_000  # rows of IMDb's training split
PAIRS = {"train": 3_668, "validation": 408}  # of MRPC's splits

# sizes of all-MiniLM-L6-v2, which is what the training stages fine-tune
MINILM_SIZE = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
SENTENCE_WORDS = range(2, 49)  # of a "short sentence"


@cache
def folder() -> Path:
    """A temporary folder that is gone when the run ends."""
    path = Path(tempfile.mkdtemp(prefix="minift-bench-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


# -- texts


@cache
def reviews(rows: int = REVIEWS) -> Dataset:
    """``text`` and ``label``: IMDb's training reviews in their order, or generated ones of such lengths."""
    if IMDB.is_dir():
        data = load_dataset(IMDB, split="train", cache_dir=folder() / "cache")
        return data.select(range(min(rows, len(data)))).flatten_indices()
    draw = np.random.default_rng(0)
    lengths = np.clip(draw.lognormal(5.3, 0.6, rows), 10, 2400).astype(int)  # IMDb: 234 words on average
    texts = [generated_text(length, seed) for seed, length in enumerate(lengths)]
    return _labelled({"text": texts, "label": (np.arange(rows) % 2).tolist()})


@cache
def pairs(split: str = "train") -> Dataset:
    """``sentence1``, ``sentence2``, ``label``: MRPC's pairs, or generated ones of such lengths."""
    if MRPC.is_dir():
        return load_dataset(MRPC, "mrpc", split=split, cache_dir=folder() / "cache").remove_columns("idx")
    lengths = np.random.default_rng(0).normal(19, 5, (2, PAIRS[split])).clip(5, 35).astype(int)
    columns = {f"sentence{n + 1}": [generated_text(k, i) for i, k in enumerate(lengths[n])] for n in (0, 1)}
    return _labelled(columns | {"label": [i % 2 for i in range(PAIRS[split])]})


@cache
def sentences(rows: int) -> Dataset:
    """``text`` and ``label``: what stands between punctuation in shuffled reviews, each with its review's label.

    13 tokens on average, as in SST-2; whole sentences of IMDb have 23.
    """
    texts, labels = [], []
    for row in reviews().shuffle(seed=0):
        for text in re.split(r"(?<=[.!?,;:])\s+|<br />", row["text"]):
            if len(text.split()) in SENTENCE_WORDS:
                texts.append(text)
                labels.append(row["label"])
        if len(texts) >= rows:
            break
    return _labelled({"text": texts[:rows], "label": labels[:rows]})


def _labelled(columns: dict[str, list]) -> Dataset:
    features = Features({name: Value("string") for name in columns if name != "label"})
    return Dataset.from_dict(columns, Features(features | {"label": ClassLabel(names=["0", "1"])}))


def generated_text(words: int, seed: int) -> str:
    """Words of a generated vocabulary, the common ones often (Zipf), one in eight of two pieces, one in ten before a
    comma."""
    draw = random.Random(seed)
    ranks = [min(int(draw.paretovariate(0.9)), 28_000) for _ in range(words)]
    words = [_word(rank) + (_word(rank + 7) if rank % 8 == 0 else "") for rank in ranks]
    text = " ".join(word + ("," if draw.random() < 0.1 else "") for word in words)
    return text.capitalize() + "."


def _word(rank: int) -> str:
    """A different pronounceable word for each number."""
    word = ""
    while rank or not word:
        rank, digit = divmod(rank, 90)
        word += "bcdfghjklmnprstvwz"[digit % 18] + "aeiou"[digit // 18]
    return word


# -- checkpoints


@cache
def minilm() -> Path:
    """A folder with an encoder of all-MiniLM-L6-v2's size: the real one, or random weights."""
    if MINILM.is_dir():
        return MINILM
    from minift.model.auto import AutoModel

    path = folder() / "minilm"
    AutoModel.from_config(BertConfig(**MINILM_SIZE)).save_pretrained(path)
    return _with_vocabulary(path)


@cache
def checkpoint(kind: str) -> Path:
    """``bert`` or ``distilbert`` of base size with a masked-language-model head and random weights, as transformers
    writes it: the real vocabularies are at hand, the real weights are not."""
    from minift.model.auto import AutoModelForMaskedLM

    path = folder() / kind
    AutoModelForMaskedLM.from_config({"bert": BertConfig, "distilbert": DistilBertConfig}[kind]()).save_pretrained(path)
    source = {"bert": BERT_BASE, "distilbert": DISTILBERT_BASE}[kind]
    if not source.is_dir():
        return _with_vocabulary(path)
    for file in source.glob("*token*"):
        shutil.copy(file, path)
    shutil.copy(source / "vocab.txt", path)
    return path


def _with_vocabulary(path: Path) -> Path:
    """Write 30,522 words: BERT's special tokens, the generated words, and the pieces that follow them."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", ","]
    words = [_word(rank) for rank in range(28_000)]
    pieces = [f"##{word}" for word in words[: 30_522 - len(special) - len(words)]]
    (path / "vocab.txt").write_text("\n".join(special + words + pieces))
    return path


def tokenizers(path: Path) -> tuple[Tokenizer, Any]:
    """minift's and transformers'."""
    import transformers

    return AutoTokenizer.from_pretrained(path), transformers.AutoTokenizer.from_pretrained(path)


# -- rows ready for a model, made once by minift


@cache
def tokenised_pairs(split: str = "train") -> Dataset:
    tokenizer, data = AutoTokenizer.from_pretrained(minilm()), pairs(split)
    encode = {"batched": True, "remove_columns": ["sentence1", "sentence2"]}
    return data.map(lambda rows: tokenizer(rows["sentence1"], rows["sentence2"], truncation=True), **encode)


@cache
def tokenised_sentences(rows: int) -> Dataset:
    tokenizer = AutoTokenizer.from_pretrained(minilm())
    encode = {"batched": True, "remove_columns": ["text"]}
    return sentences(rows).map(lambda batch: tokenizer(batch["text"], truncation=True), **encode)


@cache
def tokenised_reviews(rows: int, word_ids: bool = True) -> Dataset:
    from minift.tasks.blocks import tokenize

    return tokenize(reviews(rows), AutoTokenizer.from_pretrained(checkpoint("distilbert")), "text", word_ids=word_ids)


def padding_factor(lengths: np.ndarray, batch: int) -> float:
    """Tokens that batches of this many neighbouring rows hold, padding included, for each real one."""
    batches = [lengths[start : start + batch] for start in range(0, len(lengths), batch)]
    return sum(len(rows) * rows.max() for rows in batches) / lengths.sum()


def as_peer(dataset: Dataset) -> Any:
    """The same rows as a `datasets.Dataset`, over a file of its own, as `datasets.load_dataset` would give them."""
    import datasets
    import pyarrow as pa

    path = folder() / f"peer-{id(dataset)}-{random.random()}.arrow"
    table = dataset.with_format("arrow")[:]
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table, max_chunksize=1000)
    return datasets.Dataset.from_file(str(path))
