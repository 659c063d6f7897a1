"""What every Keras model can do besides computing: draw, load and save weights, take inputs in each of their forms."""

import inspect
from collections.abc import Collection, Mapping
from contextvars import ContextVar
from typing import Any, Self

import numpy as np

from minift.model.config import PretrainedConfig
from minift.model.files.folder import Stored
from minift.model.files.names import LoadingReport
from minift.model.files.stored_model import StoredModel
from minift.model.outputs import ModelOutput
from minift.tf.backend import keras, tf
from minift.tf.batches import prepare_tf_dataset
from minift.tf.checks import check_batch
from minift.tf.keras_model import LABELS, KerasTraining
from minift.tf.layers import sinusoids
from minift.tf.variables import choose_dtype, load_weights, map_file, named_parameters, write_file

TENSORS = ("input_ids", "attention_mask", "token_type_ids", "position_ids", "inputs_embeds", *LABELS)
DRAWING: ContextVar[bool] = ContextVar("DRAWING", default=True)  # False while a model is built for stored weights


class TFPreTrainedModel(KerasTraining, StoredModel):
    """A Keras model with a configuration, whose files are those of the torch path.

    Re-implements the parts of transformers 4's modeling_tf_utils.py that BERT and DistilBERT need.
    """

    def __init__(self, config: PretrainedConfig) -> None:
        self.check_config(config)
        super().__init__(autocast=False)  # labels that are fractions keep their precision
        self.config = config

    # -- parameters ---------------------------------------------------------------------------------------------

    named_parameters = named_parameters

    def post_init(self) -> None:
        """Draw the new parameters: the last line of each constructor, when all variables are there."""
        if DRAWING.get():
            inner = f"{self.config.model_type}."  # a head's encoder drew its own at the end of its own constructor
            names = [name for name in self.parameter_names() if not name.startswith(inner)]
            self.init_weights([name for name in names if name not in self.tied])
        for layer in self._flatten_layers():  # the model itself is the first
            layer.built = True  # or `fit` would make one more graph, to build them

    def init_weights(self, names: Collection[str]) -> None:
        """Fill the parameters `names`: normal(0, initializer_range), biases 0, LayerNorm weights 1, padding row 0.

        `keras.utils.set_random_seed` makes the draws repeatable; they are not torch's.
        """
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
                if name.endswith("position_embeddings.weight") and getattr(self.config, "sinusoidal_pos_embds", False):
                    values = sinusoids(*parameter.shape)
            parameter.assign(values)

    # -- inputs -------------------------------------------------------------------------------------------------

    prepare_tf_dataset = prepare_tf_dataset

    def __call__(self, input_ids: Any = None, *others: Any, **options: Any) -> ModelOutput | tuple:
        """Compute; the arguments are those of `call`, in its order.

        The tensors also come as one dictionary (what `fit` passes, or a tokenizer returns), and as numpy arrays or
        lists. They are checked in the encoder, where all of them arrive.
        """
        given = input_ids if isinstance(input_ids, Mapping) else {"input_ids": input_ids}
        names = list(inspect.signature(self.call).parameters)[1:]
        inputs = {**given, **dict(zip(names, others, strict=False)), **options}
        for name in TENSORS:
            value = inputs.get(name)
            if value is not None and not isinstance(value, keras.KerasTensor):
                inputs[name] = tf.convert_to_tensor(value)
        if not tf.executing_eagerly() and inputs.get("input_ids") is not None and inputs["input_ids"].dtype.is_floating:
            # Keras asks for the shapes of a distributed batch and takes all of its types for float32
            inputs["input_ids"] = tf.cast(inputs["input_ids"], tf.int32)
            for name in LABELS:
                inputs.pop(name, None)
        if self.base_model is self and not any(isinstance(value, keras.KerasTensor) for value in inputs.values()):
            inputs = check_batch(inputs, self.config)
        return super().__call__(**inputs)

    # -- Keras' own weight files (`save_weights`, `load_weights`, `ModelCheckpoint`): torch's names, one level deep

    def save_own_variables(self, store: Any) -> None:
        for name, array in self.tensors().items():
            store[name] = array

    def load_own_variables(self, store: Any) -> None:
        for name, parameter in self.named_parameters():
            if name not in self.tied:
                parameter.assign(np.asarray(store[name]))

    def __dir__(self) -> list[str]:
        """List the attributes that are no layers: Keras would save those once more, and enter `base_model` for ever."""
        layers = {name for name, value in vars(self).items() if isinstance(value, keras.layers.Layer)}
        return [name for name in super().__dir__() if name not in layers | {"base_model"}]

    # -- files: see StoredModel ---------------------------------------------------------------------------------

    map_file = staticmethod(map_file)
    write_file = staticmethod(write_file)

    def parameter_names(self) -> list[str]:
        return [name for name, _ in self.named_parameters()]

    def tensors(self) -> dict[str, np.ndarray]:
        return {name: parameter.numpy() for name, parameter in self.named_parameters() if name not in self.tied}

    def stored_dtype(self) -> str:
        return self.variable_dtype

    @classmethod
    def build_and_load(
        cls, config: PretrainedConfig, stored: dict[str, Stored], dtype: Any, ignore_mismatched_sizes: bool
    ) -> tuple[Self, LoadingReport]:
        policy, drawing = keras.config.dtype_policy(), DRAWING.set(False)
        try:
            keras.config.set_dtype_policy(choose_dtype(dtype, config.dtype, stored))
            model = cls(config)
        finally:
            keras.config.set_dtype_policy(policy)
            DRAWING.reset(drawing)
        return model, load_weights(model, stored, ignore_mismatched_sizes)
