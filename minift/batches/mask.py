"""Masked language modelling: which tokens are hidden, what replaces them, and evaluation sets masked once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

import numpy as np

from minift.batches.draws import RandomCollator
from minift.batches.whole_words import check_whole_words, choose_words_at_offsets
from minift.data.dataset import Dataset
from minift.tensors import as_tensor, tensor_kind
from minift.tokenizer.batch_encoding import BatchEncoding
from minift.tokenizer.padding import as_columns, inside_rows, row_lengths

IGNORED = -100  # the label of a token that the loss does not count


def hide(ids: Any, chosen: Any, how: Any, coins: Callable, tokens: Callable) -> tuple[Any, Any]:
    """Hide the chosen tokens: most become [MASK], some a random token, the rest stay as they are.

    Takes `ids` (int64) and `chosen` (bool), both (B, T), arrays or tensors; `how`, a collator with its shares; and the
    draws, see `numpy_draws`. Returns the ids with tokens hidden, and the labels: the ids before, -100 where nothing was
    chosen; both int64 (B, T). BERT, https://arxiv.org/abs/1810.04805, section 3.1: 80 %, 10 % and 10 %.
    """
    hidden, labels = ids + 0, ids + 0  # copies
    labels[~chosen] = IGNORED
    masked = chosen & coins(how.mask_replace_prob, ids.shape)
    hidden[masked] = how.tokenizer.mask_token_id
    if how.mask_replace_prob < 1 and how.random_replace_prob > 0:
        share = how.random_replace_prob / (1 - how.mask_replace_prob)  # of the tokens that do not become [MASK]
        random = chosen & ~masked & coins(share, ids.shape)
        hidden[random] = tokens(random, len(how.tokenizer))
    return hidden, labels


@dataclass
class DataCollatorForLanguageModeling(RandomCollator):
    """Pad a batch and hide tokens in it: ``labels`` (B, T) hold the hidden ids, and -100 everywhere else.

    Each token is chosen with `mlm_probability`, and then replaced as `hide` says. Special tokens are never chosen:
    those that a ``special_tokens_mask`` column marks, or else every special id. With `whole_word_mask`, words are
    chosen, which the column ``offset_mapping`` tells, and all their tokens become [MASK]. The draws are those of
    transformers/data/data_collator.py (``torch_mask_tokens``, ``numpy_mask_tokens``), so that one seed gives the same
    masks here and there; ``tf`` draws as ``np`` does.
    """

    tokenizer: Any  # pads, and gives the ids of [MASK] and of the special tokens
    mlm: bool = True  # False for causal modelling: labels are the ids, -100 on padding
    whole_word_mask: bool = False  # choose whole words; `mask_replace_prob` is then 1
    mlm_probability: float = 0.15
    mask_replace_prob: float = 0.8
    random_replace_prob: float = 0.1
    pad_to_multiple_of: int | None = None
    return_tensors: str = "pt"
    seed: int | None = None  # of a generator of its own; None draws from the global one

    def __post_init__(self) -> None:
        if self.mlm:
            check_masking(self)
        if self.whole_word_mask:
            check_whole_words(self)
        tensor_kind(self.return_tensors)
        super().__init__(self.seed)

    def __call__(self, features: Any, return_tensors: str | None = None) -> BatchEncoding:
        kind = tensor_kind(return_tensors or self.return_tensors)
        only_ids = not isinstance(features, Mapping) and len(features) > 0 and not isinstance(features[0], Mapping)
        columns = {"input_ids": list(features)} if only_ids else as_columns(features)
        columns.pop("labels", None)  # chunking has made a copy of input_ids; the labels are made here
        offsets = columns.pop("offset_mapping", None)
        batch = self.tokenizer.pad(
            columns,
            pad_to_multiple_of=self.pad_to_multiple_of,
            return_attention_mask=False if only_ids else None,
            return_tensors="pt" if kind == "pt" else "np",
        )
        special = batch.pop("special_tokens_mask", None)
        ids = batch["input_ids"]  # (B, T)
        if not self.mlm:
            batch["labels"] = ids + 0
            batch["labels"][ids == self.tokenizer.pad_token_id] = IGNORED
            return as_tensors(batch, kind)
        coins, tokens = self.draws(kind)
        if special is None:
            special = reduce(or_, (ids == special_id for special_id in self.tokenizer.all_special_ids))
        if self.whole_word_mask:
            chosen = choose_words_at_offsets(self, offsets, columns["input_ids"], special, coins)
        else:
            chosen = coins(self.mlm_probability * (special == 0), ids.shape)
        batch["input_ids"], batch["labels"] = hide(ids, chosen, self, coins, tokens)
        return as_tensors(batch, kind)


def freeze_masks(dataset: Dataset, collator: Any, batch_size: int = 1000) -> Dataset:
    """Mask an evaluation set once and store it, so that every evaluation sees the same masks.

    Returns a Dataset of what the collator makes (``input_ids``, ``attention_mask``, ``labels``), without its padding.
    """

    def mask(batch: Mapping) -> dict[str, Any]:
        lengths = row_lengths(batch["input_ids"])
        masked = {name: np.asarray(rows) for name, rows in collator(dict(batch)).items()}
        width = masked["input_ids"].shape[1]
        if (lengths == width).all():
            return masked
        inside = inside_rows(lengths, width, collator.tokenizer.padding_side)
        return {name: np.split(rows[inside], np.cumsum(lengths)[:-1]) for name, rows in masked.items()}

    return dataset.map(mask, batched=True, batch_size=batch_size, remove_columns=dataset.column_names, desc="Mask")


def as_tensors(batch: BatchEncoding, kind: str) -> BatchEncoding:
    batch.update({name: as_tensor(rows, kind) for name, rows in batch.items() if isinstance(rows, np.ndarray)})
    return batch


def check_masking(collator: Any) -> None:
    if collator.tokenizer.mask_token is None:
        raise ValueError("masked language modelling needs a mask token, and this tokenizer's vocabulary has none")
    for name in ("mlm_probability", "mask_replace_prob", "random_replace_prob"):
        value = getattr(collator, name)
        if value is None or not 0 <= value <= 1:
            raise ValueError(f"{name}={value}: expected a probability, from 0 to 1")
    masked, random = collator.mask_replace_prob, collator.random_replace_prob
    if masked + random > 1:
        raise ValueError(f"mask_replace_prob={masked} and random_replace_prob={random} add up to more than 1")
