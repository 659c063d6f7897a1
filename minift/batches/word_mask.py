"""Masked language modelling that hides whole words, which the column ``word_ids`` numbers: the course's collator."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from minift.batches.draws import RandomCollator
from minift.batches.mask import IGNORED, DataCollatorForLanguageModeling, as_tensors, check_masking, hide
from minift.batches.whole_words import choose_words, with_nan
from minift.tensors import tensor_kind
from minift.tokenizer.batch_encoding import BatchEncoding
from minift.tokenizer.padding import as_columns, check_lengths, inside_rows, row_lengths


@dataclass
class DataCollatorForWholeWordMask(RandomCollator):
    """Hide whole words: the tokens that share a number in the column ``word_ids`` (None on special tokens).

    A word ends where the number changes and at a special token, so that the last word of one document and the first
    word of the next stay two words. Each word is chosen with `mlm_probability`; its tokens are then replaced one by
    one, as `hide` says and as in google-research/bert's create_pretraining_data.py. The draws are always numpy's.

    ``mlm_probability=0.2, mask_replace_prob=1.0, random_replace_prob=0.0`` is the collator of the Hugging Face course;
    it draws one ``np.random.binomial`` for each word, and so gives the same masks for the same numpy seed. Rows with
    the column ``offset_mapping`` instead are masked as by ``DataCollatorForLanguageModeling(whole_word_mask=True)``.
    """

    tokenizer: Any
    mlm_probability: float = 0.15
    mask_replace_prob: float = 0.8
    random_replace_prob: float = 0.1
    pad_to_multiple_of: int | None = None
    return_tensors: str = "pt"
    seed: int | None = None  # of a generator of its own; None draws from ``np.random``

    def __post_init__(self) -> None:
        check_masking(self)
        tensor_kind(self.return_tensors)
        super().__init__(self.seed)
        shares = {"mlm_probability": self.mlm_probability, "mask_replace_prob": 1.0, "random_replace_prob": 0.0}
        others = {"pad_to_multiple_of": self.pad_to_multiple_of, "return_tensors": self.return_tensors}
        self.by_offsets = DataCollatorForLanguageModeling(self.tokenizer, whole_word_mask=True, **shares, **others)
        self.by_offsets.draws = self.draws  # one generator for both

    def __call__(self, features: Any, return_tensors: str | None = None) -> BatchEncoding:
        kind = tensor_kind(return_tensors or self.return_tensors)
        columns = as_columns(features)
        if "word_ids" not in columns and "offset_mapping" in columns:
            return self.by_offsets(columns, return_tensors)
        if "word_ids" not in columns:
            raise ValueError(
                f"whole-word masking needs the column 'word_ids' (there are {sorted(columns)}): store "
                "encoding.word_ids(i) when tokenising, and keep the column with remove_unused_columns=False"
            )
        word_ids = columns.pop("word_ids")
        columns.pop("labels", None)
        lengths = row_lengths(columns["input_ids"])
        check_lengths("word_ids", word_ids, lengths)
        batch = self.tokenizer.pad(columns, pad_to_multiple_of=self.pad_to_multiple_of, return_tensors="np")
        ids = batch["input_ids"]  # (B, T)
        words = np.full(ids.shape, np.nan)  # None becomes NaN too
        words[inside_rows(lengths, ids.shape[1], self.tokenizer.padding_side)] = with_nan(word_ids)

        coins, tokens = self.draws("np")
        chosen = choose_words(words, self.mlm_probability, coins)
        if self.mask_replace_prob == 1:  # without a draw, as in the course
            batch["labels"] = np.where(chosen, ids, IGNORED)
            batch["input_ids"] = np.where(chosen, self.tokenizer.mask_token_id, ids)
        else:
            batch["input_ids"], batch["labels"] = hide(ids, chosen, self, coins, tokens)
        return as_tensors(batch, kind)
