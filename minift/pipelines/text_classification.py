"""Texts, or pairs of texts, to labels with scores."""

from collections.abc import Mapping
from typing import Any

import torch

from minift.model.auto import AutoModelForSequenceClassification
from minift.pipelines.base import TextPipeline, check_known, check_top_k
from minift.tokenizer.batch_encoding import BatchEncoding

OPTIONS = ("top_k", "return_all_scores", "function_to_apply")
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

    def __call__(self, inputs: Any, *args: Any, **options: Any) -> Any:
        result = super().__call__(inputs, *args, **options)
        # as in transformers: one text gives a list, but a pair does not, nor one text with top_k given in the call
        return [result] if isinstance(inputs, str) and "top_k" not in options else result

    def _sanitize_parameters(self, **options: Any) -> tuple[dict, dict, dict]:
        check_known(options, (*OPTIONS, *TOKENIZER_OPTIONS))
        check_top_k(options.get("top_k"))
        function = options.get("function_to_apply")
        if function is not None and str(function).lower() not in FUNCTIONS:
            raise ValueError(f"unknown function_to_apply={function!r}; there are: {', '.join(FUNCTIONS)}")
        after = {name: options[name] for name in OPTIONS if name in options}
        if after.pop("return_all_scores", False) and "top_k" not in after:
            after |= {"top_k": None, "sort": False}
        return {name: options[name] for name in TOKENIZER_OPTIONS if name in options}, {}, after

    def preprocess(self, inputs: Any, **options: Any) -> BatchEncoding:
        if isinstance(inputs, str):
            inputs = {"text": inputs}
        if not isinstance(inputs, Mapping):
            raise ValueError(f'expected a text or {{"text": ..., "text_pair": ...}}, not {inputs!r}')
        if inputs.keys() - {"text", "text_pair"} or "text" not in inputs:
            raise ValueError(f'a pair is {{"text": ..., "text_pair": ...}}, not a dictionary of {list(inputs)}')
        texts = inputs["text"], inputs.get("text_pair")
        return self.tokenizer(*texts, return_attention_mask=True, return_tensors="pt", **options)

    def postprocess(
        self, model_outputs: Any, function_to_apply: str | None = None, top_k: int | None = -1, sort: bool = True
    ) -> Any:
        """Make ``{"label", "score"}`` of logits (1, C); with `top_k` a list of them, best first."""
        function = str(function_to_apply or self._default_function()).lower()
        scores = FUNCTIONS[function](model_outputs["logits"][0].float()).tolist()  # (C,)
        results = [{"label": self.model.config.id2label[i], "score": score} for i, score in enumerate(scores)]
        if sort:
            results.sort(key=lambda result: result["score"], reverse=True)
        return results[0] if top_k == -1 else results[:top_k]

    def _default_function(self) -> str:
        config = self.model.config
        if config.problem_type == "regression":
            return "none"
        if config.problem_type == "multi_label_classification" or config.num_labels == 1:
            return "sigmoid"
        return "softmax"
