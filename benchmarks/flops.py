"""Multiplications and additions that a step of a BERT cannot do without."""

from typing import Any

import numpy as np


def training_flops(config: Any, lengths: np.ndarray, labelled: float = 0.0, first_only: bool = False) -> float:
    """FLOP of a forward and a backward pass (twice the forward's) over texts of these lengths, without padding.

    Linear layers take 2 FLOP a weight and token; attention multiplies queries with keys and probabilities with values
    within each text. LayerNorm, activation and dropout are left out, which are no matrix products, and the pooler and
    the classifier, which see one token of a text.

    Args:
        config: of BERT or DistilBERT, of either library.
        lengths: tokens of each text.
        labelled: the share of tokens for which a masked-language-model head scores the vocabulary.
        first_only: only the first token of a text is read, by a classifier: the others need of the last layer keys and
            values alone.
    """
    hidden, layers = config.hidden_size, config.num_hidden_layers
    inner = getattr(config, "intermediate_size", None) or config.hidden_dim
    tokens, squares = float(lengths.sum()), float((lengths.astype(np.float64) ** 2).sum())
    encoder = layers * (tokens * (4 * hidden**2 + 2 * hidden * inner) + 2 * squares * hidden)
    if first_only:
        encoder -= (tokens - len(lengths)) * (2 * hidden**2 + 2 * hidden * inner) + 2 * (squares - tokens) * hidden
    head = labelled * tokens * (hidden**2 + hidden * config.vocab_size)
    return 3 * 2 * (encoder + head)
