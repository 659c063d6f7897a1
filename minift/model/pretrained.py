"""What every model can do besides computing: initialise, load, save, count its parameters."""

import os
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from minift.hub import push_to_hub, snapshot
from minift.model.config import HUB_ARGUMENTS, PretrainedConfig
from minift.model.files.folder import announce, check_destination, loading_info, read_checkpoint
from minift.model.files.names import TIED, VOCABULARY_SIZED, LoadingReport
from minift.model.files.parameters import choose_dtype, load_weights, map_file, save_weights, set_parameter


@contextmanager
def skeleton() -> Iterator[None]:
    """Modules built inside have parameters of the right shape on the meta device: no memory, no random draws.

    torch's layers would still run their initialisation on the meta device, which is most of the time of building one.
    """
    layers = (nn.Linear, nn.Embedding, nn.LayerNorm)
    initial = [layer.reset_parameters for layer in layers]
    try:
        for layer in layers:
            layer.reset_parameters = lambda self: None
        with torch.device("meta"):
            yield
    finally:
        for layer, reset in zip(layers, initial, strict=True):
            layer.reset_parameters = reset


class PreTrainedModel(nn.Module):
    """A model with a configuration. Names, order and random draws of its parameters are those of transformers.

    Re-implements the parts of transformers/modeling_utils.py that BERT and DistilBERT need.
    """

    config_class: ClassVar[type[PretrainedConfig]]
    main_input_name: ClassVar[str] = "input_ids"
    loading_report: LoadingReport | None = None
    """What `from_pretrained` loaded; None for a model built from a configuration."""

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__()
        if not isinstance(config, self.config_class):
            raise TypeError(f"{type(self).__name__} takes a {self.config_class.__name__}, not {type(config).__name__}")
        self.config = config

    # -- parameters ---------------------------------------------------------------------------------------------

    def post_init(self) -> None:
        """Draw the new parameters and tie those that are shared: the last line of each constructor."""
        if self.device.type != "meta":
            inner = f"{self.config.model_type}."  # a head's encoder drew its own at the end of its own constructor
            self.init_weights([name for name, _ in self.named_parameters() if not name.startswith(inner)])
        self.tie_weights()

    @torch.no_grad()
    def init_weights(self, names: Collection[str]) -> None:
        """Fill the parameters `names`: normal(0, initializer_range), biases 0, LayerNorm weights 1, padding row 0.

        Draws from the global generator in the order of the parameters, and only for matrices.
        """
        names = set(names)
        for path, module in self.named_modules():
            for name, parameter in module.named_parameters(path, recurse=False):
                if name not in names:
                    continue
                if name.endswith("bias"):
                    parameter.zero_()
                elif isinstance(module, nn.LayerNorm):
                    parameter.fill_(1.0)
                else:
                    parameter.normal_(0.0, self.config.initializer_range)
                    if getattr(module, "padding_idx", None) is not None:
                        parameter[module.padding_idx].zero_()

    @property
    def tied(self) -> dict[str, str]:
        """Name of each parameter of this model that is the same tensor as another -> the name of that one."""
        if not self.config.tie_word_embeddings:
            return {}
        names = {name for name, _ in self.named_parameters(remove_duplicate=False)}
        return {copy: source for copy, source in TIED[self.config.model_type].items() if copy in names}

    def tie_weights(self) -> None:
        """Make each tied name the same `Parameter` object as its source, so that it stays equal in training."""
        for copy, source in self.tied.items():
            module, _, name = copy.rpartition(".")
            setattr(self.get_submodule(module), name, self.get_parameter(source))

    @property
    def base_model(self) -> "PreTrainedModel":
        """The encoder: the model itself, or the part that a head is put on."""
        return getattr(self, self.config.model_type, self)

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    def num_parameters(self, only_trainable: bool = False, exclude_embeddings: bool = False) -> int:
        """Number of parameters, tied ones once; without the embedding tables if `exclude_embeddings`."""
        tables = {id(m.weight) for m in self.modules() if isinstance(m, nn.Embedding)} if exclude_embeddings else ()
        return sum(
            p.numel() for p in self.parameters() if id(p) not in tables and (p.requires_grad or not only_trainable)
        )

    def floating_point_ops(self, inputs: dict[str, Tensor]) -> int:
        """Operations of one training step: 6 · tokens · non-embedding parameters (arXiv 2001.08361, section 2.1)."""
        tokens = inputs[self.main_input_name].numel()
        return 6 * tokens * self.num_parameters(exclude_embeddings=True)

    # -- embeddings ---------------------------------------------------------------------------------------------

    def get_input_embeddings(self) -> nn.Embedding:
        """The table of word embeddings (V, E)."""
        return self.base_model.embeddings.word_embeddings

    @torch.no_grad()
    def resize_token_embeddings(self, new_num_tokens: int) -> nn.Embedding:
        """Cut the vocabulary, or extend it by newly drawn rows; the masked-language-model head follows.

        transformers draws new rows around the mean of the old ones; here they are drawn as all new weights are.
        """
        if not isinstance(new_num_tokens, int) or new_num_tokens < 1:
            raise ValueError(f"new_num_tokens must be a positive integer, not {new_num_tokens!r}")
        kept = min(self.config.vocab_size, new_num_tokens)
        for name, old in list(self.named_parameters()):
            if re.search(VOCABULARY_SIZED, name):
                new = old.new_zeros(new_num_tokens, *old.shape[1:])
                if new.dim() == 2:
                    new.normal_(0.0, self.config.initializer_range)
                new[:kept] = old[:kept]
                set_parameter(self, name, new)
        for module in self.modules():  # what repr() shows
            if isinstance(module, nn.Linear):
                module.out_features = module.weight.shape[0]
        self.get_input_embeddings().num_embeddings = new_num_tokens
        self.config.vocab_size = new_num_tokens
        self.tie_weights()
        return self.get_input_embeddings()

    # -- files --------------------------------------------------------------------------------------------------

    @classmethod
    def from_config(cls, config: PretrainedConfig) -> Self:
        """A new model with random weights."""
        return cls(config)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | os.PathLike,
        *,
        config: PretrainedConfig | None = None,
        dtype: str | torch.dtype | None = None,
        torch_dtype: str | torch.dtype | None = None,
        strict: bool = False,
        ignore_mismatched_sizes: bool = False,
        output_loading_info: bool = False,
        **overrides: Any,
    ) -> Self | tuple[Self, dict[str, Any]]:
        """Build the model of a folder or a Hub repository and load its weights; the model comes in evaluation mode.

        Args:
            name_or_path: a folder, or a repository's name.
            config: use this configuration instead of the stored one.
            dtype: "auto" (also None): the type that the configuration names, else the type that is stored;
                "float32", torch.bfloat16, …: that one.
            torch_dtype: the earlier name of `dtype`.
            strict: raise when a parameter is missing in the file or a stored tensor is not used.
            ignore_mismatched_sizes: draw a parameter anew when the stored one has another shape.
            output_loading_info: return (model, dictionary of missing, unexpected and mismatched names).
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
        folder = snapshot(str(name_or_path), allow_patterns=["config.json", "model*.safetensors*"], **hub)
        stored = read_checkpoint(folder, map_file)
        with skeleton():
            model = cls(config)
        dtype = choose_dtype(torch_dtype if dtype is None else dtype, config.dtype, stored)
        report = load_weights(model, stored, dtype, ignore_mismatched_sizes)
        report.where = str(name_or_path)
        announce(report, strict)
        model.loading_report = report
        config.dtype = str(model.dtype).removeprefix("torch.")
        model.eval()
        return (model, loading_info(report)) if output_loading_info else model

    def save_pretrained(
        self,
        save_directory: str | os.PathLike,
        state_dict: dict[str, Tensor] | None = None,
        max_shard_size: int | str = "50GB",
        safe_serialization: bool = True,
        is_main_process: bool = True,
        save_function: Callable[[dict[str, Tensor], Path], None] | None = None,
    ) -> None:
        """Write config.json and model.safetensors (or its shards) into `save_directory`, as transformers does.

        Args:
            save_directory: created when it is missing; other files in it stay.
            state_dict: write these tensors instead of the model's own.
            max_shard_size: bytes, or "500MB", "5GB".
            safe_serialization: only True: other formats can run code when they are loaded.
            is_main_process: False writes nothing, so that of several processes only one does.
            save_function: writes the tensors of a file to its path, as `Accelerator.save` does.
        """
        check_destination(save_directory, safe_serialization)
        if not is_main_process:
            return
        state_dict = self.state_dict() if state_dict is None else state_dict
        tied = self.tied
        stored = {name: tensor for name, tensor in state_dict.items() if name not in tied}
        self.config.architectures = [type(self).__name__]
        self.config.dtype = str(self.dtype).removeprefix("torch.")
        save_weights(stored, save_directory, max_shard_size, save_function)
        self.config.save_pretrained(save_directory)

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Upload what `save_pretrained` writes; see `minift.hub.push_to_hub`."""
        return push_to_hub(self, repo_id, **options)
