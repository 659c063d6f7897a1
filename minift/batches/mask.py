"""Masked language modelling: which tokens are hidden, what replaces them, and evaluation sets masked once."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from minift.tensors import as_tensor, tensor_kind
from minift.tokenizer.batch_encoding import BatchEncoding
from minift.tokenizer.padding import as_columns, check_lengths, inside_rows
from minift.tokenizer.ragged import Ragged, row_lengths

if TYPE_CHECKING:
    from minift.data.dataset import Dataset

IGNORED = -100  # the label of a token that the loss does not count


class OwnGenerator:
    """For collators with a `seed`: a generator of their own, whose state a checkpoint can hold."""

    seed: int | None
    generator: Any

    def _start_generator(self, kind: str) -> None:
        if self.seed is None or self.generator is not None:
            return
        torch = sys.modules.get("torch")  # only torch's DataLoader has workers
        worker = torch.utils.data.get_worker_info() if torch else None
        seed = self.seed + (worker.id if worker else 0)
        self.generator = torch.Generator().manual_seed(seed) if kind == "pt" else np.random.default_rng(seed)

    def state_dict(self) -> dict[str, Any]:
        """The generator's state as JSON can hold it; empty before the first draw and without a seed."""
        if self.generator is None:
            return {}
        if isinstance(self.generator, np.random.Generator):
            return {"numpy": self.generator.bit_generator.state}
        return {"torch": self.generator.get_state().tolist()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from where `state_dict` was taken."""
        self.generator = None
        if "numpy" in state:
            self.generator = np.random.default_rng()
            self.generator.bit_generator.state = state["numpy"]
        elif "torch" in state:
            import torch

            self.generator = torch.Generator()
            self.generator.set_state(torch.tensor(state["torch"], dtype=torch.uint8))


@dataclass
class DataCollatorForLanguageModeling(OwnGenerator):
    """Pads a batch and hides tokens in it: ``labels`` (B, T) hold the hidden ids and -100 everywhere else.

    Of the tokens chosen with `mlm_probability`, a share of `mask_replace_prob` becomes [MASK], `random_replace_prob`
    a random token, and the rest stays as it is (BERT, https://arxiv.org/abs/1810.04805, section 3.1). Special tokens
    are never chosen: those that a ``special_tokens_mask`` column marks, or else every special id. The random draws are
    those of transformers/data/data_collator.py (``torch_mask_tokens``, ``numpy_mask_tokens``), full shape each, so
    that one seed gives one mask; ``tf`` draws as ``np`` does.

    Args:
        tokenizer: pads, and gives the ids of [MASK] and of the special tokens.
        mlm: False for causal modelling: labels are the ids, -100 on padding.
        whole_word_mask: not supported here, see `DataCollatorForWholeWordMask`.
        pad_to_multiple_of: round T up to a multiple of this.
        return_tensors: ``pt``, ``np`` or ``tf``.
        seed: draw from a generator of its own (plus the worker's number in a DataLoader worker), not the global one.

    Raises:
        ValueError: no mask token in the vocabulary, or probabilities outside [0, 1].
    """

    tokenizer: Any
    mlm: bool = True
    whole_word_mask: bool = False
    mlm_probability: float = 0.15
    mask_replace_prob: float = 0.8
    random_replace_prob: float = 0.1
    pad_to_multiple_of: int | None = None
    return_tensors: str = "pt"
    seed: int | None = None
    generator: Any = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.whole_word_mask:
            raise ValueError("whole_word_mask=True is not supported: use DataCollatorForWholeWordMask, on word_ids")
        if self.mlm:
            _check_masking(self)
        tensor_kind(self.return_tensors)

    def __call__(self, features: Any, return_tensors: str | None = None) -> BatchEncoding:
        kind = tensor_kind(return_tensors or self.return_tensors)
        batch = self._pad(features, "pt" if kind == "pt" else "np")
        special = batch.pop("special_tokens_mask", None)
        if not self.mlm:
            labels = batch["input_ids"] + 0
            labels[labels == self.tokenizer.pad_token_id] = IGNORED
            batch["labels"] = labels
        else:
            self._start_generator("pt" if kind == "pt" else "np")
            mask = self._mask_torch if kind == "pt" else self._mask_numpy
            batch["input_ids"], batch["labels"] = mask(batch["input_ids"], special)
        return _convert(batch, kind)

    def _pad(self, features: Any, kind: str) -> BatchEncoding:
        only_ids = not isinstance(features, Mapping) and len(features) > 0 and not isinstance(features[0], Mapping)
        columns = {"input_ids": list(features)} if only_ids else as_columns(features)
        columns.pop("labels", None)  # a copy of input_ids that chunking made; the labels are made here
        return self.tokenizer.pad(
            columns,
            pad_to_multiple_of=self.pad_to_multiple_of,
            return_attention_mask=False if only_ids else None,
            return_tensors=kind,
        )

    def _mask_torch(self, ids: Any, special: Any) -> tuple[Any, Any]:
        """ids and special_tokens_mask (B, T) -> ids with tokens hidden, labels."""
        import torch

        def draw(probabilities: torch.Tensor) -> torch.Tensor:
            return torch.bernoulli(probabilities, generator=self.generator).bool()

        if special is None:
            special = torch.isin(ids, torch.tensor(self.tokenizer.all_special_ids))
        chosen = draw(torch.full(ids.shape, self.mlm_probability).masked_fill_(special.bool(), 0.0))
        labels = ids.masked_fill(~chosen, IGNORED)
        replaced = draw(torch.full(ids.shape, self.mask_replace_prob)) & chosen
        if self.mask_replace_prob < 1 and self.random_replace_prob > 0:
            # of the tokens that do not become [MASK], this share becomes random
            share = self.random_replace_prob / (1 - self.mask_replace_prob)
            random = draw(torch.full(ids.shape, share)) & chosen
            words = torch.randint(len(self.tokenizer), ids.shape, generator=self.generator)
            ids = torch.where(random, words, ids)
        return ids.masked_fill_(replaced, self.tokenizer.mask_token_id), labels

    def _mask_numpy(self, ids: np.ndarray, special: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """The same in numpy."""
        if special is None:
            special = np.isin(ids, self.tokenizer.all_special_ids)
        random = self.generator or np.random
        chosen = random.binomial(1, np.where(special, 0.0, self.mlm_probability)).astype(bool)
        return replace_chosen(ids, chosen, self, random)


@dataclass
class DataCollatorForWholeWordMask(OwnGenerator):
    """Hides whole words: the tokens that share a number in the column ``word_ids`` (None on special tokens).

    A word ends where the number changes and at a special token, so that the last word of one document and the first
    of the next stay two. Each word is chosen with `mlm_probability`; its tokens are then replaced one by one, 80 % by
    [MASK], 10 % by random tokens, 10 % not at all, as in google-research/bert's create_pretraining_data.py.

    ``mlm_probability=0.2, mask_replace_prob=1.0, random_replace_prob=0.0`` is the collator of the Hugging Face course;
    it draws one ``np.random.binomial`` a word, and so gives the same masks for the same numpy seed.

    Args:
        tokenizer: pads, and gives the id of [MASK] and the size of the vocabulary.
        return_tensors: ``pt``, ``np`` or ``tf``; the draws are numpy's for all three.
        seed: draw from a generator of its own and not from ``np.random``.

    Raises:
        ValueError: no mask token in the vocabulary, probabilities outside [0, 1], or rows without ``word_ids``.
    """

    tokenizer: Any
    mlm_probability: float = 0.15
    mask_replace_prob: float = 0.8
    random_replace_prob: float = 0.1
    pad_to_multiple_of: int | None = None
    return_tensors: str = "pt"
    seed: int | None = None
    generator: Any = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        _check_masking(self)
        tensor_kind(self.return_tensors)

    def __call__(self, features: Any, return_tensors: str | None = None) -> BatchEncoding:
        kind = tensor_kind(return_tensors or self.return_tensors)
        columns = as_columns(features)
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
        inside = inside_rows(lengths, ids.shape[1], self.tokenizer.padding_side)
        words[inside] = _with_nan(word_ids)

        self._start_generator("np")
        random = self.generator or np.random
        chosen = choose_words(words, self.mlm_probability, random)
        if self.mask_replace_prob == 1:  # no draw: the course's masks for the course's seed
            batch["input_ids"] = np.where(chosen, self.tokenizer.mask_token_id, ids)
            batch["labels"] = np.where(chosen, ids, IGNORED)
        else:
            batch["input_ids"], batch["labels"] = replace_chosen(ids, chosen, self, random)
        return _convert(batch, kind)


def _with_nan(rows: Any) -> np.ndarray:
    """Rows of integers and None end to end as float64, NaN for None."""
    if isinstance(rows, Ragged):
        return rows.values.astype(np.float64) if rows.valid is None else np.where(rows.valid, rows.values, np.nan)
    return np.concatenate([np.array(row, dtype=np.float64) for row in rows])


def choose_words(words: np.ndarray, probability: float, random: Any) -> np.ndarray:
    """Choose whole words.

    Args:
        words: float (B, T), the number of each token's word, NaN where there is none.
        random: ``np.random`` or a Generator; one Bernoulli draw a word, in reading order.

    Returns:
        bool (B, T): True on all tokens of the chosen words.
    """
    is_word = ~np.isnan(words)
    starts = is_word.copy()
    starts[:, 1:] &= words[:, 1:] != words[:, :-1]  # NaN equals nothing: after a special token a word starts
    number = np.cumsum(starts, dtype=np.int32)  # (B·T,), counts the words of the whole batch from 1
    chosen = random.binomial(1, probability, int(number[-1])).astype(bool)
    return is_word & np.append(False, chosen)[number].reshape(words.shape)


def replace_chosen(ids: np.ndarray, chosen: np.ndarray, how: Any, random: Any) -> tuple[np.ndarray, np.ndarray]:
    """Replace chosen tokens by [MASK], a random token, or themselves, with the probabilities of the collator `how`.

    Args:
        ids, chosen: int64 and bool (B, T).

    Returns:
        the ids with tokens hidden, and the labels: the ids before, -100 where nothing was chosen.
    """
    labels = np.where(chosen, ids, IGNORED)
    replaced = random.binomial(1, how.mask_replace_prob, size=ids.shape).astype(bool) & chosen
    ids = np.where(replaced, how.tokenizer.mask_token_id, ids)
    if how.mask_replace_prob < 1 and how.random_replace_prob > 0:
        share = how.random_replace_prob / (1 - how.mask_replace_prob)
        at_random = random.binomial(1, share, size=ids.shape).astype(bool) & chosen & ~replaced
        integers = getattr(random, "integers", None) or random.randint
        ids[at_random] = integers(0, len(how.tokenizer), size=int(at_random.sum()), dtype=np.int64)
    return ids, labels


def freeze_masks(dataset: "Dataset", collator: Any, batch_size: int = 1000) -> "Dataset":
    """Mask an evaluation set once and store it, so that every evaluation sees the same masks.

    Args:
        dataset: rows with ``input_ids`` (and ``word_ids`` where `collator` wants them).
        collator: `DataCollatorForLanguageModeling` or `DataCollatorForWholeWordMask`.
        batch_size: rows that are masked in one call.

    Returns:
        a Dataset of what the collator returns (``input_ids``, ``attention_mask``, ``labels``), without its padding.
    """

    def mask(batch: Mapping) -> dict[str, Any]:
        lengths = np.array([len(ids) for ids in batch["input_ids"]])
        masked = {name: np.asarray(rows) for name, rows in collator(dict(batch)).items()}
        width = masked["input_ids"].shape[1]
        if (lengths == width).all():
            return masked
        inside = inside_rows(lengths, width, collator.tokenizer.padding_side)
        return {name: np.split(rows[inside], np.cumsum(lengths)[:-1]) for name, rows in masked.items()}

    return dataset.map(mask, batched=True, batch_size=batch_size, remove_columns=dataset.column_names, desc="Mask")


def _convert(batch: BatchEncoding, kind: str) -> BatchEncoding:
    for name, rows in batch.items():
        if isinstance(rows, np.ndarray):
            batch[name] = as_tensor(rows, kind)
    return batch


def _check_masking(collator: Any) -> None:
    """The tokenizer has a mask token and the probabilities are some."""
    if collator.tokenizer.mask_token is None:
        raise ValueError("masked language modelling needs a mask token, and this tokenizer's vocabulary has none")
    for name in ("mlm_probability", "mask_replace_prob", "random_replace_prob"):
        value = getattr(collator, name)
        if value is None or not 0 <= value <= 1:
            raise ValueError(f"{name}={value}: expected a probability, from 0 to 1")
    if collator.mask_replace_prob + collator.random_replace_prob > 1:
        raise ValueError(
            f"mask_replace_prob={collator.mask_replace_prob} and random_replace_prob={collator.random_replace_prob} "
            "add up to more than 1"
        )
