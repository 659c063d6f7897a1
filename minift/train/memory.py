"""A batch that fits into memory, found by trying: `auto_find_batch_size`."""

import gc
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from minift.train.arguments import TrainingArguments
from minift.train.checkpoint import STATE_FILE
from minift.train.state import TrainerState

logger = logging.getLogger(__name__)
# what torch says when memory does not suffice, on a GPU and on the CPU
NO_MEMORY = (
    " out of memory.",
    "cuDNN error: CUDNN_STATUS_NOT_SUPPORTED.",
    "DefaultCPUAllocator: can't allocate memory",
)


def is_out_of_memory(error: RuntimeError) -> bool:
    return any(text in str(error) for text in NO_MEMORY)


def with_a_batch_that_fits(args: TrainingArguments, train: Callable[[], Any], resumes_from: Any = None) -> Any:
    """Call `train`; while memory does not suffice, call it again with 0.9 of `per_device_train_batch_size`.

    The run begins anew, with the weights as they are; a resumed one has the size that its checkpoint was found with.
    The arguments are as before afterwards; the state has the size. No size that fits is a RuntimeError; other errors
    pass. Source: transformers/trainer.py, with accelerate's find_executable_batch_size.
    """
    before = args.per_device_train_batch_size
    try:
        if resumes_from:
            found = TrainerState.load_from_json(Path(resumes_from) / STATE_FILE).train_batch_size
            args.per_device_train_batch_size = found or before
        return _try(args, train)
    finally:
        args.per_device_train_batch_size = before


def _try(args: TrainingArguments, train: Callable[[], Any]) -> Any:
    while True:
        try:
            return train()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            smaller = int(args.per_device_train_batch_size * 0.9)
            logger.warning("memory: a batch of %d rows is too large", args.per_device_train_batch_size)
        if smaller == 0:
            raise RuntimeError("No executable batch size found, reached zero.")
        args.per_device_train_batch_size = smaller
        logger.warning("memory: the run begins anew with %d rows", smaller)
        gc.collect()  # here, where no traceback holds the tensors of the step any more
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
