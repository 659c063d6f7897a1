"""Scripts run by minift in place of the libraries: what Python sees, and the course's calls against a loopback Hub."""

import subprocess
import sys
from pathlib import Path

import pytest

from minift.libraries.run import run as run_script
from minift.libraries.stand_ins import MODULES, RefuseTheRest, StandIn, stand_ins
from tests.hub import needs_hub
from tests.loopback_hub import loopback_hub  # noqa: F401 - a fixture

SCRIPTS = Path(__file__).parents[1] / "scripts"
IDS = "[101, 1045, 1005, 2310, 2042, 3403, 2005, 1037, 17662, 12172, 2607, 2026, 2878, 2166, 1012, 102]"


def run(folder: Path, code: str, *argv: str) -> subprocess.CompletedProcess:
    """Run `code` as a script in a process of its own, started from another folder."""
    script = folder / "scripts" / "script.py"
    script.parent.mkdir(exist_ok=True)
    script.write_text(code)
    start = f"import sys; from minift.libraries.run import run; sys.exit(run({str(script)!r}, {list(argv)!r}))"
    return subprocess.run([sys.executable, "-c", start], cwd=folder, capture_output=True, text=True, timeout=60)


def test_it_runs_as_python_runs_it(tmp_path):
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "neighbour.py").write_text("value = 5")
    code = """
import os, sys
import neighbour
class Here: pass
print(__name__, sys.argv[1:], os.getcwd(), sys.path[0] == os.path.dirname(os.path.realpath(__file__)))
print(neighbour.value, __file__ == sys.argv[0], sys.modules["__main__"].Here is Here)
"""
    done = run(tmp_path, code, "--lr", "1")
    assert done.stdout.splitlines() == [f"__main__ ['--lr', '1'] {tmp_path} True", "5 True True"], done.stderr


def test_an_exception_shows_the_scripts_own_frames(tmp_path):
    done = run(tmp_path, "def f():\n    raise KeyError('gone')\nf()\n")
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert [line.strip().split(",", 1)[1] for line in lines if "File" in line] == [
        " line 3, in <module>",
        " line 2, in f",
    ]
    assert lines[-1] == "KeyError: 'gone'"


@pytest.mark.parametrize(("code", "expected"), [("import sys; sys.exit(7)", 7), ("x = 1", 0), ("x = = 1", 1)])
def test_exit_codes(tmp_path, code, expected):
    done = run(tmp_path, code)
    assert done.returncode == expected
    assert "minift" not in done.stderr


def test_a_missing_script_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.py: no such script"):
        run_script(str(tmp_path / "gone.py"))


def test_the_real_libraries_are_not_imported(tmp_path):
    code = """
import sys
import accelerate, datasets, evaluate, transformers
from transformers import Trainer, AdamW, pipeline, logging
from transformers.trainer_utils import EvalPrediction
from datasets import load_metric, load_dataset
from accelerate.utils import set_seed
logging.set_verbosity_error()
print(all(type(sys.modules[name]).__module__ == "minift.libraries.stand_ins"
          for name in ("accelerate", "datasets", "evaluate", "transformers")))
print([n for n, m in sys.modules.items() if "site-packages/transformers" in (getattr(m, "__file__", "") or "")])
print(Trainer.__module__, load_dataset.__module__, evaluate.load.__module__, AdamW.__module__)
"""
    done = run(tmp_path, code)
    modules = "minift.train.trainer minift.data.load minift.metrics.metric minift.fast.adamw"
    assert done.stdout.splitlines() == ["True", "[]", modules], done.stderr


@pytest.mark.parametrize("module", MODULES)
def test_every_name_of_the_table_is_there(module):
    with stand_ins():
        for name in MODULES[module][1]:
            assert getattr(sys.modules[module], name) is not None


def test_minifts_own_names_of_the_four_libraries_are_all_in_the_tables():
    import minift

    own = {"Chunker", "ModelOutput", "PolynomialDecay", "Tokenizer", "chunk_dataset", "freeze_masks", "use_fast_path"}
    own |= {"combine"}  # from minift.metrics.combined, beside load
    listed = {name for _, names in MODULES.values() for name in names}
    assert set(minift.__all__) - own == listed & set(minift.__all__) - own


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("from transformers import GPT2Model", "no transformers.GPT2Model; its transformers has: .*AutoConfig,"),
        ("from transformers import TFGPT2Model", "no transformers.TFGPT2Model; its transformers has: .*TFAutoModel"),
        ("import transformers; transformers.GPT2Model", "no transformers.GPT2Model; its transformers has: .*AdamW,"),
        (
            "import transformers.models.gpt2",
            "no transformers.models.gpt2; its transformers.models has: auto, bert",
        ),
        (
            "from transformers.models.bert.modeling_bert import BertAttention",
            "no transformers.models.bert.modeling_bert.BertAttention; its transformers.models.bert.modeling_bert has",
        ),
        ("from transformers.data.processors import glue", "no transformers.data.processors; its transformers.data has"),
        ("import datasets; datasets.Audio", "no datasets.Audio; its datasets has: ClassLabel"),
        ("from datasets import load_me", "no datasets.load_me; its datasets has: ClassLabel"),
        (
            "import evaluate; evaluate.inspect",
            "no evaluate.inspect; its evaluate has: EvaluationModule, Metric, combine,",
        ),
        ("from accelerate import FullyShardedDataParallelPlugin", "its accelerate has: Accelerator"),
    ],
)
def test_a_missing_name_lists_what_there_is(line, message):
    with stand_ins(), pytest.raises(ImportError, match=message):
        exec(line, {})


def test_the_libraries_are_back_afterwards():
    before = {name: module for name, module in sys.modules.items() if name.startswith("transformers")}
    with stand_ins():
        assert isinstance(sys.modules["transformers"], StandIn)
    assert {name: module for name, module in sys.modules.items() if name.startswith("transformers")} == before
    assert RefuseTheRest not in sys.meta_path


EXPECTED = [
    *(IDS, "torch.Size([2, 16, 384])", "30522 2057536", "3668 ['not_equivalent', 'equivalent']"),
    *("15 [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1]", "[50, 59, 47, 67, 59, 50, 62, 32]"),
    *("(16, 2) (16,)", "True"),
]


@needs_hub
def test_the_courses_calls(loopback_hub, tmp_path):  # noqa: F811
    """The other scripts run beside the libraries, in crosscheck/test_scripts.py."""
    work = tmp_path / "work"
    work.mkdir()
    code = f"""
import os, sys, torch
from minift.libraries.run import run
torch.set_num_threads(1)
os.chdir({str(work)!r})
sys.exit(run({str(SCRIPTS / "sentiment_and_pairs.py")!r}))
"""
    printed = loopback_hub.run(code, tmp_path / "hf_home").splitlines()
    for expected in EXPECTED:
        assert any(line.startswith(expected) for line in printed), "\n".join(printed)
