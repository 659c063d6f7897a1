"""The tokenizer of a checkpoint that is to be trained, cut to what its model reads."""

from pathlib import Path

from minift.model.checks import check_vocabulary
from minift.model.config import AutoConfig
from minift.tokenizer.classes import AutoTokenizer
from minift.tokenizer.tokenizer import Tokenizer


def open_tokenizer(model: str | Path, max_length: int | None = None) -> Tokenizer:
    """Load a checkpoint's tokenizer; its `model_max_length` becomes what the model can read, also in what is saved.

    A vocabulary or a `max_length` that is too large for the model is a ValueError.
    """
    tokenizer, config = AutoTokenizer.from_pretrained(model), AutoConfig.from_pretrained(model)
    check_vocabulary(len(tokenizer), config)
    longest = config.max_position_embeddings
    if max_length is not None and max_length > longest:
        raise ValueError(f"max_length={max_length}: the model reads at most {longest} tokens (max_position_embeddings)")
    tokenizer.model_max_length = min(tokenizer.model_max_length, longest)
    return tokenizer
