"""Questions about texts to the spans of the texts that answer them."""

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

from minift.model.auto import AutoModelForQuestionAnswering
from minift.pipelines.base import ChunkPipeline, check_top_k

EXCLUDED = -10000.0  # the logit of a token that is not of the context


class QuestionAnsweringPipeline(ChunkPipeline):
    """Answer questions: ``answer(question=…, context=…)``, with lists of either, or dicts of both.

    The answer is ``{"score", "start", "end", "answer"}`` (`start` and `end` in characters), or a list of them, best
    first. The score of a span is P(it begins there) · P(it ends there); spans of one text, in several windows or in
    other letter case, share an entry, whose score is their sum. Re-implements transformers 4.57,
    pipelines/question_answering.py, which transformers 5 has no more.

    Options:
        top_k: how many answers; there may be fewer. `topk` is its former name.
        max_answer_len: tokens of the longest answer, 15.
        max_seq_len: tokens of question and context together, at most 384: longer ones are cut into windows.
        doc_stride: tokens that two windows have in common, 128 or half a window.
        handle_impossible_answer: let "" compete, with the lowest probability of the windows that there is no answer.
        align_to_words: answers begin and end with whole words, the default.
        max_question_len: without effect, as in the library with the fast tokenizers.
    """

    auto_model = AutoModelForQuestionAnswering

    def __call__(self, *inputs: Any, question: Any = None, context: Any = None, **options: Any) -> Any:
        examples = inputs[0] if len(inputs) == 1 else pairs(*(inputs or (question, context)))
        if isinstance(examples, Mapping):
            examples = [examples]
        answers = super().__call__(examples, **options)
        return answers[0] if isinstance(answers, list) and len(answers) == 1 else answers

    def _sanitize_parameters(
        self,
        top_k: int | None = None,
        topk: int | None = None,
        max_answer_len: int | None = None,
        max_seq_len: int | None = None,
        doc_stride: int | None = None,
        max_question_len: int | None = None,
        handle_impossible_answer: bool | None = None,
        align_to_words: bool | None = None,
    ) -> tuple[dict, dict, dict]:
        if topk is not None:
            top_k = topk if top_k is None else top_k
            warnings.warn("topk is now top_k", stacklevel=3)
        check_top_k(top_k)
        if max_answer_len is not None and max_answer_len < 1:
            raise ValueError(f"max_answer_len={max_answer_len}: an answer has at least 1 token")
        before = {"max_seq_len": max_seq_len, "doc_stride": doc_stride}
        after = {
            "top_k": top_k,
            "max_answer_len": max_answer_len,
            "handle_impossible_answer": handle_impossible_answer,
            "align_to_words": align_to_words,
        }
        given = [{name: value for name, value in part.items() if value is not None} for part in (before, after)]
        return given[0], {}, given[1]

    def preprocess(
        self, inputs: Any, max_seq_len: int | None = None, doc_stride: int | None = None
    ) -> Iterator[dict[str, Any]]:
        check_example(inputs)
        length = min(self.tokenizer.model_max_length, 384) if max_seq_len is None else max_seq_len
        stride = min(length // 2, 128) if doc_stride is None else doc_stride
        if stride > length:
            raise ValueError(f"doc_stride={stride} is larger than max_seq_len={length}")
        question_first = self.tokenizer.padding_side == "right"
        texts = [inputs["question"]], [inputs["context"]]
        encoded = self.tokenizer(
            *(texts if question_first else texts[::-1]),
            truncation="only_second" if question_first else "only_first",
            max_length=length,
            stride=stride,
            return_attention_mask=True,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        names = [name for name in encoded if name not in ("offset_mapping", "overflow_to_sample_mapping")]
        for number in range(len(encoded["input_ids"])):
            is_context = [place == int(question_first) for place in encoded.sequence_ids(number)]
            row = {name: torch.tensor([encoded[name][number]]) for name in names}
            places = {"offset_mapping": encoded["offset_mapping"][number], "words": encoded.word_ids(number)}
            yield row | places | {"is_context": np.array(is_context), "example": inputs}

    def postprocess(
        self,
        model_outputs: list[Any],
        top_k: int = 1,
        max_answer_len: int = 15,
        handle_impossible_answer: bool = False,
        align_to_words: bool = True,
    ) -> Any:
        """Make the answers of the windows of a text: ids (1, T), and logits of starts and of ends (1, T) each."""
        candidates = 2 * top_k + 10 if align_to_words else top_k  # whole words make one answer of several
        context = model_outputs[0]["example"]["context"]
        no_answer, answers = 1.0, []
        for row in model_outputs:
            real = row["attention_mask"][0].bool()
            possible = row["is_context"] | (row["input_ids"][0, real] == self.tokenizer.cls_token_id).numpy()
            start, end = (  # (T,) each
                probabilities(row[name][0, real].float().numpy(), possible) for name in ("start_logits", "end_logits")
            )
            no_answer = min(no_answer, (start[0] * end[0]).item())
            start[0] = end[0] = 0.0
            for first, last, score in best_spans(start, end, candidates, max_answer_len):
                if possible[first] and possible[last]:
                    place = span_of_words(row, first, last) if align_to_words else None
                    begin, stop = place or (row["offset_mapping"][first][0], row["offset_mapping"][last][1])
                    add_answer(answers, context, begin, stop, score)
        if handle_impossible_answer:
            answers.append({"score": no_answer, "start": 0, "end": 0, "answer": ""})
        answers = sorted(answers, key=lambda answer: answer["score"], reverse=True)[:top_k]
        return answers[0] if len(answers) == 1 else answers


def pairs(question: Any, context: Any) -> Any:
    """Make dicts of questions and contexts; several questions can share a context."""
    if isinstance(question, str) and isinstance(context, str):
        return {"question": question, "context": context}
    if isinstance(question, list) and isinstance(context, str):
        context = [context] * len(question)
    if not isinstance(question, list) or not isinstance(context, list):
        raise ValueError("give question= and context=: two texts, two lists of texts, or questions and one context")
    if len(question) != len(context):
        raise ValueError(f"there are {len(question)} questions, but {len(context)} contexts")
    return [{"question": one, "context": other} for one, other in zip(question, context, strict=True)]


def check_example(item: Any) -> None:
    """Raise an error for anything but a dict of two texts that are not empty."""
    if not isinstance(item, Mapping):
        raise ValueError(f'expected {{"question": …, "context": …}}, not {item!r}')
    for name in ("question", "context"):
        if name not in item:
            raise KeyError(f"an example needs 'question' and 'context'; there are {list(item)}")
        if not isinstance(item[name], str) or not item[name]:
            raise ValueError(f"{name}={item[name]!r}: expected a text that is not empty")


def probabilities(logits: np.ndarray, possible: np.ndarray) -> np.ndarray:
    """The softmax (T,) of logits (T,) over the tokens that are possible."""
    logits = np.where(possible, logits, EXCLUDED)
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def best_spans(start: np.ndarray, end: np.ndarray, count: int, longest: int) -> list[tuple[int, int, float]]:
    """The likeliest spans of 1 to `longest` tokens: first token, last token, score; best first."""
    scores = np.tril(np.triu(np.outer(start, end)), longest - 1)  # (T, T): from row to column
    best = np.argsort(-scores, axis=None, kind="stable")[:count]
    firsts, lasts = np.unravel_index(best, scores.shape)
    return [(int(i), int(j), scores[i, j].item()) for i, j in zip(firsts, lasts, strict=True)]


def span_of_words(row: dict, first: int, last: int) -> tuple[int, int] | None:
    """The characters from the beginning of the first token's word to the end of the last token's."""
    begin, stop = row["words"][first], row["words"][last]
    if begin is None or stop is None:
        return None
    places = [
        (word, place)
        for word, place, inside in zip(row["words"], row["offset_mapping"], row["is_context"], strict=True)
        if inside
    ]
    return (
        next(place[0] for word, place in places if word == begin),
        next(place[1] for word, place in reversed(places) if word == stop),
    )


def add_answer(answers: list[dict], context: str, start: int, end: int, score: float) -> None:
    """Add a span, or its score to an answer of the same text."""
    text = context[start:end]
    for answer in answers:
        if answer["answer"].lower() == text.lower():
            answer["score"] += score
            return
    answers.append({"score": score, "start": start, "end": end, "answer": text})
