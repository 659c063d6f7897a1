"""`pipeline(task)`: a model and a tokenizer for a task."""

import logging
from pathlib import Path
from typing import Any

import torch

from minift.libraries.keywords import drops_keywords
from minift.model.auto import AutoModel
from minift.model.config import AutoConfig, PretrainedConfig
from minift.model.pretrained import PreTrainedModel
from minift.pipelines.base import Pipeline
from minift.pipelines.registry import PIPELINE_REGISTRY
from minift.tokenizer.classes import AutoTokenizer
from minift.tokenizer.tokenizer import Tokenizer

logger = logging.getLogger(__name__)


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
    device_map: str | dict[str, Any] | None = None,
    batch_size: int | None = None,
    pipeline_class: type[Pipeline] | None = None,
    model_kwargs: dict[str, Any] | None = None,
    **options: Any,
) -> Pipeline:
    """Return the `Pipeline` for a task, with a checkpoint's model and tokenizer (transformers/pipelines/__init__.py).

    An unknown task, or a task or a tokenizer that cannot be inferred, is a ValueError.

    Args:
        task: a name that `PIPELINE_REGISTRY` has; None takes the task that the checkpoint was saved for.
        model: a folder, a Hub name, or a model; None takes the task's default checkpoint.
        tokenizer: a folder, a Hub name, or a tokenizer; None takes the model's.
        revision, token: of the Hub repository.
        device, batch_size: see `Pipeline`. `device_map` names a device, too; "auto" is None.
        pipeline_class: takes the place of the task's own class.
        config, dtype, torch_dtype, model_kwargs: arguments of the model's `from_pretrained`.
        options: settings of the task, such as `top_k`.
    """
    if device is not None and device_map is not None:
        raise ValueError("device and device_map: name one of them")
    device = _device_of(device_map) if device is None else device
    hub = {name: value for name, value in {"revision": revision, "token": token}.items() if value is not None}
    if task is None and pipeline_class is None:
        task = PIPELINE_REGISTRY.infer(_architectures(model, hub))
    name, known = ("custom", None) if task is None else PIPELINE_REGISTRY.find(task)
    kind = pipeline_class or known.kind
    auto_model = getattr(known, "auto_model", None) or getattr(kind, "auto_model", AutoModel)
    checkpoint = getattr(known, "checkpoint", None)
    if model is None and checkpoint is None:
        raise ValueError(f"{name} needs a model: there is no encoder that would be taken for it")
    if model is None:
        model = checkpoint
        logger.warning("no model was given for %s: %s is used", task, model)
    source = model if isinstance(model, str | Path) else model.config.name_or_path
    if isinstance(model, str | Path):
        given = {"config": config, "dtype": dtype, "torch_dtype": torch_dtype, **(model_kwargs or {})}
        given = {argument: value for argument, value in given.items() if value is not None}
        model = auto_model.from_pretrained(source, **hub, **given)
    if tokenizer is None and not source:
        raise ValueError("tokenizer: this model was not loaded from a checkpoint, so its tokenizer must be given")
    tokenizer = source if tokenizer is None else tokenizer
    if isinstance(tokenizer, str | Path):
        tokenizer = AutoTokenizer.from_pretrained(tokenizer, **hub)
    return kind(model, tokenizer, task=name, device=device, batch_size=batch_size, **options)


def _architectures(model: Any, hub: dict[str, Any]) -> list[str]:
    """Return the names of the classes that a checkpoint, or a model, was made with."""
    if model is None:
        raise ValueError("pipeline() needs a task, or a model to infer it from")
    is_loaded = not isinstance(model, str | Path)
    return [type(model).__name__] if is_loaded else AutoConfig.from_pretrained(model, **hub).architectures or []


def _device_of(device_map: Any) -> Any:
    """Return the one device that a map names; None for "auto"."""
    if isinstance(device_map, dict):
        if len(set(map(str, device_map.values()))) != 1:
            raise ValueError(f"device_map={device_map}: a model stands on one device here")
        return next(iter(device_map.values()))
    return None if device_map in (None, "auto") else device_map
