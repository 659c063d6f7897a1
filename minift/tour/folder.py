"""The learner's folder: a file for each exercise, and how far one has come; nothing outside it is touched."""

import json
from pathlib import Path
from typing import Any

from minift.files import atomic_path, read_json_object
from minift.tour.check import check
from minift.tour.exercise import Exercise, skeleton
from minift.tour.exercises import BY_NAME, EXERCISES

PROGRESS = "progress.json"


def find(name: str) -> Exercise:
    """Return an exercise by its name; a ValueError lists them."""
    if name not in BY_NAME:
        raise ValueError(f"there is no exercise {name!r}; there are: {', '.join(BY_NAME)}")
    return BY_NAME[name]


def file_of(folder: Path, exercise: Exercise) -> Path:
    return folder / f"{exercise.name.replace('-', '_')}.py"


def start(name: str, folder: Path) -> Path:
    """Write the skeleton of an exercise; a file that is there already is never overwritten (FileExistsError)."""
    exercise = find(name)
    file = file_of(folder, exercise)
    if file.exists():
        raise FileExistsError(f"{file} is there already: go on in it, or delete it to begin anew")
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(skeleton(exercise), encoding="utf-8")
    note(folder, name, started=True)
    return file


def read_progress(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what is noted of each exercise: tries, hints, passed."""
    path = folder / PROGRESS
    return read_json_object(path) if path.is_file() else {}


def note(folder: Path, name: str, **values: Any) -> dict[str, Any]:
    """Note something of an exercise, and return all that is noted of it."""
    progress = read_progress(folder)
    progress[name] = {"tries": 0, "hints": 0, "passed": False} | progress.get(name, {}) | values
    with atomic_path(folder / PROGRESS) as fresh:
        fresh.write_text(json.dumps(progress, indent=2), encoding="utf-8")
    return progress[name]


def check_folder(folder: Path, name: str | None = None) -> dict[str, dict[str, Any]]:
    """Check one exercise, or all that were started; return the result of each, see `check.check`."""
    wanted = [find(name)] if name else [one for one in EXERCISES if file_of(folder, one).is_file()]
    if not wanted:
        raise FileNotFoundError(f"{folder} holds no exercise: minift exercise start NAME")
    results = {}
    for exercise in wanted:
        file = file_of(folder, exercise)
        if not file.is_file():
            raise FileNotFoundError(f"{file}: not started yet: minift exercise start {exercise.name}")
        results[exercise.name] = check(exercise.name, file)
        tries = read_progress(folder).get(exercise.name, {}).get("tries", 0)
        note(folder, exercise.name, tries=tries + 1, passed=results[exercise.name]["passed"])
    return results


def current(folder: Path) -> Exercise:
    """Return the first exercise that was started and has not passed."""
    progress = read_progress(folder)
    for exercise in EXERCISES:
        if exercise.name in progress and not progress[exercise.name]["passed"]:
            return exercise
    raise ValueError(f"no exercise in {folder} is open: minift exercise start NAME")


def next_hint(folder: Path, name: str | None = None) -> str:
    """Return the next hint for an exercise; the last one again when there are no more."""
    exercise = find(name) if name else current(folder)
    seen = read_progress(folder).get(exercise.name, {}).get("hints", 0)
    if folder.is_dir():
        note(folder, exercise.name, hints=min(seen + 1, len(exercise.hints)))
    place = min(seen, len(exercise.hints) - 1)
    return f"{exercise.name}, hint {place + 1} of {len(exercise.hints)}: {exercise.hints[place]}"
