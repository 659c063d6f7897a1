"""Which words of a batch are hidden: words that the column ``word_ids`` numbers, or that ``offset_mapping`` tells."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from minift.tensors import as_tensor
from minift.tokenizer.padding import Ragged, inside_rows, row_lengths


def choose_words_at_offsets(how: Any, offsets: Any, rows: Any, special: Any, coins: Callable) -> Any:
    """Choose whole words, with a draw for each token, of which those count that begin a word.

    Takes the collator, the start and end of each token in its text (B rows of (T, 2)), the rows of ids before padding,
    the special tokens (B, T), and the draws. A word begins where a token does not follow the one before at once, or
    after a special token. Returns bool (B, T). Re-implements ``_calc_word_ids_and_prob_mask`` and ``_whole_word_mask``
    (transformers/data/data_collator.py).
    """
    if offsets is None:
        raise ValueError(
            "whole_word_mask=True needs the column 'offset_mapping': tokenise with return_offsets_mapping=True, and "
            "keep the column with remove_unused_columns=False; DataCollatorForWholeWordMask takes word_ids"
        )
    is_special = np.asarray(special).astype(bool)
    places = np.zeros((*is_special.shape, 2), dtype=np.int64)
    inside = inside_rows(row_lengths(rows), is_special.shape[1], how.tokenizer.padding_side)
    places[inside] = np.concatenate([np.asarray(row, dtype=np.int64) for row in offsets])
    follows = np.zeros_like(is_special)
    follows[:, 1:] = (places[:, 1:, 0] == places[:, :-1, 1]) & ~is_special[:, :-1]
    begins = ~is_special & ~follows
    kind = "np" if isinstance(special, np.ndarray) else "pt"
    share = as_tensor((how.mlm_probability * begins).astype(np.float64 if kind == "np" else np.float32), kind)
    chosen = np.asarray(coins(share, begins.shape))
    word = np.cumsum(begins)  # (B·T,), counts the words of the whole batch from 1
    is_chosen = np.append(False, chosen[begins])
    return as_tensor(is_chosen[word].reshape(begins.shape) & ~is_special, kind)


def check_whole_words(how: Any) -> None:
    """Settle the shares of a collator that hides whole words: all chosen tokens become [MASK], as in transformers."""
    if not how.mlm:
        raise ValueError("whole_word_mask=True hides tokens: it needs mlm=True")
    if how.mask_replace_prob < 1:
        warnings.warn(
            "whole_word_mask=True replaces every chosen token by [MASK]: mask_replace_prob is set to 1", stacklevel=4
        )
        how.mask_replace_prob, how.random_replace_prob = 1.0, 0.0


def with_nan(rows: Any) -> np.ndarray:
    """Rows of integers and None end to end as float64, NaN for None."""
    if isinstance(rows, Ragged):
        return rows.values.astype(np.float64) if rows.valid is None else np.where(rows.valid, rows.values, np.nan)
    return np.concatenate([np.array(row, dtype=np.float64) for row in rows])


def choose_words(words: np.ndarray, probability: float, coins: Callable) -> np.ndarray:
    """Choose whole words, with one draw for each word, in reading order.

    Takes the number of each token's word, float (B, T), NaN for a token that is in no word. Returns bool (B, T): True
    on all tokens of the chosen words.
    """
    is_word = ~np.isnan(words)
    starts = is_word.copy()
    starts[:, 1:] &= words[:, 1:] != words[:, :-1]  # NaN equals nothing: after a special token a word starts
    number = np.cumsum(starts, dtype=np.int32)  # (B·T,), counts the words of the whole batch from 1
    chosen = coins(probability, int(number[-1]))
    return is_word & np.append(False, chosen)[number].reshape(words.shape)
