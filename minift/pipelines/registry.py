"""The tasks that `pipeline` knows: a table, to which users add their own."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from minift.pipelines.base import Pipeline
from minift.pipelines.feature_extraction import FeatureExtractionPipeline
from minift.pipelines.fill_mask import FillMaskPipeline
from minift.pipelines.question_answering import QuestionAnsweringPipeline
from minift.pipelines.text_classification import TextClassificationPipeline
from minift.pipelines.token_classification import TokenClassificationPipeline
from minift.pipelines.zero_shot_classification import ZeroShotClassificationPipeline


class Task(NamedTuple):
    kind: type[Pipeline]
    checkpoint: str | None  # the model that is taken when none is named
    architecture: str | None = None  # a checkpoint whose architecture ends so is made for this task
    auto_model: Any = None  # loads the model; None: as the pipeline's class says


DISTILBERT = "distilbert/distilbert-base-uncased"
TASKS = {
    "text-classification": Task(
        TextClassificationPipeline, f"{DISTILBERT}-finetuned-sst-2-english", "ForSequenceClassification"
    ),
    "fill-mask": Task(FillMaskPipeline, DISTILBERT, "ForMaskedLM"),
    "token-classification": Task(
        TokenClassificationPipeline, "dbmdz/bert-large-cased-finetuned-conll03-english", "ForTokenClassification"
    ),
    "question-answering": Task(
        QuestionAnsweringPipeline, "distilbert/distilbert-base-cased-distilled-squad", "ForQuestionAnswering"
    ),
    "feature-extraction": Task(FeatureExtractionPipeline, DISTILBERT),
    "zero-shot-classification": Task(ZeroShotClassificationPipeline, None),  # the library's is a BART
}
ALIASES = {"sentiment-analysis": "text-classification", "ner": "token-classification"}
DECODERS = ("text-generation", "text2text-generation", "summarization", "translation", "conversational")


class PipelineRegistry:
    """The tasks by their names (transformers/pipelines/base.py, PipelineRegistry)."""

    def __init__(self) -> None:
        self.tasks = dict(TASKS)

    def get_supported_tasks(self) -> list[str]:
        return sorted([*self.tasks, *ALIASES])

    def find(self, task: str) -> tuple[str, Task]:
        """Return a task by its name or its alias; a ValueError lists those that there are."""
        name = ALIASES.get(task, task)
        if name in self.tasks:
            return name, self.tasks[name]
        if name.startswith(DECODERS):
            raise ValueError(f"task {task!r} writes text, which needs a decoder; minift has encoders alone")
        raise ValueError(f"unknown task {task!r}; there are: {', '.join([*self.tasks, *ALIASES])}")

    def register_pipeline(
        self,
        task: str,
        pipeline_class: type[Pipeline],
        pt_model: Any = None,
        default: dict[str, Any] | None = None,
        type: str | None = None,  # what goes in, in the library's words; nothing reads it
    ) -> None:
        """Add a task, or replace one.

        Args:
            pt_model: the class whose `from_pretrained` loads the model, or several, of which the first is taken.
            default: ``{"pt": (NAME, REVISION)}``, the model that is taken when none is named.
        """
        model = pt_model[0] if isinstance(pt_model, tuple | list) else pt_model
        if model is None and not hasattr(pipeline_class, "auto_model"):
            raise ValueError(f"task {task!r}: name pt_model=, the class that loads its model")
        named = (default or {}).get("pt", (None,))
        if isinstance(named, dict):  # the library's former form
            named = (named.get("pt"),)
        self.tasks[task] = Task(pipeline_class, named if isinstance(named, str) else named[0], None, model)

    def infer(self, architectures: Iterable[str]) -> str:
        """Return the task that a model of one of these architectures is made for; a ValueError if there is none."""
        found = list(architectures)
        for name, task in self.tasks.items():
            if task.architecture and any(architecture.endswith(task.architecture) for architecture in found):
                return name
        raise ValueError(f"task: cannot be inferred from a checkpoint of {found}; there are: {', '.join(self.tasks)}")


PIPELINE_REGISTRY = PipelineRegistry()
