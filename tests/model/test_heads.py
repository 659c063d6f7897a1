"""Encoders and heads: shapes, options, sizes, and the input that they refuse."""

import math

import pytest
import torch

from minift.model.auto import AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification
from minift.model.config import BertConfig, DistilBertConfig
from minift.model.heads.losses import classification_loss, masked_lm_loss
from tests.model.small import NAMES, batch, build, values

BERT, DISTILBERT, BERT_LM, DISTILBERT_LM = NAMES


def test_published_sizes():
    with torch.device("meta"):
        classifier = AutoModelForSequenceClassification.from_config(BertConfig())
        language_model = AutoModelForMaskedLM.from_config(DistilBertConfig())
    assert classifier.num_parameters() == 109_483_778
    assert language_model.num_parameters() == 66_985_530
    assert classifier.num_parameters(exclude_embeddings=True) == 109_483_778 - (30522 + 512 + 2) * 768
    for parameter in classifier.bert.parameters():
        parameter.requires_grad = False
    assert classifier.num_parameters(only_trainable=True) == 2 * 768 + 2


@pytest.mark.parametrize("name", NAMES)
def test_options(name):
    model, inputs = build(name).double(), batch(name)
    out = model(**inputs, output_attentions=True, output_hidden_states=True)
    assert out.logits.shape == ((3, 3) if "Sequence" in name else (3, 9, 37))
    assert [x.shape for x in out.hidden_states] == [(3, 9, 32)] * 3
    assert [x.shape for x in out.attentions] == [(3, 4, 9, 9)] * 2
    loss, logits = model(**inputs, return_dict=False)
    assert torch.equal(loss, model(**inputs).loss)
    torch.testing.assert_close(logits, out.logits, atol=1e-12, rtol=0)
    inputs.pop("labels")
    words = model.get_input_embeddings()(inputs.pop("input_ids"))
    torch.testing.assert_close(model(inputs_embeds=words, **inputs).logits, logits, atol=1e-12, rtol=0)
    assert model(inputs_embeds=words, **inputs).loss is None


def test_the_encoder_alone():
    config = BertConfig(**values(BERT))
    out = AutoModel.from_config(config).eval()(torch.tensor([[5, 6, 7]]))
    assert out.last_hidden_state.shape == (1, 3, 32)
    assert out.pooler_output.shape == (1, 32)
    assert list(out.keys()) == ["last_hidden_state", "pooler_output"]


@pytest.mark.parametrize("name", NAMES)
def test_padding_does_not_matter(name):
    model, inputs = build(name).double(), batch(name)
    del inputs["labels"]
    alone = model(**{key: value[1:2, :5] for key, value in inputs.items()}).logits[0]
    together = model(**inputs).logits[1]
    torch.testing.assert_close(together if alone.dim() == 1 else together[:5], alone, atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_summed_loss_over_a_given_number(name):
    model, inputs = build(name), batch(name)
    count = (inputs["labels"] != -100).sum()
    expected = model(**inputs).loss
    torch.testing.assert_close(model(**inputs, num_items_in_batch=count).loss, expected)
    torch.testing.assert_close(model(**inputs, num_items_in_batch=2 * int(count)).loss, expected / 2)


def test_new_weights():
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(BertConfig(**values(BERT), pad_token_id=3))
    words = model.get_input_embeddings().weight
    assert not words[3].any()
    assert (words[:3] != 0).all()
    assert words.std().item() == pytest.approx(0.2, rel=0.1)
    assert model.training


def test_losses_by_hand():
    logits = torch.tensor([[2.0, -1.0], [0.5, 0.25]])
    config = BertConfig()
    expected = (math.log1p(math.exp(-3)) + math.log1p(math.exp(0.25))) / 2
    assert classification_loss(logits, torch.tensor([0, 1]), config).item() == pytest.approx(expected, abs=1e-6)
    assert config.problem_type == "single_label_classification"
    config = BertConfig(num_labels=1)
    found = classification_loss(torch.tensor([[2.0], [1.0]]), torch.tensor([0, 4]), config)
    assert found.item() == pytest.approx((4 + 9) / 2)
    assert config.problem_type == "regression"
    scores = torch.log(torch.tensor([[[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]]]))
    assert masked_lm_loss(scores, torch.tensor([[1, -100]])).item() == pytest.approx(math.log(4), abs=1e-6)
    assert masked_lm_loss(scores, torch.tensor([[-100, -100]])).isnan()


@pytest.mark.parametrize("name", [BERT, DISTILBERT])
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 3, 1], r"row 1: label 3 is not one of the 3 classes \(0 to 2\)"),
        ([0, 2, -1], r"row 2: label -1 is not one of the 3 classes"),
        ([0, 1], r"needs one label a row: got \(2,\) for 3"),
        ([0.0, 1.0, 2.0], r"multi_label_classification needs 3 labels a row: got shape \(3,\)"),
    ],
)
def test_labels_that_fit_no_class(name, labels, message):
    with pytest.raises(ValueError, match=message):
        build(name)(**batch(name) | {"labels": torch.tensor(labels)})


@pytest.mark.parametrize("name", [BERT_LM, DISTILBERT_LM])
def test_labels_outside_the_vocabulary(name):
    labels = batch(name)["labels"]
    labels[2, 4] = 37
    with pytest.raises(ValueError, match="row 2: label 37 is not one of the 37 classes"):
        build(name)(**batch(name) | {"labels": labels})
    with pytest.raises(ValueError, match=r"labels have shape \(3, 4\), but the input has \(3, 9\)"):
        build(name)(**batch(name) | {"labels": labels[:, :4]})


@pytest.mark.parametrize("name", NAMES)
def test_inputs_that_do_not_fit(name):
    model = build(name)
    model(input_ids=torch.full((1, 16), 36))  # the longest input, of the last token, still fits
    with pytest.raises(ValueError, match=r"input_ids\[0, 1\] is 37, outside \[0, 37\) \(vocab_size=37\)"):
        model(input_ids=torch.tensor([[1, 37]]))
    with pytest.raises(ValueError, match=r"input_ids\[0, 0\] is -1"):
        model(input_ids=torch.tensor([[-1, 3]]))
    with pytest.raises(ValueError, match=r"position_ids\[0, 1\] is 16"):
        model(input_ids=torch.tensor([[1, 3]]), position_ids=torch.tensor([[0, 16]]))
    with pytest.raises(ValueError, match=r"17 tokens, but the model takes at most 16.*truncation=True, max_length=16"):
        model(input_ids=torch.ones(1, 17, dtype=torch.long))
    with pytest.raises(ValueError, match="the input has no tokens"):
        model(input_ids=torch.ones(2, 0, dtype=torch.long))
    with pytest.raises(ValueError, match="exactly one of input_ids and inputs_embeds"):
        model()
    with pytest.raises(
        ValueError, match=r"input_ids must be integers of shape \(B, T\), not torch.int64 of shape \(3,\)"
    ):
        model(input_ids=torch.tensor([1, 2, 3]))
    with pytest.raises(ValueError, match=r"input_ids must be integers of shape \(B, T\), not torch.float32"):
        model(input_ids=torch.ones(1, 3))
    with pytest.raises(ValueError, match=r"inputs_embeds must have the shape \(B, T, E\), not \(3, 32\)"):
        model(inputs_embeds=torch.ones(3, 32))
    if name in (BERT, BERT_LM):
        with pytest.raises(ValueError, match=r"token_type_ids\[0, 1\] is 2"):
            model(input_ids=torch.tensor([[1, 3]]), token_type_ids=torch.tensor([[0, 2]]))
    with pytest.raises(ValueError, match=r"attention_mask has shape \(1, 3\)"):
        model(input_ids=torch.tensor([[1, 3]]), attention_mask=torch.ones(1, 3))
