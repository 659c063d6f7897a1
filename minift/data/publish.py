"""A data set to the Hub: Parquet files, and a README that says where the splits are and what the columns hold."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from minift.data.features import to_yaml
from minift.data.repository import HEADER, PlainYaml, patterns_by_split
from minift.data.saved_folder import MAX_SHARD_SIZE, parse_size
from minift.data.view import TableView
from minift.data.write_files import to_parquet
from minift.hub import create_repository, file_of, upload_folder

SIZES = ("dataset_size", "download_size")


def publish(
    splits: Mapping[str, TableView],
    repo_id: str,
    config_name: str = "default",
    set_default: bool | None = None,
    data_dir: str | None = None,
    commit_message: str | None = None,
    private: bool | None = None,
    token: str | bool | None = None,
    max_shard_size: int | str | None = None,
    num_shards: int | Mapping[str, int] | None = None,
) -> str:
    """Upload splits as Parquet files; return the commit's address. Source: datasets, arrow_dataset.py, push_to_hub.

    The files of a split that is there already are replaced; other splits, configurations, and what people have written
    in the README stay. A split whose columns are not those of the others in its configuration is a ValueError; errors
    of the Hub are those of `upload_folder`.

    Args:
        data_dir: where the files go in the repository: "data", or for a named configuration its name.
        max_shard_size, num_shards: files of a split: of at most 500 MB, or so many.
    """
    data_dir = data_dir or ("data" if config_name == "default" else config_name)
    repo_id = create_repository(repo_id, "dataset", private, token)
    readme = file_of(repo_id, "README.md", "dataset", token)
    text = "" if readme is None else readme.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        written = [
            describe_split(split, rows, Path(folder, data_dir), max_shard_size, shards_of(num_shards, split))
            for split, rows in splits.items()
        ]
        features = to_yaml(next(iter(splits.values())).features)
        card = with_splits(text, config_name, features, written, data_dir, set_default)
        Path(folder, "README.md").write_text(card, encoding="utf-8")
        return upload_folder(
            folder,
            repo_id,
            repo_type="dataset",
            commit_message=commit_message or "Upload dataset",
            token=token,
            delete_patterns=[f"{data_dir}/{split}-*" for split in splits],
        )


def shards_of(num_shards: int | Mapping[str, int] | None, split: str) -> int | None:
    return num_shards.get(split) if isinstance(num_shards, Mapping) else num_shards


def describe_split(
    split: str, rows: TableView, folder: Path, max_shard_size: int | str | None, num_shards: int | None
) -> dict[str, Any]:
    """Write the files of a split, and return what the README says of it."""
    folder.mkdir(parents=True, exist_ok=True)
    limit = parse_size(max_shard_size or MAX_SHARD_SIZE)
    count = num_shards or min(
        int(rows.data.nbytes * len(rows) / max(1, rows.data.num_rows) / limit) + 1, max(1, len(rows))
    )
    rows, size, packed = rows.with_format(None), 0, 0
    for number in range(count):
        file = folder / f"{split}-{number:05d}-of-{count:05d}.parquet"
        size += to_parquet(rows.shard(count, number, contiguous=True), file)
        packed += file.stat().st_size
    return {"name": str(split), "num_bytes": size, "num_examples": len(rows), "download_size": packed}


def with_splits(
    text: str, config_name: str, features: list[dict], written: list[dict], data_dir: str, set_default: bool | None
) -> str:
    """Return a README with these splits in its header: `dataset_info` and `configs`."""
    header = HEADER.match(text)
    try:
        card = (yaml.load(header[1], Loader=PlainYaml) if header else None) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"README.md: its header is not YAML; mend it on the Hub first: {error}") from error
    infos = card.get("dataset_info") or []
    infos = {info.get("config_name", "default"): info for info in ([infos] if isinstance(infos, dict) else infos)}
    before = infos.get(config_name, {})
    if before.get("splits") and before.get("features") != features:
        raise ValueError(f"the columns differ from those of the splits that are there: {before.get('features')}")
    new = {split["name"] for split in written}
    kept = [split for split in before.get("splits", []) if split["name"] not in new]
    sizes = {
        "download_size": sum(split["download_size"] for split in written)
        + (before.get("download_size") or 0) * bool(kept),
        "dataset_size": sum(split["num_bytes"] for split in (*kept, *written)),
    }
    splits = [{name: split[name] for name in ("name", "num_bytes", "num_examples")} for split in (*kept, *written)]
    named = {} if config_name == "default" else {"config_name": config_name}
    infos[config_name] = {**named, "features": features, "splits": splits, **sizes}
    card["dataset_info"] = next(iter(infos.values())) if len(infos) == 1 else in_full(infos)
    configs = {config.get("config_name", "default"): config for config in card.get("configs") or []}
    listed = configs.get(config_name, {}).get("data_files")
    files = patterns_by_split(listed) if listed else {}
    files |= {split["name"]: [f"{data_dir}/{split['name']}-*"] for split in written}
    listed = [{"split": split, "path": paths[0] if len(paths) == 1 else paths} for split, paths in files.items()]
    configs[config_name] = {**configs.get(config_name, {}), "config_name": config_name, "data_files": listed}
    if set_default:
        configs = {name: {key: v for key, v in one.items() if key != "default"} for name, one in configs.items()}
        configs[config_name]["default"] = True
    card["configs"] = list(configs.values())
    body = text[header.end() :] if header else text
    return f"---\n{yaml.safe_dump(card, sort_keys=False, allow_unicode=True)}---\n{body}"


def in_full(infos: dict[str, dict]) -> list[dict]:
    """Name each configuration, as a list of several needs it."""
    return [
        {"config_name": name, **{k: v for k, v in info.items() if k != "config_name"}} for name, info in infos.items()
    ]
