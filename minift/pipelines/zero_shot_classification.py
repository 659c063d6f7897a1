"""Texts to labels that are named in the call, by a model that tells whether one sentence follows from another."""

from collections.abc import Iterator
from typing import Any

import numpy as np

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

    def __call__(self, sequences: Any, *labels: Any, **options: Any) -> Any:
        if len(labels) > 1 or (labels and "candidate_labels" in options):
            raise ValueError(f"give the candidate_labels once; got {labels}")
        options |= {"candidate_labels": labels[0]} if labels else {}
        return super().__call__(sequences, **options)

    def _sanitize_parameters(
        self,
        candidate_labels: str | list[str] | None = None,
        hypothesis_template: str | None = None,
        multi_label: bool | None = None,
    ) -> tuple[dict, dict, dict]:
        if isinstance(candidate_labels, str):
            candidate_labels = [label.strip() for label in candidate_labels.split(",") if label.strip()]
        template = hypothesis_template
        if template is not None and template.format("label") == template:
            raise ValueError(f"hypothesis_template={template!r} needs {{}}, the place of the label")
        before = {"candidate_labels": candidate_labels, "hypothesis_template": template}
        before = {name: value for name, value in before.items() if value is not None}
        return before, {}, {} if multi_label is None else {"multi_label": multi_label}

    def preprocess(
        self,
        inputs: Any,
        candidate_labels: list[str] | None = None,
        hypothesis_template: str = "This example is {}.",
    ) -> Iterator[dict[str, Any]]:
        if not candidate_labels:
            raise ValueError("zero-shot-classification needs candidate_labels: at least one")
        if not isinstance(inputs, str) or not inputs:
            raise ValueError(f"expected a text, not {inputs!r}")
        for label in candidate_labels:
            pair = inputs, hypothesis_template.format(label)
            encoded = self.tokenizer(*pair, truncation="only_first", return_attention_mask=True, return_tensors="pt")
            yield {**encoded, "sequence": inputs, "candidate_label": label}

    def postprocess(self, model_outputs: list[Any], multi_label: bool = False) -> dict[str, Any]:
        """Make the answer of a row of logits (1, classes) for each label."""
        logits = np.concatenate([output["logits"].float().numpy() for output in model_outputs])  # (labels, classes)
        follows = self.entailment()
        if multi_label or len(model_outputs) == 1:
            powers = np.exp(logits[:, [-1 if follows == 0 else 0, follows]])
            scores = (powers / powers.sum(-1, keepdims=True))[:, 1]
        else:
            powers = np.exp(logits[:, follows])
            scores = powers / powers.sum(-1, keepdims=True)
        order = scores.argsort()[::-1]
        labels = [model_outputs[i]["candidate_label"] for i in order]
        return {"sequence": model_outputs[0]["sequence"], "labels": labels, "scores": scores[order].tolist()}

    def entailment(self) -> int:
        """Return the number of the class that says: it follows."""
        for label, number in self.model.config.label2id.items():
            if label.lower().startswith("entail"):
                return number
        labels = ", ".join(self.model.config.label2id)
        raise ValueError(
            f"the model has no label that begins with 'entail', only {labels}: it was not trained for this"
        )
