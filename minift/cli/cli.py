"""The command line: demo, finetune, predict, mlm, fill-mask, crosscheck, run."""

import argparse
import ast
import dataclasses
import inspect
import json
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from minift.distributed.environment import is_main_process


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; what it was given wrong is reported in one line, with exit code 2."""
    parser = argparse.ArgumentParser(prog="minift", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    _add_demo(commands)
    _add_finetune(commands)
    _add_predict(commands)
    _add_mlm(commands)
    _add_fill_mask(commands)
    _add_crosscheck(commands)
    _add_run(commands)
    options = parser.parse_args(argv)
    if options.command != "run":  # a script sets up its own logging
        level = logging.INFO if is_main_process() else logging.ERROR
        logging.basicConfig(level=level, format="%(message)s", stream=sys.stderr)
        logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        return options.run(options) or 0
    except (ValueError, KeyError, TypeError, ImportError, OSError) as error:
        if "WORLD_SIZE" in os.environ and not _is_to_report(error):
            return 2
        message = error.args[0] if isinstance(error, KeyError) else error
        print(f"minift {options.command}: {message}", file=sys.stderr)
        return 2


def _is_to_report(error: Exception) -> bool:
    from minift.distributed.exchange import report_failure

    return report_failure(error)


def _add_demo(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("demo", help="the whole pipeline offline, in two minutes, on a generated corpus")
    parser.add_argument("--output_dir", default="minift-demo", help="folder for the corpus and the model")
    parser.add_argument("--seed", type=int, default=0, help="seed of the corpus and of the training")
    _add_framework(parser)
    parser.set_defaults(run=_demo)


def _demo(options: argparse.Namespace) -> None:
    from minift.demo.demo import demo

    demo(options.output_dir, options.seed, options.framework)


def _add_finetune(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("finetune", help="train a classifier from a checkpoint and a data set")
    _add_source(parser)
    _add_framework(parser)
    parser.add_argument("--text_columns", nargs="+", help="one or two columns to read; by default found")
    parser.add_argument("--label_column", help="the column to predict; by default found")
    parser.add_argument("--max_length", type=int, help="tokens to cut a row to; by default what the model can read")
    parser.add_argument("--max_train_samples", type=int, help="rows to train on, drawn at random; by default all")
    parser.add_argument("--max_eval_samples", type=int, help="rows to evaluate on, drawn at random; by default all")
    add_training_arguments(parser, eval_strategy="epoch")
    parser.set_defaults(run=_finetune)


def _finetune(options: argparse.Namespace) -> None:
    if options.framework == "tf":
        from minift.tf.classify import finetune
    else:
        from minift.tasks.classify import finetune

    _, summary = finetune(
        options.model,
        options.dataset,
        training_arguments(options),
        config=options.config,
        text_columns=options.text_columns,
        label_column=options.label_column,
        max_length=options.max_length,
        max_train_samples=options.max_train_samples,
        max_eval_samples=options.max_eval_samples,
    )
    _print_summary(summary, options)


def _add_predict(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("predict", help="label and probability for a text, a pair, or a file of them")
    parser.add_argument("--model", required=True, help="folder or Hub name of a fine-tuned model")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--text", help="the text, or the first of a pair")
    source.add_argument("--file", help='JSON lines: {"text": …} or {"text": …, "text_pair": …}; - for standard input')
    parser.add_argument("--text_pair", help="the second text of a pair")
    parser.add_argument("--batch_size", type=int, default=8, help="texts in a batch")
    parser.set_defaults(run=_predict)


def _predict(options: argparse.Namespace) -> None:
    from minift.pipelines.pipelines import pipeline

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


def _add_mlm(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("mlm", help="adapt a checkpoint to a corpus by masked language modelling")
    _add_source(parser)
    _add_framework(parser)
    parser.add_argument("--text_column", help="the column to read; by default found")
    parser.add_argument("--split", default="train", help="the split to train on [train]")
    parser.add_argument("--chunk_size", type=int, default=128, help="tokens in a block [128]")
    parser.add_argument("--mlm_probability", type=float, default=0.15, help="share of tokens to predict [0.15]")
    parser.add_argument("--whole_word_mask", action="store_true", help="hide whole words, not single tokens")
    parser.add_argument("--train_size", type=int, help="blocks to train on, drawn at random; by default all")
    parser.add_argument("--test_size", type=int, help="blocks to hold out and evaluate on; a tenth of --train_size")
    parser.add_argument("--freeze_eval_masks", action="store_true", help="mask the evaluation blocks once, by --seed")
    add_training_arguments(parser, eval_strategy="epoch", logging_strategy="epoch")
    parser.set_defaults(run=_mlm)


def _mlm(options: argparse.Namespace) -> None:
    if options.framework == "tf":
        from minift.tf.mlm import mlm
    else:
        from minift.tasks.mlm import mlm

    _, summary = mlm(
        options.model,
        options.dataset,
        training_arguments(options),
        config=options.config,
        text_column=options.text_column,
        split=options.split,
        chunk_size=options.chunk_size,
        mlm_probability=options.mlm_probability,
        whole_word_mask=options.whole_word_mask,
        train_size=options.train_size,
        test_size=options.test_size,
        freeze_eval_masks=options.freeze_eval_masks,
    )
    _print_summary(summary, options)


def _print_summary(summary: Any, options: argparse.Namespace) -> None:
    """Print what a training returned: Keras' as it is, the Trainer's with the steps, which are apart."""
    from minift.train.report import log_metrics

    if not is_main_process():
        return
    is_keras = isinstance(summary, dict)
    log_metrics("train", summary if is_keras else {"global_step": summary.global_step, **summary.metrics})
    print(f"saved to {options.output_dir}")


def _add_fill_mask(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("fill-mask", help="the likeliest tokens for each [MASK] of a text")
    parser.add_argument("--model", required=True, help="folder or Hub name of a masked language model")
    parser.add_argument("text", help='the text, such as "This is a great [MASK]."')
    parser.add_argument("--top_k", type=int, default=5, help="how many tokens to print [5]")
    parser.set_defaults(run=_fill_mask)


def _fill_mask(options: argparse.Namespace) -> None:
    from minift.pipelines.pipelines import pipeline

    answers = pipeline("fill-mask", model=options.model)(options.text, top_k=options.top_k)
    masks = answers if isinstance(answers[0], list) else [answers]
    for number, best in enumerate(masks, 1):
        if len(masks) > 1:
            print(f"mask {number}")
        for answer in best:
            print(f"{answer['score']:.4f}  {answer['token_str']:<12}  {answer['sequence']}")


def _add_crosscheck(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("crosscheck", help="the same job on minift and on transformers, compared to the bit")
    _add_source(parser)
    parser.add_argument("--task", default="classification", choices=("classification", "mlm"), help="[classification]")
    parser.add_argument("--steps", type=int, default=10, help="training steps, of 8 rows each [10]")
    parser.add_argument(
        "--threads", type=int, default=1, help="threads of torch; equality to the bit is promised for 1 [1]"
    )
    parser.add_argument("--seed", type=int, default=42, help="of the new head, the order, the masks, the dropout [42]")
    rows = "rows of the training split to use (for mlm, texts), drawn at random from a longer one [4000]"
    parser.add_argument("--max_rows", type=int, default=4000, help=rows)
    rows = "rows, or blocks of 128 tokens, to evaluate on after training [512]"
    parser.add_argument("--max_eval_rows", type=int, default=512, help=rows)
    parser.add_argument("--json", help="file to write the comparison to, for programs")
    parser.set_defaults(run=_crosscheck)


def _crosscheck(options: argparse.Namespace) -> int:
    from minift.crosscheck.job import Job
    from minift.crosscheck.report import crosscheck

    job = Job(**{field.name: getattr(options, field.name) for field in dataclasses.fields(Job)})
    return 0 if crosscheck(job, options.json) else 1


def _add_run(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("run", help="run a script with minift in place of transformers, datasets, …")
    parser.add_argument("script", help="the file to run")
    parser.add_argument("args", nargs=argparse.REMAINDER, help="the script's own arguments")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from minift.libraries.standin import run

    return run(options.script, options.args)


def read_items(path: str) -> Iterator[dict[str, str]]:
    """The objects of a JSON-lines file with "text" and perhaps "text_pair"; errors name the file and the line."""
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


def _add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, help="folder or Hub name of the checkpoint to start from")
    parser.add_argument("--dataset", required=True, help="folder or Hub name of the data set")
    parser.add_argument("--config", help="configuration of the data set, such as mrpc")


def _add_framework(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--framework", choices=["torch", "tf"], default="torch", help="torch, or TensorFlow [torch]")


def add_training_arguments(parser: argparse.ArgumentParser, **defaults: object) -> None:
    """A flag for every field of `TrainingArguments`, its docstring as the help; `defaults` replace the field's own."""
    from minift.train.arguments import TrainingArguments

    group = parser.add_argument_group("training arguments")
    documented = _field_docs(TrainingArguments)
    for field in dataclasses.fields(TrainingArguments):
        factory = field.default_factory
        default = defaults.get(field.name, factory() if factory is not dataclasses.MISSING else field.default)
        names = [part.strip() for part in str(getattr(field.type, "__name__", field.type)).split("|")]
        if "bool" in names and "str" not in names:
            kind = {"type": _boolean, "nargs": "?", "const": True, "metavar": "BOOL"}
        elif names[0].startswith("list"):
            kind = {"nargs": "*"}
        else:
            kind = {"type": {"int": int, "float": float, "dict": json.loads}.get(names[0], str)}
        shown = documented[field.name].replace("%", "%%")
        group.add_argument(f"--{field.name}", default=default, help=f"{shown} [{default}]", **kind)


def training_arguments(options: argparse.Namespace):
    """The `TrainingArguments` that the flags of `add_training_arguments` describe."""
    from minift.train.arguments import TrainingArguments

    arguments = {field.name: getattr(options, field.name) for field in dataclasses.fields(TrainingArguments)}
    if arguments["resume_from_checkpoint"] in ("True", "true"):
        arguments["resume_from_checkpoint"] = True
    return TrainingArguments(**arguments)


def _boolean(text: str) -> bool:
    if text.lower() in ("true", "yes", "1"):
        return True
    if text.lower() in ("false", "no", "0"):
        return False
    raise argparse.ArgumentTypeError(f"expected true or false, not {text!r}")


def _field_docs(dataclass: type) -> dict[str, str]:
    """The string under each field of a dataclass, which Python itself throws away."""
    body = ast.parse(inspect.getsource(dataclass)).body[0].body
    return {
        field.target.id: text.value.value
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)
    }


if __name__ == "__main__":
    sys.exit(main())
