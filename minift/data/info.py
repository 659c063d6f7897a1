"""What is told of a dataset beside its rows: `DatasetInfo`; and the names of splits."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

from minift.data.features import Features


class NamedSplit(str):
    """The name of a split; a string. Re-implements `datasets.NamedSplit` (splits.py) without sums and slices."""


class Split:
    """The usual names of splits: ``datasets.Split.TRAIN``."""

    ALL = NamedSplit("all")
    TRAIN = NamedSplit("train")
    TEST = NamedSplit("test")
    VALIDATION = NamedSplit("validation")


@dataclass
class DatasetInfo:
    """Texts about a dataset, its features, and where it comes from. Re-implements `datasets.DatasetInfo` (info.py)."""

    description: str = ""
    citation: str = ""
    homepage: str = ""
    license: str = ""
    features: Features | None = None
    builder_name: str | None = None  # the format of its files
    dataset_name: str | None = None
    config_name: str | None = None
    version: str | None = None
    splits: dict[str, Any] | None = None  # name of a split -> its numbers
    download_size: int | None = None  # bytes
    dataset_size: int | None = None  # bytes of its rows in Arrow
    size_in_bytes: int | None = None  # both

    @classmethod
    def from_dict(cls, described: dict[str, Any]) -> Self:
        """Read what `to_dict` or `datasets` wrote; keys that are unknown here are left out."""
        known = {field.name: described[field.name] for field in fields(cls) if described.get(field.name) is not None}
        if isinstance(known.get("features"), dict) and not isinstance(known["features"], Features):
            known["features"] = Features.from_dict(known["features"])
        return cls(**known)

    def to_dict(self) -> dict[str, Any]:
        """Hand out what is known, as JSON can hold it; texts also where they are empty."""
        texts = asdict(replace(self, features=None))
        known = {name: value for name, value in texts.items() if value is not None}
        return known if self.features is None else known | {"features": self.features.to_dict()}

    def copy(self) -> Self:
        return replace(self)


def joined_info(infos: Iterable[DatasetInfo]) -> DatasetInfo:
    """Join the texts of several datasets, each once, as `datasets` does for their concatenation."""
    infos = list(infos)
    texts = {}
    for name in ("description", "citation", "homepage", "license"):
        parts = [getattr(info, name).strip() for info in infos]
        texts[name] = "\n\n".join(dict.fromkeys(part for part in parts if part))
    return DatasetInfo(**texts)
