"""The Keras models against the stored results of transformers 5.23 that tests/model/test_golden.py describes."""

import pytest
from safetensors.torch import load_file

from tests.model.small import NAMES, assert_same
from tests.model.test_golden import FIXTURES
from tests.tf.small import batch, build, results


@pytest.mark.parametrize("name", NAMES)
def test_results_equal_the_stored_ones(name, tmp_path):
    golden = load_file(FIXTURES / f"{name}.safetensors")
    found = results(build(name, tmp_path), batch(name))
    assert_same({key: x for key, x in found.items() if not key.startswith("hidden")}, golden)
