"""`load_dataset`: a Hub name, a folder or data files -> a `Dataset` for each split; and `load_from_disk`."""

from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

from minift.data.convert import DataFiles, convert_to_arrow
from minift.data.dataset import Dataset, concatenate_datasets
from minift.data.dataset_dict import DatasetDict
from minift.data.features import Features
from minift.data.file_readers import FORMATS, READERS
from minift.data.repository import Config, choose_config, find_files, infer_splits, patterns_by_split, read_configs
from minift.data.saved_folder import read_saved, saved_splits
from minift.data.split_expression import parse_split, split_range
from minift.hub import snapshot
from minift.libraries.keywords import drops_keywords


@drops_keywords
def load_dataset(
    path: str | Path,
    name: str | None = None,
    data_dir: str | None = None,
    data_files: Any = None,
    split: str | list[str] | None = None,
    cache_dir: str | Path | None = None,
    features: Features | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
    **options: Any,
) -> DatasetDict | Dataset | list[Dataset]:
    """Load the splits of a dataset.

    Data files are converted once to Arrow files, which are memory-mapped: the rows stay on the disk until used.

    Args:
        path: a name on the Hub (``glue``), a folder laid out as a Hub repository, a folder of data files, or the
            format of `data_files`: ``parquet``, ``csv``, ``json`` or ``arrow``.
        name: the configuration, if the repository has several.
        data_dir: a folder inside `path` to take the files from.
        data_files: a path or pattern, a list of them, or a dict from split names to those.
        split: None gives all splits in a `DatasetDict`; else ``train``, ``train[:10%]``, ``train+test``, or a list.
        cache_dir: the folder for the Arrow files; by default ``$HF_HOME/minift`` or ``minift`` in the cache folder.
        features: the columns' types, in the place of those that the files and the README give.
        revision: branch, tag or commit of a Hub repository.
        token: for private repositories.
        options: ``delimiter`` or ``sep`` of CSV files.

    Raises:
        FileNotFoundError: no such folder, repository or file.
        ValueError: no such configuration or split, an argument that is not supported, or a file that cannot be read.

    Re-implements `datasets.load_dataset` (load.py) for repositories of data files; code in a repository never runs.
    """
    kind = str(path) if str(path) in READERS else None
    reader_options = _reader_options(options)
    if kind:
        config, splits = Config("default"), _named_files(kind, name, data_dir, data_files)
    else:
        config, splits = _from_repository(str(path), name, data_dir, data_files, revision, token)
    known = config.features if features is None else features

    @cache
    def load(part: str) -> Dataset:
        if part not in splits:
            raise ValueError(f"{path} has no split {part!r}: expected one of {list(splits)}")
        data = DataFiles(splits[part], kind or _format_of(splits[part]), known, reader_options)
        rows = Dataset(convert_to_arrow(data, cache_dir), split=part)
        return rows if features is None else rows.cast(features)  # they go before those in the files themselves

    if split is None:
        return DatasetDict({part: load(part) for part in splits})
    return [_rows_of(text, load) for text in split] if isinstance(split, list | tuple) else _rows_of(split, load)


def _named_files(kind: str, name: str | None, data_dir: str | None, data_files: Any) -> dict[str, list[Path]]:
    """The files of each split for ``load_dataset("csv", data_files=…)``."""
    if name is not None:
        raise ValueError(f"load_dataset({kind!r}): name={name!r} is for repositories with configurations")
    if data_files is None and data_dir is None:
        raise ValueError(f"load_dataset({kind!r}): data_files= must say which files to read")
    folder = Path(data_dir or ".").expanduser()
    return infer_splits(folder) if data_files is None else find_files(folder, patterns_by_split(data_files))


def _from_repository(
    path: str, name: str | None, data_dir: str | None, data_files: Any, revision: str | None, token: str | bool | None
) -> tuple[Config, dict[str, list[Path]]]:
    """The configuration and the files of its splits; from the Hub, only these files are downloaded."""
    if Path(path).is_file():
        raise ValueError(f"{path} is a file: load_dataset({_format_of([Path(path)])!r}, data_files={path!r}) reads it")

    def download(patterns: list[str]) -> Path:
        return snapshot(path, repo_type="dataset", revision=revision, allow_patterns=patterns, token=token)

    folder = download(["README.md"])
    if (folder / "state.json").is_file() or (folder / "dataset_dict.json").is_file():
        raise ValueError(f"{path} was written by save_to_disk: load_from_disk reads it")
    config = choose_config(read_configs(folder / "README.md"), name, path)
    inside = data_dir or config.data_dir
    chosen = config.data_files if data_files is None else data_files
    if chosen is None:
        folder = download([f"{inside}/*"] if inside else ["*" + ending for ending in FORMATS])
        return config, infer_splits(folder / inside if inside else folder)
    patterns = patterns_by_split(chosen)
    outside = [p for each in patterns.values() for p in each if Path(p).is_absolute() or ".." in Path(p).parts]
    if outside and data_files is None:
        raise ValueError(f"{folder / 'README.md'} names files outside its repository: {outside[0]!r}")
    if inside:
        patterns = {split: [f"{inside}/{pattern}" for pattern in each] for split, each in patterns.items()}
    folder = download([pattern for each in patterns.values() for pattern in each])
    return config, find_files(folder, patterns)


def _reader_options(options: dict[str, Any]) -> dict[str, Any]:
    delimiters = {options.pop(name) for name in ("delimiter", "sep") if name in options}
    if options:
        raise ValueError(f"load_dataset: argument {sorted(options)[0]!r} is not supported")
    if len(delimiters) > 1:
        raise ValueError("load_dataset: delimiter and sep mean the same; pass one of them")
    return {"delimiter": delimiters.pop()} if delimiters else {}


def _format_of(files: Iterable[Path]) -> str:
    for file in files:
        if file.suffix not in FORMATS:
            raise ValueError(f"{file}: unknown ending of a data file; expected one of {sorted(FORMATS)}")
    return FORMATS[file.suffix]


def _rows_of(expression: str, load: Callable[[str], Dataset]) -> Dataset:
    """The rows that a split expression names."""
    parts = []
    for name, start, stop in parse_split(str(expression)):
        rows = load(name)
        parts.append(rows if start is stop is None else rows.select(split_range(len(rows), start, stop)))
    joined = parts[0] if len(parts) == 1 else concatenate_datasets(parts)
    joined.split = str(expression)
    return joined


@drops_keywords
def load_from_disk(dataset_path: str | Path) -> Dataset | DatasetDict:
    """Read a folder that `save_to_disk` wrote, here or in `datasets`; the rows are memory-mapped.

    Raises:
        FileNotFoundError: the folder, or one of the files that it must hold, is missing.
        ValueError: a file is damaged; the message names it.
    """
    folder = Path(dataset_path).expanduser()
    splits = saved_splits(folder)
    if splits is None:
        return Dataset(**read_saved(folder))
    return DatasetDict({split: Dataset(**read_saved(folder / split)) for split in splits})
