"""The walk through nests of values."""

from collections import OrderedDict, namedtuple

import pytest

from minift import BatchEncoding
from minift.model.outputs import SequenceClassifierOutput
from minift.tensors import map_nest

Pair = namedtuple("Pair", "first second")


def test_a_nest_keeps_its_kinds():
    nest = {"a": [1, (2, 3)], "b": Pair(4, {"c": 5}), "d": OrderedDict(e=6)}
    doubled = map_nest(lambda value: 2 * value, nest)
    assert doubled == {"a": [2, (4, 6)], "b": Pair(8, {"c": 10}), "d": OrderedDict(e=12)}
    assert type(doubled["b"]) is Pair
    assert type(doubled["d"]) is OrderedDict


@pytest.mark.parametrize("kind", [BatchEncoding, SequenceClassifierOutput])
def test_the_libraries_kinds_of_dict_too(kind):
    assert type(map_nest(str, kind({"logits": 1}))) is kind


def test_several_nests_are_walked_together():
    assert map_nest(max, {"a": (1, 5)}, {"a": (4, 2)}) == {"a": (4, 5)}
    with pytest.raises(ValueError, match="shorter"):
        map_nest(max, (1, 2), (1,))
