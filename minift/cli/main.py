"""The command line: `minift COMMAND …`."""

import argparse
import logging
import os
import re
import shlex
import shutil
import sys
import textwrap
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from minift.cli.paths import check_early
from minift.distributed.process import is_main_process, report_failure

# command -> the file of its function, which has the same name; and its line in --help
COMMANDS = {
    "demo": ("others", "the whole pipeline offline, in two minutes, on a generated corpus"),
    "finetune": ("training", "train a classifier on your data: a file, a folder, a name on the Hub"),
    "tag": ("training", "train a tagger of words, such as names of people and places"),
    "answer": ("training", "train a reader that finds the answers to questions in texts"),
    "choose": ("training", "train a model that chooses one of several texts"),
    "predict": ("answers", "label and probability for a text, a pair, or the rows of a file"),
    "mlm": ("training", "adapt a checkpoint to your texts by masked language modelling"),
    "fill-mask": ("answers", "the likeliest tokens for each [MASK] of a text"),
    "inspect": ("looking", "what is in a checkpoint, a data set, or a batch of it"),
    "plot": ("looking", "compare the losses and scores of runs, as a page or a picture"),
    "tour": ("learning", "one example through every stage of fine-tuning, in the terminal or as a page"),
    "exercise": ("learning", "write functions of the pipeline yourself, checked against the source"),
    "crosscheck": ("others", "the same job on minift and on transformers, compared to the bit"),
    "run": ("others", "run a script with minift in place of transformers, datasets, …"),
}
LOOKS_EARLY = (
    "finetune",
    "tag",
    "answer",
    "choose",
    "mlm",
    "predict",
    "inspect",
)  # a wrong path is told before anything large is imported
NOT_SHOWN = ("httpx", "minift.train.report")  # requests; and the header of a Trainer, whose place the stages take
WRONG_PATH = (FileNotFoundError, FileExistsError, PermissionError, NotADirectoryError, IsADirectoryError)
WRONG_USE = (ValueError, KeyError, TypeError, ImportError, *WRONG_PATH)
INDENT = " " * 8  # of the second line of a message: the first begins with a word of at most seven letters


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    shows_all = False  # also the flags that few people need
    takes_script = False  # of crosscheck: a script is named, and not a built-in job

    def actions(self) -> dict[str, argparse.Action]:
        """Return all arguments by the names under which they are stored."""
        return {action.dest: action for action in self._actions}

    def error(self, message: str) -> NoReturn:
        if chosen := re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message):
            message += suggestion(chosen[1], re.findall(r"[\w-]+", chosen[2]))
        self.exit(2, f"{self.prog}: {message} (`{self.prog} --help` says more)\n")


class Wrapped(logging.Formatter):
    """Writes messages without a line that is wider than the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        width = shutil.get_terminal_size().columns
        fill = textwrap.TextWrapper(width, subsequent_indent=INDENT, drop_whitespace=True, break_on_hyphens=False).fill
        return "\n".join(fill(line) for line in super().format(record).splitlines())


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0, 1 if its work failed, 2 if it was used in a wrong way; in one line."""
    argv = sys.argv[1:] if argv is None else list(argv)
    parser = Parser(prog="minift", description="Fine-tune BERT and DistilBERT, with everything written out.")
    parser.add_argument("--version", action="version", version=f"minift {version('minift')}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    command = next((word for word in argv if not word.startswith("-")), None)
    if command != "run":
        argv = normalised(argv)
        # A thread that waits sleeps: where others need the cores, spinning makes a run three times slower.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if argv[:1] and argv[0] in LOOKS_EARLY:
        try:
            check_early(argv)
        except (OSError, ValueError) as error:
            if is_main_process():
                print(f"minift {command}: {error}", file=sys.stderr)
            return 2
    for name, (file, text) in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=text, description=text, allow_abbrev=False)
        if name != command:  # what the others need is not imported
            continue
        subparser.shows_all = "--help_all" in argv
        subparser.takes_script = any(word.endswith(".py") for word in argv)
        getattr(import_module(f"minift.cli.{file}"), name.replace("-", "_"))(subparser)
        if name != "run":
            subparser.usage = usage_of(subparser)
            add_common(subparser)
    if command is None and not argv:
        parser.print_help()
        return 0
    if command in COMMANDS and command != "run" and "--help_all" in argv:
        subparsers.choices[command].print_help()
        return 0
    chosen = subparsers.choices.get(command, parser)
    if command in COMMANDS and "--config" in argv:
        read_config(chosen, argv)
    options, unknown = parser.parse_known_args(argv)
    if unknown:
        flags = [flag for action in chosen.actions().values() for flag in action.option_strings]
        chosen.error(f"there is no {unknown[0]}{suggestion(unknown[0].partition('=')[0], flags)}")
    if options.command is None:
        parser.error(f"name a command: {', '.join(COMMANDS)}")
    if options.command != "run":  # a script sets up its own logging
        log_to_terminal(getattr(options, "quiet", False) or getattr(options, "json", None) is True)
    return run(options, list(chosen.actions()), argv)


def run(options: argparse.Namespace, flags: list[str], argv: list[str]) -> int:
    """Run a parsed command; turn its errors into one line and an exit code."""
    try:
        return options.run(options) or 0
    except KeyboardInterrupt as stopped:
        if is_main_process():
            how = f"; go on with: minift {to_go_on(argv)}" if hasattr(stopped, "signal") else ""
            print(f"minift {options.command}: {stopped or 'stopped'}{how}", file=sys.stderr)
        return 128 + getattr(stopped, "signal", 2)
    except BrokenPipeError:  # who reads what is printed wants no more of it, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if options.command == "run" and not isinstance(error, FileNotFoundError):
            raise  # the script's own
        if getattr(options, "debug", False):
            raise
        is_wrong_use = isinstance(error, WRONG_USE) and not getattr(error, "is_failed_work", False)
        code = 2 if is_wrong_use else 1
        if not report_failure(error):  # of several processes that fail together, one prints
            return code
        message = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
        kind = "" if isinstance(error, (*WRONG_USE, OSError)) else f"{type(error).__name__}: "
        hint = "" if is_wrong_use else " (--debug shows where)"
        print(f"minift {options.command}: {kind}{name_flags(message, flags)}{hint}", file=sys.stderr)
        return code


def to_go_on(argv: Sequence[str]) -> str:
    """Return the command that resumes a run: the same, without what said how the run was to begin."""
    kept, skips = [], False
    for word in argv:
        begins = word.startswith(("--resume_from_checkpoint", "--overwrite_output_dir"))
        if not begins and not (skips and not word.startswith("-")):
            kept.append(word)
        skips = begins and "=" not in word  # its value follows
    return shlex.join([*kept, "--resume_from_checkpoint"])


def normalised(argv: Sequence[str]) -> list[str]:
    """Write flags with underscores, and ``--config=FILE`` as two words; what follows a script is the script's own."""
    words: list[str] = []
    for number, word in enumerate(argv):
        if word.endswith(".py"):
            return [*words, *argv[number:]]
        name, equals, value = with_underscores(word).partition("=")
        words += [name, value] if name == "--config" and equals else [f"{name}{equals}{value}"]
    return words


def with_underscores(word: str) -> str:
    """Write a flag's name with underscores: ``--output-dir=a-b`` -> ``--output_dir=a-b``."""
    name, equals, value = word.partition("=")
    return f"--{name[2:].replace('-', '_')}{equals}{value}" if re.fullmatch(r"--[a-z][\w-]*", name) else word


def suggestion(word: str, known: Sequence[str]) -> str:
    close = get_close_matches(word, known, 1, 0.6)
    return f"; did you mean {close[0]}?" if close else ""


def usage_of(parser: Parser) -> str:
    """Return a usage line without the list of all flags."""
    places = [action for action in parser.actions().values() if not action.option_strings]
    names = [f"[{action.dest.upper()} …]" if action.nargs in ("*", "?") else action.dest for action in places]
    flags = [action for action in parser.actions().values() if action.option_strings]
    needed = [f"{action.option_strings[0]} {action.dest.upper()}" for action in flags if action.required]
    return " ".join([parser.prog, *needed, *names, "[options]"])


def add_common(parser: argparse.ArgumentParser) -> None:
    parser = parser.add_argument_group("help")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.add_argument("--help-all", action="store_true", help="all options, also those that few people need")


def read_config(parser: Parser, argv: list[str]) -> None:
    """Take options from the file that --config names, in `argv`'s place of it; flags that are given go before them."""
    place = argv.index("--config") + 1
    path = argv[place] if place < len(argv) else ""
    if Path(path).suffix not in (".yaml", ".yml", ".json"):
        return  # the configuration of a data set, such as mrpc
    from minift.files import read_yaml_object

    try:
        values = read_yaml_object(path)
    except (OSError, ValueError) as error:
        parser.error(f"--config: {error}")
    known = parser.actions()
    for name in values:
        if name not in known:
            parser.error(f"--config {path}: there is no option {name!r}{suggestion(name, list(known))}")
        known[name].required = False
    del argv[place - 1 : place + 1]
    if "dataset" in values and "--dataset" not in argv:  # as if it stood on the command line; what does, goes before it
        values["data"] = [values["dataset"]] if isinstance(values["dataset"], str) else values["dataset"]
    values.pop("dataset", None)
    parser.set_defaults(**values)


def name_flags(message: str, flags: Sequence[str]) -> str:
    """Write arguments in a message as flags: ``max_length=9: …`` -> ``--max_length 9: …``."""
    for name in flags:
        message = re.sub(rf"(?<![\w'\"./-]){name}=(?=\S)", f"--{name} ", message)
        if "_" in name:
            message = re.sub(rf"(?<![\w'\"./-]){name}(?![\w'\"./-])", f"--{name}", message)
    return message


class AboveBars(logging.Handler):
    """Writes messages to standard error, above a progress bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record), file=sys.stderr)


def log_to_terminal(quiet: bool) -> None:
    """Send the log to standard error; of several processes only the first speaks."""
    handler = AboveBars()
    handler.setFormatter(Wrapped("%(message)s"))
    level = logging.WARNING if quiet else logging.INFO
    logging.basicConfig(level=level if is_main_process() else logging.ERROR, handlers=[handler])
    # not what the HTTP client does, nor the header that a Trainer writes: the stages take its place
    handler.addFilter(
        lambda record: record.levelno > logging.INFO or record.name not in ("httpx", "minift.train.report")
    )
