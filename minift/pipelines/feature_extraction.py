"""Texts to the encoder's last hidden states."""

from typing import Any

from minift.model.auto import AutoModel
from minift.pipelines.base import TextPipeline


class FeatureExtractionPipeline(TextPipeline):
    """Give the states of a text as nested lists (1, T, E) (transformers/pipelines/feature_extraction.py).

    Options:
        return_tensors: tensors instead of lists.
        truncation, tokenize_kwargs: arguments of the tokenizer.
    """

    auto_model = AutoModel

    def _sanitize_parameters(
        self,
        return_tensors: bool | None = None,
        truncation: bool | str | None = None,
        tokenize_kwargs: dict[str, Any] | None = None,
    ) -> tuple[dict, dict, dict]:
        kwargs = dict(tokenize_kwargs or {})
        if truncation is not None:
            if "truncation" in kwargs:
                raise ValueError("truncation is given twice: as an argument and in tokenize_kwargs")
            kwargs["truncation"] = truncation
        return kwargs, {}, {} if return_tensors is None else {"return_tensors": return_tensors}

    def postprocess(self, model_outputs: Any, return_tensors: bool = False) -> Any:
        """Return the states (1, T, E) of a text."""
        # without padding; with batch_size > 1, transformers keeps the states of padding
        real = model_outputs["attention_mask"][0].bool()
        states = model_outputs["last_hidden_state"][:, real].float()  # (1, T, E)
        return states if return_tensors else states.tolist()
