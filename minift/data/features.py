"""The types of a dataset's columns; read from Arrow schemas, from the JSON files of `datasets` and from READMEs."""

import copy
import json
import re
from collections.abc import Iterable
from dataclasses import InitVar, dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

# Arrow's own spelling of a type -> the name that `datasets` uses
DTYPE_NAMES = {"double": "float64", "float": "float32", "halffloat": "float16", "date32[day]": "date32"}
ZONED = re.compile(r"timestamp\[(\w+), tz=(.+)\]")
DECIMAL = re.compile(r"(decimal128|decimal256)\((\d+), ?(-?\d+)\)")


@dataclass
class Value:
    """A column of one Arrow type, by name: ``int64``, ``float32``, ``string``, ``bool``, ``timestamp[ns]``, …"""

    dtype: str
    id: str | None = None  # a note, which changes nothing

    def __post_init__(self) -> None:
        self.dtype = DTYPE_NAMES.get(self.dtype, self.dtype)
        self.arrow_type  # noqa: B018 - an unknown name is an error here, not at the first row

    @property
    def arrow_type(self) -> pa.DataType:
        zoned, decimal = ZONED.fullmatch(self.dtype), DECIMAL.fullmatch(self.dtype)
        try:
            if decimal:
                return getattr(pa, decimal[1])(int(decimal[2]), int(decimal[3]))
            return pa.timestamp(*zoned.groups()) if zoned else pa.type_for_alias(self.dtype)
        except ValueError:
            raise ValueError(f"Value({self.dtype!r}): unknown column type") from None

    def encode_example(self, value: Any) -> Any:
        """Turn a value into Python's kind of this type: ``Value("int64").encode_example("3")`` is 3."""
        if value is None:
            return None
        kinds = {"bool": bool, "int": int, "uint": int, "float": float, "string": str, "large_string": str}
        return kinds.get(self.dtype.rstrip("0123456789"), lambda same: same)(value)

    def __repr__(self) -> str:
        return f"Value({self.dtype!r})"


@dataclass
class ClassLabel:
    """Integer labels, each with a name (without `names`: "0", "1", …), stored as int64; -1 is an unknown label."""

    num_classes: InitVar[int | None] = None
    names: list[str] | None = None
    names_file: InitVar[str | None] = None  # a name a line

    dtype = "int64"
    arrow_type = pa.int64()

    def __post_init__(self, num_classes: int | None, names_file: str | None) -> None:
        if names_file is not None:
            if self.names is not None:
                raise ValueError("ClassLabel: pass names or names_file, not both")
            lines = Path(names_file).read_text(encoding="utf-8").split("\n")
            self.names = [line.strip() for line in lines if line.strip()]
        if self.names is None:
            if num_classes is None:
                raise ValueError("ClassLabel needs num_classes or names")
            self.names = [str(i) for i in range(num_classes)]
        self.names = [str(name) for name in self.names]
        self.num_classes = len(self.names)
        if num_classes not in (None, self.num_classes):
            raise ValueError(f"ClassLabel: num_classes={num_classes} but {self.num_classes} names: {self.names}")
        if len(set(self.names)) != self.num_classes:
            raise ValueError(f"ClassLabel: a name occurs twice in {self.names}")

    def str2int(self, values: str | Iterable[str]) -> int | list[int]:
        """Turn name(s) into integer(s); a number written as text counts as this number."""
        return self._to_int(values) if isinstance(values, str) else [self._to_int(value) for value in values]

    def int2str(self, values: int | Iterable[int]) -> str | list[str]:
        if isinstance(values, Iterable):
            return [self.int2str(value) for value in values]
        if not 0 <= values < self.num_classes:
            raise ValueError(f"label {int(values)} is not a class: expected 0 to {self.num_classes - 1}")
        return self.names[int(values)]

    def encode_example(self, example_data: str | int | None) -> int | None:
        """Turn a name, or a number that is checked, into the number of its class."""
        if isinstance(example_data, str):
            return self.str2int(example_data)
        if example_data is not None and not -1 <= example_data < self.num_classes:
            raise ValueError(f"label {example_data} is not a class: expected -1 to {self.num_classes - 1}")
        return example_data

    def _to_int(self, name: str) -> int:
        name = str(name)
        for spelling in (name, name.strip()):
            if spelling in self.names:
                return self.names.index(spelling)
        if re.fullmatch(r"\s*(-1|\d+)\s*", name) and int(name) < self.num_classes:
            return int(name)
        raise ValueError(f"{name!r} is not a class: expected one of {self.names}")


@dataclass
class List:
    """Lists of `feature`: of any length (-1) or all of one `length`; `large` stores 64-bit offsets."""

    feature: Any
    length: int = -1
    large: bool = False

    @property
    def arrow_type(self) -> pa.DataType:
        inner = arrow_type(self.feature)
        return pa.large_list(inner) if self.large else pa.list_(inner, self.length)

    def __repr__(self) -> str:
        name = "LargeList" if self.large else "List"
        return f"{name}({self.feature!r})" if self.length == -1 else f"{name}({self.feature!r}, length={self.length})"


Feature = Value | ClassLabel | List | dict


def LargeList(feature: Any) -> List:
    """Make a `List` with 64-bit offsets."""
    return List(feature, large=True)


def Sequence(feature: Feature, length: int = -1) -> Feature:
    """Make a `List`, by its older name; a sequence of a dict is a dict of lists."""
    if isinstance(feature, dict):
        return {name: Sequence(inner, length) for name, inner in feature.items()}
    return List(feature, length)


class Features(dict):
    """Column name -> `Value`, `ClassLabel`, `List`, or a dict of those (a struct), in column order.

    Re-implements `datasets.Features` (features/features.py) for text, numbers and lists.
    """

    @property
    def arrow_schema(self) -> pa.Schema:
        """The Arrow schema; its metadata holds these features as JSON, where `datasets` looks for them."""
        fields = {name: arrow_type(feature) for name, feature in self.items()}
        return pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": self.to_dict()}})})

    @classmethod
    def from_arrow_schema(cls, schema: pa.Schema) -> "Features":
        """Read the features from the schema's metadata, or from the Arrow type of a column that is not described."""
        try:
            metadata = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
            described = (metadata.get("info") or {}).get("features") or {}
            described = {name: _from_dict(feature) for name, feature in described.items() if name in schema.names}
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
            raise ValueError(f"its metadata does not describe the types of its columns: {error!r}") from error
        features = cls()
        for field in schema:
            feature = described.get(field.name)
            fits = feature is not None and arrow_type(feature) == field.type
            features[field.name] = feature if fits else _from_arrow_type(field.type)
        return features

    @property
    def type(self) -> pa.DataType:
        """The Arrow type of a row: a struct of all columns."""
        return arrow_type(dict(self))

    def to_dict(self) -> dict:
        return {name: _to_dict(feature) for name, feature in self.items()}

    @classmethod
    def from_dict(cls, features: dict) -> "Features":
        return cls({name: _from_dict(feature) for name, feature in features.items()})

    @classmethod
    def from_yaml(cls, features: list[dict]) -> "Features":
        """Read what the `dataset_info` of a Hub repository's README lists."""
        return cls({feature["name"]: _from_yaml(feature) for feature in features})

    def copy(self) -> "Features":
        return Features(copy.deepcopy(dict(self)))

    def encode_example(self, example: dict[str, Any]) -> dict[str, Any]:
        """Turn the values of a row into what is stored: names of classes into numbers, text into numbers, …"""
        return {name: _encoded(self[name], example.get(name)) for name in self}

    def flatten(self, max_depth: int = 16) -> "Features":
        """Make a feature of each field of a struct, at the end: ``answers`` -> ``answers.text``, …

        `max_depth` counts the levels with the uppermost one, as in `datasets`.
        """
        flat = Features(self)
        for _ in range(1, max_depth):
            for name in [name for name, feature in flat.items() if isinstance(feature, dict)]:
                flat |= {f"{name}.{key}": part for key, part in flat.pop(name).items()}
        return flat

    def reorder_fields_as(self, other: "Features") -> "Features":
        """Put columns, and the fields of structs, into the order of `other`, which has the same."""
        return Features(_reordered(dict(self), dict(other)))


def _encoded(feature: Feature, value: Any) -> Any:
    if value is None or (isinstance(value, float) and isinstance(feature, ClassLabel) and value != value):
        return None
    if isinstance(feature, dict):
        return {name: _encoded(inner, value.get(name)) for name, inner in feature.items()}
    if isinstance(feature, List):
        return [_encoded(feature.feature, item) for item in value]
    return feature.encode_example(value)


def _reordered(feature: Any, other: Any) -> Any:
    if isinstance(feature, dict) and isinstance(other, dict):
        if feature.keys() != other.keys():
            raise ValueError(f"reorder_fields_as: the fields {sorted(feature)} and {sorted(other)} are not the same")
        return {name: _reordered(feature[name], other[name]) for name in other}
    if isinstance(feature, List) and isinstance(other, List):
        return replace(feature, feature=_reordered(feature.feature, other.feature))
    if type(feature) is not type(other):
        raise ValueError(f"reorder_fields_as: {feature!r} and {other!r} are of different kinds")
    return feature


def arrow_type(feature: Feature) -> pa.DataType:
    """The Arrow type in which a column of this feature is stored."""
    if isinstance(feature, dict):
        return pa.struct({name: arrow_type(inner) for name, inner in feature.items()})
    if isinstance(feature, list | tuple) and len(feature) == 1:
        return pa.list_(arrow_type(feature[0]))
    if not isinstance(feature, Value | ClassLabel | List):
        raise TypeError(f"{feature!r} is not a feature: expected Value, ClassLabel, List or a dict of those")
    return feature.arrow_type


def _from_arrow_type(type_: pa.DataType) -> Feature:
    if pa.types.is_struct(type_):
        return {field.name: _from_arrow_type(field.type) for field in type_}
    if pa.types.is_fixed_size_list(type_):
        return List(_from_arrow_type(type_.value_type), length=type_.list_size)
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return List(_from_arrow_type(type_.value_type), large=pa.types.is_large_list(type_))
    if pa.types.is_dictionary(type_):  # each value once, and rows that say which: read as plain values
        return _from_arrow_type(type_.value_type)
    return Value(str(type_))


def _to_dict(feature: Feature) -> dict:
    if isinstance(feature, dict):
        return {name: _to_dict(inner) for name, inner in feature.items()}
    if isinstance(feature, ClassLabel):
        return {"names": feature.names, "_type": "ClassLabel"}
    if isinstance(feature, Value):
        return {"dtype": feature.dtype, "_type": "Value"}
    feature = feature if isinstance(feature, List) else List(feature[0])
    length = {"length": feature.length} if feature.length != -1 else {}
    return {"feature": _to_dict(feature.feature), **length, "_type": "LargeList" if feature.large else "List"}


def _from_dict(described: dict | list) -> Feature:
    if isinstance(described, list):  # the oldest spelling of a list
        return List(_from_dict(described[0]))
    kind = described.get("_type")
    if not isinstance(kind, str):  # a struct; it may have a field of that name
        return {name: _from_dict(inner) for name, inner in described.items()}
    if kind == "Value":
        return Value(described["dtype"])
    if kind == "ClassLabel":
        return ClassLabel(described.get("num_classes"), described.get("names"))
    if kind in ("List", "LargeList", "Sequence"):
        inner, length = _from_dict(described["feature"]), described.get("length", -1)
        return Sequence(inner, length) if kind == "Sequence" else List(inner, length, large=kind == "LargeList")
    raise ValueError(f"feature type {kind!r} is not supported: expected Value, ClassLabel, List, Sequence or a struct")


def _from_yaml(described: dict | list | str) -> Feature:
    if isinstance(described, str):
        return Value(described)
    if isinstance(described, list):
        return {inner["name"]: _from_yaml(inner) for inner in described}
    if "struct" in described:
        return _from_yaml(described["struct"])
    length = described.get("length", -1)
    if "list" in described:
        return List(_from_yaml(described["list"]), length)
    if "large_list" in described:
        return List(_from_yaml(described["large_list"]), large=True)
    if "sequence" in described:
        return Sequence(_from_yaml(described["sequence"]), length)
    dtype = described if "class_label" in described else described.get("dtype")  # without dtype inside a list
    if isinstance(dtype, str):
        return Value(dtype)
    if isinstance(dtype, dict) and "class_label" in dtype:
        names = dtype["class_label"].get("names")
        if isinstance(names, dict):  # '0': negative, '1': positive, …
            names = [names[key] for key in sorted(names, key=int)]
        return ClassLabel(dtype["class_label"].get("num_classes"), names)
    if isinstance(dtype, dict | list):
        return _from_yaml(dtype)
    raise ValueError(f"README dataset_info: cannot read the feature {described!r}")


def to_yaml(features: Features) -> list[dict]:
    """Write features as the `dataset_info` of a README lists them: what `Features.from_yaml` reads."""
    return [{"name": name, **_to_yaml(feature)} for name, feature in features.items()]


def _to_yaml(feature: Feature) -> dict[str, Any]:
    if isinstance(feature, dict):
        return {"struct": [{"name": name, **_to_yaml(inner)} for name, inner in feature.items()]}
    if isinstance(feature, ClassLabel):
        return {"dtype": {"class_label": {"names": {str(i): name for i, name in enumerate(feature.names or [])}}}}
    if isinstance(feature, Value):
        return {"dtype": feature.dtype}
    feature = feature if isinstance(feature, List) else List(feature[0])
    (inner,) = (
        _to_yaml(feature.feature).values() if not isinstance(feature.feature, List) else [_to_yaml(feature.feature)]
    )
    return {"large_list" if feature.large else "list": inner} | (
        {"length": feature.length} if feature.length != -1 else {}
    )
