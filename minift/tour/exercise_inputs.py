"""Inputs for the exercises: a number -> the arguments of a function, made anew each time."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import torch

from minift.batches.chunk import Chunker
from minift.batches.draws import numpy_draws
from minift.batches.sampler import BatchSampler, SequentialOrder
from minift.metrics.classes import Confusion
from minift.model.bert import BertLayer
from minift.model.config import BertConfig
from minift.tokenizer.wordpiece import WordPiece

WORDS = ["", "a", "b", "ab", "ba", "aba", "abab", "cab", "abc", "bab", "aab", "c", "abx", "b" * 101]
PIECES = ["[UNK]", "a", "b", "ab", "aba", "##a", "##b", "##ab", "##ba", "c", "##c"]
STORED = [
    ["bert.embeddings.word_embeddings.weight", "classifier.weight", "cls.seq_relationship.weight"],
    ["embeddings.word_embeddings.weight", "encoder.layer.0.output.LayerNorm.gamma", "pooler.dense.bias"],
    [
        "bert.embeddings.position_ids",
        "bert.encoder.layer.0.output.LayerNorm.beta",
        "classifier.bias",
        "classifier.weight",
    ],
    ["cls.predictions.decoder.weight"],
]
WANTED = [
    "bert.embeddings.word_embeddings.weight",
    "bert.encoder.layer.0.output.LayerNorm.weight",
    "bert.encoder.layer.0.output.LayerNorm.bias",
    "classifier.weight",
    "classifier.bias",
]


def tensors(number: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(number))


def wordpiece(number: int) -> tuple:
    vocabulary = {piece: i for i, piece in enumerate(PIECES)}
    return WordPiece(vocabulary), WORDS[number % len(WORDS)]


def punctuation(number: int) -> tuple:
    return (["don't", "a.b", "...", "", "plain", "$5", "(a)", "é!", "x-y-z"][number % 9],)


def padding(number: int) -> tuple:
    rng = np.random.default_rng(number)
    lengths = rng.integers(0, 6, 4)
    return lengths, int(lengths.max()) + number % 3, ("right", "left")[number % 2]


def chunking(number: int) -> tuple:
    rng = np.random.default_rng(number)
    lengths = rng.integers(0, 7, 3)
    chunker = Chunker(3, pad_token_id=(None, 0)[number % 2], within_documents=number % 4 > 1)
    ids = pa.array(rng.integers(5, 50, int(lengths.sum())))
    return chunker, {"input_ids": ids, "attention_mask": pa.array([1] * len(ids))}, lengths


def masking(number: int) -> tuple:
    rng = np.random.default_rng(number)
    ids, chosen = rng.integers(5, 50, (3, 40)), rng.random((3, 40)) < 0.5
    replace, random = [(0.8, 0.1), (1.0, 0.0), (0.8, 0.2), (0.5, 0.25)][number % 4]
    tokenizer = type("Tokenizer", (), {"mask_token_id": 4, "__len__": lambda self: 50})()
    how = SimpleNamespace(mask_replace_prob=replace, random_replace_prob=random, tokenizer=tokenizer)
    return ids, chosen, how, *numpy_draws(np.random.default_rng(number + 1))


def whole_words(number: int) -> tuple:
    rng = np.random.default_rng(number)
    words = np.sort(rng.integers(0, 6, (3, 8)).astype(float), axis=1)
    words[:, 0] = words[:, -1] = np.nan
    words[rng.random(words.shape) < 0.1] = np.nan
    coins, _ = numpy_draws(np.random.default_rng(number + 1))
    return words, 0.5, coins


def attention(number: int) -> tuple:
    q, k = tensors(number, 2, 3, 5, 4), tensors(number + 1, 2, 3, 5, 4)
    allowed = torch.ones(2, 1, 5, 5, dtype=torch.bool)
    allowed[1, :, :, 3:] = False
    mask = [None, allowed, torch.zeros(2, 1, 5, 5).masked_fill(~allowed, -1e9)][number % 3]
    return q, k, mask, 0.0


def heads(number: int) -> tuple:
    return tensors(number, 2, 3, 12), (2, 3, 4, 6)[number % 4]


def layer(number: int) -> BertLayer:
    torch.manual_seed(number)
    config = BertConfig(vocab_size=9, hidden_size=8, num_attention_heads=2, intermediate_size=16, layer_norm_eps=1e-3)
    made = BertLayer(config).eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return made


def feed_forward(number: int) -> tuple:
    return layer(number), tensors(number, 2, 5, 8)


def self_attention(number: int) -> tuple:
    mask = torch.ones(2, 1, 5, 5, dtype=torch.bool)
    mask[1, :, :, 2:] = False
    return layer(number), tensors(number, 2, 5, 8), (None, mask)[number % 2]


def cross_entropy(number: int) -> tuple:
    labels = torch.randint(0, 4, (6,), generator=torch.Generator().manual_seed(number))
    labels[number % 6] = -100
    return tensors(number, 6, 4), labels, (None, 7)[number % 2]


def spans(number: int) -> tuple:
    end = torch.tensor([[1, 9, 3], [4, 0, 12], [2, -1, 3]][number % 3])
    start = torch.tensor([[0, 2, 1], [3, 0, 11], [0, -3, 3]][number % 3])
    return tensors(number, 3, 5), tensors(number + 1, 3, 5), start, None if number % 7 == 6 else end


def weight_names(number: int) -> tuple:
    tied = {} if number % 3 == 0 else {"cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight"}
    return STORED[number % 4], [*WANTED, *tied], "bert", tied


def adamw(number: int) -> tuple:
    shape = (3, 4)
    moments = tensors(number + 2, *shape) / 10, tensors(number + 3, *shape).square() / 10
    step, decay = number % 5 + 1, (1.0, 0.99)[number % 2]
    numbers = 0.1 / (1 - 0.9**step), (1 - 0.999**step) ** 0.5, decay, 0.9, 0.999, 1e-2
    return tensors(number, *shape), tensors(number + 1, *shape), *moments, *numbers


def schedule(number: int) -> tuple:
    return number % 13, (0, 3, 12)[number % 3], (12, 10, 12)[number % 3]


def shares(number: int) -> tuple:
    length, size = 5 + number % 7, 2 + number % 2
    even = bool(number % 3 == 0)
    return (BatchSampler(SequentialOrder(length), size, number % 5 == 4, number % 2, 2, even),)


def f1(number: int) -> tuple:
    right, more = np.random.default_rng(number).integers(0, 3, (2, 4))
    name = ("precision", "recall", "f1")[number % 3]
    return name, right, right + more, right + more[::-1], (0, 1)[number % 2]


def matthews(number: int) -> tuple:
    rng = np.random.default_rng(number)
    classes = 1 if number % 9 == 8 else 3
    confusion = Confusion()
    confusion.update(rng.integers(0, classes, 30), rng.integers(0, 3, 30))
    return (confusion,)


def entities(number: int) -> tuple:
    rng = np.random.default_rng(number)
    tags = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    return ([tags[i] for i in rng.integers(0, 5, number % 8)],)
