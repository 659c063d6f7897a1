"""The README and the chapters: they show the loop as it is, name every file, and link to nothing that is missing."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
CHAPTERS = sorted([*ROOT.glob("minift/**/README.md"), ROOT / "benchmarks" / "README.md"])


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_it_shows_the_loop_as_it_is():
    shown = re.search(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL).group(1)
    assert shown == (ROOT / "minift" / "loop.py").read_text(encoding="utf-8")


def test_it_is_short():
    assert len(README.read_bytes()) <= 12 * 1024


@pytest.mark.parametrize("page", [README, *CHAPTERS], ids=name)
def test_every_link_leads_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", [README, *CHAPTERS], ids=name)
def test_every_file_in_a_table_is_there(page):
    for row in re.findall(r"^\|.*\|$", page.read_text(encoding="utf-8"), flags=re.MULTILINE):
        for file in re.findall(r"`([a-z_]+/[\w/]+\.py)`", row):
            assert (ROOT / "minift" / file).is_file() or (page.parent / file).is_file(), file


@pytest.mark.parametrize("page", CHAPTERS, ids=name)
def test_a_chapter_names_every_file_of_its_folder(page):
    text = page.read_text(encoding="utf-8")
    for file in page.parent.glob("*.py"):
        if file.name not in ("__init__.py", "__main__.py"):
            assert file.name in text, file.name


@pytest.mark.parametrize("page", CHAPTERS, ids=name)
def test_a_chapter_is_short(page):
    if page.parent.name != "benchmarks":  # a report
        assert len(page.read_text(encoding="utf-8").splitlines()) <= 120
