"""The README's script runs as it stands, and its file tree is the tree."""

import re
import subprocess
import sys
from pathlib import Path

from minift.demo.corpus import write_corpus, write_model
from minift.model.config import BertConfig
from minift.model.heads.masked_lm import BertForMaskedLM

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_plain_loop_runs(tmp_path):
    demo = tmp_path / "minift-demo"
    write_corpus(demo / "corpus")
    write_model(demo / "pretrained", demo / "corpus")
    BertForMaskedLM(BertConfig.from_pretrained(demo / "pretrained")).save_pretrained(demo / "pretrained")
    script = re.search(r"```python\n(.*?)```", README, re.DOTALL).group(1).replace('", 3\n', '", 1\n')
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert re.fullmatch(r"1 \{'accuracy': 0\.\d+\}\n", done.stdout)


def test_the_tree_names_every_file():
    tree = README[README.index("```\nminift/") :].split("```")[1]
    named = set(re.findall(r"\w+\.py", tree))
    there = {path.name for path in (ROOT / "minift").rglob("*.py")}
    assert there - named == set()
    assert named - there == set()


def test_every_file_in_the_table_of_calls_is_there():
    for name in re.findall(r"\| `(?:\w+/)?\w+\.py`(?:, `[\w/]+\.py`)* \|", README):
        for file in re.findall(r"[\w/]+\.py", name):
            assert (ROOT / "minift" / file).is_file(), file
