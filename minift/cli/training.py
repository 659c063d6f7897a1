"""`minift finetune`, `tag`, `answer`, `choose`, `mlm`: from flags to a trained model, and what is said at its end."""

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from minift.cli.flags import add_flags, read_flags
from minift.cli.paths import check_data, check_model, data_name
from minift.distributed.process import is_main_process
from minift.files import read_json_object
from minift.tensors import import_tensorflow

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"  # small enough for a laptop: 22.7 M parameters
FILES = "data files (.csv .tsv .json .jsonl .parquet .arrow .txt, also .gz)"
# what most people need: these flags stand in the help, the others in --help-all
# fmt: off
EVERYDAY_RUN = [
    "model", "output_dir", "num_train_epochs", "per_device_train_batch_size", "learning_rate", "fast",
    "resume_from_checkpoint",
]
# fmt: on
PREDICT = "minift predict --model {folder}"


def finetune(parser: ArgumentParser) -> None:
    from minift.tasks.rows import load_rows

    everyday = ["text_columns", "label_column", "holdout", "max_length", *EVERYDAY_RUN]
    _train(parser, load_rows, "classify.finetune", everyday, f"{PREDICT} FILE")


def tag(parser: ArgumentParser) -> None:
    from minift.tasks.words import load_words

    everyday = ["text_column", "label_column", "holdout", "max_length", *EVERYDAY_RUN]
    _train(parser, load_words, "tag.tag", everyday, f'{PREDICT} --text "…"')


def answer(parser: ArgumentParser) -> None:
    from minift.tasks.questions import load_questions

    everyday = ["holdout", "max_length", "doc_stride", *EVERYDAY_RUN]
    _train(parser, load_questions, "answer.answer", everyday, f"{PREDICT} --text QUESTION --text_pair TEXT")


def choose(parser: ArgumentParser) -> None:
    from minift.tasks.choices import load_choices

    everyday = ["context_column", "choice_columns", "label_column", "holdout", *EVERYDAY_RUN]
    _train(parser, load_choices, "choose.choose", everyday, f"{PREDICT} FILE")


def mlm(parser: ArgumentParser) -> None:
    from minift.tasks.blocks import load_blocks

    after = 'minift fill-mask --model {folder} "A good [MASK]."'
    everyday = ["text_column", "holdout", "max_length", "chunk_size", *EVERYDAY_RUN]
    _train(parser, load_blocks, "mlm.mlm", everyday, after)


def _train(parser: ArgumentParser, load: Callable, task: str, everyday: list[str], after: str) -> None:
    """Take the arguments of `load` as flags; run `task` ("file.function") of `minift.tasks` or `minift.tf`."""
    from minift.tasks.output import check_other_run

    parser.add_argument("data", nargs="*", help=f"{FILES}, a folder, or a name on the Hub")
    defaults = {"model": DEFAULT_MODEL, "eval_strategy": "epoch", "output_dir": None}
    add_flags(parser, load, everyday, dataset=None, **defaults)
    more = parser.add_argument_group("the machine, and what is shown")
    more.add_argument("--device", choices=("cpu", "cuda", "mps"), help="what to compute on [a GPU if there is one]")
    more.add_argument("--threads", type=int, help="threads on the CPU [torch's choice: the number of its cores]")
    more.add_argument("--framework", choices=("torch", "tf"), default="torch", help="torch, or TensorFlow [torch]")
    more.add_argument("--quiet", action="store_true", help="print nothing but warnings and errors")
    more.add_argument("--json", action="store_true", help="print the log as JSON lines, for programs")

    def run(options: Namespace) -> None:
        if options.data and options.dataset:
            raise ValueError(f"name the data once: {options.data[0]}, or dataset={options.dataset!r}")
        named = options.data or ([options.dataset] if options.dataset else [])
        files = [getattr(options, name, None) or [] for name in ("train_file", "validation_file", "test_file")]
        check_data([*named, *(path for paths in files for path in paths)])
        check_model(options.model)
        options.dataset = named[0] if len(named) == 1 else named or None
        options.output_dir = options.output_dir or f"{data_name(named or files[0])}-model"
        choose_device(options)
        if options.framework == "torch" and "logging_steps" not in options:
            options.logging_steps = 0.01  # of all: a curve of a hundred points, however long the run is
        given = read_flags(load, options)
        check_other_run(given["args"])  # before torch is imported
        room, shows = "tasks", {}
        if options.framework == "tf":
            if task not in ("classify.finetune", "mlm.mlm"):
                raise ValueError(f"framework=tf: `minift {options.command}` trains in torch only")
            import_tensorflow()  # or an error that says how to install it
            room = "tf"
        else:
            from minift.tasks.show import Show

            shows = {"show": Show(options.json, options.quiet)}
        module, _, function = task.partition(".")
        try:
            _, summary = getattr(import_module(f"minift.{room}.{module}"), function)(**given, **shows)
        except FileNotFoundError as error:
            raise with_advice(error, options.model) from error
        if is_main_process():
            is_keras = isinstance(summary, dict)
            metrics = summary if is_keras else {"global_step": summary.global_step, **summary.metrics}
            state = read_json_object(Path(options.output_dir) / "trainer_state.json")
            conclude(options, metrics, state["log_history"], after)

    parser.set_defaults(run=run)


def with_advice(error: FileNotFoundError, model: str) -> FileNotFoundError:
    """Add what to do where the default model is not there, as without a network."""
    if model != DEFAULT_MODEL or model not in str(error):
        return error
    return FileNotFoundError(
        f"{DEFAULT_MODEL}, the default model, is not on this machine, and cannot be fetched from the Hub: connect, or "
        "name the folder of a model (--model); `minift demo` makes one offline, minift-demo/pretrained"
    )


def choose_device(options: Namespace) -> None:
    """Do what --device and --threads say; what this machine has not is a ValueError."""
    if options.device == "mps":
        raise ValueError("device=mps: minift computes on CPUs and on GPUs with CUDA")
    if options.device == "cpu":
        options.use_cpu = True
    if options.device == "cuda" or options.threads is not None:
        import torch

        if options.device == "cuda" and not torch.cuda.is_available():
            raise ValueError("device=cuda: torch finds no GPU with CUDA on this machine")
        if options.threads is not None:
            if options.framework == "tf":
                raise ValueError("threads is for torch; TensorFlow chooses its own")
            if options.threads < 1:
                raise ValueError(f"threads={options.threads} must be at least 1")
            torch.set_num_threads(options.threads)


def conclude(options: Namespace, metrics: dict[str, Any], log: list[dict[str, Any]], after: str) -> None:
    """Print where the model is, its scores, and the next command."""
    folder = options.output_dir
    evaluated = [entry for entry in log if "eval_loss" in entry]
    scores = {name: value for name, value in (evaluated[-1] if evaluated else {}).items() if name.startswith("eval_")}
    if options.json:
        print(json.dumps({"output_dir": str(folder), **metrics, **scores}))
        return
    if options.quiet:
        return
    hidden = ("runtime", "per_second", "weighted_loss")
    shown = {name.removeprefix("eval_"): value for name, value in scores.items() if not name.endswith(hidden)}
    print(f"saved   {folder} ({metrics['global_step']:,} steps in {metrics['train_runtime']:.0f} s)")
    if shown:
        print("scores  " + ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in shown.items()))
    print(f"report  {folder}/report.html")
    print(f"next    {after.format(folder=folder)}")
    sys.stdout.flush()
