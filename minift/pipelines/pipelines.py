"""Text in, answers out: `pipeline` for classification, filling masks and features.

Re-implements transformers/pipelines/: the results have the same structure and the same numbers.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from minift.model.auto import AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification
from minift.model.checks import check_vocabulary
from minift.model.config import AutoConfig
from minift.model.pretrained import PreTrainedModel
from minift.tokenizer.batch_encoding import BatchEncoding
from minift.tokenizer.tokenizer import AutoTokenizer, Tokenizer

logger = logging.getLogger(__name__)

# what a text-classification pipeline hands on to its tokenizer
TOKENIZER_OPTIONS = (
    *("add_special_tokens", "padding", "padding_side", "pad_to_multiple_of"),
    *("truncation", "max_length", "return_token_type_ids", "verbose"),
)


class Pipeline(ABC):
    """A model and its tokenizer; calling it takes texts to answers. The three tasks say how in `encode` and `answer`.

    Args:
        model: put on `device` and into evaluation mode.
        device: a torch device, its name, or the number of a GPU (-1: the CPU); None: a GPU if there is one.
        batch_size: texts in one forward pass.
        options: settings of the task, which each call can override.
    """

    auto_model: ClassVar[type]

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
        """The answer to one text, or a list of those to several (for an endless iterable, one after the other).

        Args:
            inputs: a text, a list or column of texts, or a generator.
            batch_size: texts in one forward pass, instead of the pipeline's own.
            options: settings of the task, for this call.
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

    def answers(self, inputs: Iterable[Any], size: int, options: dict[str, Any]) -> Iterator[Any]:
        """The answers to `inputs`, `size` of which are padded to one batch."""
        inputs = iter(inputs)
        while rows := [self.encode(item, options) for item in islice(inputs, size)]:
            batch = self.tokenizer.pad(rows, return_tensors="pt").to(self.device)
            with torch.inference_mode():
                outputs = self.model(**batch)[0].float().cpu()  # logits or hidden states, (B, ...)
            batch = batch.to("cpu")
            for i, output in enumerate(outputs):
                real = batch["attention_mask"][i].bool()
                yield self.answer(batch["input_ids"][i], real, output, options)

    @abstractmethod
    def check(self, options: dict[str, Any]) -> dict[str, Any]:
        """Raise for an option or a value that the task does not have; return what `answer` needs."""

    def encode(self, item: Any, options: dict[str, Any]) -> BatchEncoding:
        """The token ids of one text."""
        if not isinstance(item, str):
            raise ValueError(f"expected a text, not {item!r}")
        return self.tokenizer(item, return_attention_mask=True, **options.get("tokenizer_kwargs", {}))

    @abstractmethod
    def answer(self, ids: Tensor, real: Tensor, output: Tensor, options: dict[str, Any]) -> Any:
        """The answer for one text of `ids` (T,), `real` (T,) False at padding, and the model's `output`."""


class TextClassificationPipeline(Pipeline):
    """Texts, or pairs `{"text": ..., "text_pair": ...}`, to labels with scores.

    Options:
        top_k: how many labels, best first; None for all. Without it, the best one, not in a list of its own.
        return_all_scores: the earlier form of `top_k=None`: all labels, in the model's order.
        function_to_apply: "sigmoid", "softmax" or "none"; by default what the model's problem type asks for.
        Those of TOKENIZER_OPTIONS, such as `truncation`, are the tokenizer's.
    """

    auto_model = AutoModelForSequenceClassification
    functions: ClassVar[dict[str, Any]] = {
        "sigmoid": torch.sigmoid,
        "softmax": lambda logits: logits.softmax(-1),
        "none": lambda logits: logits,
    }

    def __call__(self, inputs: Any, batch_size: int | None = None, **options: Any) -> Any:
        result = super().__call__(inputs, batch_size, **options)
        # one text gives a list, but not one pair, nor one text with top_k given here: so it is in transformers
        return [result] if isinstance(inputs, str) and "top_k" not in options else result

    def check(self, options: dict[str, Any]) -> dict[str, Any]:
        own = ("top_k", "return_all_scores", "function_to_apply")
        _check_names(options, (*own, *TOKENIZER_OPTIONS))
        checked = {name: options[name] for name in own if name in options}
        function = checked.get("function_to_apply")
        if function is not None and str(function).lower() not in self.functions:
            raise ValueError(f"unknown function_to_apply={function!r}; there are: {', '.join(self.functions)}")
        _check_top_k(checked)
        tokenizer_kwargs = {name: value for name, value in options.items() if name not in own}
        return checked | ({"tokenizer_kwargs": tokenizer_kwargs} if tokenizer_kwargs else {})

    def encode(self, item: Any, options: dict[str, Any]) -> BatchEncoding:
        if isinstance(item, Mapping):
            if item.keys() - {"text", "text_pair"} or "text" not in item:
                raise ValueError(f'a pair is {{"text": ..., "text_pair": ...}}, not a dictionary of {list(item)}')
            kwargs = options.get("tokenizer_kwargs", {})
            return self.tokenizer(item["text"], item.get("text_pair"), return_attention_mask=True, **kwargs)
        if not isinstance(item, str):
            raise ValueError(f'expected a text or {{"text": ..., "text_pair": ...}}, not {item!r}')
        return super().encode(item, options)

    def answer(self, ids: Tensor, real: Tensor, output: Tensor, options: dict[str, Any]) -> Any:
        function = str(options.get("function_to_apply") or self._default_function()).lower()
        scores = self.functions[function](output).tolist()  # (num_labels,)
        id2label = self.model.config.id2label
        results = [{"label": id2label[i], "score": score} for i, score in enumerate(scores)]
        if "top_k" not in options and options.get("return_all_scores"):
            return results
        results.sort(key=lambda result: result["score"], reverse=True)
        return results[: options["top_k"]] if "top_k" in options else results[0]

    def _default_function(self) -> str:
        config = self.model.config
        if config.problem_type == "regression":
            return "none"
        several = config.num_labels > 1 and config.problem_type != "multi_label_classification"
        return "softmax" if several else "sigmoid"


class FillMaskPipeline(Pipeline):
    """Texts with `[MASK]` to the tokens that fit there: for several masks, a list for each.

    Options:
        top_k: how many tokens, best first (5).
        targets: a token or a list of tokens to choose from; scores are still shares of the whole vocabulary.
        tokenizer_kwargs: arguments of the tokenizer, such as `{"truncation": True}`.
    """

    auto_model = AutoModelForMaskedLM

    def __init__(self, model: PreTrainedModel, tokenizer: Tokenizer, *args: Any, **kwargs: Any) -> None:
        if tokenizer.mask_token_id is None:
            raise ValueError("fill-mask needs a mask token, and this tokenizer has none")
        self.tokenizer = tokenizer  # which the options' check looks tokens up in
        super().__init__(model, tokenizer, *args, **kwargs)

    def __call__(self, inputs: Any, batch_size: int | None = None, **options: Any) -> Any:
        result = super().__call__(inputs, batch_size, **options)
        return result[0] if isinstance(inputs, list) and len(inputs) == 1 else result  # as in transformers

    def check(self, options: dict[str, Any]) -> dict[str, Any]:
        _check_names(options, ("top_k", "targets", "tokenizer_kwargs"))
        checked = {name: value for name, value in options.items() if value is not None and name != "targets"}
        _check_top_k(checked)
        if options.get("targets") is not None:
            targets = options["targets"]
            checked["target_ids"] = self._target_ids([targets] if isinstance(targets, str) else list(targets))
        return checked

    def encode(self, item: Any, options: dict[str, Any]) -> BatchEncoding:
        encoding = super().encode(item, options)
        if self.tokenizer.mask_token_id not in encoding["input_ids"]:
            raise ValueError(f"No mask_token ({self.tokenizer.mask_token}) found on the input {item!r}")
        return encoding

    def answer(self, ids: Tensor, real: Tensor, output: Tensor, options: dict[str, Any]) -> Any:
        masks = (ids == self.tokenizer.mask_token_id).nonzero().squeeze(-1)  # (M,)
        scores = output[masks].softmax(-1)  # (M, V)
        choice = torch.tensor(options["target_ids"]) if "target_ids" in options else torch.arange(scores.shape[-1])
        best, which = scores[:, choice].topk(min(options.get("top_k", 5), len(choice)))  # (M, top_k)
        results = []
        for mask, mask_scores, tokens in zip(masks, best.tolist(), choice[which].tolist(), strict=True):
            results.append([])
            for score, token in zip(mask_scores, tokens, strict=True):
                filled = ids.clone()
                filled[mask] = token
                # special tokens only clutter the sequence, but the other masks of several are worth seeing
                sequence = self.tokenizer.decode(filled[real].tolist(), skip_special_tokens=len(masks) == 1)
                word = self.tokenizer.decode([token])
                results[-1].append({"score": score, "token": token, "token_str": word, "sequence": sequence})
        return results[0] if len(masks) == 1 else results

    def _target_ids(self, targets: list[str]) -> list[int]:
        """Ids of the targets; of one that is no token, its first token, with a warning."""
        vocabulary, ids = self.tokenizer.get_vocab(), []
        for target in targets:
            first = [vocabulary[target]] if target in vocabulary else None
            if first is None:
                first = self.tokenizer(target, add_special_tokens=False)["input_ids"][:1]
                stand_in = self.tokenizer.convert_ids_to_tokens(first)
                logger.warning("target %r is not in the vocabulary; %s is used for it", target, stand_in or "nothing")
            ids += first
        if not ids:
            raise ValueError(f"targets={targets!r} names no token")
        return list(dict.fromkeys(ids))


class FeatureExtractionPipeline(Pipeline):
    """Texts to the encoder's last hidden states, nested lists of shape (1, T, E).

    Options:
        return_tensors: tensors instead of lists.
        truncation, tokenize_kwargs: arguments of the tokenizer.
    """

    auto_model = AutoModel

    def check(self, options: dict[str, Any]) -> dict[str, Any]:
        _check_names(options, ("return_tensors", "truncation", "tokenize_kwargs"))
        kwargs = dict(options.get("tokenize_kwargs") or {})
        if options.get("truncation") is not None:
            if "truncation" in kwargs:
                raise ValueError("truncation is given twice: as an argument and in tokenize_kwargs")
            kwargs["truncation"] = options["truncation"]
        checked = {"tokenizer_kwargs": kwargs} if kwargs else {}
        return checked | ({"return_tensors": options["return_tensors"]} if "return_tensors" in options else {})

    def answer(self, ids: Tensor, real: Tensor, output: Tensor, options: dict[str, Any]) -> Any:
        states = output[real].unsqueeze(0)  # (1, T, E) without padding, unlike transformers with batch_size > 1
        return states if options.get("return_tensors") else states.tolist()


# task -> its class, and the checkpoint of the Hub that answers when none is named
TASKS: dict[str, tuple[type[Pipeline], str]] = {
    "text-classification": (
        TextClassificationPipeline,
        "distilbert/distilbert-base-uncased-finetuned-sst-2-english",
    ),
    "fill-mask": (FillMaskPipeline, "distilbert/distilbert-base-uncased"),
    "feature-extraction": (FeatureExtractionPipeline, "distilbert/distilbert-base-uncased"),
}
ALIASES = {"sentiment-analysis": "text-classification"}


def pipeline(
    task: str | None = None,
    model: str | Path | PreTrainedModel | None = None,
    config: Any = None,
    tokenizer: str | Path | Tokenizer | None = None,
    *,
    framework: str | None = "pt",
    revision: str | None = None,
    use_fast: bool = True,
    token: str | bool | None = None,
    device: int | str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    torch_dtype: str | torch.dtype | None = None,
    batch_size: int | None = None,
    model_kwargs: dict[str, Any] | None = None,
    **options: Any,
) -> Pipeline:
    """A `Pipeline` for `task`, with a checkpoint's model and tokenizer.

    Args:
        task: "text-classification" (or "sentiment-analysis"), "fill-mask" or "feature-extraction"; None: the one
            that the checkpoint was saved for.
        model: a folder, a Hub name, or a model; None: the task's default checkpoint.
        config: a configuration instead of the checkpoint's.
        tokenizer: a folder, a Hub name, or a tokenizer; None: the model's.
        framework: "pt"; the pipelines run in torch.
        revision, token: of the Hub repository.
        device, batch_size: see `Pipeline`.
        dtype, torch_dtype, model_kwargs: arguments of the model's `from_pretrained`.
        options: settings of the task, such as `top_k`.

    Raises:
        ValueError: an unknown task, one that cannot be inferred, or an unsupported framework.
    """
    if framework not in (None, "pt"):
        raise ValueError(f"framework={framework!r} is not supported: pipelines run in torch, framework='pt'")
    if not use_fast:
        raise ValueError("use_fast=False is not supported: all tokenizers here are the fast ones")
    hub = {name: value for name, value in {"revision": revision, "token": token}.items() if value is not None}
    if task is None:
        task = _infer_task(model, hub)
    task = ALIASES.get(task, task)
    if task not in TASKS:
        raise ValueError(f"unknown task {task!r}; there are: {', '.join([*TASKS, *ALIASES])}")
    kind, default = TASKS[task]
    if model is None:
        logger.warning("no model was given for %s: %s is used", task, default)
        model = default
    if isinstance(model, str | Path):
        name = model
        given = {"config": config, "dtype": dtype, "torch_dtype": torch_dtype, **(model_kwargs or {})}
        given = {argument: value for argument, value in given.items() if value is not None}
        model = kind.auto_model.from_pretrained(name, **hub, **given)
    else:
        name = model.config.name_or_path
    if tokenizer is None:
        if not name:
            raise ValueError("tokenizer: this model was not loaded from a checkpoint, so its tokenizer must be given")
        tokenizer = name
    if isinstance(tokenizer, str | Path):
        tokenizer = AutoTokenizer.from_pretrained(tokenizer, **hub)
    return kind(model, tokenizer, device=device, batch_size=batch_size, **options)


def _infer_task(model: Any, hub: dict[str, Any]) -> str:
    if model is None:
        raise ValueError("pipeline() needs a task, or a model to infer it from")
    if isinstance(model, str | Path):
        architectures = AutoConfig.from_pretrained(model, **hub).architectures or []
    else:
        architectures = [type(model).__name__]
    for ending, task in (("ForSequenceClassification", "text-classification"), ("ForMaskedLM", "fill-mask")):
        if any(name.endswith(ending) for name in architectures):
            return task
    raise ValueError(f"task: cannot be inferred from a checkpoint of {architectures}; there are: {', '.join(TASKS)}")


def _check_names(options: dict[str, Any], known: tuple[str, ...]) -> None:
    if unknown := options.keys() - set(known):
        raise TypeError(f"unknown argument {', '.join(sorted(unknown))}; this pipeline has: {', '.join(known)}")


def _check_top_k(options: dict[str, Any]) -> None:
    top_k = options.get("top_k")
    if top_k is not None and (not isinstance(top_k, int) or isinstance(top_k, bool) or top_k < 1):
        raise ValueError(f"top_k must be a positive integer or None, not {top_k!r}")
