"""The commands: a function for each adds its flags to a parser, and sets what is run with them.

Imports stand where they are needed: the help of a command imports neither torch nor TensorFlow.
"""

import json
import sys
from argparse import REMAINDER, ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from minift.cli.flags import add_flags, read_flags
from minift.distributed.process import is_main_process
from minift.tensors import import_tensorflow
from minift.train.report import log_metrics


def demo(parser: ArgumentParser) -> None:
    from minift.demo.demo import demo

    add_flags(parser, demo)

    def run(options: Namespace) -> None:
        demo(**read_flags(demo, options))

    parser.set_defaults(run=run)


def finetune(parser: ArgumentParser) -> None:
    from minift.tasks.rows import load_rows

    _train(parser, load_rows, "classify.finetune", eval_strategy="epoch")


def mlm(parser: ArgumentParser) -> None:
    from minift.tasks.blocks import load_blocks

    _train(parser, load_blocks, "mlm.mlm", eval_strategy="epoch", logging_strategy="epoch")


def _train(parser: ArgumentParser, load: Callable, task: str, **defaults: Any) -> None:
    """Take the arguments of `load` as flags; run `task` ("file.function") of `minift.tasks` or `minift.tf`."""
    add_flags(parser, load, **defaults)
    parser.add_argument("--framework", choices=("torch", "tf"), default="torch", help="torch, or TensorFlow [torch]")

    def run(options: Namespace) -> None:
        given = read_flags(load, options)
        room = "tasks"
        if options.framework == "tf":
            import_tensorflow()  # or an error that says how to install it
            room = "tf"
        module, _, function = task.partition(".")
        _, summary = getattr(import_module(f"minift.{room}.{module}"), function)(**given)
        if is_main_process():
            is_keras = isinstance(summary, dict)
            log_metrics("train", summary if is_keras else {"global_step": summary.global_step, **summary.metrics})
            print(f"saved to {given['args'].output_dir}")

    parser.set_defaults(run=run)


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
    parser.add_argument("--model", required=True, help="folder or Hub name of a fine-tuned model")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--text", help="the text, or the first of a pair")
    source.add_argument("--file", help='JSON lines: {"text": …} or {"text": …, "text_pair": …}; - for standard input')
    parser.add_argument("--text_pair", help="the second text of a pair")
    parser.add_argument("--batch_size", type=int, default=8, help="texts in a batch [8]")
    parser.add_argument("--untrained", action="store_true", help=UNTRAINED)

    def run(options: Namespace) -> None:
        from minift.pipelines.pipeline import pipeline

        if options.file is not None and options.text_pair is not None:
            raise ValueError('--text_pair goes with --text; in a file, a pair is {"text": …, "text_pair": …}')
        classify = pipeline("text-classification", options.model, batch_size=options.batch_size, truncation=True)
        check_trained(classify.model, options.untrained)
        if options.file is None:
            answer = classify([{"text": options.text, "text_pair": options.text_pair}])[0]
            print(f"{answer['label']}  {answer['score']:.4f}")
            return
        items = list(read_items(options.file))
        for item, answer in zip(items, classify(items), strict=True):
            print(json.dumps(item | answer, ensure_ascii=False))

    parser.set_defaults(run=run)


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


def fill_mask(parser: ArgumentParser) -> None:
    parser.add_argument("--model", required=True, help="folder or Hub name of a masked language model")
    parser.add_argument("text", help='the text, such as "This is a great [MASK]."')
    parser.add_argument("--top_k", type=int, default=5, help="how many tokens to print [5]")
    parser.add_argument("--untrained", action="store_true", help=UNTRAINED)

    def run(options: Namespace) -> None:
        from minift.pipelines.pipeline import pipeline

        fill = pipeline("fill-mask", options.model)
        check_trained(fill.model, options.untrained)
        answers = fill(options.text, top_k=options.top_k)
        masks = answers if isinstance(answers[0], list) else [answers]
        for number, best in enumerate(masks, 1):
            if len(masks) > 1:
                print(f"mask {number}")
            for answer in best:
                print(f"{answer['score']:.4f}  {answer['token_str']:<12}  {answer['sequence']}")

    parser.set_defaults(run=run)


def crosscheck(parser: ArgumentParser) -> None:
    from minift.crosscheck.job import Job

    add_flags(parser, Job)
    parser.add_argument("--json", help="file to write the comparison to, for programs")

    def run(options: Namespace) -> int:
        from minift.crosscheck.report import crosscheck

        return 0 if crosscheck(Job(**read_flags(Job, options)), options.json) else 1

    parser.set_defaults(run=run)


def run(parser: ArgumentParser) -> None:
    from minift.libraries.run import run

    parser.add_argument("script", help="the file to run")
    parser.add_argument("args", nargs=REMAINDER, help="the script's own arguments")
    parser.set_defaults(run=lambda options: run(options.script, options.args))
