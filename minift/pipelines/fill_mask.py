"""Texts with `[MASK]` to the tokens that fit there."""

import logging
from typing import Any

import torch

from minift.model.auto import AutoModelForMaskedLM
from minift.pipelines.base import TextPipeline, check_top_k
from minift.tokenizer.batch_encoding import BatchEncoding

logger = logging.getLogger(__name__)


class FillMaskPipeline(TextPipeline):
    """Find the best tokens for each `[MASK]` (transformers/pipelines/fill_mask.py); a list for each of several masks.

    Options:
        top_k: how many tokens, best first; 5 by default.
        targets: a token or a list of tokens to choose from; the scores remain shares of the whole vocabulary.
        tokenizer_kwargs: arguments of the tokenizer, such as `{"truncation": True}`.
    """

    auto_model = AutoModelForMaskedLM

    def __call__(self, inputs: Any, *args: Any, **options: Any) -> Any:
        result = super().__call__(inputs, *args, **options)
        return result[0] if isinstance(inputs, list) and len(inputs) == 1 else result  # as in transformers

    def _sanitize_parameters(
        self,
        top_k: int | None = None,
        targets: str | list[str] | None = None,
        tokenizer_kwargs: dict[str, Any] | None = None,
    ) -> tuple[dict, dict, dict]:
        if self.tokenizer.mask_token_id is None:
            raise ValueError("fill-mask needs a mask token, and this tokenizer has none")
        check_top_k(top_k)
        after: dict[str, Any] = {} if top_k is None else {"top_k": top_k}
        if targets is not None:
            after["target_ids"] = self._target_ids([targets] if isinstance(targets, str) else list(targets))
        return dict(tokenizer_kwargs or {}), {}, after

    def preprocess(self, inputs: Any, **options: Any) -> BatchEncoding:
        encoding = super().preprocess(inputs, **options)
        if self.tokenizer.mask_token_id not in encoding["input_ids"]:
            raise ValueError(f"No mask_token ({self.tokenizer.mask_token}) found on the input {inputs!r}")
        return encoding

    def postprocess(self, model_outputs: Any, top_k: int = 5, target_ids: list[int] | None = None) -> Any:
        """Make the answers of token ids (1, T) and logits (1, T, V)."""
        ids, real = model_outputs["input_ids"][0], model_outputs["attention_mask"][0].bool()  # (T,) each
        masks = (ids == self.tokenizer.mask_token_id).nonzero().squeeze(-1)  # (M,)
        scores = model_outputs["logits"][0, masks].float().softmax(-1)  # (M, V)
        choice = torch.arange(scores.shape[-1]) if target_ids is None else torch.tensor(target_ids)
        best, which = scores[:, choice].topk(min(top_k, len(choice)))  # (M, top_k)
        results = []
        for mask, mask_scores, tokens in zip(masks, best.tolist(), choice[which].tolist(), strict=True):
            results.append([])
            for score, token in zip(mask_scores, tokens, strict=True):
                filled = ids.clone()
                filled[mask] = token
                # with several masks, special tokens stay in the sequence: it shows where the other masks are
                sequence = self.tokenizer.decode(filled[real].tolist(), skip_special_tokens=len(masks) == 1)
                word = self.tokenizer.decode([token])
                results[-1].append({"score": score, "token": token, "token_str": word, "sequence": sequence})
        return results[0] if len(masks) == 1 else results

    def _target_ids(self, targets: list[str]) -> list[int]:
        """Return the ids of the targets; a word that is not in the vocabulary is replaced by its first token."""
        vocabulary, ids = self.tokenizer.get_vocab(), []
        for target in targets:
            if target in vocabulary:
                ids.append(vocabulary[target])
                continue
            first = self.tokenizer(target, add_special_tokens=False)["input_ids"][:1]
            token = self.tokenizer.convert_ids_to_tokens(first)
            logger.warning("target %r is not in the vocabulary; %s is used for it", target, token or "nothing")
            ids += first
        if not ids:
            raise ValueError(f"targets={targets!r} names no token")
        return list(dict.fromkeys(ids))
