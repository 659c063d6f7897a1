"""Stored tensors to torch parameters."""

import zipfile
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn

from minift.model.files.folder import Stored, match_tensors
from minift.model.files.names import LoadingReport


def map_file(file: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, mapped; of a pytorch_model.bin by torch's unpickler that runs no code.

    Raises:
        ValueError: a .bin that is damaged, or holds anything but named tensors.
    """
    if file.suffix == ".bin":
        try:
            content = torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
        except Exception as error:  # the unpickler may meet anything
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ValueError(
                f"{file} is damaged, or holds more than tensors, which could run code: {reason}"
            ) from error
        if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
            raise ValueError(f"{file} does not hold a dict of named tensors")
        return content
    with safe_open(file, framework="pt") as tensors:
        return {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118


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
    """Give a model, which may be on the meta device, its parameters: the stored tensors themselves, and new ones.

    A tensor that already has the right type is not copied. The mapping is private: training changes the process's
    own pages, never the file. Nothing is drawn for parameters that are stored. Errors are those of `match_tensors`.
    """
    wanted = {name: tuple(parameter.shape) for name, parameter in model.named_parameters(remove_duplicate=False)}
    report = match_tensors(stored, wanted, model.config.model_type, model.tied, ignore_mismatched_sizes)
    for name, source in report.stored_as.items():
        if name not in report.tied:
            set_parameter(model, name, stored[source].tensor.to(dtype))
    load_buffers(model, stored, dtype, report)
    new = report.missing + [name for name, *_ in report.mismatched if name not in report.tied]
    for name in new:
        made = model.get_parameter(name)  # by a constructor; on the meta device it has no values
        set_parameter(model, name, torch.empty(wanted[name], dtype=dtype) if made.is_meta else made.data.to(dtype))
    model.init_weights(new)
    model.tie_weights()
    return report


def load_buffers(model: nn.Module, stored: dict[str, Stored], dtype: torch.dtype, report: LoadingReport) -> None:
    """Fill the buffers that are stored, such as the running means of a layer of the user's own."""
    for name in model.state_dict().keys() & stored.keys() & dict(model.named_buffers()).keys():
        tensor, module, leaf = stored[name].tensor, *name.rpartition(".")[::2]
        if tensor.shape == model.get_buffer(name).shape:
            setattr(
                model.get_submodule(module), leaf, tensor.to(dtype) if tensor.is_floating_point() else tensor.clone()
            )
            report.unexpected.remove(name)


def set_parameter(model: nn.Module, name: str, tensor: Tensor) -> None:
    """Put `tensor` in the place of the parameter `name`."""
    module, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(module), leaf, nn.Parameter(tensor))
