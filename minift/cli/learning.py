"""`minift exercise`: functions of the source to be written again, with hints and checks."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

ACTIONS = ("list", "start", "check", "hint", "solution")
FOLDER = "exercises"


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
