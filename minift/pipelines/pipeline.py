"""`pipeline(task)`: the table of tasks, and a model and a tokenizer for one of them."""

import logging
from pathlib import Path
from typing import Any, NamedTuple

import torch

from minift.libraries.keywords import drops_keywords
from minift.model.config import AutoConfig, PretrainedConfig
from minift.model.pretrained import PreTrainedModel
from minift.pipelines.base import Pipeline
from minift.pipelines.feature_extraction import FeatureExtractionPipeline
from minift.pipelines.fill_mask import FillMaskPipeline
from minift.pipelines.question_answering import QuestionAnsweringPipeline
from minift.pipelines.text_classification import TextClassificationPipeline
from minift.pipelines.token_classification import TokenClassificationPipeline
from minift.pipelines.zero_shot_classification import ZeroShotClassificationPipeline
from minift.tokenizer.classes import AutoTokenizer
from minift.tokenizer.tokenizer import Tokenizer

logger = logging.getLogger(__name__)


class Task(NamedTuple):
    kind: type[Pipeline]
    checkpoint: str | None  # the model that is taken when none is named
    architecture: str | None = None  # a checkpoint whose architecture ends so is made for this task


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


@drops_keywords
def pipeline(
    task: str | None = None,
    model: str | Path | PreTrainedModel | None = None,
    config: str | Path | PretrainedConfig | None = None,
    tokenizer: str | Path | Tokenizer | None = None,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    device: int | str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    torch_dtype: str | torch.dtype | None = None,
    batch_size: int | None = None,
    model_kwargs: dict[str, Any] | None = None,
    **options: Any,
) -> Pipeline:
    """Return the `Pipeline` for a task, with a checkpoint's model and tokenizer (transformers/pipelines/__init__.py).

    An unknown task, or a task or a tokenizer that cannot be inferred, is a ValueError.

    Args:
        task: a name in TASKS or ALIASES; None takes the task that the checkpoint was saved for.
        model: a folder, a Hub name, or a model; None takes the task's default checkpoint.
        tokenizer: a folder, a Hub name, or a tokenizer; None takes the model's.
        revision, token: of the Hub repository.
        device, batch_size: see `Pipeline`.
        config, dtype, torch_dtype, model_kwargs: arguments of the model's `from_pretrained`.
        options: settings of the task, such as `top_k`.
    """
    hub = {name: value for name, value in {"revision": revision, "token": token}.items() if value is not None}
    task = _infer_task(model, hub) if task is None else ALIASES.get(task, task)
    if task not in TASKS:
        raise ValueError(f"unknown task {task!r}; there are: {', '.join([*TASKS, *ALIASES])}")
    kind, checkpoint, _ = TASKS[task]
    if model is None and checkpoint is None:
        raise ValueError(f"{task} needs a model: the library's default for it is not an encoder")
    if model is None:
        model = checkpoint
        logger.warning("no model was given for %s: %s is used", task, model)
    name = model if isinstance(model, str | Path) else model.config.name_or_path
    if isinstance(model, str | Path):
        given = {"config": config, "dtype": dtype, "torch_dtype": torch_dtype, **(model_kwargs or {})}
        given = {argument: value for argument, value in given.items() if value is not None}
        model = kind.auto_model.from_pretrained(name, **hub, **given)
    if tokenizer is None and not name:
        raise ValueError("tokenizer: this model was not loaded from a checkpoint, so its tokenizer must be given")
    tokenizer = name if tokenizer is None else tokenizer
    if isinstance(tokenizer, str | Path):
        tokenizer = AutoTokenizer.from_pretrained(tokenizer, **hub)
    return kind(model, tokenizer, device=device, batch_size=batch_size, **options)


def _infer_task(model: Any, hub: dict[str, Any]) -> str:
    """Return the task of a checkpoint or a model by the name of its architecture."""
    if model is None:
        raise ValueError("pipeline() needs a task, or a model to infer it from")
    is_loaded = not isinstance(model, str | Path)
    found = [type(model).__name__] if is_loaded else AutoConfig.from_pretrained(model, **hub).architectures or []
    for name, task in TASKS.items():
        if task.architecture and any(architecture.endswith(task.architecture) for architecture in found):
            return name
    raise ValueError(f"task: cannot be inferred from a checkpoint of {found}; there are: {', '.join(TASKS)}")
