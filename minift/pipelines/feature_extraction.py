"""Texts to the encoder's last hidden states."""

from typing import Any

from torch import Tensor

from minift.model.auto import AutoModel
from minift.pipelines.base import TextPipeline


class FeatureExtractionPipeline(TextPipeline):
    """Give the states of a text as nested lists (1, T, E) (transformers/pipelines/feature_extraction.py).

    Options:
        return_tensors: tensors instead of lists.
        truncation, tokenize_kwargs: arguments of the tokenizer.
    """

    auto_model = AutoModel
    option_names = ("return_tensors", "truncation", "tokenize_kwargs")

    def check(self, options: dict[str, Any]) -> dict[str, Any]:
        checked = {name: value for name, value in super().check(options).items() if name == "return_tensors"}
        kwargs = dict(options.get("tokenize_kwargs") or {})
        if options.get("truncation") is not None:
            if "truncation" in kwargs:
                raise ValueError("truncation is given twice: as an argument and in tokenize_kwargs")
            kwargs["truncation"] = options["truncation"]
        return checked | ({"tokenizer_kwargs": kwargs} if kwargs else {})

    def answer(self, ids: Tensor, real: Tensor, output: Tensor, options: dict[str, Any]) -> Any:
        # without padding; with batch_size > 1, transformers keeps the states of padding
        states = output[real].unsqueeze(0)  # (1, T, E)
        return states if options.get("return_tensors") else states.tolist()
