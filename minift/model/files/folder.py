"""Checkpoint files, whatever library's arrays they become: one safetensors file or several, found, matched, written."""

import logging
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError

from minift.files import atomic_path, parse_size, read_json, write_json
from minift.model.files.names import LoadingReport, match_names

logger = logging.getLogger("minift.model")

PATTERNS = ["model*.safetensors*"]  # files that a checkpoint may consist of
OLD_PATTERNS = ["pytorch_model*.bin*"]  # the form of before 2023


class Names(NamedTuple):
    """The files of a checkpoint, or of a `variant` of it, such as "fp16"."""

    single: str
    index: str
    shard: str  # with places for its number and the number of all

    @classmethod
    def of(cls, variant: str | None = None, stem: str = "model", suffix: str = "safetensors") -> "Names":
        if variant is not None and not re.fullmatch(r"\w+", variant):
            raise ValueError(f"variant={variant!r} is not a word such as fp16")
        dotted = f".{variant}" if variant else ""
        shard = f"{stem}{dotted}-{{:05d}}-of-{{:05d}}.{suffix}"
        return cls(f"{stem}{dotted}.{suffix}", f"{stem}.{suffix}.index{dotted}.json", shard)

    def cover(self, file: str) -> bool:
        """Whether a save under these names may have written `file`."""
        return file in (self.single, self.index) or re.sub(r"\d{5}", "{:05d}", file) == self.shard


class Stored(NamedTuple):
    """A tensor in a checkpoint. It is mapped: its bytes are read from the file when they are first used."""

    tensor: Any  # a torch tensor or a numpy array
    file: Path


def read_checkpoint(
    folder: Path, map_file: Callable[[Path], dict[str, Any]], variant: str | None = None
) -> dict[str, Stored]:
    """Map all tensors of a checkpoint: those of model.safetensors, or of the files that its index names.

    `map_file` maps the tensors of one file. Where there is none of these, pytorch_model.bin is looked for.

    Raises:
        FileNotFoundError: the folder holds no weights, or a shard is missing.
        ValueError: a file is truncated or no safetensors file, or lacks a tensor.
    """
    choices = (Names.of(variant), Names.of(variant, "pytorch_model", "bin"))
    for names in choices:
        if (folder / names.single).is_file():
            return _stored(folder / names.single, map_file)
        if (folder / names.index).is_file():
            return _shards_of(folder, names.index, map_file)
    raise FileNotFoundError(f"{folder} has neither {choices[0].single} nor {choices[0].index}")


def _shards_of(folder: Path, file: str, map_file: Callable[[Path], dict[str, Any]]) -> dict[str, Stored]:
    index = read_json(folder / file)
    weight_map = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(weight_map, dict) or not all(isinstance(shard, str) for shard in weight_map.values()):
        raise ValueError(f"{folder / file} has no weight_map from tensors to files")
    stored: dict[str, Stored] = {}
    for shard in sorted(set(weight_map.values())):
        if Path(shard).name != shard:
            raise ValueError(f"{folder / file} names {shard!r}, which is not a file beside it")
        stored |= _stored(folder / shard, map_file)
    for name, shard in weight_map.items():
        if name not in stored:
            raise ValueError(f"{folder / shard} lacks the tensor {name}, which {file} promises")
    return stored


def _stored(file: Path, map_file: Callable[[Path], dict[str, Any]]) -> dict[str, Stored]:
    if not file.is_file():
        raise FileNotFoundError(f"{file}, which the index beside it names, does not exist")
    try:
        return {name: Stored(tensor, file) for name, tensor in map_file(file).items()}
    except SafetensorError as error:
        raise ValueError(f"{file} is damaged or is not a safetensors file: {error}") from error


def match_tensors(
    stored: dict[str, Stored],
    wanted: Mapping[str, tuple[int, ...]],
    model_type: str,
    tied: dict[str, str],
    ignore_mismatched_sizes: bool = False,
) -> LoadingReport:
    """Pair the tensors of a checkpoint with the parameters of a model, as `match_names` does, and check that they fit.

    `wanted` maps parameters to their shapes. `ignore_mismatched_sizes` reports a tensor of another shape as mismatched.

    Raises:
        ValueError: a tensor has the wrong shape or is no floating-point tensor, or the two copies of a tied parameter
            differ.
    """
    report = match_names(stored, wanted, model_type, tied)
    for name, source in list(report.stored_as.items()):
        tensor, file = stored[source]
        shape, expected = tuple(tensor.shape), tuple(wanted[name])
        if "float" not in str(tensor.dtype):
            raise ValueError(
                f"{file}: tensor {source} has dtype {tensor.dtype}; a parameter needs a floating-point one"
            )
        if shape != expected:
            if not ignore_mismatched_sizes:
                raise ValueError(
                    f"{file}: tensor {source} has shape {shape}, but the model's {name} has {expected}; "
                    "ignore_mismatched_sizes=True draws it anew"
                )
            report.mismatched.append((name, shape, expected))
            del report.stored_as[name]
        elif name in tied:
            twin = report.stored_as.get(tied[name], source)
            if twin != source and not bool((tensor == stored[twin].tensor).all()):
                raise ValueError(
                    f"{file}: {source} and {twin} differ, but the configuration ties them (tie_word_embeddings)"
                )
    return report


def announce(report: LoadingReport, strict: bool) -> None:
    """Log what was loaded, or raise a ValueError when names or shapes differ and `strict` forbids it."""
    if strict and not report.complete:
        raise ValueError(f"strict=True, but names or shapes differ. {report}")
    logger.log(logging.INFO if report.complete else logging.WARNING, "%s", report)


def write_checkpoint(
    tensors: dict[str, Any],
    folder: str | os.PathLike,
    max_shard_size: int | str,
    save_file: Callable[[dict[str, Any], Path], None],
    variant: str | None = None,
) -> None:
    """Write `tensors` as model.safetensors, or as numbered shards and their index when they are larger than a shard.

    `save_file` writes a shard to a path. Each file replaces its predecessor whole; weights of an earlier save under
    other names are removed at the end.
    """
    folder, names = Path(folder), Names.of(variant)
    shards = _shards(tensors, parse_size(max_shard_size))
    files = [names.shard.format(number, len(shards)) for number in range(1, len(shards) + 1)]
    if len(shards) == 1:
        files = [names.single]
    for file, shard in zip(files, shards, strict=True):
        with atomic_path(folder / file) as fresh:
            save_file(shard, fresh)
    if len(shards) > 1:
        weight_map = {name: file for file, shard in zip(files, shards, strict=True) for name in shard}
        total = sum(t.nbytes for t in tensors.values())
        write_json(folder / names.index, {"metadata": {"total_size": total}, "weight_map": weight_map})
    kept = (*files, names.index if len(shards) > 1 else names.single)
    for old in folder.iterdir():
        if names.cover(old.name) and old.name not in kept:
            old.unlink()


def _shards(tensors: dict[str, Any], limit: int) -> list[dict[str, Any]]:
    """Cut into runs of at most `limit` bytes, in order; a single larger tensor is a shard of its own."""
    shards: list[dict[str, Any]] = [{}]
    size = 0
    for name, tensor in tensors.items():
        if shards[-1] and size + tensor.nbytes > limit:
            shards.append({})
            size = 0
        shards[-1][name] = tensor
        size += tensor.nbytes
    return shards
