"""`minift predict`: label and probability for a text, a pair, or a file of them."""

import argparse
import json
import sys
from collections.abc import Iterator


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, help="folder or Hub name of a fine-tuned model")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--text", help="the text, or the first of a pair")
    source.add_argument("--file", help='JSON lines: {"text": …} or {"text": …, "text_pair": …}; - for standard input')
    parser.add_argument("--text_pair", help="the second text of a pair")
    parser.add_argument("--batch_size", type=int, default=8, help="texts in a batch [8]")


def run(options: argparse.Namespace) -> None:
    from minift.pipelines.pipeline import pipeline

    if options.file is not None and options.text_pair is not None:
        raise ValueError('--text_pair goes with --text; in a file, a pair is {"text": …, "text_pair": …}')
    classify = pipeline("text-classification", model=options.model, batch_size=options.batch_size, truncation=True)
    if options.file is None:
        item = {"text": options.text} | ({"text_pair": options.text_pair} if options.text_pair is not None else {})
        answer = classify([item])[0]
        print(f"{answer['label']}  {answer['score']:.4f}")
        return
    items = list(read_items(options.file))
    for item, answer in zip(items, classify(items), strict=True):
        print(json.dumps(item | answer, ensure_ascii=False))


def read_items(path: str) -> Iterator[dict[str, str]]:
    """Read a file of JSON lines with "text" and perhaps "text_pair"; errors name the file and the line."""
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
