"""`TrainingArguments.accelerator_config`: how the library's Accelerator would share out batches."""

import os
from dataclasses import asdict, dataclass
from typing import Any

from minift.files import read_json_object


@dataclass
class AcceleratorConfig:
    """The library's settings (transformers/trainer_pt_utils.py). In one process, the first three change nothing.

    In several, only the defaults are supported; so are those of the others everywhere. Other values are a ValueError.
    """

    split_batches: bool = False
    dispatch_batches: bool | None = None
    even_batches: bool = True
    use_seedable_sampler: bool = True
    non_blocking: bool = False
    gradient_accumulation_kwargs: dict[str, Any] | None = None
    use_configured_state: bool = False

    def __post_init__(self) -> None:
        self._check("use_seedable_sampler", "use_configured_state")
        if self.gradient_accumulation_kwargs:
            raise ValueError(
                f"accelerator_config: gradient_accumulation_kwargs={self.gradient_accumulation_kwargs} is not "
                "supported; say how many batches make a step with gradient_accumulation_steps"
            )

    def check_ranks(self, world_size: int) -> None:
        """Raise a ValueError for what several processes would do otherwise here."""
        if world_size > 1:
            self._check("split_batches", "dispatch_batches", "even_batches")

    def _check(self, *names: str) -> None:
        for name in names:
            default = type(self).__dataclass_fields__[name].default
            if getattr(self, name) != default:
                raise ValueError(f"accelerator_config: {name}={getattr(self, name)!r} is not supported, only {default}")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def read_accelerator_config(given: Any) -> AcceleratorConfig:
    """Make the settings of a dict, or of the JSON file with this name; None gives the defaults."""
    if isinstance(given, AcceleratorConfig):
        return given
    values = read_json_object(given) if isinstance(given, str | os.PathLike) else dict(given or {})
    if unknown := values.keys() - AcceleratorConfig.__dataclass_fields__.keys():
        known = ", ".join(AcceleratorConfig.__dataclass_fields__)
        raise ValueError(f"accelerator_config has no {', '.join(sorted(unknown))}; it has: {known}")
    return AcceleratorConfig(**values)
