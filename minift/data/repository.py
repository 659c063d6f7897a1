"""The folder of a dataset repository: the configurations in its README, and the files of each split."""

import re
from collections import Counter
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any

import yaml

from minift.data.compressed import inner_suffix
from minift.data.data_files import FORMATS
from minift.data.download import downloaded, is_address
from minift.data.features import Features

KEYWORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
SHARD = re.compile(r"data/([\w.-]+?)-\d{5}-of-\d{5}.*")
HEADER = re.compile(r"---\s*\n(.*?)\n---\s*(\n|$)", flags=re.DOTALL)  # of a README
NO_DATA = ("README.md", "config.json", "dataset_info.json", "dataset_infos.json", "dataset_dict.json")
WHOLE_SPLIT = "train"  # the only split of a repository that names none
FROM_README = ("data_files", "data_dir", "default")  # fields of `Config`


class PlainYaml(yaml.SafeLoader):
    """Reads plain data; aliases are refused, of which a few lines can stand for more than memory holds."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise ValueError("YAML aliases (*name) are not supported")
        return super().compose_node(parent, index)


@dataclass(frozen=True)
class Config:
    """One configuration of a repository, which the `name` of `load_dataset(path, name)` selects."""

    name: str
    columns: list[dict] | None = None  # as the README's `dataset_info` lists them
    data_files: Any = None  # as the README writes it: a pattern, a list, a dict, or a list of {split, path}
    data_dir: str | None = None
    default: bool | None = None
    dataset_size: int | None = None  # bytes of all rows in Arrow, as the README counts them

    @property
    def features(self) -> Features | None:
        """The columns' types; read late, since a configuration that nobody loads may have unsupported types."""
        return Features.from_yaml(self.columns) if self.columns else None


def read_configs(readme: Path) -> list[Config]:
    """Read the configurations from a README's YAML header, with the columns that it lists; [] if there are none.

    A ValueError says that the header is not as the Hub's documentation describes it.
    """
    try:
        text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
        header = HEADER.match(text)
        if header is None and re.match(r"---\s*\n\s*\w+:", text):
            raise ValueError("the header does not end: a line --- is missing")
        card = (yaml.load(header[1], Loader=PlainYaml) if header else None) or {}
        infos = card.get("dataset_info") or []
        infos = [infos] if isinstance(infos, dict) else infos
        columns = {info.get("config_name", "default"): info.get("features") for info in infos}
        sizes = {info.get("config_name", "default"): info.get("dataset_size") for info in infos}
        configs = [
            Config(str(name), columns.get(name), *map(config.get, FROM_README), sizes.get(name))
            for config in card.get("configs") or []
            for name in [config["config_name"]]
        ]
    except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{readme}: its YAML header does not describe a dataset: {error!r}") from error
    return configs or [Config(name, columns=listed) for name, listed in columns.items()]


def choose_config(configs: list[Config], name: str | None, path: str) -> Config:
    """Choose the configuration of this name, or the only one, or the default one; else a ValueError that lists them."""
    configs = configs or [Config("default")]
    names = [config.name for config in configs]
    if name is None:
        preferred = [config for config in configs if config.default or config.name == "default"]
        if len(configs) > 1 and not preferred:
            raise ValueError(f"{path} has several configurations: pass name=, one of {names}")
        return (preferred or configs)[0]
    if name not in names:
        raise ValueError(f"{path} has no configuration {name!r}: expected one of {names}")
    return configs[names.index(name)]


def patterns_by_split(data_files: Any) -> dict[str, list[str]]:
    """Bring any spelling of data files into one form: split name -> patterns.

    Takes a pattern, a list of patterns, a dict of those by split, or a list of {split, path}; else a TypeError.
    """
    if isinstance(data_files, list | tuple) and any(isinstance(file, dict) for file in data_files):
        if not all(isinstance(file, dict) and {"split", "path"} <= file.keys() for file in data_files):
            raise TypeError(f"data_files={data_files!r}: expected a split and a path in each of its entries")
        data_files = {file["split"]: file["path"] for file in data_files}
    by_split = data_files if isinstance(data_files, dict) else {WHOLE_SPLIT: data_files}
    if not data_files or not all(isinstance(files, str | Path | list | tuple) for files in by_split.values()):
        message = "expected a path or pattern, a list of them, or a dict split -> those"
        raise TypeError(f"data_files={data_files!r}: {message}")
    by_split = {str(split): [files] if isinstance(files, str | Path) else files for split, files in by_split.items()}
    return {split: [str(file) for file in files] for split, files in by_split.items()}


def find_files(folder: Path, patterns: dict[str, list[str]]) -> dict[str, list[Path]]:
    """Find the files of each split; patterns are relative to `folder`, and match in the order of the files' names.

    Addresses (``https://…``) are downloaded. A FileNotFoundError names a pattern that matches no file.
    """
    found: dict[str, list[Path]] = {}
    for split, split_patterns in patterns.items():
        for pattern in split_patterns:
            if is_address(pattern):
                found.setdefault(split, []).append(downloaded(pattern))
                continue
            pattern = str(Path(pattern).expanduser())
            names = [pattern] if (folder / pattern).is_file() else glob(pattern, root_dir=folder, recursive=True)
            files = sorted(folder / name for name in names if (folder / name).is_file())
            if not files:
                raise FileNotFoundError(f"split {split!r}: no file matches {pattern!r} in {folder}")
            found.setdefault(split, []).extend(files)
    return found


def infer_splits(folder: Path) -> dict[str, list[Path]]:
    """Tell the splits from the names of folders and files; all files are ``train`` if no name tells.

    Of a split's files, those of its most common format are its data. A FileNotFoundError says that the folder holds no
    file of a format in `FORMATS`.
    """
    files = [file for file in sorted(folder.rglob("*")) if inner_suffix(file) in FORMATS and file.is_file()]
    files = [file for file in files if file.name not in NO_DATA]
    files = [file for file in files if not any(part.startswith((".", "_")) for part in file.relative_to(folder).parts)]
    if not files:
        raise FileNotFoundError(f"{folder} holds no data files: expected one of {sorted(FORMATS)}")
    relative = {file: file.relative_to(folder).as_posix() for file in files}
    for name_of in (
        lambda file: (match := SHARD.fullmatch(relative[file])) and match[1],
        lambda file: _keyword(relative[file].removesuffix(file.name)),
        lambda file: _keyword(file.name),
    ):
        splits: dict[str, list[Path]] = {}
        for file in files:
            splits.setdefault(name_of(file), []).append(file)
        splits.pop(None, None)
        if splits:
            usual = [name for name in KEYWORDS if name in splits]
            return {name: _of_one_format(splits[name]) for name in [*usual, *sorted(splits.keys() - set(usual))]}
    return {WHOLE_SPLIT: _of_one_format(files)}


def _of_one_format(files: list[Path]) -> list[Path]:
    kinds = [FORMATS[inner_suffix(file)] for file in files]
    most = Counter(kinds).most_common(1)[0][0]
    return [file for file, kind in zip(files, kinds, strict=True) if kind == most]


def format_of(splits: dict[str, list[Path]]) -> str:
    """Tell the one format of all splits' files from their names; else a ValueError names a file."""
    kinds = {}
    for split, files in splits.items():
        for file in files:
            if inner_suffix(file) not in FORMATS:
                raise ValueError(f"{file}: unknown ending of a data file; expected one of {sorted(FORMATS)}")
            kinds.setdefault(FORMATS[inner_suffix(file)], f"{file} (split {split!r})")
    if len(kinds) > 1:
        raise ValueError(f"the files have several formats: {kinds}; data_files= says which to read")
    return next(iter(kinds))


def _keyword(text: str) -> str | None:
    """Find the split that a name contains: ``sst_train-2.csv`` -> ``train``."""
    words = re.split(r"[^a-z]+", text.lower())
    return next((split for split, keywords in KEYWORDS.items() if set(keywords) & set(words)), None)
