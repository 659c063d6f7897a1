"""The switch of a model's fast path: functions of this room are put in the place of the model's plain ones."""

from functools import partial

from torch import nn

from minift.fast.dropout import drop_by_few_bits
from minift.fast.packing import encode_packed
from minift.fast.sparse_head import MaskedLanguageModel, sparse_loss_and_logits
from minift.fast.within_texts import attend_within_texts
from minift.model.heads.classification import BertForSequenceClassification, DistilBertForSequenceClassification
from minift.model.heads.spans import BertForQuestionAnswering, DistilBertForQuestionAnswering
from minift.model.pretrained import PreTrainedModel

OVER_PADDING_TOO = (BertForQuestionAnswering, DistilBertForQuestionAnswering)
READ_THE_FIRST_TOKEN_ONLY = (BertForSequenceClassification, DistilBertForSequenceClassification)


def use_fast_path(
    model: nn.Module, padding_free: bool = False, sparse_mlm_head: bool = False, fast_dropout: bool = False
) -> nn.Module:
    """Have a model compute the same numbers faster; returns the model.

    Args:
        padding_free: compute on real tokens only, and for a classifier only the first tokens in the last layer. Equal
            but for rounding; dropout draws other numbers, as there are fewer tokens to draw them for.
        sparse_mlm_head: in training, score the vocabulary at labelled tokens only; the output has no logits then.
            Equal but for rounding.
        fast_dropout: draw dropout from fewer random bits: other draws of the same distribution. In attention only
            together with `padding_free`.

    Raises:
        ValueError: the model is not one of minift's, or has no masked-language-model head to be made sparse, or its
            scores run over the padding.
    """
    asked = {"padding_free": padding_free, "sparse_mlm_head": sparse_mlm_head, "fast_dropout": fast_dropout}
    for name, wanted in asked.items():
        if wanted and not isinstance(model, PreTrainedModel):
            raise ValueError(f"{name}=True needs a model of minift, not {type(model).__name__}")
    if padding_free and isinstance(model, OVER_PADDING_TOO):
        raise ValueError("padding_free=True excludes question answering, whose softmax runs over the padding, too")
    if padding_free:
        encoder = model.base_model
        encoder.encode = partial(encode_packed, encoder, isinstance(model, READ_THE_FIRST_TOKEN_ONLY))
        for layer in encoder.layers:
            layer.attend = partial(attend_within_texts, fast_dropout=fast_dropout)
    if sparse_mlm_head:
        if not isinstance(model, MaskedLanguageModel):
            raise ValueError(f"sparse_mlm_head=True needs a masked language model, not {type(model).__name__}")
        model.loss_and_logits = partial(sparse_loss_and_logits, model)
    if fast_dropout:
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.forward = partial(drop_by_few_bits, module)
    return model
