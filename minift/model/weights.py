"""Checkpoint files to parameters and back: safetensors, one file or several, memory-mapped."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from minift.files import atomic_path, read_json, write_json
from minift.model.names import LoadingReport, match_names

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
OURS = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?")  # every name that a save may write
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")
UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


class Stored(NamedTuple):
    """A tensor in a checkpoint. It is mapped: its bytes are read from the file when they are first used."""

    tensor: Tensor
    file: Path


def read_checkpoint(folder: Path) -> dict[str, Stored]:
    """Map all tensors of a checkpoint.

    Raises:
        FileNotFoundError: the folder holds no weights, or a shard is missing.
        ValueError: a file is truncated or no safetensors file, lacks a tensor, or is a pickle.
    """
    if (folder / SINGLE).is_file():
        return _map_file(folder / SINGLE)
    if not (folder / INDEX).is_file():
        for name in PICKLES:
            if (folder / name).is_file():
                raise ValueError(
                    f"{folder / name} is a pickle, which can run code when it is loaded; minift reads {SINGLE} only. "
                    "Convert it with transformers: from_pretrained, then save_pretrained"
                )
        raise FileNotFoundError(f"{folder} has neither {SINGLE} nor {INDEX}")
    index = read_json(folder / INDEX)
    weight_map = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(weight_map, dict) or not all(isinstance(shard, str) for shard in weight_map.values()):
        raise ValueError(f"{folder / INDEX} has no weight_map from tensors to files")
    stored: dict[str, Stored] = {}
    for shard in sorted(set(weight_map.values())):
        if Path(shard).name != shard:
            raise ValueError(f"{folder / INDEX} names {shard!r}, which is not a file beside it")
        stored |= _map_file(folder / shard)
    for name, shard in weight_map.items():
        if name not in stored:
            raise ValueError(f"{folder / shard} lacks the tensor {name}, which {INDEX} promises")
    return stored


def _map_file(file: Path) -> dict[str, Stored]:
    if not file.is_file():
        raise FileNotFoundError(f"{file}, which {INDEX} names, does not exist")
    try:
        with safe_open(file, framework="pt") as tensors:
            return {name: Stored(tensors.get_tensor(name), file) for name in tensors.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{file} is damaged or is not a safetensors file: {error}") from error


def choose_dtype(asked: str | torch.dtype | None, configured: str | None, stored: dict[str, Stored]) -> torch.dtype:
    """The type of the parameters: the one asked for; by default ("auto" or None) the configured, else the stored one.

    The first floating-point tensor speaks for the file.
    """
    if asked in (None, "auto"):
        floating = (s.tensor.dtype for s in stored.values() if s.tensor.is_floating_point())
        asked = configured or next(floating, torch.float32)
    dtype = getattr(torch, asked, None) if isinstance(asked, str) else asked
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise ValueError(f'dtype={asked!r}: expected "auto", "float32", "bfloat16", "float16" or a torch.dtype')
    return dtype


def load_weights(
    model: nn.Module, stored: dict[str, Stored], dtype: torch.dtype, ignore_mismatched_sizes: bool = False
) -> LoadingReport:
    """Give a model on the meta device its parameters: the stored tensors themselves, and newly drawn ones.

    A tensor that already has the right type is not copied. The mapping is private: training changes the process's
    own pages, never the file. Nothing is drawn for parameters that are stored.

    Args:
        model: a `PreTrainedModel` whose parameters have shapes but no memory.
        stored: what `read_checkpoint` returned.
        dtype: type of all parameters.
        ignore_mismatched_sizes: draw a parameter anew when the stored one has another shape, instead of raising.

    Raises:
        ValueError: a stored tensor has the wrong shape or is no floating-point tensor, or the two copies of a tied
            parameter differ.
    """
    wanted = dict(model.named_parameters(remove_duplicate=False))
    report = match_names(stored, wanted, model.config.model_type, model.tied)
    for name, source in list(report.stored_as.items()):
        tensor, file = stored[source]
        shape, expected = tuple(tensor.shape), tuple(wanted[name].shape)
        if not tensor.is_floating_point():
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
        elif name in report.tied:
            twin = report.stored_as.get(report.tied[name], source)
            if twin != source and not torch.equal(tensor, stored[twin].tensor):
                raise ValueError(
                    f"{file}: {source} and {twin} differ, but the configuration ties them (tie_word_embeddings)"
                )
        else:
            set_parameter(model, name, tensor.to(dtype))
    new = report.missing + [name for name, *_ in report.mismatched if name not in report.tied]
    for name in new:
        set_parameter(model, name, torch.empty(wanted[name].shape, dtype=dtype))
    model.init_weights(new)
    model.tie_weights()
    return report


def set_parameter(model: nn.Module, name: str, tensor: Tensor) -> None:
    """Put `tensor` in the place of the parameter `name`."""
    module, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(module), leaf, nn.Parameter(tensor))


def save_weights(
    tensors: dict[str, Tensor],
    folder: str | os.PathLike,
    max_shard_size: int | str,
    save_function: Callable[[dict[str, Tensor], Path], None] | None = None,
) -> None:
    """Write `tensors` as model.safetensors, or as numbered shards and their index when they are larger than a shard.

    `save_function` writes a shard to a path; None is safetensors' own `save_file`. Each file replaces its predecessor
    whole; weights of an earlier save under other names are removed at the end.
    """
    folder = Path(folder)
    shards = _shards(tensors, parse_size(max_shard_size))
    files = [f"model-{i:05d}-of-{len(shards):05d}.safetensors" for i in range(1, len(shards) + 1)]
    if len(shards) == 1:
        files = [SINGLE]
    for file, shard in zip(files, shards, strict=True):
        with atomic_path(folder / file) as fresh:
            contiguous = {name: tensor.contiguous() for name, tensor in shard.items()}
            if save_function is None:
                save_file(contiguous, fresh, metadata={"format": "pt"})
            else:
                save_function(contiguous, fresh)
    if len(shards) > 1:
        weight_map = {name: file for file, shard in zip(files, shards, strict=True) for name in shard}
        total = sum(t.nbytes for t in tensors.values())
        write_json(folder / INDEX, {"metadata": {"total_size": total}, "weight_map": weight_map})
    for old in folder.iterdir():
        if OURS.fullmatch(old.name) and old.name not in (*files, INDEX if len(shards) > 1 else SINGLE):
            old.unlink()


def _shards(tensors: dict[str, Tensor], limit: int) -> list[dict[str, Tensor]]:
    """Cut into runs of at most `limit` bytes, in order; a single larger tensor is a shard of its own."""
    shards: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, tensor in tensors.items():
        if shards[-1] and size + tensor.nbytes > limit:
            shards.append({})
            size = 0
        shards[-1][name] = tensor
        size += tensor.nbytes
    return shards


def parse_size(size: int | str) -> int:
    """Bytes of 5000, "500MB" or "2GiB"."""
    text = str(size).strip().upper()
    unit = next((unit for unit in UNITS if text.endswith(unit)), "")
    try:
        value = int(float(text.removesuffix(unit)) * UNITS.get(unit, 1))
    except (ValueError, OverflowError):
        value = 0
    if value < 1:
        raise ValueError(f"max_shard_size={size!r}: expected bytes, or a number with one of {', '.join(UNITS)}")
    return value
