"""What a model returns: named fields that also read as a dictionary and as a tuple."""

from collections.abc import Iterable
from typing import Any, ClassVar

from minift.model.config import PretrainedConfig


class ModelOutput(dict):
    """Fields by attribute (`out.logits`), by name (`out["logits"]`) and by position (`out[0]`, `out[:2]`).

    A field that was not computed is None as an attribute, and absent from the keys and the positions.
    Re-implements transformers/utils/generic.py (ModelOutput).
    """

    fields: ClassVar[tuple[str, ...]] = ()

    def __init__(self, pairs: Iterable[tuple[str, Any]] = (), /, **values: Any) -> None:
        values = {**dict(pairs), **values}  # pairs, as for any dict: so TensorFlow makes one that a graph returns
        if unknown := values.keys() - set(self.fields):
            raise TypeError(f"{type(self).__name__} has no field {', '.join(sorted(unknown))}")
        super().__init__({name: values[name] for name in self.fields if values.get(name) is not None})

    def __getattr__(self, name: str) -> Any:
        if name in type(self).fields:
            return self.get(name)
        raise AttributeError(f"{type(self).__name__} has no field {name!r}; it has: {', '.join(type(self).fields)}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in type(self).fields:
            raise AttributeError(f"{type(self).__name__} has no field {name!r}")
        self[name] = value

    def __getitem__(self, key: str | int | slice) -> Any:
        return super().__getitem__(key) if isinstance(key, str) else self.to_tuple()[key]

    def to_tuple(self) -> tuple[Any, ...]:
        """The fields that were computed, in order."""
        return tuple(self[name] for name in type(self).fields if name in self)


class EncoderOutput(ModelOutput):
    """`last_hidden_state` (B, T, E); `pooler_output` (B, E), BERT only; per layer (B, T, E) and (B, H, T, T)."""

    fields = ("last_hidden_state", "pooler_output", "hidden_states", "attentions")


class SequenceClassifierOutput(ModelOutput):
    """`loss`, a scalar, when labels were given; `logits` (B, num_labels)."""

    fields = ("loss", "logits", "hidden_states", "attentions")


class MaskedLMOutput(ModelOutput):
    """`loss`, a scalar, when labels were given; `logits` (B, T, V)."""

    fields = ("loss", "logits", "hidden_states", "attentions")


class TokenClassifierOutput(ModelOutput):
    """`loss`, a scalar, when labels were given; `logits` (B, T, num_labels)."""

    fields = ("loss", "logits", "hidden_states", "attentions")


class QuestionAnsweringModelOutput(ModelOutput):
    """`loss`, a scalar, when positions were given; `start_logits` and `end_logits` (B, T)."""

    fields = ("loss", "start_logits", "end_logits", "hidden_states", "attentions")


class MultipleChoiceModelOutput(ModelOutput):
    """`loss`, a scalar, when labels were given; `logits` (B, C)."""

    fields = ("loss", "logits", "hidden_states", "attentions")


class NextSentencePredictorOutput(ModelOutput):
    """`loss`, a scalar, when labels were given; `logits` (B, 2)."""

    fields = ("loss", "logits", "hidden_states", "attentions")


class BertForPreTrainingOutput(ModelOutput):
    """`loss`, a scalar, when labels were given; `prediction_logits` (B, T, V), `seq_relationship_logits` (B, 2)."""

    fields = ("loss", "prediction_logits", "seq_relationship_logits", "hidden_states", "attentions")


def choose(asked: bool | None, configured: bool) -> bool:
    """Take an option of a call, or where that is None the configuration's value."""
    return configured if asked is None else asked


def finish(output: ModelOutput, config: PretrainedConfig, return_dict: bool | None) -> ModelOutput | tuple[Any, ...]:
    """Return the output as it is, or as a tuple when `return_dict`, or else the configuration, says so."""
    return output if choose(return_dict, config.return_dict) else output.to_tuple()


def of_layers(encoded: EncoderOutput) -> dict[str, Any]:
    """What a head passes on from its encoder."""
    return {"hidden_states": encoded.hidden_states, "attentions": encoded.attentions}
