"""Which columns of a data set are the texts and which is the label, and why."""

import pyarrow as pa
import pyarrow.compute as pc

from minift.data.dataset import Dataset
from minift.data.features import ClassLabel, Feature

# the usual names of a label, the likeliest first; the first two go before everything else
# fmt: off
LABELS = [
    "label", "labels", "target", "class", "category", "sentiment", "intent", "topic", "emotion", "tags", "tag",
    "rating", "stars", "score", "is_spam", "spam", "toxic", "queue", "priority", "y",
]
# fmt: on
# the usual names of texts
# fmt: off
TEXTS = [
    "text", "sentence", "review", "content", "message", "body", "comment", "tweet", "post", "document", "article",
    "description", "utterance", "question", "title", "subject", "headline", "abstract",
]
# fmt: on
PAIRS = [
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("question", "sentence"),
    ("question", "answer"),
    ("query", "passage"),
    ("text", "text_pair"),
    ("text1", "text2"),
    ("text_a", "text_b"),
    ("sentence_a", "sentence_b"),
]
SAMPLE = 1000  # rows that are looked at
FEW = 50  # values; a column that holds more of them is not taken for a label
LETTER = r"\pL"
WORDS = 3  # a column of at least so many words in the mean reads like text


def is_text(feature: Feature) -> bool:
    return getattr(feature, "dtype", None) in ("string", "large_string")


def find_label(rows: Dataset) -> tuple[str, str]:
    """Return the column to predict, and how it was found.

    It is called label or labels; or is the only `ClassLabel`; or has another name of `LABELS`; or is the only column
    of strings, booleans or integers with few values. A ValueError lists the columns where that does not decide.
    """
    features = rows.features
    for name in ("label", "labels"):
        if name in features:
            return name, "by its name"
    classes = [name for name, feature in features.items() if isinstance(feature, ClassLabel)]
    if len(classes) == 1:
        return classes[0], "the only column of classes"
    by_name = {name.lower(): name for name in features}
    for name in LABELS:
        if name in by_name:
            return by_name[name], "by its name"
    counts = {name: count for name in features if (count := _few_values(rows, name))}
    if len(counts) == 1:
        name, count = next(iter(counts.items()))
        return name, f"the only column with few values, {count}"
    others = [name for name, feature in features.items() if not is_text(feature)]
    if not counts and len(features) == 2 and len(others) == 1:
        return others[0], "the only column beside the texts"
    if list(features) == ["text"]:
        raise ValueError(
            "there are texts and no labels: begin each line with __label__NAME, or name a file with columns "
            "(`minift mlm` learns from texts alone)"
        )
    found = ", ".join(f"{name} ({count} values)" for name, count in counts.items())
    raise ValueError(
        f"cannot tell which column is the label: {found or ', '.join(features)}; name it with label_column"
    )


def _few_values(rows: Dataset, name: str) -> int:
    """Return how many values a column has, if it can be a label and there are few; else 0."""
    feature = rows.features[name]
    kind = str(getattr(feature, "dtype", ""))
    if not (is_text(feature) or kind == "bool" or kind.startswith(("int", "uint"))):
        return 0
    column = _sample(rows, name)
    if is_text(feature) and (_mean_words(column) >= WORDS or not _mean(pc.count_substring_regex(column, LETTER))):
        return 0  # a text, or dates
    count = len(column.unique().drop_null())
    return count if 2 <= count <= min(FEW, max(2, len(column) // 3)) else 0


def find_texts(rows: Dataset, label: str) -> tuple[list[str], str]:
    """Return the one or two columns to read, and how they were found.

    They are the only column of strings; or a pair with the names of `PAIRS`; or one or two that have names of `TEXTS`,
    or else that hold several words; of more, the one with the longest texts.
    """
    strings = [name for name, feature in rows.features.items() if is_text(feature) and name != label]
    if len(strings) <= 1:
        return strings, "the only column of strings"
    by_name = {name.lower(): name for name in strings}
    for first, second in PAIRS:
        if first in by_name and second in by_name:
            return [by_name[first], by_name[second]], "a pair, by their names"
    named = [name for name in strings if name.lower() in TEXTS]
    if 1 <= len(named) <= 2:
        return named, "by name"
    texts = [name for name in strings if _mean_words(_sample(rows, name)) >= WORDS]
    if 1 <= len(texts) <= 2:
        return texts, f"of the {len(strings)} columns of strings, what holds several words"
    length = {name: _mean(pc.utf8_length(_sample(rows, name))) for name in strings}
    return [max(strings, key=length.get)], f"of the {len(strings)} columns of strings, the one with the longest texts"


def _sample(rows: Dataset, name: str) -> pa.ChunkedArray:
    return rows.select_columns(name).arrow_rows(slice(0, SAMPLE))[name]


def _mean_words(texts: pa.ChunkedArray) -> float:
    return _mean(pc.count_substring_regex(texts, r"\S+"))


def _mean(counts: pa.ChunkedArray) -> float:
    return pc.mean(counts).as_py() or 0.0
