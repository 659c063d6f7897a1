"""Texts to labels that are named in the call, by a model that tells whether one sentence follows from another."""

from typing import Any

import numpy as np
from torch import Tensor

from minift.model.auto import AutoModelForSequenceClassification
from minift.pipelines.base import ChunkPipeline


class ZeroShotClassificationPipeline(ChunkPipeline):
    """Ask for each label whether "This example is LABEL." follows from the text.

    The answer is ``{"sequence": text, "labels": [...], "scores": [...]}``, best first. The model was trained on natural
    language inference (MNLI), and has a label that begins with "entail". Re-implements
    transformers/pipelines/zero_shot_classification.py.

    Options:
        candidate_labels: a list, or one text with commas.
        hypothesis_template: the sentence; {} is the place of the label.
        multi_label: each label alone, entailment against contradiction; otherwise the labels compete.
    """

    auto_model = AutoModelForSequenceClassification
    by_token = False
    option_names = ("candidate_labels", "hypothesis_template", "multi_label")

    def __call__(self, sequences: Any, *labels: Any, batch_size: int | None = None, **options: Any) -> Any:
        if len(labels) > 1 or (labels and "candidate_labels" in options):
            raise ValueError(f"give the candidate_labels once; got {labels}")
        options |= {"candidate_labels": labels[0]} if labels else {}
        return super().__call__(sequences, batch_size, **options)

    def check(self, options: dict[str, Any]) -> dict[str, Any]:
        options = dict(super().check(options))
        template = options.get("hypothesis_template", "{}")
        if template.format("label") == template:
            raise ValueError(f"hypothesis_template={template!r} needs {{}}, the place of the label")
        labels = options.get("candidate_labels")
        if isinstance(labels, str):
            options["candidate_labels"] = [label.strip() for label in labels.split(",") if label.strip()]
        return options

    def chunks(self, item: Any, options: dict[str, Any]) -> list[dict[str, Any]]:
        labels, template = options.get("candidate_labels"), options.get("hypothesis_template", "This example is {}.")
        if not labels:
            raise ValueError("zero-shot-classification needs candidate_labels: at least one")
        if not isinstance(item, str) or not item:
            raise ValueError(f"expected a text, not {item!r}")
        pairs = [item] * len(labels), [template.format(label) for label in labels]
        encoded = self.tokenizer(*pairs, truncation="only_first", return_attention_mask=True)
        return [{name: encoded[name][number] for name in encoded} for number in range(len(labels))]

    def combine(self, item: Any, chunks: list[dict], outputs: list[tuple[Tensor, ...]], options: dict) -> dict:
        logits = np.stack([output[0].numpy() for output in outputs])  # (labels, classes)
        follows = self.entailment()
        if options.get("multi_label") or len(outputs) == 1:
            powers = np.exp(logits[:, [-1 if follows == 0 else 0, follows]])
            scores = (powers / powers.sum(-1, keepdims=True))[:, 1]
        else:
            powers = np.exp(logits[:, follows])
            scores = powers / powers.sum(-1, keepdims=True)
        order = scores.argsort()[::-1]
        labels = options["candidate_labels"]
        return {"sequence": item, "labels": [labels[i] for i in order], "scores": scores[order].tolist()}

    def entailment(self) -> int:
        """Return the number of the class that says: it follows."""
        for label, number in self.model.config.label2id.items():
            if label.lower().startswith("entail"):
                return number
        labels = ", ".join(self.model.config.label2id)
        raise ValueError(
            f"the model has no label that begins with 'entail', only {labels}: it was not trained for this"
        )
