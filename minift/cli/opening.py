"""What `minift predict` and `minift fill-mask` open: a trained model, and the rows that it answers."""

import json
import sys
from argparse import Namespace
from collections.abc import Iterator
from typing import Any

UNTRAINED = "answer also with parts of the model that were never trained: at random"


def check_trained(model: Any, untrained: bool) -> None:
    """Raise a ValueError if parts of the model, such as its head, are not in its checkpoint: they answer at random."""
    missing = model.loading_report.missing
    if missing and not untrained:
        raise ValueError(
            f"{model.name_or_path} holds no trained {', '.join(missing[:2])}{' …' * (len(missing) > 2)} for this task: "
            "its answers would be random. Train it first, or pass --untrained"
        )


def open_data(options: Namespace, path: str) -> Any:
    """Read the rows of the file, or of the split of the data set."""
    from minift.tasks.predict import open_rows, open_split

    if options.dataset is not None:
        return open_split(options.dataset, options.config, options.split)
    return open_rows(path, options.encoding)


def open_pipeline(name: str, options: Namespace, **more: Any) -> Any:
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
