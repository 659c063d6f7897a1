"""What all pipelines share: texts -> batches of token ids -> the model's output -> answers."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any, ClassVar

import torch
from torch import Tensor

from minift.model.checks import check_vocabulary
from minift.model.pretrained import PreTrainedModel
from minift.tokenizer.batch_encoding import BatchEncoding
from minift.tokenizer.tokenizer import Tokenizer


class Pipeline(ABC):
    """A model and its tokenizer; calling it turns texts into answers (transformers/pipelines/base.py).

    A task is a subclass of `TextPipeline` or `ChunkPipeline`, which says how a text is encoded and how an answer is
    read off the model's output.

    Args:
        model: moved to `device` and set to evaluation mode.
        device: a torch device, its name, or the number of a GPU (-1: the CPU); None takes a GPU if there is one.
        batch_size: texts in one forward pass; None is 1.
        options: settings of the task, which each call can override.
    """

    auto_model: ClassVar[type]  # loads the model from a checkpoint
    option_names: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: Tokenizer,
        device: int | str | torch.device | None = None,
        batch_size: int | None = None,
        **options: Any,
    ) -> None:
        if device is None:
            device = "cuda" if torch.cuda.is_available() else "cpu"
        elif isinstance(device, int):
            device = f"cuda:{device}" if device >= 0 else "cpu"
        self.device = torch.device(device)
        if self.device.type == "cuda" and not torch.cuda.is_available():
            raise ValueError(f"device={str(device)!r}: there is no GPU that torch can use")
        check_vocabulary(len(tokenizer), model.config)
        self.model = model.to(self.device).eval()
        self.tokenizer = tokenizer
        self.batch_size = 1 if batch_size is None else batch_size
        self.options = self.check(options)

    def __call__(self, inputs: Any, batch_size: int | None = None, **options: Any) -> Any:
        """Return the answer to one text, a list of answers to a list or a column, a generator to a generator.

        `batch_size` and the options replace those of the pipeline for this call.
        """
        options = self.options | self.check(options)
        size = self.batch_size if batch_size is None else batch_size
        if size < 1:
            raise ValueError(f"batch_size must be at least 1, not {size}")
        if isinstance(inputs, str | Mapping):
            return next(self.answers([inputs], 1, options))
        if not isinstance(inputs, Iterable):
            raise TypeError(f"a pipeline takes texts, not {type(inputs).__name__}")
        answers = self.answers(inputs, size, options)
        return list(answers) if hasattr(inputs, "__len__") else answers

    @abstractmethod
    def answers(self, inputs: Iterable[Any], size: int, options: dict[str, Any]) -> Iterator[Any]:
        """Yield the answer to each of `inputs`; `size` rows make a batch."""

    def check(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return the options as the task reads them; raise a TypeError for unknown ones."""
        if unknown := options.keys() - set(self.option_names):
            names = ", ".join(self.option_names)
            raise TypeError(f"unknown argument {', '.join(sorted(unknown))}; this pipeline has: {names}")
        top_k = options.get("top_k")
        if top_k is not None and (not isinstance(top_k, int) or isinstance(top_k, bool) or top_k < 1):
            raise ValueError(f"top_k must be a positive integer or None, not {top_k!r}")
        return options


class TextPipeline(Pipeline):
    """A pipeline that answers from one row of the model's output for each text."""

    def answers(self, inputs: Iterable[Any], size: int, options: dict[str, Any]) -> Iterator[Any]:
        inputs = iter(inputs)
        while rows := [self.encode(item, options) for item in islice(inputs, size)]:
            batch = self.tokenizer.pad(rows, return_tensors="pt").to(self.device)  # (B, T)
            with torch.inference_mode():
                outputs = self.model(**batch)[0].float().cpu()  # logits or hidden states, (B, ...)
            batch = batch.to("cpu")
            for ids, mask, output in zip(batch["input_ids"], batch["attention_mask"], outputs, strict=True):
                yield self.answer(ids, mask.bool(), output, options)

    def encode(self, item: Any, options: dict[str, Any]) -> BatchEncoding:
        """Return the token ids of one text; raise a ValueError for other inputs."""
        if not isinstance(item, str):
            raise ValueError(f"expected a text, not {item!r}")
        return self.tokenizer(item, return_attention_mask=True, **options.get("tokenizer_kwargs", {}))

    @abstractmethod
    def answer(self, ids: Tensor, real: Tensor, output: Tensor, options: dict[str, Any]) -> Any:
        """Return the answer for one text, from its token ids (T,) and the model's output for it.

        `real` (T,) bool is False at padding; `output` holds logits (C,) or (T, V), or states (T, E).
        """


class ChunkPipeline(Pipeline):
    """A pipeline that asks the model several times for one answer: about parts of a text, or with several questions.

    Re-implements `ChunkPipeline` (transformers/pipelines/base.py).
    """

    by_token: ClassVar[bool]  # the model's output is a row for each token, and not one for the whole text

    def answers(self, inputs: Iterable[Any], size: int, options: dict[str, Any]) -> Iterator[Any]:
        inputs = iter(inputs)
        while items := list(islice(inputs, size)):
            rows = [self.chunks(item, options) for item in items]
            outputs = self.outputs(list(chain(*rows)), size)
            for item, chunks in zip(items, rows, strict=True):
                yield self.combine(item, chunks, list(islice(outputs, len(chunks))), options)

    def outputs(self, rows: list[dict[str, Any]], size: int) -> Iterator[tuple[Tensor, ...]]:
        """Yield the model's output for each row, a tensor (C,) or (T, C) for each of its fields; `size` at a time."""
        names = self.tokenizer.model_input_names
        for first in range(0, len(rows), size):
            part = [{name: row[name] for name in names if name in row} for row in rows[first : first + size]]
            batch = self.tokenizer.pad(part, return_tensors="pt").to(self.device)  # (B, T)
            with torch.inference_mode():
                fields = [field.float().cpu() for field in self.model(**batch).to_tuple()]  # (B, C) or (B, T, C)
            for number, real in enumerate(batch["attention_mask"].bool().cpu()):
                yield tuple(field[number][real] if self.by_token else field[number] for field in fields)

    @abstractmethod
    def chunks(self, item: Any, options: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the rows that the model is asked about, each with its `input_ids` and `attention_mask`."""

    @abstractmethod
    def combine(self, item: Any, chunks: list[dict], outputs: list[tuple[Tensor, ...]], options: dict) -> Any:
        """Make the answer of an item, from its chunks and the model's output for each."""
