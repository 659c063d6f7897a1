"""`minift predict` and `minift fill-mask`: what a trained model says."""

import json
import logging
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from typing import Any

from minift.cli.paths import check_data, check_model
from minift.metrics.glue import GLUE

logger = logging.getLogger(__name__)
UNTRAINED = "answer also with parts of the model that were never trained: at random"


def check_trained(model: Any, untrained: bool) -> None:
    """Raise a ValueError if parts of the model, such as its head, are not in its checkpoint: they answer at random."""
    missing = model.loading_report.missing
    if missing and not untrained:
        raise ValueError(
            f"{model.name_or_path} holds no trained {', '.join(missing[:2])}{' …' * (len(missing) > 2)} for this task: "
            "its answers would be random. Train it first, or pass --untrained"
        )


def predict(parser: ArgumentParser) -> None:
    parser.add_argument("data", nargs="?", help="a file of texts (.csv .tsv .json .jsonl .parquet .txt, also .gz)")
    parser.add_argument("--model", required=True, help="folder or Hub name of a fine-tuned model")
    parser.add_argument("--text", help="the text, or the first of a pair")
    parser.add_argument("--text_pair", help="the second text of a pair")
    parser.add_argument("--file", help='the same; - reads JSON lines, {"text": …, "text_pair": …}, from standard input')
    parser.add_argument("--dataset", help="a data set on the Hub or in a folder, of which --split is read")
    parser.add_argument("--config", help="its configuration, such as mrpc; with --output FILE.tsv in GLUE's format")
    parser.add_argument("--split", default="test", help="its split [test]")
    parser.add_argument("--text_columns", nargs="*", help="one or two columns to read [those that it was trained on]")
    parser.add_argument("--encoding", help="of a file of text, such as latin-1 [UTF-8]")
    parser.add_argument("--output", help="file to write, of any of these kinds [JSON lines, to standard output]")
    parser.add_argument("--all_scores", action="store_true", help="the score of every class, not of the best alone")
    parser.add_argument("--batch_size", type=int, default=8, help="texts in a batch [8]")
    parser.add_argument("--device", help="what to compute on: cpu, cuda [a GPU if there is one]")
    parser.add_argument("--untrained", action="store_true", help=UNTRAINED)

    def run(options: Namespace) -> None:
        path = options.data or options.file or options.dataset
        if sum(one is not None for one in (options.data, options.file, options.text, options.dataset)) != 1:
            raise ValueError("name a file, a text (--text) or a data set (--dataset), and one of them only")
        if path is not None and options.text_pair is not None:
            raise ValueError("--text_pair goes with --text; in a file, the second text is a column (--text_columns)")
        check_model(options.model)
        check_data([path] if path not in (None, "-") else [])
        if is_tagger(options.model):
            tag_texts(options, path)
            return

        from minift.tasks import predict as task

        is_glue = options.dataset is not None and options.config in GLUE
        if options.output is not None:
            task.check_destination(options.output, path or "")
        if path not in (None, "-"):
            rows = open_data(options, path)
            given = options.text_columns or (GLUE[options.config].text_columns if is_glue else None)
            columns = task.text_columns_of(rows, options.model, given and list(given))
        classify = _pipeline("text-classification", options, batch_size=options.batch_size, truncation=True)
        if path is None:
            answers = classify([{"text": options.text, "text_pair": options.text_pair}], top_k=None)[0]
            for answer in answers if options.all_scores else answers[:1]:
                print(f"{answer['label']}  {answer['score']:.4f}")
            return
        if path == "-":
            from minift.data.dataset import Dataset

            rows, columns = Dataset.from_list(list(read_items(path))), ["text"]
            columns += ["text_pair"] if "text_pair" in rows.column_names else []
        answered = task.predict_rows(classify, rows, columns, options.all_scores)
        if options.output is None:
            for row in answered:
                print(task.json_line(row))
        elif is_glue and options.output.endswith(".tsv"):
            task.write_glue(answered, options.output, classify.model.config.problem_type == "regression")
            print(f"wrote   {options.output}: {len(answered):,} predictions, in GLUE's format")
        else:
            task.write_rows(answered, options.output)
            print(f"wrote   {options.output}: {len(answered):,} rows, from {' and '.join(columns)}")
        if "predicted_label" in answered.column_names and not is_glue:  # whose test sets hide their labels
            right = sum(str(a) == str(b) for a, b in zip(answered["label"], answered["predicted_label"], strict=True))
            logger.info("scores  %.1f %% of the labels in the file are predicted", 100 * right / len(answered))

    parser.set_defaults(run=run)


def open_data(options: Namespace, path: str) -> Any:
    """Read the rows of the file, or of the split of the data set."""
    from minift.tasks.predict import open_rows, open_split

    if options.dataset is not None:
        return open_split(options.dataset, options.config, options.split)
    return open_rows(path, options.encoding)


def is_tagger(model: str) -> bool:
    """Whether a checkpoint was saved with a head that labels tokens."""
    from minift.model.config import AutoConfig

    return any(
        name.endswith("ForTokenClassification") for name in AutoConfig.from_pretrained(model).architectures or []
    )


def tag_texts(options: Namespace, path: str | None) -> None:
    """Print the entities of a text, a line each, or of the texts of a file, a JSON line for each row."""
    if options.text_pair is not None or options.all_scores or options.output is not None:
        raise ValueError("a tagger takes one text or one column, and prints: without text_pair, all_scores and output")
    tagger = _pipeline("ner", options, batch_size=options.batch_size, aggregation_strategy="first")
    if path is None:
        for entity in tagger(options.text):
            print(
                f"{entity['entity_group']:<8}  {entity['score']:.4f}  {options.text[entity['start'] : entity['end']]}"
            )
        return
    from minift.tasks import predict as task

    if path == "-":
        texts = [item["text"] for item in read_items(path)]
    else:
        rows = open_data(options, path)
        texts = rows[task.text_columns_of(rows, options.model, options.text_columns)[0]]
    for text in texts:
        found = [{**entity, "score": float(entity["score"])} for entity in tagger(text)]
        print(json.dumps({"text": text, "entities": found}, ensure_ascii=False))


def _pipeline(name: str, options: Namespace, **more: Any) -> Any:
    from minift.pipelines.pipeline import pipeline

    answer = pipeline(name, options.model, device=options.device, **more)
    check_trained(answer.model, options.untrained)
    return answer


def read_items(path: str) -> Iterator[dict[str, str]]:
    """Read JSON lines with "text" and perhaps "text_pair", "-" from standard input; errors name the line."""
    with open(path, encoding="utf-8") if path != "-" else sys.stdin as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                item = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"{path}, line {number}: not JSON: {error}") from error
            if not isinstance(item, dict) or not isinstance(item.get("text"), str):
                raise ValueError(f'{path}, line {number}: expected an object with a string "text", not {line.strip()}')
            if not isinstance(item.get("text_pair", ""), str):
                raise ValueError(f'{path}, line {number}: expected a string "text_pair", not {item["text_pair"]!r}')
            yield {name: item[name] for name in ("text", "text_pair") if name in item}


def fill_mask(parser: ArgumentParser) -> None:
    parser.add_argument("--model", required=True, help="folder or Hub name of a masked language model")
    parser.add_argument("text", help='the text, such as "This is a great [MASK]."')
    parser.add_argument("--top_k", type=int, default=5, help="how many tokens to print [5]")
    parser.add_argument("--device", help="what to compute on: cpu, cuda [a GPU if there is one]")
    parser.add_argument("--untrained", action="store_true", help=UNTRAINED)

    def run(options: Namespace) -> None:
        check_model(options.model)
        answers = _pipeline("fill-mask", options)(options.text, top_k=options.top_k)
        masks = answers if isinstance(answers[0], list) else [answers]
        for number, best in enumerate(masks, 1):
            if len(masks) > 1:
                print(f"mask {number}")
            for answer in best:
                print(f"{answer['score']:.4f}  {answer['token_str']:<12}  {answer['sequence']}")

    parser.set_defaults(run=run)
