"""Texts to the labels of their tokens, or to the entities that neighbouring tokens make."""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

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

    def __call__(self, inputs: Any, *args: Any, **options: Any) -> Any:
        words = options.get("is_split_into_words", self.params[0].get("is_split_into_words"))
        one = words and inputs and isinstance(inputs, list) and isinstance(inputs[0], str)
        return super().__call__([inputs] if one else inputs, *args, **options)

    def _sanitize_parameters(
        self,
        aggregation_strategy: Any = None,
        ignore_labels: list[str] | None = None,
        stride: int | None = None,
        is_split_into_words: bool | None = None,
        delimiter: str | None = None,
        offset_mapping: list[tuple[int, int]] | None = None,
        grouped_entities: bool | None = None,
        ignore_subwords: bool | None = None,
    ) -> tuple[dict, dict, dict]:
        if grouped_entities is not None or ignore_subwords is not None:
            instead = ("first" if ignore_subwords else "simple") if grouped_entities else "none"
            warnings.warn(f"grouped_entities is now aggregation_strategy={instead!r}", stacklevel=3)
            aggregation_strategy = instead if aggregation_strategy is None else aggregation_strategy
        if aggregation_strategy is not None:
            aggregation_strategy = str(getattr(aggregation_strategy, "value", aggregation_strategy)).lower()
            if aggregation_strategy not in STRATEGIES:
                raise ValueError(f"aggregation_strategy={aggregation_strategy!r}: there are {', '.join(STRATEGIES)}")
        if stride is not None:
            if stride >= self.tokenizer.model_max_length:
                raise ValueError(f"stride={stride} must be less than the model's length")
            if aggregation_strategy == "none":
                raise ValueError("stride needs an aggregation_strategy other than 'none'")
        before = {
            "stride": stride,
            "is_split_into_words": is_split_into_words,
            "delimiter": delimiter,
            "offset_mapping": offset_mapping,
        }
        after = {"aggregation_strategy": aggregation_strategy, "ignore_labels": ignore_labels}
        given = [{name: value for name, value in part.items() if value is not None} for part in (before, after)]
        return given[0], {}, given[1]

    def preprocess(
        self,
        inputs: Any,
        stride: int | None = None,
        is_split_into_words: bool = False,
        delimiter: str = " ",
        offset_mapping: list[tuple[int, int]] | None = None,
    ) -> Iterator[dict[str, Any]]:
        if not isinstance(inputs, list if is_split_into_words else str):
            expected = (
                "a list of words" if is_split_into_words else "a text; lists of words need is_split_into_words=True"
            )
            raise ValueError(f"expected {expected}, not {inputs!r}")
        encoded = self.tokenizer(
            [inputs],
            truncation=True,
            is_split_into_words=is_split_into_words,
            return_attention_mask=True,
            return_special_tokens_mask=True,
            return_offsets_mapping=True,
            return_overflowing_tokens=stride is not None,
            stride=stride or 0,
        )
        text, starts = inputs, None
        if is_split_into_words:  # offsets within a word -> within the text
            text = delimiter.join(inputs)
            starts = np.cumsum([0, *(len(word) + len(delimiter) for word in inputs)]).tolist()
        for number in range(len(encoded["input_ids"])):
            places = offset_mapping or encoded["offset_mapping"][number]
            if starts is not None:
                words = encoded.word_ids(number)
                places = [
                    (start, end) if word is None else (start + starts[word], end + starts[word])
                    for (start, end), word in zip(places, words, strict=True)
                ]
            names = [name for name in encoded if name not in ("offset_mapping", "overflow_to_sample_mapping")]
            row = {name: torch.tensor([encoded[name][number]]) for name in names}
            yield row | {"offset_mapping": places, "sentence": text}

    def postprocess(
        self, model_outputs: list[Any], aggregation_strategy: str = "none", ignore_labels: list[str] | None = None
    ) -> list[dict]:
        """Make the entities of a text of its windows: ids (1, T) and logits (1, T, C) each."""
        ignored = ["O"] if ignore_labels is None else ignore_labels
        found = []
        for output in model_outputs:
            real = output["attention_mask"][0].bool()
            scores = softmax(output["logits"][0, real].float().numpy())  # (T, C)
            row = {name: output[name][0, real].tolist() for name in ("input_ids", "special_tokens_mask")}
            tokens = self.tokens(output["sentence"], row | {"offset_mapping": output["offset_mapping"]}, scores)
            if aggregation_strategy in ("first", "average", "max"):
                tokens = [self.word(word, aggregation_strategy) for word in words_of(tokens)]
            labelled = [self.labelled(token) for token in tokens]
            entities = (
                labelled if aggregation_strategy == "none" else [self.entity(group) for group in groups(labelled)]
            )
            found += [one for one in entities if one.get("entity", one.get("entity_group")) not in ignored]
        return without_overlaps(found) if len(model_outputs) > 1 else found

    def tokens(self, text: str, row: dict, scores: np.ndarray) -> list[dict]:
        """Return a dict for each token that is not special, with the probabilities of its labels (C,)."""
        tokens = []
        for index, token_id in enumerate(row["input_ids"]):
            if row["special_tokens_mask"][index]:
                continue
            start, end = row["offset_mapping"][index]
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
