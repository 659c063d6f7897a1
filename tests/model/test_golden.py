"""The models against stored results of transformers 5.23, so that the comparison runs where it is not installed.

The files hold logits, loss and gradients; the weights and inputs come from tests/model/small.py.
To write them again: `python -m tests.fixtures.make_golden`.
"""

from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.model.small import NAMES, assert_same, batch, build, results

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("name", NAMES)
def test_results_equal_the_stored_ones(name, implementation):
    model = build(name, attn_implementation=implementation)
    golden = load_file(FIXTURES / f"{name}.safetensors")
    found = {key: x for key, x in results(model, batch(name)).items() if not key.startswith("hidden")}
    assert_same(found, golden)
