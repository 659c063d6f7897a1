"""A script that today's libraries still accept prints the same numbers on them and under `minift run`."""

import re

from tests.hub import IMDB, needs_hub
from tests.loopback_hub import loopback_hub  # noqa: F401 - a fixture
from tests.test_standin import SCRIPTS

# times, and the entries that only one side logs
DIFFERENT = re.compile(r"'(\w+_runtime|\w+_per_second|eval_model_preparation_time|eval_weighted_loss)': '[^']*',? ?")


@needs_hub
def test_masked_language_modelling_prints_the_same(loopback_hub, tmp_path):  # noqa: F811
    code = (SCRIPTS / "masked_language_model.py").read_text()
    script = tmp_path / "script.py"
    script.write_text(code.replace('load_dataset("imdb")', f"load_dataset({str(IMDB)!r})"))
    printed = []
    for start in (
        f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')",
        f"from minift import standin; raise SystemExit(standin.run({str(script)!r}))",
    ):
        setting = f"import os, torch; torch.set_num_threads(1); os.chdir({str(tmp_path)!r}); "
        lines = loopback_hub.run(setting + start, tmp_path / "hf_home").splitlines()
        printed.append([DIFFERENT.sub("", line).strip() for line in lines if line.strip()])
    want, got = printed
    assert sum("Perplexity" in line for line in want) == 3
    assert got == want
