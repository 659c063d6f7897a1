"""Features as a README lists them: written as `datasets` writes them, and each reads the other's."""

import datasets

from minift.data.features import Features, to_yaml
from tests.data.test_publish import NESTED


def test_features():
    theirs = datasets.Features.from_dict(NESTED.to_dict())
    assert to_yaml(NESTED) == theirs._to_yaml_list()
    assert Features.from_yaml(theirs._to_yaml_list()) == NESTED
    assert datasets.Features._from_yaml_list(to_yaml(NESTED)) == theirs
