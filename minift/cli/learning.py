"""`minift tour` and `minift exercise`: one example through every stage, and functions to be written again."""

import logging
import shutil
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minift.cli.paths import check_model

logger = logging.getLogger(__name__)

ACTIONS = ("list", "start", "check", "hint", "solution")
FOLDER = "exercises"


DEMO_MODEL = "minift-demo/pretrained"  # what `minift demo` leaves
TEXT, PAIR = "Tender plot, luminous cast, witty and warm to the end.", "The plot is tender, and the cast luminous."


def tour(parser: ArgumentParser) -> None:
    parser.add_argument("--text", default=TEXT, help="the text [a sentence of the demo]")
    parser.add_argument("--text_pair", help="the second text of a pair [of the demo, if there is no --text]")
    parser.add_argument("--model", help=f"folder or Hub name of a BERT [{DEMO_MODEL}, or one with random weights]")
    parser.add_argument("--task", choices=("classify", "mlm"), default="classify", help="a classifier, or masking")
    parser.add_argument("--stage", help="only this stage")
    parser.add_argument("--all", action="store_true", help="all stages at once, and not page by page")
    parser.add_argument("--html", help="a file to write the tour to, as one page")

    def run(options: Namespace) -> None:
        if options.text == TEXT and options.text_pair is None:
            options.text_pair = PAIR
        if options.model is not None:
            check_model(options.model)
        with demo_model(options.model or DEMO_MODEL, options.model is None) as model:
            from minift.tour import stages

            make = stages.classification if options.task == "classify" else stages.masked_language_model
            found = make(model, options.text, options.text_pair)
        show(options, found)

    parser.set_defaults(run=run)


@contextmanager
def demo_model(name: str, may_be_made: bool) -> Iterator[str | Path]:
    """Give a model's name; where there is no such folder and one may be made, a small BERT with random weights."""
    if not may_be_made or Path(name, "config.json").is_file():
        yield name
        return
    from minift.demo.corpus import write_corpus, write_model
    from minift.model.bert import BertModel
    from minift.model.config import BertConfig

    logger.info("model   there is no %s (`minift demo` makes it): a small one with random weights is shown", name)
    with tempfile.TemporaryDirectory() as folder:
        made = write_model(Path(folder, "model"), write_corpus(Path(folder, "corpus")))
        BertModel(BertConfig.from_pretrained(made)).save_pretrained(made)
        yield made


def show(options: Namespace, stages: list) -> None:
    """Write the page, or print the stages: one, all, or page by page in a terminal."""
    from minift.files import atomic_path
    from minift.tour.show import as_page, as_text

    names = [stage.name for stage in stages]
    if options.stage is not None and options.stage not in names:
        raise ValueError(f"stage={options.stage}: there are {', '.join(names)}")
    if options.html is not None:
        with atomic_path(options.html) as fresh:
            fresh.write_text(as_page(stages, "minift tour"), encoding="utf-8")
        print(f"wrote   {options.html}: {len(stages)} stages")
        return
    width = min(120, shutil.get_terminal_size().columns)
    for number, stage in enumerate(stages, 1):
        if options.stage in (None, stage.name):
            print(as_text(stage, number, len(stages), width))
            more = options.stage is None and not options.all and number < len(stages)
            if more and sys.stdin.isatty() and input("Enter goes on, q ends: ").strip() == "q":
                return


def exercise(parser: ArgumentParser) -> None:
    parser.add_argument("action", choices=ACTIONS, help="what to do")
    parser.add_argument("name", nargs="?", help="the exercise; for check and hint, none takes what was started")
    parser.add_argument("--folder", default=FOLDER, help=f"where your files are [{FOLDER}]")

    def run(options: Namespace) -> int:
        from minift.tour import folder as learning

        folder = Path(options.folder).expanduser()
        if options.action in ("start", "solution") and options.name is None:
            raise ValueError(
                f"name an exercise: minift exercise {options.action} NAME; `minift exercise list` has them"
            )
        if options.action == "list":
            print_list(folder)
        elif options.action == "start":
            print(f"wrote   {learning.start(options.name, folder)}: write the function, then")
            print(f"next    minift exercise check {options.name}")
        elif options.action == "hint":
            print(learning.next_hint(folder, options.name))
        elif options.action == "solution":
            found = learning.find(options.name)
            print(f"# minift/{found.function.partition(':')[0].replace('.', '/')}.py\n{found.source()}", end="")
        else:
            return print_results(learning.check_folder(folder, options.name))
        return 0

    parser.set_defaults(run=run)


def print_list(folder: Path) -> None:
    """Print the exercises in the order of the pipeline, with how far one has come."""
    from minift.tour.exercises import EXERCISES
    from minift.tour.folder import read_progress

    progress = read_progress(folder)
    for exercise in EXERCISES:
        noted = progress.get(exercise.name)
        state = "" if noted is None else "passed" if noted["passed"] else f"{noted['tries']} tries"
        print(f"{exercise.name:<15} {state:<8} {exercise.title}")


def print_results(results: dict[str, dict]) -> int:
    """Print the result of each check; return the exit code: 1 if one has failed."""
    for name, result in results.items():
        if result["passed"]:
            print(f"{name}: passed")
            continue
        print(f"{name}: {result['why']}")
        for part, value in result.get("where", {}).items():
            print(f"  {part:<9} {value}")
        if result.get("smells_like"):
            print(f"  smells like: {result['smells_like']}")
    return 0 if all(result["passed"] for result in results.values()) else 1
