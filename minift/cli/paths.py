"""Names of files on the command line, looked at before anything large is imported."""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

# the endings of data files; also with one of PACKED behind them
ENDINGS = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet", ".arrow", ".txt")
CONLL = (".conll", ".iob", ".bio")  # of `minift tag` alone
PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")


def check_early(argv: Sequence[str]) -> None:
    """Look at the names that stand right behind the command, or behind a flag for data or a model."""
    checks = dict.fromkeys(("data", "--dataset", "--train_file", "--validation_file", "--test_file"), check_data)
    checks["--model"] = lambda names: [check_model(name) for name in names]
    flag = "data"
    for word in argv[1:]:
        if word.startswith("-"):
            flag = word
        elif flag in checks:
            checks[flag]([word])
            flag = "data" if flag == "--model" else flag  # which has one value


def check_data(names: Sequence[str]) -> None:
    """Raise a FileNotFoundError for a name that can only be a path, and is none: what the Hub could know passes."""
    for name in names:
        path = Path(name).expanduser()
        is_slip = "/" not in name and path.suffix and like_it(path)  # such as new.cvs; imdb may be on the Hub
        if not path.exists() and (is_path(name) or is_slip):
            raise FileNotFoundError(f"{name}: no such file or folder{like_it(path)}")


def check_model(name: str) -> None:
    """The same for a checkpoint."""
    path = Path(name).expanduser()
    if path.is_file():
        raise ValueError(f"{name} is a file; expected the folder of a model, or its name on the Hub")
    if not path.exists() and is_path(name):
        raise FileNotFoundError(f"{name}: no such folder{like_it(path)}")


def is_path(name: str) -> bool:
    """Whether a name cannot be one on the Hub, which is NAME or ORGANISATION/NAME, and no data file."""
    suffix = Path(name).with_suffix("").suffix if name.endswith(PACKED) else Path(name).suffix
    return suffix in ENDINGS + CONLL or re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", name) is None


def like_it(path: Path) -> str:
    """Suggest a name in the same folder."""
    folder = path.parent
    names = [other.name for other in folder.iterdir()] if folder.is_dir() else []
    close = get_close_matches(path.name, names, 1, 0.7)
    return f"; did you mean {folder / close[0]}?" if close else ""


def data_name(names: Sequence[str] | None) -> str:
    """Return a name for what is trained on data: ``tickets`` for data/tickets.csv.gz."""
    return (Path(names[0]).expanduser().resolve().name.split(".")[0] if names else "") or "minift"
