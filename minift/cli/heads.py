"""`minift predict` with models that label words, find answers in texts, or choose one of several texts."""

import json
from argparse import Namespace
from collections.abc import Callable
from typing import Any

from minift.cli.opening import check_trained, open_data, open_pipeline, read_items
from minift.model.config import AutoConfig
from minift.tasks import predict as task
from minift.tasks.choices import choose_rows, find_columns
from minift.tasks.output import read_options
from minift.tokenizer.classes import AutoTokenizer


def answers_of(model: str) -> Callable[[Namespace, str | None], None] | None:
    """Return what answers with the head that a checkpoint was saved with; None for a classifier of texts."""
    kinds = {
        "ForTokenClassification": tag_texts,
        "ForQuestionAnswering": answer_questions,
        "ForMultipleChoice": choose_texts,
    }
    found = AutoConfig.from_pretrained(model).architectures or []
    return next((kinds[kind] for name in found for kind in kinds if name.endswith(kind)), None)


def refuse(options: Namespace, *names: str) -> None:
    """Raise a ValueError for options that this kind of model has no use for."""
    given = [name for name in names if getattr(options, name)]
    if given:
        raise ValueError(f"{given[0]} is for classifiers of texts, not for {options.model}")


def tag_texts(options: Namespace, path: str | None) -> None:
    """Print the entities of a text, a line each, or of the texts of a file, a JSON line for each row."""
    if options.text_pair is not None or options.all_scores or options.output is not None:
        raise ValueError("a tagger takes one text or one column, and prints: without text_pair, all_scores and output")
    tagger = open_pipeline("ner", options, batch_size=options.batch_size, aggregation_strategy="first")
    if path is None:
        for entity in tagger(options.text):
            text = options.text[entity["start"] : entity["end"]]
            print(f"{entity['entity_group']:<8}  {entity['score']:.4f}  {text}")
        return
    if path == "-":
        texts = [item["text"] for item in read_items(path)]
    else:
        rows = open_data(options, path)
        texts = rows[task.text_columns_of(rows, options.model, options.text_columns)[0]]
    for text in texts:
        found = [{**entity, "score": float(entity["score"])} for entity in tagger(text)]
        print(json.dumps({"text": text, "entities": found}, ensure_ascii=False))


def answer_questions(options: Namespace, path: str | None) -> None:
    """Answer a question (--text) about a text (--text_pair), or those of the rows of a file."""
    refuse(options, "all_scores", "text_columns")
    if path is None and options.text_pair is None:
        raise ValueError("name the question with --text, and the text that holds its answer with --text_pair")
    settings = {"batch_size": options.batch_size, "handle_impossible_answer": options.handle_impossible_answer}
    reader = open_pipeline("question-answering", options, **settings)
    if path is None:
        found = reader(question=options.text, context=options.text_pair)
        print(f"{found['answer']}  {found['score']:.4f}")
        return
    rows = _rows(options, path)
    for column in ("question", "context"):
        if column not in rows.column_names:
            raise ValueError(f"there is no column {column!r}; the file has: {', '.join(rows.column_names)}")
    questions = rows.select_columns(["question", "context"])
    found = reader(list(questions)) if len(rows) else []
    found = [found] if isinstance(found, dict) else found
    _write(options, rows, {name: [one[name] for one in found] for name in ("answer", "score", "start", "end")})


def choose_texts(options: Namespace, path: str | None) -> None:
    """Choose for each row of a file, which has the columns that the model was trained on."""
    refuse(options, "all_scores", "text_columns")
    if path is None:
        raise ValueError("a model that chooses reads the rows of a file: a context, and several texts to choose from")
    rows, trained = _rows(options, path), read_options(options.model)
    parts = {name: trained.get(f"{name}_column") for name in ("context", "head")}
    columns = find_columns(rows.features, choices=trained.get("choice_columns"), **parts)
    model, tokenizer = _open_model(options)
    _write(options, rows, choose_rows(model, tokenizer, rows, columns, options.batch_size))


def _open_model(options: Namespace) -> tuple[Any, Any]:
    import torch

    from minift.model.auto import AutoModelForMultipleChoice

    model = AutoModelForMultipleChoice.from_pretrained(options.model)
    check_trained(model, options.untrained)
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    return model.to(device).eval(), AutoTokenizer.from_pretrained(options.model)


def _rows(options: Namespace, path: str) -> Any:
    if options.output is not None:
        task.check_destination(options.output, path)
    if path == "-":
        raise ValueError("name a file: this model reads no rows from standard input")
    return open_data(options, path)


def _write(options: Namespace, rows: Any, columns: dict[str, list]) -> None:
    """Add columns to the rows, and write them to the file that --output names, or print them as JSON lines."""
    rows = task.add_columns(rows, columns)
    if options.output is None:
        for row in rows:
            print(task.json_line(row))
    else:
        task.write_rows(rows, options.output)
        print(f"wrote   {options.output}: {len(rows):,} rows")
