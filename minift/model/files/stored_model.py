"""What the models of both frameworks share: a configuration, named parameters, and the files that hold them."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self

from minift.hub import push_to_hub, repository_folder
from minift.libraries.keywords import drops_keywords
from minift.model.config import HUB_ARGUMENTS, PretrainedConfig
from minift.model.files.folder import OLD_PATTERNS, PATTERNS, Stored, announce, read_checkpoint, write_checkpoint
from minift.model.files.names import TIED, LoadingReport


class StoredModel(ABC):
    """A model that is read from a checkpoint and written to one. Each framework supplies the abstract methods.

    Re-implements the file handling of transformers/modeling_utils.py.
    """

    config: PretrainedConfig
    config_class: ClassVar[type[PretrainedConfig]]
    main_input_name: ClassVar[str] = "input_ids"
    loading_report: LoadingReport | None = None
    """What `from_pretrained` loaded; None for a model built from a configuration."""

    @classmethod
    def check_config(cls, config: Any) -> None:
        """Raise a TypeError when `config` is not the configuration of this kind of model."""
        if not isinstance(config, cls.config_class):
            raise TypeError(f"{cls.__name__} takes a {cls.config_class.__name__}, not a {type(config).__name__}")

    # What a framework supplies

    @abstractmethod
    def parameter_names(self) -> list[str]:
        """List the names of all parameters, both names of a tied one among them."""

    @abstractmethod
    def tensors(self) -> dict[str, Any]:
        """Give the tensors to be stored, by name; tied ones may be among them twice."""

    @abstractmethod
    def stored_dtype(self) -> Any:
        """Name the type of the parameters, such as "float32"."""

    @staticmethod
    @abstractmethod
    def map_file(file: Path) -> dict[str, Any]:
        """Map the tensors of a safetensors file into memory."""

    @staticmethod
    @abstractmethod
    def write_file(tensors: dict[str, Any], file: Path) -> None:
        """Write a safetensors file."""

    @classmethod
    @abstractmethod
    def build_and_load(
        cls, config: PretrainedConfig, stored: dict[str, Stored], dtype: Any, ignore_mismatched_sizes: bool
    ) -> tuple[Self, LoadingReport]:
        """Make a model of the stored tensors; parameters that are not stored are drawn."""

    # What follows from that

    @property
    def tied(self) -> dict[str, str]:
        """Name of each parameter of this model that is the same tensor as another -> the name of that one."""
        if not self.config.tie_word_embeddings:
            return {}
        names = set(self.parameter_names())
        return {copy: source for copy, source in TIED.get(self.config.model_type, {}).items() if copy in names}

    @property
    def base_model(self) -> Any:
        """The encoder: the model itself, or the part that a head is put on."""
        return getattr(self, self.config.model_type, self)

    @property
    def base_model_prefix(self) -> str:
        """The name of that part, with which its parameters' names begin."""
        return self.config.model_type

    @property
    def name_or_path(self) -> str:
        """Where the model was loaded from."""
        return self.config.name_or_path

    @classmethod
    def from_config(cls, config: PretrainedConfig) -> Self:
        """Make a new model with random weights."""
        return cls(config)

    @classmethod
    @drops_keywords
    def from_pretrained(
        cls,
        name_or_path: str | os.PathLike,
        *,
        config: PretrainedConfig | None = None,
        dtype: Any = None,
        torch_dtype: Any = None,
        strict: bool = False,
        ignore_mismatched_sizes: bool = False,
        output_loading_info: bool = False,
        variant: str | None = None,
        state_dict: dict[str, Any] | None = None,
        **overrides: Any,
    ) -> Self | tuple[Self, dict[str, Any]]:
        """Build the model of a folder or a Hub repository and load its weights; the model comes in evaluation mode.

        Args:
            name_or_path: a folder, or a repository's name.
            config: use this configuration, not the stored one.
            dtype: "float32", torch.bfloat16, tf.bfloat16, …: the type of the parameters; "auto": the type that the
                configuration names, or else the stored one. None is "auto" in torch, and Keras' policy in TensorFlow.
            torch_dtype: the earlier name of `dtype`.
            strict: raise an error when a parameter is missing in the file or a stored tensor is not used.
            ignore_mismatched_sizes: draw a parameter anew when the stored one has another shape.
            output_loading_info: return (model, dictionary of missing, unexpected and mismatched names).
            variant: load model.VARIANT.safetensors.
            state_dict: take these tensors, not those of a file; then `name_or_path` may be None.
            **overrides: fields of the configuration (`num_labels`, `id2label`, `label2id`, `problem_type`,
                `attn_implementation`, …) and the Hub arguments of `PretrainedConfig.from_pretrained`.

        Raises:
            FileNotFoundError: no such folder, repository or weights.
            ValueError: a damaged or unsuitable file; the message names the file and the tensor.
            TypeError: an unknown argument.
        """
        hub = {name: overrides.pop(name) for name in HUB_ARGUMENTS if name in overrides}
        if config is None:
            config = cls.config_class.from_pretrained(name_or_path, **hub, **overrides)
        else:
            config = config.changed(**overrides)
        if state_dict is not None:
            stored = {name: Stored(tensor, Path("state_dict")) for name, tensor in state_dict.items()}
        else:
            stored = cls._read(name_or_path, variant, hub)
        model, report = cls.build_and_load(
            config, stored, torch_dtype if dtype is None else dtype, ignore_mismatched_sizes
        )
        report.where = str(name_or_path)
        announce(report, strict)
        model.loading_report = report
        config.dtype = model.stored_dtype()
        if not output_loading_info:
            return model
        info = {f"{kind}_keys": set(getattr(report, kind)) for kind in ("missing", "unexpected", "mismatched")}
        return model, info | {"error_msgs": []}

    @classmethod
    def _read(cls, name_or_path: str | os.PathLike, variant: str | None, hub: dict[str, Any]) -> dict[str, Stored]:
        folder = repository_folder(name_or_path, ["config.json", *PATTERNS], **hub)
        if not any(folder.glob(PATTERNS[0])):
            folder = repository_folder(name_or_path, ["config.json", *OLD_PATTERNS], **hub)
        return read_checkpoint(folder, cls.map_file, variant)

    @drops_keywords
    def save_pretrained(
        self,
        save_directory: str | os.PathLike,
        state_dict: dict[str, Any] | None = None,
        max_shard_size: int | str = "50GB",
        is_main_process: bool = True,
        save_function: Callable[[dict[str, Any], Path], None] | None = None,
        variant: str | None = None,
    ) -> None:
        """Write config.json and model.safetensors (or its shards) into `save_directory`, as transformers does.

        Args:
            save_directory: created when it is missing; other files in it stay.
            state_dict: write these tensors, not the model's own.
            max_shard_size: bytes, or "500MB", "5GB".
            is_main_process: False writes nothing, so that only one of several processes does.
            save_function: writes the tensors of one file to its path, as `Accelerator.save` does.
            variant: write model.VARIANT.safetensors.
        """
        if Path(save_directory).is_file():
            raise ValueError(f"{save_directory} is a file; save_pretrained needs a folder")
        if not is_main_process:
            return
        tensors, tied = self.tensors() if state_dict is None else state_dict, self.tied
        tensors = {name: tensor for name, tensor in tensors.items() if name not in tied}
        self.config.architectures = [type(self).__name__.removeprefix("TF")]
        self.config.dtype = self.stored_dtype()
        write_checkpoint(tensors, save_directory, max_shard_size, save_function or self.write_file, variant)
        self.config.save_pretrained(save_directory)

    def push_to_hub(self, repo_id: str, max_shard_size: int | str = "50GB", **options: Any) -> str:
        """Upload what `save_pretrained` writes; options of `minift.hub.upload_folder`."""
        return push_to_hub(self, repo_id, {"max_shard_size": max_shard_size}, **options)
