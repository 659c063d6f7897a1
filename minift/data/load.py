"""`load_dataset`: a Hub name, a folder or data files -> a `Dataset` for each split; and `load_from_disk`."""

import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from minift.data.combine import concatenate_datasets
from minift.data.data_files import FORMATS, GUESSED, OPTIONS, READERS, DataFiles, convert_to_arrow
from minift.data.dataset import Dataset, DatasetDict
from minift.data.features import Features
from minift.data.info import DatasetInfo
from minift.data.repository import (
    Config,
    choose_config,
    find_files,
    format_of,
    infer_splits,
    patterns_by_split,
    read_configs,
)
from minift.data.saved_folder import saved_splits
from minift.data.splits import IterableDatasetDict
from minift.data.stream import IterableDataset
from minift.hub import snapshot
from minift.libraries.keywords import drops_keywords

SPLIT = re.compile(r"(?P<split>[\w.-]+?)(\[(?P<start>-?\d+%?)?:(?P<stop>-?\d+%?)?\])?")


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
    streaming: bool = False,
    **options: Any,
) -> Any:
    """Load the splits of a dataset; Arrow files are made once and memory-mapped: rows stay on the disk until used.

    Args:
        path: a name on the Hub (``glue``), a folder laid out as a Hub repository, a folder of data files, or the
            format of `data_files`: ``csv``, ``json``, ``text``, ``parquet`` or ``arrow``.
        name: the configuration, if the repository has several.
        data_dir: a folder inside `path` to take the files from.
        data_files: a path or pattern, a list of them, or a dict from split names to those.
        split: None gives all splits in a `DatasetDict`; else ``train``, ``train[:10%]``, ``train+test``, or a list.
        cache_dir: the folder for the Arrow files; by default ``$HF_HOME/minift`` or ``minift`` in the cache folder.
        features: the columns' types, in the place of those that the files and the README give.
        streaming: read the rows from the files when they are asked for, an `IterableDataset` for each split.
        revision, token: branch, tag or commit of a Hub repository; for a private one, the token.
        options: of CSV files, those of `CsvOptions`, with their meaning in pandas; of JSON files, ``field``; of text
            files, ``sample_by``, ``keep_linebreaks``; of all three, ``encoding``; of Parquet, ``columns``.

    Raises a FileNotFoundError that names the missing folder, repository or file; a ValueError for a configuration or
    split that does not exist, an argument that is not supported, or a file that cannot be read.

    Re-implements `datasets.load_dataset` (load.py) for repositories of data files; code in a repository never runs.
    """
    kind = str(path) if str(path) in READERS else None
    if kind:
        _check_options(kind, options)
        config, splits = Config("default"), _named_files(kind, name, data_dir, data_files)
    else:
        config, splits = _from_repository(str(path), name, data_dir, data_files, revision, token)
        kind = format_of(splits)
        _check_options(kind, options)
    known = config.features if features is None else features
    if streaming:
        return _streams(path, splits, split, kind, known, options)

    @cache
    def load(part: str) -> Dataset:
        if part not in splits:
            raise ValueError(f"{path} has no split {part!r}: expected one of {list(splits)}")
        first, types = next(iter(splits)), known
        if types is None and part != first and kind in GUESSED:
            types = load(first).features  # the first split decides the columns and types of all
        data = DataFiles(splits[part], kind, types, options, of_another_split=types is not known)
        rows = Dataset(convert_to_arrow(data, cache_dir), split=part)
        dataset_name = kind if str(path) in READERS else Path(path).name
        rows.about = DatasetInfo(builder_name=kind, dataset_name=dataset_name, config_name=config.name)
        rows.about.dataset_size = config.dataset_size or (rows.data.nbytes if len(splits) == 1 else None)
        return rows if features is None else rows.cast(features)  # they go before those in the files themselves

    if split == "all":
        return concatenate_datasets([load(part) for part in splits], split="+".join(splits))
    if split is None:
        loaded = DatasetDict({part: load(part) for part in splits})
        for rows in loaded.values():
            rows.about.dataset_size = config.dataset_size or sum(part.data.nbytes for part in loaded.values())
        return loaded
    return [_rows_of(text, load) for text in split] if isinstance(split, list | tuple) else _rows_of(split, load)


def _streams(
    path: str | Path,
    splits: dict[str, list[Path]],
    wanted: str | None,
    kind: str,
    features: Features | None,
    options: dict[str, Any],
) -> IterableDatasetDict | IterableDataset:
    """Make a stream of each split, whose shards are its files; or of the one that is wanted."""

    def tables(file: Path) -> Iterator[pa.Table]:
        schema, batches = READERS[kind](file, features, **options)
        return (pa.Table.from_batches([batch], schema.remove_metadata()) for batch in batches)

    def stream(part: str) -> IterableDataset:
        if part not in splits:
            raise ValueError(f"{path} has no split {part!r}: expected one of {list(splits)}; a stream has no slices")
        rows = IterableDataset.from_tables(splits[part], tables, split=part)
        if features is not None:
            return rows.cast(features)
        if kind in GUESSED or kind == "text":
            return rows
        schema, _ = READERS[kind](splits[part][0], None, **options)
        return rows.described(Features.from_arrow_schema(schema))

    return stream(wanted) if wanted is not None else IterableDatasetDict({part: stream(part) for part in splits})


@drops_keywords
def get_dataset_config_names(
    path: str | Path, revision: str | None = None, token: str | bool | None = None
) -> list[str]:
    """List the configurations of a repository; ``default`` alone if its README names none."""
    if str(path) in READERS:
        return ["default"]
    folder = snapshot(str(path), repo_type="dataset", revision=revision, allow_patterns=["README.md"], token=token)
    return [config.name for config in read_configs(folder / "README.md")] or ["default"]


@drops_keywords
def get_dataset_split_names(
    path: str | Path,
    config_name: str | None = None,
    data_files: Any = None,
    revision: str | None = None,
    token: str | bool | None = None,
) -> list[str]:
    """List the splits of a configuration."""
    if str(path) in READERS:
        return list(_named_files(str(path), None, None, data_files))
    return list(_from_repository(str(path), config_name, None, data_files, revision, token)[1])


def _check_options(kind: str, options: dict[str, Any]) -> None:
    for option in options:
        if option not in OPTIONS[kind]:
            raise ValueError(f"load_dataset: argument {option!r} is not supported for {kind} files")


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
    """Find the configuration and the files of its splits; from the Hub, only these files are downloaded."""
    if Path(path).is_file():
        raise ValueError(
            f"{path} is a file: load_dataset({format_of({'train': [Path(path)]})!r}, data_files={path!r}) reads it"
        )

    def download(patterns: list[str]) -> Path:
        return snapshot(path, repo_type="dataset", revision=revision, allow_patterns=patterns, token=token)

    folder = download(["README.md"])
    if (folder / "state.json").is_file() or (folder / "dataset_dict.json").is_file():
        raise ValueError(f"{path} was written by save_to_disk: load_from_disk reads it")
    config = choose_config(read_configs(folder / "README.md"), name, path)
    if config.data_dir is not None and (Path(config.data_dir).is_absolute() or ".." in Path(config.data_dir).parts):
        raise ValueError(f"{path}: README.md names a folder outside its repository: {config.data_dir!r}")
    inside = data_dir or config.data_dir
    chosen = config.data_files if data_files is None else data_files
    if chosen is None:
        folder = download([f"{inside}/*"] if inside else [f"*{ending}*" for ending in FORMATS])
        return config, infer_splits(folder / inside if inside else folder)
    try:
        patterns = patterns_by_split(chosen)
    except TypeError as error:
        raise error if data_files is not None else ValueError(f"{folder / 'README.md'}: {error}") from None
    outside = [p for each in patterns.values() for p in each if Path(p).is_absolute() or ".." in Path(p).parts]
    if outside and data_files is None:
        raise ValueError(f"{folder / 'README.md'} names files outside its repository: {outside[0]!r}")
    if inside:
        patterns = {split: [f"{inside}/{pattern}" for pattern in each] for split, each in patterns.items()}
    folder = download([pattern for each in patterns.values() for pattern in each])
    return config, find_files(folder, patterns)


def _rows_of(expression: str, load: Callable[[str], Dataset]) -> Dataset:
    """Load the rows that a split expression names: ``train[:10%]+test``."""
    parts = [SPLIT.fullmatch(part.strip()) for part in str(expression).split("+")]
    if None in parts:
        raise ValueError(f"split={expression!r}: expected a name, name[from:to], name[from%:to%], or a sum of those")
    rows = []
    for part in parts:
        whole, start, stop = load(part["split"]), part["start"], part["stop"]
        rows.append(whole if start is stop is None else whole.select(split_range(len(whole), start, stop)))
    joined = rows[0] if len(rows) == 1 else concatenate_datasets(rows)
    joined.split = str(expression)
    return joined


def split_range(rows: int, start: str | None, stop: str | None) -> range:
    """The rows between two bounds: numbers of rows, or percentages (rounded to a row); negative: from the end."""

    def bound(text: str) -> int:
        number = int(text.removesuffix("%"))
        if text.endswith("%"):
            if abs(number) > 100:
                raise ValueError(f"{text}: a percentage of a split must be from -100 to 100")
            number = round(number * rows / 100)
        return min(max(number + rows, 0) if number < 0 else number, rows)

    first = 0 if start is None else bound(start)
    return range(first, max(first, rows if stop is None else bound(stop)))


@drops_keywords
def load_from_disk(dataset_path: str | Path) -> Dataset | DatasetDict:
    """Read a folder that `save_to_disk` wrote, here or in `datasets`; the rows are memory-mapped.

    A FileNotFoundError or ValueError names the file that is missing or damaged.
    """
    has_splits = saved_splits(Path(dataset_path).expanduser()) is not None
    return (DatasetDict if has_splits else Dataset).load_from_disk(dataset_path)
