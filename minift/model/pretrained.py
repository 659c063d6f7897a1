"""What every torch model can do besides computing: draw its weights, load and save them, count and resize them."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._pytree import register_pytree_node

from minift.libraries.keywords import drops_keywords
from minift.model import outputs
from minift.model.checkpointing import checkpoint_layers, keep_activations
from minift.model.config import PretrainedConfig
from minift.model.files.folder import Stored
from minift.model.files.names import TIED, LoadingReport
from minift.model.files.parameters import choose_dtype, load_weights, map_file
from minift.model.files.stored_model import StoredModel
from minift.model.resizing import new_size, resize_table, resized_layer


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


def is_of_minift(kind: Any) -> bool:
    """Tell whether a class or a function is defined here, and not by a user."""
    return kind.__module__.startswith("minift.")


class PreTrainedModel(nn.Module, StoredModel):
    """A model with a configuration. Names, order and random draws of its parameters are those of transformers.

    Re-implements the parts of transformers/modeling_utils.py that BERT and DistilBERT need.
    """

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__()
        self.check_config(config)
        config.validate()  # it may have been changed since it was made
        self.config = config
        self.drawn: set[str] = set()  # the parameters that `post_init` has drawn

    # -- parameters ---------------------------------------------------------------------------------------------

    def post_init(self) -> None:
        """Draw the new parameters and tie those that are shared: the last line of each constructor.

        A constructor that calls it again, as a subclass's does, draws only what has been added in the meantime.
        """
        if self.device.type != "meta":
            inner = f"{self.config.model_type}."  # a head's encoder drew its own at the end of its own constructor
            names = {name for name, _ in self.named_parameters() if not name.startswith(inner)}
            self.init_weights(names - self.drawn)
            self.drawn |= names
        self.tie_weights()

    @torch.no_grad()
    def init_weights(self, names: Collection[str]) -> None:
        """Fill the parameters `names`: normal(0, initializer_range), biases 0, LayerNorm weights 1, padding row 0.

        Draws from the global generator in the order of the parameters, and only for matrices. Modules of other kinds,
        which a subclass may have, keep the values that their constructors gave them. A subclass that defines
        `_init_weights` fills the modules outside its encoder itself, each after those inside it.
        """
        names, inner, own = set(names), f"{self.config.model_type}.", []
        for path, module in self.named_modules():
            new = [name for name, _ in module.named_parameters(path, recurse=False) if name in names]
            if new and self._has_own_init_weights() and not path.startswith(inner):
                own.append((path, module))
            else:
                self._fill(module, new)
        for _, module in sorted(own, key=lambda pair: -pair[0].count(".") - bool(pair[0])):
            self._init_weights(module)

    def _has_own_init_weights(self) -> bool:
        return any("_init_weights" in vars(kind) for kind in type(self).__mro__ if not is_of_minift(kind))

    def _init_weights(self, module: nn.Module) -> None:
        """Fill one module as `init_weights` says: what a subclass may define, and call from its own."""
        with torch.no_grad():
            self._fill(module, [name for name, _ in module.named_parameters(recurse=False)])

    def _fill(self, module: nn.Module, names: list[str]) -> None:
        is_ours = isinstance(module, nn.Linear | nn.Embedding | nn.LayerNorm) or is_of_minift(type(module))
        for name in names if is_ours else ():
            parameter = getattr(module, name.rpartition(".")[2])
            if name.endswith("bias"):
                parameter.zero_()
            elif isinstance(module, nn.LayerNorm):
                parameter.fill_(1.0)
            else:
                parameter.normal_(0.0, getattr(self.config, "initializer_range", 0.02))
                if getattr(module, "padding_idx", None) is not None:
                    parameter[module.padding_idx].zero_()

    def tie_weights(self) -> None:
        """Make each tied name the same `Parameter` object as its source, so that it stays equal in training."""
        for copy, source in self.tied.items():
            module, _, name = copy.rpartition(".")
            setattr(self.get_submodule(module), name, self.get_parameter(source))

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    def num_parameters(self, only_trainable: bool = False, exclude_embeddings: bool = False) -> int:
        """Count the parameters, tied ones once; without the embedding tables if `exclude_embeddings`."""
        tables = {id(m.weight) for m in self.modules() if isinstance(m, nn.Embedding)} if exclude_embeddings else ()
        return sum(
            p.numel() for p in self.parameters() if id(p) not in tables and (p.requires_grad or not only_trainable)
        )

    def floating_point_ops(self, inputs: dict[str, Tensor]) -> int:
        """Count the operations of a training step: 6 · tokens · non-embedding parameters (arXiv 2001.08361, 2.1).

        0 for a model of the user's own that reads no `input_ids`.
        """
        tokens = inputs.get(self.main_input_name)
        return 0 if tokens is None else 6 * tokens.numel() * self.num_parameters(exclude_embeddings=True)

    def get_memory_footprint(self, return_buffers: bool = True) -> int:
        """Count the bytes of the parameters, and of the buffers."""
        held = [*self.parameters(), *(self.buffers() if return_buffers else ())]
        return sum(tensor.nbytes for tensor in held)

    # -- memory -------------------------------------------------------------------------------------------------

    is_gradient_checkpointing, supports_gradient_checkpointing = False, True

    def gradient_checkpointing_enable(self, gradient_checkpointing_kwargs: dict[str, Any] | None = None) -> None:
        """Keep the inputs of layers only, and compute the rest again in the backward pass: see `checkpoint_layers`."""
        checkpoint_layers(self.base_model.layers, gradient_checkpointing_kwargs)
        self.is_gradient_checkpointing = True

    def gradient_checkpointing_disable(self) -> None:
        keep_activations(self.base_model.layers)
        self.is_gradient_checkpointing = False

    def enable_input_require_grads(self) -> None:
        """Let the embeddings require gradients, also where their table is frozen."""
        hook = lambda module, inputs, output: output.requires_grad_(True)  # noqa: E731
        self.input_hook = self.get_input_embeddings().register_forward_hook(hook)

    def disable_input_require_grads(self) -> None:
        self.input_hook.remove()

    @classmethod
    def can_generate(cls) -> bool:
        """Say that an encoder writes no text."""
        return False

    # -- embeddings ---------------------------------------------------------------------------------------------

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Compute what `forward` says; ours also with arguments of transformers' that change nothing in an encoder."""
        ours = is_of_minift(type(self).forward)
        return self.call(*args, **options) if ours else super().__call__(*args, **options)

    @drops_keywords
    def call(self, *args: Any, **options: Any) -> Any:
        return super().__call__(*args, **options)

    def get_input_embeddings(self) -> nn.Embedding:
        """The table of word embeddings (V, E)."""
        return self.base_model.embeddings.word_embeddings

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        self.base_model.embeddings.word_embeddings = value

    @property
    def scoring_layer(self) -> str | None:
        """The name of the layer that scores the vocabulary, whose weight may be tied; None of a model without one."""
        tied = TIED.get(self.config.model_type, {})
        names = (name for name in tied if name.endswith(".weight") and name in self.parameter_names())
        return next((name.removesuffix(".weight") for name in names), None)

    def get_output_embeddings(self) -> nn.Module | None:
        """The layer that scores the vocabulary, of a masked language model; else None."""
        return None if self.scoring_layer is None else self.get_submodule(self.scoring_layer)

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        if self.scoring_layer is None:
            raise ValueError(f"{type(self).__name__} has no layer that scores the vocabulary")
        module, _, last = self.scoring_layer.rpartition(".")
        setattr(self.get_submodule(module), last, new_embeddings)
        if hasattr(self.get_submodule(module), "bias"):  # BERT's head, which has the same bias under two names
            self.get_submodule(module).bias = new_embeddings.bias

    def resize_token_embeddings(
        self,
        new_num_tokens: int | None = None,
        pad_to_multiple_of: int | None = None,
        mean_resizing: bool = True,
    ) -> nn.Embedding:
        """Cut or extend the vocabulary, and the layer that scores it, see `resizing`; return the table.

        Without `mean_resizing` new rows are drawn as all new weights are.
        """
        table, layer = self.get_input_embeddings(), self.get_output_embeddings()
        old, size = len(table.weight), new_size(len(table.weight), new_num_tokens, pad_to_multiple_of)
        draw = None if mean_resizing else self._draw
        if size != old:
            resize_table(table, size, draw)
        if layer is not None and layer.weight is table.weight:  # tied: the bias is left
            layer.bias.data, layer.out_features = F.pad(layer.bias.data, (0, size - old)), size
        elif layer is not None:
            self.set_output_embeddings(layer if size == old else resized_layer(layer, size, draw))
        self.config.vocab_size = size
        self.tie_weights()
        return table

    def _draw(self, module: nn.Linear | nn.Embedding) -> None:
        module.weight.data.normal_(0.0, self.config.initializer_range)
        if getattr(module, "bias", None) is not None:
            module.bias.data.zero_()

    # -- files: see StoredModel ---------------------------------------------------------------------------------

    def parameter_names(self) -> list[str]:
        return [name for name, _ in self.named_parameters(remove_duplicate=False)]

    def tensors(self) -> dict[str, Tensor]:
        return self.state_dict()

    def stored_dtype(self) -> torch.dtype:
        return self.dtype

    map_file = staticmethod(map_file)

    @staticmethod
    def write_file(tensors: dict[str, Tensor], file: Path) -> None:
        contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
        save_file(contiguous, file, metadata={"format": "pt"})

    @classmethod
    def build_and_load(
        cls, config: PretrainedConfig, stored: dict[str, Stored], dtype: Any, ignore_mismatched_sizes: bool
    ) -> tuple[Self, LoadingReport]:
        if is_of_minift(cls):
            with skeleton():
                model = cls(config)
        else:  # the user's own parts have values of their own; what the constructor draws is not to change other draws
            with torch.random.fork_rng(devices=[]):
                model = cls(config)
        report = load_weights(model, stored, choose_dtype(dtype, config.dtype, stored), ignore_mismatched_sizes)
        return model.eval(), report


def names_and_values(output: outputs.ModelOutput) -> tuple[list[Any], list[str]]:
    return list(output.values()), list(output)


for name in dir(outputs):  # so that torch.export can look into what models return
    kind = getattr(outputs, name)
    if isinstance(kind, type) and issubclass(kind, outputs.ModelOutput):
        make = lambda values, names, kind=kind: kind(zip(names, values, strict=True))  # noqa: E731
        register_pytree_node(kind, names_and_values, make, serialized_type_name=f"minift.{name}")
