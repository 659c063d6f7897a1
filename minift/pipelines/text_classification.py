"""Texts, or pairs of texts, to labels with scores."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from minift.model.auto import AutoModelForSequenceClassification
from minift.pipelines.base import TextPipeline
from minift.tokenizer.batch_encoding import BatchEncoding

# options that are passed on to the tokenizer
TOKENIZER_OPTIONS = (
    "add_special_tokens",
    "padding",
    "padding_side",
    "pad_to_multiple_of",
    "truncation",
    "max_length",
    "return_token_type_ids",
    "verbose",
)
FUNCTIONS = {"sigmoid": torch.sigmoid, "softmax": lambda logits: logits.softmax(-1), "none": lambda logits: logits}


class TextClassificationPipeline(TextPipeline):
    """Label texts, or pairs `{"text": ..., "text_pair": ...}` (transformers/pipelines/text_classification.py).

    Options:
        top_k: how many labels, best first; None for all. Without it the answer is the best label, not in a list.
        return_all_scores: the former way to write `top_k=None`: all labels, in the model's order.
        function_to_apply: "sigmoid", "softmax" or "none"; by default the one for the model's problem type.
        TOKENIZER_OPTIONS, such as `truncation`: arguments of the tokenizer.
    """

    auto_model = AutoModelForSequenceClassification
    option_names = ("top_k", "return_all_scores", "function_to_apply", *TOKENIZER_OPTIONS)

    def __call__(self, inputs: Any, batch_size: int | None = None, **options: Any) -> Any:
        result = super().__call__(inputs, batch_size, **options)
        # as in transformers: one text gives a list, but a pair does not, nor one text with top_k given in the call
        return [result] if isinstance(inputs, str) and "top_k" not in options else result

    def check(self, options: dict[str, Any]) -> dict[str, Any]:
        function = options.get("function_to_apply")
        if function is not None and str(function).lower() not in FUNCTIONS:
            raise ValueError(f"unknown function_to_apply={function!r}; there are: {', '.join(FUNCTIONS)}")
        return super().check(options)

    def encode(self, item: Any, options: dict[str, Any]) -> BatchEncoding:
        if isinstance(item, str):
            item = {"text": item}
        if not isinstance(item, Mapping):
            raise ValueError(f'expected a text or {{"text": ..., "text_pair": ...}}, not {item!r}')
        if item.keys() - {"text", "text_pair"} or "text" not in item:
            raise ValueError(f'a pair is {{"text": ..., "text_pair": ...}}, not a dictionary of {list(item)}')
        given = {name: options[name] for name in TOKENIZER_OPTIONS if name in options}
        return self.tokenizer(item["text"], item.get("text_pair"), return_attention_mask=True, **given)

    def answer(self, ids: Tensor, real: Tensor, output: Tensor, options: dict[str, Any]) -> Any:
        function = str(options.get("function_to_apply") or self._default_function()).lower()
        scores = FUNCTIONS[function](output).tolist()  # (C,)
        results = [{"label": self.model.config.id2label[i], "score": score} for i, score in enumerate(scores)]
        if "top_k" not in options and options.get("return_all_scores"):
            return results
        results.sort(key=lambda result: result["score"], reverse=True)
        return results[: options["top_k"]] if "top_k" in options else results[0]

    def _default_function(self) -> str:
        config = self.model.config
        if config.problem_type == "regression":
            return "none"
        if config.problem_type == "multi_label_classification" or config.num_labels == 1:
            return "sigmoid"
        return "softmax"
