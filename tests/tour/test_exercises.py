"""`minift exercise`: every skeleton fails, every solution passes, every known mistake is recognised; the folder."""

import inspect
import json

import pytest

from minift.cli.main import main
from minift.tour import folder as learning
from minift.tour.check import check, compare
from minift.tour.exercise import TODO, skeleton
from minift.tour.exercises import EXERCISES

pytestmark = pytest.mark.usefixtures("one_thread")
NAMES = [exercise.name for exercise in EXERCISES]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "exercises"


@pytest.mark.parametrize("exercise", EXERCISES, ids=NAMES)
def test_an_exercise(exercise):
    names = {}
    exec(compile(skeleton(exercise), "skeleton", "exec"), names)
    function = names[exercise.path.rpartition(".")[2]]
    assert inspect.getdoc(function) == inspect.getdoc(exercise.right())
    assert compare(exercise, function)["why"].startswith("NotImplementedError: write this function")
    assert compare(exercise, exercise.right()) == {"passed": True}
    assert len(exercise.mistakes) >= 2
    for mistake in exercise.mistakes:
        result = compare(exercise, exercise.wrong(mistake))
        assert (result["passed"], result["smells_like"]) == (False, mistake.smells_like)


def test_there_are_enough_and_their_inputs_repeat():
    assert len(EXERCISES) >= 14
    assert len(set(NAMES)) == len(NAMES)


def test_from_the_list_to_a_pass(folder, capsys):
    assert main(["exercise", "list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == NAMES
    assert main(["exercise", "start", "schedule"]) == 0
    file = folder / "schedule.py"
    assert TODO in file.read_text()
    assert main(["exercise", "start", "schedule"]) == 2  # never overwritten
    assert main(["exercise", "check"]) == 1
    assert "schedule: NotImplementedError" in capsys.readouterr().out
    hints = []
    for _ in range(3):
        assert main(["exercise", "hint"]) == 0
        hints.append(capsys.readouterr().out)
    assert hints[0].startswith("schedule, hint 1 of 2")
    assert hints[1] == hints[2]
    wrong = (
        "    if step < warmup:\n        return rise(step, warmup)\n    return max(0.0, (total - step) / max(1, total))"
    )
    file.write_text(file.read_text().replace(f"    {TODO}", wrong))
    assert main(["exercise", "check", "schedule"]) == 1
    said = capsys.readouterr().out
    assert "first     expected 0.1, given 0.0833" in said or "first     expected" in said
    assert "smells like: the warm-up is not taken off the way down" in said
    file.write_text(file.read_text().replace("max(1, total))", "max(1, total - warmup))"))
    assert main(["exercise", "check"]) == 0
    assert capsys.readouterr().out == "schedule: passed\n"
    noted = json.loads((folder / "progress.json").read_text())["schedule"]
    assert noted == {"tries": 3, "hints": 2, "passed": True, "started": True}
    assert main(["exercise", "list"]) == 0
    assert "schedule        passed" in capsys.readouterr().out
    assert main(["exercise", "solution", "schedule"]) == 0
    assert "def linear(step: int, warmup: int, total: int) -> float:" in capsys.readouterr().out
    assert sorted(path.name for path in folder.parent.iterdir()) == ["exercises"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("while True: pass", "no answer within 6 seconds: a loop that does not end?"),
        ("import os; os._exit(3)", "the process ended with 3"),
        ("return undefined", "NameError: name 'undefined' is not defined (line 1"),
        ("return 'x'", "input 0 of 40 gives something else"),
    ],
)
def test_an_answer_that_hangs_or_crashes_is_reported(folder, body, message):
    file = learning.start("schedule", folder)
    file.write_text(file.read_text().replace(TODO, body))
    assert check("schedule", file, seconds=6 if "while" in body else 60)["why"].startswith(message)


def test_a_file_that_is_no_answer(folder):
    file = learning.start("schedule", folder)
    file.write_text("def other(): pass")
    assert "defines no function 'linear'" in check("schedule", file)["why"]
    file.write_text("def linear(:")
    assert check("schedule", file)["why"].startswith("SyntaxError")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["start", "nothing"], "there is no exercise 'nothing'; there are: wordpiece, punctuation"),
        (["start"], "name an exercise: minift exercise start NAME"),
        (["check"], "exercises holds no exercise: minift exercise start NAME"),
        (["check", "adamw"], "adamw.py: not started yet: minift exercise start adamw"),
        (["hint"], "no exercise in exercises is open"),
        (["begin"], "invalid choice: 'begin'"),
    ],
)
def test_wrong_use(folder, capsys, argv, message):
    try:
        code = main(["exercise", *argv])
    except SystemExit as stopped:
        code = stopped.code
    assert code == 2
    assert message in capsys.readouterr().err
