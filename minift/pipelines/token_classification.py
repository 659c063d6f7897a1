"""Texts to the labels of their tokens, or to the entities that neighbouring tokens make."""

import warnings
from typing import Any

import numpy as np
from torch import Tensor

from minift.model.auto import AutoModelForTokenClassification
from minift.pipelines.base import ChunkPipeline

STRATEGIES = ("none", "simple", "first", "average", "max")


class TokenClassificationPipeline(ChunkPipeline):
    """Label the tokens of texts (transformers/pipelines/token_classification.py).

    The answer to a text is a list of dicts: ``entity``, ``score`` (float32), ``index``, ``word``, ``start`` and ``end``
    (characters) of each token or, with a strategy other than "none", ``entity_group``, ``score``, ``word``, ``start``
    and ``end`` of each entity. Tokens of one label make an entity, until a label begins with B-.

    Options:
        aggregation_strategy: "none"; "simple": each token has its own label; and three that give a word one label:
            "first", that of its first token; "average", that of the averaged scores; "max", the likeliest.
        ignore_labels: labels that are left out; by default O.
        stride: cut long texts into windows of the model's length with so many tokens in common, instead of cutting off.
        is_split_into_words: texts are lists of words; `delimiter` (a space) joins them to the text of the answer.
        offset_mapping: the characters of each token, if not the tokenizer's.
        grouped_entities, ignore_subwords: the former ways to write the strategies "simple" and "first".
    """

    auto_model = AutoModelForTokenClassification
    by_token = True
    # fmt: off
    option_names = (
        "aggregation_strategy", "ignore_labels", "stride", "is_split_into_words", "delimiter", "offset_mapping",
        "grouped_entities", "ignore_subwords",
    )
    # fmt: on

    def __call__(self, inputs: Any, batch_size: int | None = None, **options: Any) -> Any:
        words = (self.options | options).get("is_split_into_words")
        one = words and inputs and isinstance(inputs, list) and isinstance(inputs[0], str)
        return super().__call__([inputs] if one else inputs, batch_size, **options)

    def check(self, options: dict[str, Any]) -> dict[str, Any]:
        options = dict(super().check(options))
        grouped, by_word = options.pop("grouped_entities", None), options.pop("ignore_subwords", None)
        if grouped is not None or by_word is not None:
            instead = ("first" if by_word else "simple") if grouped else "none"
            warnings.warn(f"grouped_entities is now aggregation_strategy={instead!r}", stacklevel=3)
            options.setdefault("aggregation_strategy", instead)
        if "aggregation_strategy" in options:
            strategy = options["aggregation_strategy"]
            strategy = options["aggregation_strategy"] = str(getattr(strategy, "value", strategy)).lower()
            if strategy not in STRATEGIES:
                raise ValueError(f"aggregation_strategy={strategy!r}: there are {', '.join(STRATEGIES)}")
        if options.get("stride") is not None:
            if options["stride"] >= self.tokenizer.model_max_length:
                raise ValueError(f"stride={options['stride']} must be less than the model's length")
            if options.get("aggregation_strategy") == "none":
                raise ValueError("stride needs an aggregation_strategy other than 'none'")
        return options

    def chunks(self, item: Any, options: dict[str, Any]) -> list[dict[str, Any]]:
        split = bool(options.get("is_split_into_words"))
        if not isinstance(item, list if split else str):
            expected = "a list of words" if split else "a text; lists of words need is_split_into_words=True"
            raise ValueError(f"expected {expected}, not {item!r}")
        windows = options.get("stride") is not None
        encoded = self.tokenizer(
            [item],
            truncation=True,
            is_split_into_words=split,
            return_attention_mask=True,
            return_special_tokens_mask=True,
            return_offsets_mapping=True,
            return_overflowing_tokens=windows,
            stride=options["stride"] if windows else 0,
        )
        rows = []
        for number in range(len(encoded["input_ids"])):
            row = {name: encoded[name][number] for name in encoded if name != "overflow_to_sample_mapping"}
            if options.get("offset_mapping") is not None:
                row["offset_mapping"] = options["offset_mapping"]
            rows.append(row | {"words": encoded.word_ids(number)})
        return rows

    def combine(self, item: Any, chunks: list[dict], outputs: list[tuple[Tensor, ...]], options: dict) -> list[dict]:
        strategy = options.get("aggregation_strategy", "none")
        ignored = ["O"] if options.get("ignore_labels") is None else options["ignore_labels"]
        text, starts = item, None
        if isinstance(item, list):
            delimiter = " " if options.get("delimiter") is None else options["delimiter"]
            text = delimiter.join(item)
            starts = np.cumsum([0, *(len(word) + len(delimiter) for word in item)]).tolist()
        found = []
        for row, (logits,) in zip(chunks, outputs, strict=True):
            tokens = self.tokens(text, row, softmax(logits.numpy()), starts)
            if strategy in ("first", "average", "max"):
                tokens = [self.word(word, strategy) for word in words_of(tokens)]
            labelled = [self.labelled(token) for token in tokens]
            entities = labelled if strategy == "none" else [self.entity(group) for group in groups(labelled)]
            found += [one for one in entities if one.get("entity", one.get("entity_group")) not in ignored]
        return without_overlaps(found) if len(chunks) > 1 else found

    def tokens(self, text: str, row: dict, scores: np.ndarray, starts: list[int] | None) -> list[dict]:
        """Return a dict for each token that is not special, with the probabilities of its labels (C,)."""
        tokens = []
        for index, token_id in enumerate(row["input_ids"]):
            if row["special_tokens_mask"][index]:
                continue
            start, end = row["offset_mapping"][index]
            if starts is not None:  # within its word -> within the text
                start, end = (place + starts[row["words"][index]] for place in (start, end))
            word = self.tokenizer.convert_ids_to_tokens(token_id)
            continues = len(word) != end - start  # its ## stands for no character
            if token_id == self.tokenizer.unk_token_id:
                word, continues = text[start:end], False
            place = {"index": index, "word": word, "start": start, "end": end}
            tokens.append(place | {"scores": scores[index], "continues": continues})
        return tokens

    def word(self, tokens: list[dict], strategy: str) -> dict:
        """Make one token of those of a word."""
        if strategy == "first":
            scores = tokens[0]["scores"]
        elif strategy == "max":
            scores = max(tokens, key=lambda token: token["scores"].max())["scores"]
        else:
            scores = np.nanmean(np.stack([token["scores"] for token in tokens]), axis=0)
        word = self.tokenizer.convert_tokens_to_string([token["word"] for token in tokens])
        return {"scores": scores, "word": word, "start": tokens[0]["start"], "end": tokens[-1]["end"]}

    def labelled(self, token: dict) -> dict:
        best = int(token["scores"].argmax())
        rest = {name: token[name] for name in ("index", "word", "start", "end") if name in token}
        return {"entity": self.model.config.id2label[best], "score": token["scores"][best], **rest}

    def entity(self, tokens: list[dict]) -> dict:
        """Make an entity of neighbouring tokens of one label."""
        return {
            "entity_group": tokens[0]["entity"].split("-", 1)[-1],
            "score": np.mean(np.nanmean([token["score"] for token in tokens])),
            "word": self.tokenizer.convert_tokens_to_string([token["word"] for token in tokens]),
            "start": tokens[0]["start"],
            "end": tokens[-1]["end"],
        }


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities (T, C) of logits (T, C)."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def words_of(tokens: list[dict]) -> list[list[dict]]:
    """Put the tokens of each word together."""
    words: list[list[dict]] = []
    for token in tokens:
        if words and token["continues"]:
            words[-1].append(token)
        else:
            words.append([token])
    return words


def groups(tokens: list[dict]) -> list[list[dict]]:
    """Put neighbouring tokens of one label together; B- begins a new group, I- or no mark goes on."""
    found: list[list[dict]] = []
    last = None
    for token in tokens:
        mark, label = token["entity"][:2], token["entity"]
        kind = label[2:] if mark in ("B-", "I-") else label
        if found and kind == last and mark != "B-":
            found[-1].append(token)
        else:
            found.append([token])
        last = kind
    return found


def without_overlaps(entities: list[dict]) -> list[dict]:
    """Of entities of several windows that overlap, keep the longest and, if equally long, the likeliest."""
    kept: list[dict] = []
    for entity in sorted(entities, key=lambda entity: entity["start"]):
        if kept and entity["start"] < kept[-1]["end"]:
            size = lambda one: (one["end"] - one["start"], one["score"])  # noqa: E731
            kept[-1] = max(kept[-1], entity, key=size)
        else:
            kept.append(entity)
    return kept
