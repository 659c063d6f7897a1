"""What every Keras model can do besides computing: initialise, load, save, and take inputs in each of their forms."""

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Self

import keras
import numpy as np
import tensorflow as tf

from minift.data.dataset import Dataset
from minift.hub import push_to_hub, snapshot
from minift.model.config import HUB_ARGUMENTS, PretrainedConfig
from minift.model.files.folder import announce, check_destination, loading_info, read_checkpoint, write_checkpoint
from minift.model.files.names import TIED, LoadingReport
from minift.model.outputs import ModelOutput
from minift.tf.batches import prepare_tf_dataset
from minift.tf.checks import check_batch
from minift.tf.keras_model import KerasTraining
from minift.tf.weights import Parameter, choose_dtype, load_weights, map_file, named_parameters, save
from minift.tokenizer.tokenizer import Tokenizer

TENSORS = ("input_ids", "attention_mask", "token_type_ids", "position_ids", "inputs_embeds", "labels")
_drawing = True


@contextmanager
def skeleton() -> Iterator[None]:
    """Models built inside are not initialised: nothing is drawn for weights that a file will replace."""
    global _drawing
    _drawing = False
    try:
        yield
    finally:
        _drawing = True


class TFPreTrainedModel(KerasTraining):
    """A Keras model with a configuration, whose files are those of the torch path.

    Re-implements the parts of transformers 4's modeling_tf_utils.py that BERT and DistilBERT need.
    """

    config_class: ClassVar[type[PretrainedConfig]]
    main_input_name: ClassVar[str] = "input_ids"
    loading_report: LoadingReport | None = None
    """What `from_pretrained` loaded; None for a model built from a configuration."""

    def __init__(self, config: PretrainedConfig) -> None:
        if not isinstance(config, self.config_class):
            raise TypeError(f"{type(self).__name__} takes a {self.config_class.__name__}, not {type(config).__name__}")
        super().__init__(autocast=False)  # labels that are fractions keep their precision
        self.config = config

    # -- parameters ---------------------------------------------------------------------------------------------

    def post_init(self) -> None:
        """Draw the new parameters: the last line of each constructor, when all variables are there."""
        if _drawing:
            inner = f"{self.config.model_type}."  # a head's encoder drew its own at the end of its own constructor
            names = [name for name, _ in self.named_parameters() if not name.startswith(inner)]
            self.init_weights([name for name in names if name not in self.tied])
        for layer in self._flatten_layers():  # the model itself is the first
            layer.built = True  # or `fit` would make one more graph, to build them

    def init_weights(self, names: Collection[str]) -> None:
        """Fill the parameters `names`: normal(0, initializer_range), biases 0, LayerNorm weights 1, padding row 0.

        `keras.utils.set_random_seed` makes the draws repeatable; they are not torch's.
        """
        names = set(names)
        for name, parameter in self.named_parameters():
            if name not in names:
                continue
            if name.endswith("bias"):
                values = np.zeros(parameter.shape)
            elif len(parameter.shape) == 1:  # of a LayerNorm
                values = np.ones(parameter.shape)
            else:
                draw = keras.initializers.RandomNormal(stddev=self.config.initializer_range)
                values = np.array(draw(parameter.shape))
                if name.endswith("word_embeddings.weight") and self.config.pad_token_id is not None:
                    values[self.config.pad_token_id] = 0
            parameter.assign(values)

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Torch's name and shape of each parameter, and the variable; see `weights.named_parameters`."""
        return named_parameters(self)

    @property
    def tied(self) -> dict[str, str]:
        """Name of each parameter of this model that is the same variable as another -> the name of that one."""
        if not self.config.tie_word_embeddings:
            return {}
        names = {name for name, _ in self.named_parameters()}
        return {copy: source for copy, source in TIED[self.config.model_type].items() if copy in names}

    @property
    def base_model(self) -> "TFPreTrainedModel":
        """The encoder: the model itself, or the part that a head is put on."""
        return getattr(self, self.config.model_type, self)

    # -- inputs -------------------------------------------------------------------------------------------------

    def __call__(self, input_ids: Any = None, attention_mask: Any = None, **options: Any) -> ModelOutput | tuple:
        """Compute; the arguments are those of `call`.

        The tensors also come as one dictionary (what `fit` passes, or a tokenizer returns), and as numpy arrays or
        lists. They are checked in the encoder, where all of them arrive.
        """
        given = input_ids if isinstance(input_ids, Mapping) else {"input_ids": input_ids}
        inputs = {**given, **options}
        if attention_mask is not None:
            inputs["attention_mask"] = attention_mask
        for name in TENSORS:
            value = inputs.get(name)
            if value is not None and not isinstance(value, keras.KerasTensor):
                inputs[name] = tf.convert_to_tensor(value)
        if not tf.executing_eagerly() and inputs.get("input_ids") is not None and inputs["input_ids"].dtype.is_floating:
            # Keras asks for the shapes of a distributed batch and takes all of its types for float32
            inputs["input_ids"] = tf.cast(inputs["input_ids"], tf.int32)
            inputs.pop("labels", None)
        if self.base_model is self and not any(isinstance(value, keras.KerasTensor) for value in inputs.values()):
            inputs = check_batch(inputs, self.config)
        return super().__call__(**inputs)

    def prepare_tf_dataset(
        self,
        dataset: Dataset,
        batch_size: int = 8,
        shuffle: bool = True,
        tokenizer: Tokenizer | None = None,
        collate_fn: Callable | None = None,
        collate_fn_args: dict[str, Any] | None = None,
        drop_remainder: bool | None = None,
        prefetch: bool = True,
        *,
        seed: int | None = None,
    ) -> tf.data.Dataset:
        """Batches of the columns of `dataset` that this model takes: see `minift.tf.batches.prepare_tf_dataset`."""
        collated = dict(tokenizer=tokenizer, collate_fn=collate_fn, collate_fn_args=collate_fn_args)
        served = dict(shuffle=shuffle, drop_remainder=drop_remainder, prefetch=prefetch, seed=seed)
        return prepare_tf_dataset(self, dataset, batch_size, **collated, **served)

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
        dtype: str | tf.DType | None = None,
        torch_dtype: str | tf.DType | None = None,
        strict: bool = False,
        ignore_mismatched_sizes: bool = False,
        output_loading_info: bool = False,
        **overrides: Any,
    ) -> Self | tuple[Self, dict[str, Any]]:
        """Build the model of a folder or a Hub repository and load its weights, the files of the torch path.

        Args:
            name_or_path: a folder, or a repository's name.
            config: use this configuration instead of the stored one.
            dtype: None: Keras' global policy, whatever type is stored; "auto": the type that the configuration names,
                else the type that is stored; "float32", tf.bfloat16, "mixed_bfloat16", …: that one.
            torch_dtype: the earlier name of `dtype`.
            strict: raise when a parameter is missing in the file or a stored tensor is not used.
            ignore_mismatched_sizes: draw a parameter anew when the stored one has another shape.
            output_loading_info: return (model, dictionary of missing, unexpected and mismatched names).
            **overrides: fields of the configuration (`num_labels`, `id2label`, `label2id`, `problem_type`, …) and the
                Hub arguments of `PretrainedConfig.from_pretrained`.

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
        policy = choose_dtype(torch_dtype if dtype is None else dtype, config.dtype, stored)
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(policy)
        try:
            with skeleton():
                model = cls(config)
        finally:
            keras.config.set_dtype_policy(before)
        report = load_weights(model, stored, ignore_mismatched_sizes)
        report.where = str(name_or_path)
        announce(report, strict)
        model.loading_report = report
        config.dtype = policy.variable_dtype
        return (model, loading_info(report)) if output_loading_info else model

    def save_pretrained(
        self,
        save_directory: str | os.PathLike,
        max_shard_size: int | str = "50GB",
        safe_serialization: bool = True,
        is_main_process: bool = True,
    ) -> None:
        """Write config.json and model.safetensors (or its shards), which the torch path and transformers read.

        Args:
            save_directory: created when it is missing; other files in it stay.
            max_shard_size: bytes, or "500MB", "5GB".
            safe_serialization: only True: other formats can run code when they are loaded.
            is_main_process: False writes nothing, so that of several processes only one does.
        """
        check_destination(save_directory, safe_serialization)
        if not is_main_process:
            return
        tied = self.tied
        stored = {name: parameter.numpy() for name, parameter in self.named_parameters() if name not in tied}
        self.config.architectures = [type(self).__name__.removeprefix("TF")]
        self.config.dtype = self.variable_dtype
        write_checkpoint(stored, save_directory, max_shard_size, save)
        self.config.save_pretrained(save_directory)

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Upload what `save_pretrained` writes; see `minift.hub.push_to_hub`."""
        return push_to_hub(self, repo_id, **options)
