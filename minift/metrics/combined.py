"""Several metrics as one: `evaluate.combine`."""

from collections import Counter
from typing import Any

from minift.metrics.metric import Metric, load


class CombinedEvaluations:
    """Metrics that get the same examples. Re-implements evaluate/module.py, ``CombinedEvaluations``."""

    def __init__(self, evaluations: list[str | Metric] | dict[str, str | Metric], force_prefix: bool = False):
        named = evaluations if isinstance(evaluations, dict) else dict(enumerate(evaluations))
        self.metrics = [load(metric) if isinstance(metric, str) else metric for metric in named.values()]
        self.names = list(named) if isinstance(evaluations, dict) else [metric.name for metric in self.metrics]
        self.force_prefix = force_prefix

    def add(self, **values: Any) -> None:
        for metric in self.metrics:
            metric.add(**values)

    def add_batch(self, **values: Any) -> None:
        for metric in self.metrics:
            metric.add_batch(**values)

    def compute(self, **values: Any) -> dict[str, Any]:
        """Return all scores; where two have one key, the metric's name (and number) comes before it."""
        results = [metric.compute(**values) for metric in self.metrics]
        keys, names = Counter(key for result in results for key in result), Counter(self.names)
        seen: Counter[str] = Counter()
        merged = {}
        for name, result in zip(self.names, results, strict=True):
            prefix = f"{name}_{seen[name]}" if names[name] > 1 else name
            seen[name] += 1
            for key, value in result.items():
                merged[f"{prefix}_{key}" if keys[key] > 1 or self.force_prefix else key] = value
        return merged


combine = CombinedEvaluations
