"""`fast=True`: every fast option that pays on this machine and fits the model, and a line that says which."""

import logging
from typing import Any

from torch import nn

from minift.fast.options import OVER_PADDING_TOO
from minift.fast.processor import bf16_is_real
from minift.fast.sparse_head import MaskedLanguageModel
from minift.model.pretrained import PreTrainedModel
from minift.train.arguments import TrainingArguments

logger = logging.getLogger(__name__)


def switch_on(args: TrainingArguments, model: nn.Module) -> None:
    """Set the fast options in the arguments, and log which are on, and why the others are not.

    The numbers are then not those of the plain path, to the bit: sums have another order, dropout draws other
    numbers, and with bfloat16 products are rounded. An option that the user has set to another value stays.
    """
    options, reasons = fast_options(args, model)
    for name, value in options.items():
        setattr(args, name, value)
    shown = [name if value is True else f"{name}={value}" for name, value in options.items()]
    off = "".join(f"; not {name}: {reason}" for name, reason in reasons.items())
    logger.info("fast    %s%s", ", ".join(shown), off)


def fast_options(args: TrainingArguments, model: nn.Module) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the options to set, and for those that stay off the reasons."""
    options: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    is_ours, is_mlm = isinstance(model, PreTrainedModel), isinstance(model, MaskedLanguageModel)
    whole_layers = args.gradient_checkpointing or args.torch_compile
    on_cpu = args.device.type == "cpu"

    def switch(name: str, reason: str | None, value: Any = True) -> None:
        if reason is None:
            options[name] = value
        else:
            reasons[name] = reason

    not_ours = None if is_ours else "the model is not one of minift's"
    over_padding = "its scores run over the padding" if isinstance(model, OVER_PADDING_TOO) else None
    whole = "layers are called whole" if whole_layers else None
    switch("padding_free", not_ours or over_padding or whole)
    switch("fast_dropout", not_ours)
    if is_mlm:
        switch("sparse_mlm_head", None)
    else:
        switch("eval_sort_by_length", None)
    switch("keep_memory", None if on_cpu else "it is for the CPU")
    own = None if args.optim in ("adamw_torch", "adamw_torch_fused") else f"optim is {args.optim}"
    switch("optim", own, "adamw_torch_fused")
    apart = "it excludes fp16 and shard_optimizer" if args.fp16 or args.shard_optimizer else None
    switch("clip_in_update", own or apart)
    if not args.fp16 and not args.bf16:
        real = not on_cpu or bf16_is_real()
        switch("bf16", None if real else "this processor emulates it")
    return options, reasons
