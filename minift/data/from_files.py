"""`Dataset.from_csv`, `from_json`, `from_parquet`, `from_text`: one constructor for each format."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minift.data.data_files import DataFiles, convert_to_arrow
from minift.data.features import Features
from minift.libraries.keywords import drops_keywords


def files_reader(kind: str) -> classmethod:
    """Make the constructor that reads files of one format."""

    def read(
        cls: type,
        path_or_paths: str | Path | Sequence[str | Path],
        split: str | None = None,
        features: Features | None = None,
        cache_dir: str | Path | None = None,
        **options: Any,
    ) -> Any:
        paths = [path_or_paths] if isinstance(path_or_paths, str | Path) else path_or_paths
        files = DataFiles([Path(path).expanduser() for path in paths], kind, features, options)
        rows = cls(convert_to_arrow(files, cache_dir), split=split or "train")
        return rows if features is None else rows.cast(features)

    read.__doc__ = f"Read {kind} files as one dataset; `options` are those of `load_dataset({kind!r}, …)`."
    read.__qualname__ = f"Dataset.from_{kind}"
    return classmethod(drops_keywords(read))
