"""Which stored tensor fills which parameter: the whole name map of checkpoints in the wild, as one table."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

# What a stored name may look like -> what the model calls it. The rules apply one after the other.
RENAMES = (
    (r"\.gamma$", ".weight"),  # LayerNorm in checkpoints converted from TensorFlow
    (r"\.beta$", ".bias"),
)

# Stored buffers that today's models compute: neither loaded nor worth a warning.
IGNORED = (r"embeddings\.position_ids$", r"embeddings\.token_type_ids$")

# Parameters that are the same tensor: the copy -> the one that is stored.
TIED = {
    "bert": {
        "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    },
    "distilbert": {"vocab_projector.weight": "distilbert.embeddings.word_embeddings.weight"},
}


@dataclass
class LoadingReport:
    """What became of every parameter of a model and of every tensor of a file; `str()` is the printed form."""

    where: str = ""  # the folder or repository
    stored_as: dict[str, str] = field(default_factory=dict)  # parameter -> the stored tensor that fills it
    missing: list[str] = field(default_factory=list)  # parameters that no tensor fills: newly initialised
    unexpected: list[str] = field(default_factory=list)  # stored tensors that no parameter takes: unused
    # parameters with their stored and their wanted shape: newly initialised
    mismatched: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)
    tied: dict[str, str] = field(default_factory=dict)  # parameter -> the parameter that it is the same tensor as

    @property
    def complete(self) -> bool:
        """Everything stored was used and everything wanted was there."""
        return not (self.missing or self.unexpected or self.mismatched)

    def __str__(self) -> str:
        shapes = [f"{name} (stored {stored}, wanted {wanted})" for name, stored, wanted in self.mismatched]
        groups = {
            "newly initialised (not in the file; train them before use)": self.missing,
            "newly initialised (another shape in the file)": shapes,
            "unused (in the file, not in the model)": self.unexpected,
            "tied (one tensor under two names)": [f"{copy} = {source}" for copy, source in self.tied.items()],
        }
        lines = [f"Weights of {self.where}: {len(self.stored_as)} tensors loaded"]
        for title, names in groups.items():
            if names:
                lines += [f"  {title}:", *(f"    {name}" for name in names)]
        return "\n".join(lines)


def match_names(stored: Iterable[str], wanted: Collection[str], model_type: str, tied: dict[str, str]) -> LoadingReport:
    """Pair the names of stored tensors with those of a model's parameters: `stored_as`, `missing`, `unexpected`.

    `wanted` holds both names of a tied parameter; `tied` are those of TIED that this model has. A tied pair is missing
    only when neither of its names is stored.
    """
    prefix = f"{model_type}."  # a head's encoder; files with and without it load into models with and without it
    report = LoadingReport(tied=tied)
    for name in stored:
        ours = name
        for pattern, replacement in RENAMES:
            ours = re.sub(pattern, replacement, ours)
        for candidate in (ours, prefix + ours, ours.removeprefix(prefix)):
            if candidate in wanted and candidate not in report.stored_as:
                report.stored_as[candidate] = name
                break
        else:
            if not any(re.search(pattern, name) for pattern in IGNORED):
                report.unexpected.append(name)
    for copy, source in tied.items():  # a store that holds the copy only
        if source not in report.stored_as and copy in report.stored_as:
            report.stored_as[source] = report.stored_as[copy]
    report.stored_as = {name: report.stored_as[name] for name in wanted if name in report.stored_as}
    report.missing = [name for name in wanted if name not in report.stored_as and name not in tied]
    return report
