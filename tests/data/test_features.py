"""Column types: to Arrow and back, from README files, class names, and what is refused."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minift.data.features import ClassLabel, Features, List, Sequence, Value
from minift.data.to_arrow import cast_array

LEAF = st.one_of(
    st.sampled_from(["int8", "int64", "uint16", "float32", "float64", "bool", "string", "large_string", "binary"]).map(
        Value
    ),
    st.sampled_from(["timestamp[ns]", "timestamp[us, tz=UTC]", "date32", "null", "time64[us]"]).map(Value),
    st.lists(st.text(min_size=1), min_size=1, max_size=4, unique=True).map(lambda names: ClassLabel(names=names)),
)
FEATURE = st.recursive(
    LEAF,
    lambda inner: st.one_of(
        st.builds(List, inner), st.builds(List, inner, st.integers(1, 4)), st.dictionaries(st.text(), inner, min_size=1)
    ),
    max_leaves=4,
)


@given(st.dictionaries(st.text(min_size=1), FEATURE, max_size=4).map(Features))
def test_features_survive_arrow_and_json(features):
    assert Features.from_arrow_schema(features.arrow_schema) == features
    assert Features.from_dict(features.to_dict()) == features
    assert list(Features.from_arrow_schema(features.arrow_schema)) == list(features)


def test_types_are_inferred_without_metadata():
    schema = pa.schema({"a": pa.float64(), "b": pa.list_(pa.int32()), "c": pa.struct({"d": pa.string()})})
    assert Features.from_arrow_schema(schema) == {
        "a": Value("float64"),
        "b": List(Value("int32")),
        "c": {"d": Value("string")},
    }


def test_metadata_that_the_columns_have_outgrown_is_not_believed():
    schema = Features({"a": ClassLabel(names=["x", "y"]), "b": ClassLabel(names=["x"])}).arrow_schema
    changed = schema.set(0, pa.field("a", pa.string()))
    assert Features.from_arrow_schema(changed) == {"a": Value("string"), "b": ClassLabel(names=["x"])}


def test_older_spellings():
    old = {
        "label": {"num_classes": 2, "names": ["neg", "pos"], "id": None, "_type": "ClassLabel"},
        "ids": {"feature": {"dtype": "int32", "id": None, "_type": "Value"}, "length": -1, "_type": "Sequence"},
        "answers": {"feature": {"text": {"dtype": "string", "_type": "Value"}}, "_type": "Sequence"},
        "rows": [{"dtype": "int8", "_type": "Value"}],
    }
    assert Features.from_dict(old) == {
        "label": ClassLabel(names=["neg", "pos"]),
        "ids": List(Value("int32")),
        "answers": {"text": List(Value("string"))},
        "rows": List(Value("int8")),
    }
    assert Sequence(Value("int8"), length=3) == List(Value("int8"), 3)


def test_readme_features():
    listed = [
        {"name": "text", "dtype": "string"},
        {"name": "label", "dtype": {"class_label": {"names": {str(i): f"c{i}" for i in (10, 9, *range(9))}}}},
        {"name": "tags", "list": "int32"},
        {"name": "old", "sequence": {"class_label": {"names": ["a", "b"]}}} | {"sequence": "string"},
        {"name": "spans", "list": [{"name": "start", "dtype": "int64"}]},
        {"name": "where", "struct": [{"name": "x", "dtype": "float32"}]},
    ]
    assert Features.from_yaml(listed) == {
        "text": Value("string"),
        "label": ClassLabel(names=[f"c{i}" for i in range(11)]),  # in the order of the numbers, not of their text
        "tags": List(Value("int32")),
        "old": List(Value("string")),
        "spans": List({"start": Value("int64")}),
        "where": {"x": Value("float32")},
    }


def test_class_label_names_and_numbers():
    label = ClassLabel(names=["neg", "pos"])
    assert label.num_classes == 2
    assert label.str2int("pos") == label.str2int(" pos ") == label.str2int("1") == 1
    assert label.str2int(["neg", "pos", "-1"]) == [0, 1, -1]
    assert label.int2str(1) == "pos"
    assert label.int2str([1, 0]) == ["pos", "neg"]
    assert ClassLabel(3).names == ["0", "1", "2"]
    assert repr(label) == "ClassLabel(names=['neg', 'pos'])"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ClassLabel(), "num_classes or names"),
        (lambda: ClassLabel(3, ["a"]), r"num_classes=3 but 1 names"),
        (lambda: ClassLabel(names=["a", "a"]), "occurs twice"),
        (lambda: ClassLabel(names=["a"]).str2int("b"), r"'b' is not a class: expected one of \['a'\]"),
        (lambda: ClassLabel(names=["a"]).str2int("1"), "'1' is not a class"),
        (lambda: ClassLabel(names=["a"]).int2str(1), "label 1 is not a class: expected 0 to 0"),
        (lambda: ClassLabel(names=["a"]).int2str(-1), "label -1 is not a class"),
        (lambda: Value("int65"), "'int65'"),
        (lambda: Features.from_dict({"x": {"_type": "Image"}}), "'Image' is not supported"),
        (lambda: Features.from_yaml([{"name": "x", "dtype": 3}]), "cannot read the feature"),
        (lambda: cast_array(pa.array([0, 2]), ClassLabel(names=["a", "b"])), "labels from 0 to 2 do not fit"),
        (lambda: cast_array(pa.array([-2]), ClassLabel(names=["a", "b"])), "labels from -2"),
        (lambda: cast_array(pa.array(["a", "c"]), ClassLabel(names=["a", "b"])), "'c' is not a class"),
        (lambda: cast_array(pa.array([1.5]), Value("int64")), "1.5"),
        (lambda: cast_array(pa.array([300]), Value("int8")), "300"),
    ],
)
def test_bad_features_and_values(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_something_else_is_no_feature():
    with pytest.raises(TypeError, match="'int64' is not a feature"):
        Features({"x": "int64"}).arrow_schema  # noqa: B018


def test_cast_array():
    label = ClassLabel(names=["a", "b"])
    assert cast_array(pa.array(["b", None, "a"]), label).to_pylist() == [1, None, 0]
    assert cast_array(pa.array([1, -1, None], pa.int8()), label).type == pa.int64()
    assert cast_array(pa.array([[1], []]), List(Value("float32"))).type == pa.list_(pa.float32())
    same = pa.array([1])
    assert cast_array(same, Value("int64")) is same


def test_rows_are_encoded_features_flattened_and_reordered(tmp_path):
    features = Features({"s": {"x": Value("string"), "y": ClassLabel(names=["n", "p"])}, "a": Value("int64")})
    assert features.encode_example({"a": "3", "s": {"x": 1, "y": "p"}}) == {"s": {"x": "1", "y": 1}, "a": 3}
    assert list(features.flatten()) == ["a", "s.x", "s.y"]
    swapped = Features({"a": Value("int64"), "s": {"y": ClassLabel(names=["n", "p"]), "x": Value("string")}})
    assert list(features.reorder_fields_as(swapped)) == ["a", "s"]
    assert list(features.reorder_fields_as(swapped)["s"]) == ["y", "x"]
    with pytest.raises(ValueError, match=r"the fields \['a', 's'\] and \['a'\] are not the same"):
        features.reorder_fields_as(Features({"a": Value("int64")}))
    with pytest.raises(ValueError, match="label 2 is not a class: expected -1 to 1"):
        features["s"]["y"].encode_example(2)
    (tmp_path / "names.txt").write_text("no\nyes\n", encoding="utf-8")
    assert ClassLabel(names_file=str(tmp_path / "names.txt")).names == ["no", "yes"]
