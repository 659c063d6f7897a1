"""What the command lines refuse before they measure anything."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def refused(*arguments) -> str:
    command = [sys.executable, "-m", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_folder_is_no_place_for_json(tmp_path):
    (tmp_path / "precious").touch()
    for module in ("benchmarks", "benchmarks.growth"):
        assert f"{tmp_path} is a folder, not a file" in refused(module, "--json", tmp_path)
    assert "cannot write to" in refused("benchmarks", "--json", tmp_path / "precious" / "below")
    assert (tmp_path / "precious").exists()


@pytest.mark.parametrize("threads", ["0", "-1", "two"])
def test_threads(threads):
    assert f"expected a number from 1, not '{threads}'" in refused("benchmarks.profile", f"--threads={threads}")


def test_unknown_names():
    assert "invalid choice: 'colate'" in refused("benchmarks", "--stage", "colate")
    assert "--work shufle: no work begins like that" in refused("benchmarks.growth", "--work", "shufle")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        ('{"rows": [', "is not valid JSON"),
        ("[]", "is no document"),
        ('{"a": 1}', "is no document"),
    ],
)
def test_documents_that_the_report_cannot_read(tmp_path, content, message):
    file = tmp_path / "bench.json"
    if content is not None:
        file.write_text(content)
    assert message in refused("benchmarks.report", file)
