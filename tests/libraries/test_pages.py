"""The five course pages: the code of each, joined, runs to its end and prints the page's figures."""

import pytest

from tests.hub import needs_hub
from tests.loopback_hub import LoopbackHub
from tests.pages import PAGES, SEEDS
from tests.tiny_hub import tiny_hub  # noqa: F401 - a fixture

LONG = ("keras", "masked_language_model", "plain_loop", "trainer")  # their calls also run in other tests
pytestmark = [needs_hub, pytest.mark.skipif(not SEEDS.is_dir(), reason=f"the course pages are not at {SEEDS}")]


def run(page, root, folder):
    """What `minift run` prints, on both streams, for the page's script started in `folder`."""
    script = folder / "script.py"
    script.write_text(page.script())
    code = f"""
import os, sys, torch
from minift.cli.main import main
torch.set_num_threads(1)
os.chdir({str(folder)!r})
os.dup2(1, 2)
sys.exit(main(["run", {str(script)!r}]))
"""
    with LoopbackHub(root) as hub:
        return hub.run(code, folder / "hf_home")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.long if name in LONG else []) for name in PAGES],
)
def test_the_page_runs_and_prints_its_figures(name, tiny_hub, tmp_path):  # noqa: F811
    page = PAGES[name]
    printed = run(page, tiny_hub, tmp_path)
    assert not page.missing_figures(printed), printed
