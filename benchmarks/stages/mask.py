"""Blocks to masked batches, of tokens and of whole words: the collators alone, and with the reading before them."""

import collections
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch

from benchmarks import workloads
from benchmarks.checks import equal
from benchmarks.harness import Case, Side
from benchmarks.settings import Settings
from minift.batches.chunk import chunk_dataset
from minift.batches.column_batches import column_batches
from minift.batches.mask import DataCollatorForLanguageModeling
from minift.batches.word_mask import DataCollatorForWholeWordMask

SHAPE = 64, 128


def cases(settings: Settings) -> Iterator[Case]:
    import transformers

    blocks = chunk_dataset(workloads.tokenised_reviews(1000), SHAPE[1])
    numbers = blocks.shuffle(seed=0).indices[: SHAPE[0]].tolist()
    tokenizers = workloads.tokenizers(workloads.checkpoint("distilbert"))
    plain = blocks.remove_columns("word_ids")
    tokens = DataCollatorForLanguageModeling(tokenizers[0]), transformers.DataCollatorForLanguageModeling(tokenizers[1])
    words = DataCollatorForWholeWordMask(tokenizers[0], 0.2, 1.0, 0.0), course_collator(tokenizers[1].mask_token_id)
    for name, data, (ours, theirs), target, floor in (
        ("mask tokens", plain, tokens, 8, draw_tokens),
        ("mask whole words", blocks, words, 10, draw_words(blocks[numbers])),
    ):
        rows, peer, source = data.__getitems__(numbers), workloads.as_peer(data), column_batches(data, ours)
        what = f"{name}, batch {SHAPE[0]} × {SHAPE[1]}"
        their_work, our_work = partial(on_copies, theirs, rows), partial(on_copies, ours, rows)
        yield Case(
            what,
            Side("collator", their_work),
            [Side("collator", our_work, same_masks(their_work, our_work), target, floor)],
            facts={"floor": "the random draws"},
        )
        their_work, our_work = partial(read, theirs, peer, numbers), partial(read, ours, source, numbers)
        yield Case(
            f"read the rows and {what}",
            Side("datasets, then the collator", their_work),
            [Side("columns, then the collator", our_work, same_masks(their_work, our_work), target, floor)],
            facts={"floor": "the random draws"},
        )


def on_copies(collate: Callable, rows: list[dict]) -> dict:
    """A batch of the rows, with a copy of what the course's collator writes into."""
    return dict(collate([{**row, "input_ids": row["input_ids"].copy()} for row in rows]))


def read(collate: Callable, source: Any, numbers: list[int]) -> dict:
    return dict(collate(source.__getitems__(numbers)))


def same_masks(theirs: Callable[[], dict], ours: Callable[[], dict]) -> Callable[[Any, Any], None]:
    """The check, from one seed; seeding is left out of what is timed."""

    def check(*_: Any) -> None:
        batches = []
        for work in (theirs, ours):
            torch.manual_seed(0)
            np.random.seed(0)
            batches.append(work())
        equal(*batches)

    return check


def draw_tokens() -> None:
    for probability in (0.15, 0.8, 0.5):
        torch.bernoulli(torch.full(SHAPE, probability))
    torch.randint(30_522, SHAPE)


def draw_words(rows: dict[str, list]) -> Callable[[], Any]:
    count = sum(len(set(row) - {None}) for row in rows["word_ids"])
    return lambda: np.random.binomial(1, 0.2, count)


def course_collator(mask_token_id: int) -> Callable[[list[dict]], dict]:
    """Whole-word masking in plain Python, as the course writes it: a draw a word, all chosen words become [MASK]."""
    from transformers import default_data_collator

    def collate(rows: list[dict]) -> dict:
        for row in rows:
            tokens_of, word, before = collections.defaultdict(list), -1, None
            for position, number in enumerate(row.pop("word_ids")):
                if number is not None:
                    if number != before:
                        before, word = number, word + 1
                    tokens_of[word].append(position)
            chosen = np.random.binomial(1, 0.2, (len(tokens_of),))
            labels = [-100] * len(row["input_ids"])
            for word in np.flatnonzero(chosen):
                for position in tokens_of[word.item()]:
                    labels[position] = row["labels"][position]
                    row["input_ids"][position] = mask_token_id
            row["labels"] = labels
        return default_data_collator(rows)

    return collate
