"""What the losses of batches say together: their weighted mean, and the perplexity."""

import math


def weighted_mean(losses: list[tuple[float, int]]) -> float:
    """Return the mean loss over all labels, from pairs (mean loss of a batch, its number of labels).

    A batch without labels is left out: its loss is NaN.
    """
    counted = [(loss, count) for loss, count in losses if count]
    return sum(loss * count for loss, count in counted) / max(sum(count for _, count in counted), 1)


def perplexity(mean_loss: float) -> float:
    """Return exp(mean loss per token, in nats); infinity where that overflows."""
    try:
        return math.exp(mean_loss)
    except OverflowError:
        return math.inf
