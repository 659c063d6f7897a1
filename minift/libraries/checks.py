"""What the libraries' scripts ask of their environment: versions, and which frameworks are there."""

import re
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

IMPLEMENTED = (5, 23)  # of transformers


def check_min_version(min_version: str) -> None:
    """Raise an ImportError if a script needs a later transformers than the one that is re-implemented here."""
    numbers = tuple(map(int, re.findall(r"\d+", min_version)[:2]))
    if numbers > IMPLEMENTED:
        ours = ".".join(map(str, IMPLEMENTED))
        raise ImportError(f"the script needs transformers {min_version}; minift stands in for {ours}")


def require_version(requirement: str, hint: str | None = None) -> None:
    """Raise a PackageNotFoundError or ImportError unless a package is there, as in ``datasets>=1.8.0``."""
    written = re.fullmatch(r"([\w.-]+?)\s*((?:[<>=!]=?\s*[\w.]+,?\s*)*)", requirement.strip())
    if written is None:
        raise ValueError(f"require_version: cannot read {requirement!r}; expected such as numpy>=1.0,<3")
    name, bounds = written.groups()
    if name in ("transformers", "datasets", "evaluate", "accelerate"):
        return  # minift stands in for them
    try:
        found = _numbers(version(name))
    except PackageNotFoundError:
        raise PackageNotFoundError(f"the script needs {requirement}. {hint or ''}".strip()) from None
    for sign, wanted in re.findall(r"([<>=!]=?)\s*([\w.]+)", bounds):
        bound = _numbers(wanted)
        fits = {">=": found >= bound, ">": found > bound, "<": found < bound, "<=": found <= bound}
        if not (fits | {"==": found == bound, "!=": found != bound})[sign]:
            raise ImportError(f"the script needs {requirement}; {name} {version(name)} is there. {hint or ''}".strip())


def send_example_telemetry(example_name: str, *example_args: Any, framework: str = "pytorch") -> None:
    """Do nothing: minift reports to nobody."""


def is_torch_available() -> bool:
    return find_spec("torch") is not None


def is_tf_available() -> bool:
    return find_spec("tensorflow") is not None


def is_datasets_available() -> bool:
    return True  # minift stands in for it


is_evaluate_available = is_accelerate_available = is_datasets_available


def is_pytest_available() -> bool:
    return find_spec("pytest") is not None


def is_cuda_available() -> bool:
    import torch

    return torch.cuda.is_available()


is_fp16_available = is_cuda_available  # to compute in; minift refuses it on the CPU


def is_bf16_available(ignore_tpu: bool = False) -> bool:
    return True


def is_flax_available(*_: Any, **__: Any) -> bool:
    """Return False, as for all that minift does not use."""
    return False


is_bnb_available = is_deepspeed_available = is_hpu_available = is_mlu_available = is_mps_available = is_flax_available
is_musa_available = is_npu_available = is_peft_available = is_rich_available = is_rocm_available = is_flax_available
is_schedulefree_available = is_sdaa_available = is_torch_xla_available = is_xpu_available = is_flax_available
is_tensorboard_available = is_wandb_available = is_comet_ml_available = is_mlflow_available = is_flax_available


def is_offline_mode() -> bool:
    from huggingface_hub.constants import HF_HUB_OFFLINE

    return HF_HUB_OFFLINE


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", text)[:3]))
