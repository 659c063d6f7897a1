"""Questions about texts as token ids: windows of the text, and where in them the answer stands."""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minift.data.dataset import Dataset, DatasetDict
from minift.data.features import Features, List, Value
from minift.tasks.holdout import train_and_evaluation
from minift.tasks.source import describe_splits, open_source
from minift.tasks.spans import BY_DEFAULT, SpanOptions
from minift.tasks.vocabulary import open_tokenizer
from minift.tokenizer.tokenizer import Tokenizer
from minift.train.arguments import TrainingArguments
from minift.train.report import stage, tell

# one form for all data: the texts that are right, and the characters at which they begin; none: there is no answer
ANSWERS = {"text": List(Value("string")), "answer_start": List(Value("int32"))}
QUESTION = Features(id=Value("string"), question=Value("string"), context=Value("string"), answers=ANSWERS)


@dataclass
class Questions:
    tokenizer: Tokenizer
    train: Dataset  # windows: input_ids, token_type_ids, attention_mask, start_positions, end_positions
    evaluation: Dataset | None  # windows, also with `row` and `offsets`
    texts: Dataset | None  # the questions that are evaluated on: id, question, context, answers
    with_none: bool  # some questions have no answer, as in SQuAD 2
    spans: SpanOptions


def load_questions(
    model: str | Path,
    dataset: str | Path | list[str] | None,
    args: TrainingArguments,
    config: str | None = None,
    train_file: list[str] | None = None,
    validation_file: list[str] | None = None,
    holdout: float = 0.1,
    max_length: int | None = None,
    doc_stride: int = 128,
    max_train_samples: int | None = None,
    max_eval_samples: int | None = None,
    spans: SpanOptions = BY_DEFAULT,
) -> Questions:
    """Load questions with their texts and answers, and cut them into windows. The flags of `minift answer`.

    Rows have the columns question, context and answers, as SQuAD's on the Hub; or a column `answer`, a piece of the
    context; or they are a file as SQuAD publishes it. What cannot be read so is a ValueError that names the row.

    Args:
        model: folder or Hub name of the checkpoint to start from
        dataset: data files, a folder, or a Hub name
        args: the training arguments, whose `seed` draws the rows
        config: configuration of a data set on the Hub; FILE.yaml or FILE.json: options, a name each
        train_file: files to train on
        validation_file: files to evaluate on
        holdout: share of the rows to evaluate on, taken from those to train on if there is no other split; 0 takes none
        max_length: tokens of a window, question and text together; None takes 384, or what the model can read
        doc_stride: tokens that two windows of a text have in common, at most a third of max_length
        max_train_samples: questions to train on, drawn at random; None takes all
        max_eval_samples: questions to evaluate on, drawn at random; None takes all
        spans: how answers are chosen in an evaluation
    """
    with stage("data") as lines:
        splits = open_source(dataset, config, train_file, validation_file)
        data = DatasetDict({name: as_questions(split, name) for name, split in splits.items()})
        lines.append(describe_splits(dataset, data))
    train, texts = train_and_evaluation(data, holdout, args.seed, max_train_samples, max_eval_samples)
    counts = [len(answers["text"]) for split in (train, texts) if split is not None for answers in split["answers"]]
    without = counts.count(0)
    tell("answers", f"spans of the texts; {without:,} of {len(counts):,} questions have none")

    tokenizer = open_tokenizer(model, max_length)
    length = max_length or min(tokenizer.model_max_length, 384)
    stride = min(doc_stride, length // 3)
    with stage("tokens") as lines:
        windows = windows_of(train, tokenizer, length, stride)
        evaluation = None if texts is None else windows_of(texts, tokenizer, length, stride)
        lines.append(f"{len(windows):,} windows of at most {length} tokens to train on")
    reads = [name for name in windows.column_names if name not in ("row", "offsets")]
    return Questions(tokenizer, windows.select_columns(reads), evaluation, texts, without > 0, spans)


def as_questions(rows: Dataset, split: str) -> Dataset:
    """Bring rows into the columns id, question, context and answers; a ValueError says what is missing, and where."""
    if "data" in rows.features or "paragraphs" in rows.features:
        found = list(published(rows))
    else:
        if missing := [name for name in ("question", "context") if name not in rows.features]:
            raise ValueError(
                f"split {split!r} has no column {missing[0]!r}; it has: {', '.join(rows.features)}; "
                "`minift answer` reads the columns question, context and answers, or answer"
            )
        if "answers" not in rows.features and "answer" not in rows.features:
            raise ValueError(f"split {split!r} has no column 'answers' or 'answer'; it has: {', '.join(rows.features)}")
        found = [dict(row) for row in rows]
    questions = []
    for number, row in enumerate(found):
        try:
            questions.append(as_question(row, number))
        except ValueError as error:
            raise ValueError(f"split {split!r}, row {number}: {error}") from None
    if not questions:
        raise ValueError(f"split {split!r} holds no questions")
    return Dataset.from_dict({name: [row[name] for row in questions] for name in QUESTION}, features=QUESTION)


def published(rows: Dataset) -> Any:
    """Yield the questions of SQuAD's own files: articles, in them paragraphs, in them questions."""
    for row in rows:
        for article in row.get("data", [row]):
            for paragraph in article["paragraphs"]:
                for question in paragraph["qas"]:
                    yield {**question, "context": paragraph["context"]}


def as_question(row: dict[str, Any], number: int) -> dict[str, Any]:
    """Check a row, and find the places of its answers in the text."""
    for name in ("question", "context"):
        if not isinstance(row[name], str) or not row[name].strip():
            raise ValueError(f"column {name!r} holds {row[name]!r}; expected a text")
    answers = row.get("answers", row.get("answer"))
    if isinstance(answers, str) or answers is None:  # a column of texts; an empty one says that there is no answer
        answers = {"text": [answers] if answers else []}
    elif isinstance(answers, list):  # as published: [{"text": …, "answer_start": …}]
        answers = {name: [answer[name] for answer in answers] for name in ("text", "answer_start")}
    texts, starts = answers["text"], answers.get("answer_start")
    starts = [row["context"].find(text) for text in texts] if starts is None else starts
    for text, start in zip(texts, starts, strict=True):
        if start < 0 or row["context"][start : start + len(text)] != text:
            where = "in the context" if start < 0 else f"at character {start} of the context"
            raise ValueError(f"the answer {text!r} does not stand {where}")
    identity = str(number) if row.get("id") is None else str(row["id"])
    answers = {"text": list(texts), "answer_start": list(starts)}
    return {"id": identity, "question": row["question"], "context": row["context"], "answers": answers}


def windows_of(rows: Dataset, tokenizer: Tokenizer, length: int, stride: int) -> Dataset:
    """Cut questions with their texts into windows of at most `length` tokens, which have `stride` tokens in common.

    The columns: what the model reads; start_positions and end_positions, the first and last token of the answer (both
    0, the place of [CLS], in a window that does not hold it whole); `row`, the question's number; `offsets`, the
    characters [from, to) of each token of the text, null for the others. As the library's run_qa.py does.
    """
    first = 0 if tokenizer.padding_side == "right" else 1  # the question's place in the pair

    def encode(batch: dict[str, list], numbers: list[int]) -> dict[str, Any]:
        texts = [question.lstrip() for question in batch["question"]], batch["context"]
        encoded = tokenizer(
            texts[first],
            texts[1 - first],
            truncation=("only_first", "only_second")[1 - first],
            max_length=length,
            stride=stride,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        rows, offsets = encoded.pop("overflow_to_sample_mapping"), encoded.pop("offset_mapping")
        columns = {**encoded, "start_positions": [], "end_positions": [], "row": [], "offsets": []}
        for window, row in enumerate(rows):
            of_text = [place == 1 - first for place in encoded.sequence_ids(window)]
            places = [list(place) if inside else None for place, inside in zip(offsets[window], of_text, strict=True)]
            cls = encoded["input_ids"][window].index(tokenizer.cls_token_id)
            start, end = tokens_of(batch["answers"][row], places) or (cls, cls)
            columns["start_positions"].append(start)
            columns["end_positions"].append(end)
            columns["row"].append(numbers[row])
            columns["offsets"].append(places)
        return columns

    return rows.map(encode, batched=True, with_indices=True, remove_columns=rows.column_names, desc="Tokenize")


def tokens_of(answers: dict[str, list], places: list[list[int] | None]) -> tuple[int, int] | None:
    """Return the first and last token of the first answer, or None if the window does not hold it whole."""
    tokens = [token for token, place in enumerate(places) if place is not None]
    if not answers["text"] or not tokens:
        return None
    begin = answers["answer_start"][0]
    stop = begin + len(answers["text"][0])
    if places[tokens[0]][0] > begin or places[tokens[-1]][1] < stop:
        return None
    starts, ends = [places[token][0] for token in tokens], [places[token][1] for token in tokens]
    return tokens[bisect_right(starts, begin) - 1], tokens[bisect_left(ends, stop)]
