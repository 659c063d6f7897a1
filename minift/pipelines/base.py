"""What all pipelines share: inputs -> preprocess -> batches -> forward -> postprocess -> answers, in order."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import torch

from minift.model.checks import check_vocabulary
from minift.model.pretrained import PreTrainedModel
from minift.pipelines.rows import Output, collate, on_device, row_of, tokens_of
from minift.tokenizer.batch_encoding import BatchEncoding
from minift.tokenizer.tokenizer import Tokenizer

LOOK_AHEAD = 16  # batches of a list that are sorted by length together, so that little is padded


class Pipeline(ABC):
    """A model and its tokenizer; calling it turns inputs into answers (transformers/pipelines/base.py).

    A task is a subclass with four methods, which are also the library's: `_sanitize_parameters` sorts the options,
    `preprocess` makes a row of tensors (1, ...) of an input, `_forward` runs the model on a batch of rows, and
    `postprocess` makes an answer of a row of its output.

    Args:
        model: moved to `device` and set to evaluation mode.
        task: the name by which `pipeline` has found it.
        device: a torch device, its name, or the number of a GPU (-1: the CPU); None takes a GPU if there is one.
        batch_size: rows in one forward pass; None is 1.
        options: settings of the task, which each call can override.
    """

    auto_model: ClassVar[type]  # loads the model from a checkpoint
    framework = "pt"

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: Tokenizer | None = None,
        task: str = "",
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
        if tokenizer is not None:
            check_vocabulary(len(tokenizer), model.config)
        self.task = task
        self.model = model.to(self.device).eval()
        self.tokenizer = tokenizer
        self.batch_size = 1 if batch_size is None else batch_size
        self.params = self.sorted_options(options)

    @abstractmethod
    def _sanitize_parameters(self, **options: Any) -> tuple[dict, dict, dict]:
        """Return the arguments of `preprocess`, of `_forward` and of `postprocess`, checked."""

    @abstractmethod
    def preprocess(self, inputs: Any, **options: Any) -> Mapping[str, Any]:
        """Make a row of an input: tensors (1, ...), and what `postprocess` needs beside them."""

    @abstractmethod
    def _forward(self, model_inputs: Mapping[str, Any], **options: Any) -> Mapping[str, Any]:
        """Run the model on a batch of B rows, tensors (B, ...); return tensors (B, ...) and lists of B values."""

    @abstractmethod
    def postprocess(self, model_outputs: Any, **options: Any) -> Any:
        """Make an answer of one row of what `_forward` returned."""

    def sorted_options(self, options: dict[str, Any]) -> tuple[dict, dict, dict]:
        """Sort options by `_sanitize_parameters`; unknown ones are a TypeError."""
        known = inspect.signature(self._sanitize_parameters).parameters
        if not any(one.kind == one.VAR_KEYWORD for one in known.values()):
            check_known(options, known)
        return self._sanitize_parameters(**options)

    def __call__(
        self, inputs: Any, *, num_workers: int | None = None, batch_size: int | None = None, **options: Any
    ) -> Any:
        """Return the answer to one input, a list of answers to a list or a column, a generator to all else.

        `batch_size` and the options replace those of the pipeline for this call. `num_workers` has no effect: inputs
        are prepared in this process.
        """
        new = self.sorted_options(options)
        params = tuple(given | other for given, other in zip(self.params, new, strict=True))
        size = self.batch_size if batch_size is None else batch_size
        if size < 1:
            raise ValueError(f"batch_size must be at least 1, not {size}")
        has_rows = hasattr(inputs, "__len__") and hasattr(inputs, "__getitem__")  # a torch Dataset has no __iter__
        if isinstance(inputs, str | Mapping) or not (has_rows or isinstance(inputs, Iterable)):
            return next(self.answers([inputs], 1, 1, *params))
        answers = self.answers(inputs, size, LOOK_AHEAD if has_rows else 1, *params)
        return list(answers) if has_rows and isinstance(inputs, Iterable) else answers

    def predict(self, inputs: Any, **options: Any) -> Any:
        """Answer, by the name that scikit-learn has for it."""
        return self(inputs, **options)

    transform = predict

    def answers(
        self, inputs: Iterable[Any], size: int, batches: int, before: dict, within: dict, after: dict
    ) -> Iterator[Any]:
        """Yield the answer to each input. Rows of up to `batches` batches of `size` are sorted by their length."""
        inputs = iter(inputs)
        while items := list(islice(inputs, size * batches)):
            held = [self.rows(item, before) for item in items]  # the rows of each; an output takes the place of its row
            missing, answers = [len(rows) for rows in held], [None] * len(items)
            keys = [(item, row) for item, rows in enumerate(held) for row in range(len(rows))]
            keys.sort(key=lambda key: tokens_of(held[key[0]][key[1]]))  # stable
            for first in range(0, len(keys), size):
                part = keys[first : first + size]
                batch = collate([held[item][row] for item, row in part], self.tokenizer)
                output = self.forward(batch, **within)
                for number, (item, row) in enumerate(part):
                    held[item][row] = row_of(output, number, len(part))
                    missing[item] -= 1
                    if not missing[item]:
                        answers[item] = self.finish(held[item], after)
                        held[item] = []
            yield from answers

    def rows(self, item: Any, options: dict) -> list[Mapping[str, Any]]:
        return [self.preprocess(item, **options)]

    def finish(self, outputs: list[Any], options: dict) -> Any:
        return self.postprocess(outputs[0], **options)

    def forward(self, model_inputs: Mapping[str, Any], **options: Any) -> Any:
        """Run `_forward` without gradients on the pipeline's device; what it returns comes back to the CPU."""
        with self.device_placement(), torch.inference_mode():
            outputs = self._forward(self.ensure_tensor_on_device(**model_inputs), **options)
        return on_device(outputs, torch.device("cpu"))

    @contextmanager
    def device_placement(self) -> Iterator[None]:
        """Make new tensors on the pipeline's GPU, if it has one."""
        with torch.cuda.device(self.device) if self.device.type == "cuda" else torch.device("cpu"):
            yield

    def ensure_tensor_on_device(self, **inputs: Any) -> dict[str, Any]:
        """Return the inputs with their tensors on the pipeline's device."""
        return on_device(inputs, self.device)

    def save_pretrained(self, save_directory: str | Path, **options: Any) -> None:
        """Save the model and the tokenizer."""
        self.model.save_pretrained(save_directory, **options)
        if self.tokenizer is not None:
            self.tokenizer.save_pretrained(save_directory)


class TextPipeline(Pipeline):
    """A pipeline that gives the token ids of a text to the model, as the tokenizer makes them."""

    def preprocess(self, inputs: Any, **options: Any) -> BatchEncoding:
        if not isinstance(inputs, str):
            raise ValueError(f"expected a text, not {inputs!r}")
        return self.tokenizer(inputs, return_attention_mask=True, return_tensors="pt", **options)

    def _forward(self, model_inputs: Mapping[str, Any], **options: Any) -> Output:
        read = {name: model_inputs[name] for name in self.tokenizer.model_input_names if name in model_inputs}
        return Output({**model_inputs, **self.model(**read)})


class ChunkPipeline(TextPipeline):
    """A pipeline that asks the model several times for one answer: about parts of a text, or with several questions.

    `preprocess` yields several rows for an input, and `postprocess` takes the list of their outputs. Re-implements
    `ChunkPipeline` (transformers/pipelines/base.py).
    """

    @abstractmethod
    def preprocess(self, inputs: Any, **options: Any) -> Iterator[Mapping[str, Any]]:
        """Yield the rows that the model is asked about."""

    def rows(self, item: Any, options: dict) -> list[Mapping[str, Any]]:
        return list(self.preprocess(item, **options))

    def finish(self, outputs: list[Any], options: dict) -> Any:
        return self.postprocess(outputs, **options)


def check_known(options: Iterable[str], known: Iterable[str]) -> None:
    """Raise a TypeError for options that are not among the known ones."""
    if unknown := set(options) - set(known):
        raise TypeError(f"unknown argument {', '.join(sorted(unknown))}; this pipeline has: {', '.join(known)}")


def check_top_k(top_k: Any) -> None:
    if top_k is not None and (not isinstance(top_k, int) or isinstance(top_k, bool) or top_k < 1):
        raise ValueError(f"top_k must be a positive integer or None, not {top_k!r}")
