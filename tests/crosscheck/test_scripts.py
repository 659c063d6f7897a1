"""The scripts print the same numbers under `minift run` as on today's libraries, where these still take their calls."""

import re

import pytest

from tests.hub import IMDB, MRPC, needs_hub
from tests.libraries.test_run import SCRIPTS
from tests.loopback_hub import loopback_hub  # noqa: F401 - a fixture

# times, and the entries that only one side logs
DIFFERENT = re.compile(r"'(\w+_runtime|\w+_per_second|eval_model_preparation_time|eval_weighted_loss)': '[^']*',? ?")
LOCAL = {
    'load_dataset("imdb")': f"load_dataset({str(IMDB)!r})",
    'load_dataset("glue", ': f"load_dataset({str(MRPC)!r}, ",
}
TRAINER = {
    "evaluation_strategy=": "eval_strategy=",
    "tokenizer=tokenizer,\n    comp": "processing_class=tokenizer,\n    comp",
}
# script -> what today's releases refuse in it, and what they call it instead; keras_fit.py has no part in it, for
# transformers has no TensorFlow classes since release 5
TODAY = {
    "masked_language_model.py": {},
    "trainer.py": TRAINER,
    "sentiment_and_pairs.py": TRAINER
    | {"import load_dataset, load_metric": "import load_dataset\nfrom evaluate import load as load_metric"},
    "plain_loop.py": {
        "    AdamW,\n": "",
        "from torch.utils": "from functools import partial\nfrom torch.optim import AdamW\nfrom torch.utils",
        "set_seed(42)": "set_seed(42)\nAdamW = partial(AdamW, weight_decay=0.0)  # the default of transformers' own",
    },
}
# `evaluate` is not among the libraries that the tests install: its two metrics for MRPC, from scikit-learn
EVALUATE = """
from sklearn.metrics import accuracy_score, f1_score
class MRPC:
    def __init__(self):
        self.predictions, self.references = [], []
    def add_batch(self, predictions, references):
        self.predictions += predictions.tolist()
        self.references += references.tolist()
    def compute(self, predictions=None, references=None):
        pair = (self.references, self.predictions) if predictions is None else (references, predictions)
        return {"accuracy": accuracy_score(*pair), "f1": f1_score(*pair)}
def load(*name):
    return MRPC()
"""


def in_order(line: str) -> str:
    """An entry of the log with its names sorted: evaluation's loss comes first there and after the metrics here."""
    line = line.strip()
    return ", ".join(sorted(line.strip("{}").split(", "))) if line.startswith("{") else line


@pytest.mark.long
@needs_hub
@pytest.mark.parametrize("script", TODAY)
def test_a_script_prints_the_same(script, loopback_hub, tmp_path):  # noqa: F811
    code = (SCRIPTS / script).read_text()
    for refused, accepted in TODAY[script].items():
        assert refused in code
        code = code.replace(refused, accepted)
    for name, folder in LOCAL.items():
        code = code.replace(name, folder)
    today = tmp_path / "today.py"
    today.write_text(code)
    (tmp_path / "evaluate.py").write_text(EVALUATE)
    printed = []
    for side, start in {
        "libraries": f"runpy.run_path({str(today)!r}, run_name='__main__')",
        "minift": f"sys.exit(run({str(SCRIPTS / script)!r}))",
    }.items():
        work = tmp_path / side  # of its own: a folder that one side writes must not be found by the other
        work.mkdir()
        code = f"""
import os, runpy, sys, torch
from minift.libraries.run import run
sys.path[0] = {str(tmp_path)!r}
os.chdir({str(work)!r})
torch.set_num_threads(1)
{start}
"""
        lines = loopback_hub.run(code, tmp_path / "hf_home").splitlines()
        printed.append([in_order(DIFFERENT.sub("", line)) for line in lines if line.strip()])
    want, got = printed
    assert len(want) > 8
    assert got == want
