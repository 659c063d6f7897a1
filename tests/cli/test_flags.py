"""Flags from signatures: types, defaults, help, and what is left to the signature."""

import argparse
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Literal

import pytest

from minift.cli.flags import add_flags, read_flags
from minift.cli.main import COMMANDS


@dataclass
class Settings:
    rate: float = 0.5
    """how fast, in %"""
    names: list[str] = field(default_factory=list)
    """several
    names"""
    resume: str | bool | None = None
    """a folder, or true"""
    more: dict | None = None
    """as JSON"""


def work(
    kind, /, name: str, settings: Settings, mode: Literal["a", "b"] = "a", rows: int | None = None, loud: bool = False
):
    """Do it.

    Args:
        kind: has no flag
        name: whom
        settings: the others
        mode: which, of
            two
        rows: how many; None takes all
        loud: in capitals
    """


def parse(*argv, **defaults):
    parser = argparse.ArgumentParser(prog="test")
    add_flags(parser, work, **defaults)
    return read_flags(work, parser.parse_args(argv)), parser.format_help()


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], {}),
        (["--rows", "3"], {"rows": 3}),
        (["--loud"], {"loud": True}),
        (["--loud", "no"], {"loud": False}),
        (["--mode", "b"], {"mode": "b"}),
    ],
)
def test_what_is_not_given_is_left_to_the_signature(argv, expected):
    assert parse("--name", "x", *argv)[0] == {"name": "x", "settings": Settings(), **expected}


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--rate", "2"], Settings(rate=2.0)),
        (["--names", "a", "b"], Settings(names=["a", "b"])),
        (["--resume"], Settings(resume=True)),
        (["--resume", "true"], Settings(resume=True)),
        (["--resume", "folder"], Settings(resume="folder")),
        (["--more", '{"x": 1}'], Settings(more={"x": 1})),
    ],
)
def test_a_dataclass_is_made_of_its_own_flags(argv, expected):
    assert parse("--name", "x", *argv)[0]["settings"] == expected


def test_other_defaults_are_passed_and_shown():
    given, text = parse("--name", "x", mode="b", rate=3.0)
    assert (given["mode"], given["settings"].rate) == ("b", 3.0)
    assert "which, of two [b]" in text
    assert "how fast, in % [3.0]" in text


def test_the_help_is_read_off_the_docstrings():
    words = " ".join(parse("--name", "x")[1].split())
    for text in ("whom", "{a,b} which, of two [a]", "how many; None takes all", "in capitals [False]"):
        assert text in words
    assert "several names a folder" in words.replace("--resume [RESUME] ", "")  # no default is shown for a list
    assert "has no flag" not in words


@pytest.mark.parametrize("argv", [[], ["--name", "x", "--mode", "c"], ["--name", "x", "--loud", "perhaps"]])
def test_wrong_flags_are_refused(argv):
    with pytest.raises(SystemExit):
        parse(*argv)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_imports_no_framework(command):
    code = (
        "import sys\nfrom minift.cli.main import main\n"
        f"try:\n    main([{command!r}, '--help'])\n"
        "except SystemExit:\n    print('torch' in sys.modules, 'tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "False False", done.stderr
