"""The Keras models against the torch ones: outputs, losses and gradients, what the comparison catches, bad input."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch

from minift.model.auto import AutoModel
from minift.model.config import BertConfig, DistilBertConfig
from minift.model.distilbert import sinusoids
from minift.model.heads.losses import classification_loss
from minift.tf import attention, bert, distilbert, heads, layers, losses
from minift.tf.auto import TFAutoModel, TFAutoModelForMaskedLM, TFAutoModelForSequenceClassification
from minift.tf.bert import TFBertModel
from tests.hub import MINILM, needs_hub
from tests.model import small
from tests.model.small import NAMES, assert_same, values
from tests.tf.small import batch, build, results

BERT, DISTILBERT, BERT_LM, DISTILBERT_LM = NAMES


def compare(name, folder, **inputs):
    inputs = batch(name) | inputs
    theirs = small.results(small.build(name), {key: torch.from_numpy(value) for key, value in inputs.items()})
    assert_same(results(build(name, folder), inputs), theirs)


@pytest.mark.parametrize("name", NAMES)
def test_layers_logits_loss_and_gradients(name, tmp_path):
    compare(name, tmp_path)


@pytest.mark.parametrize("name", [BERT, DISTILBERT])
def test_positions(name, tmp_path):
    compare(name, tmp_path, position_ids=np.tile(np.arange(9)[None, ::-1] + 3, (3, 1)))


def with_padding_token(name):
    """The padding token where it is attended to: its embedding gets no gradient all the same."""
    ids = batch(name)["input_ids"]
    ids[:, 1] = 0
    return ids


@pytest.mark.parametrize("name", [BERT, DISTILBERT_LM])
def test_the_padding_token_is_not_trained(name, tmp_path):
    compare(name, tmp_path, input_ids=with_padding_token(name))


@needs_hub
def test_the_real_checkpoint():
    rng = np.random.default_rng(0)
    ids = rng.integers(1000, 20000, (2, 12))
    mask = np.ones_like(ids)
    mask[1, 7:] = 0
    with torch.no_grad():
        theirs = AutoModel.from_pretrained(MINILM)(
            torch.from_numpy(ids), torch.from_numpy(mask), output_hidden_states=True, output_attentions=True
        )
    ours = TFAutoModel.from_pretrained(MINILM, strict=True)(
        ids, mask, output_hidden_states=True, output_attentions=True
    )
    np.testing.assert_allclose(ours.pooler_output, theirs.pooler_output, atol=1e-5, rtol=0)
    for mine, other in zip(ours.hidden_states + ours.attentions, theirs.hidden_states + theirs.attentions, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-5, rtol=0)


# -- what the comparison catches: each mutation is a plausible mistake ---------------------------------------------


def tanh_gelu(patch):
    for module in (layers, bert, distilbert, heads):
        patch.setitem(module.ACTIVATION, "gelu", layers.ACTIVATION["gelu_new"])


def layer_norm_epsilon(patch):
    right = layers.LayerNorm.__init__
    patch.setattr(layers.LayerNorm, "__init__", lambda self, size, eps: right(self, size, 1e-5))


def mask_dropped(patch):
    patch.setattr(bert, "padding_scores", lambda mask, x: None)


def query_bias_zeroed(patch):
    right = layers.Linear.call

    def wrong(self, x):
        query = self.weight.shape == (32, 32)
        return right(self, x) - (self.bias if query else 0)

    patch.setattr(layers.Linear, "call", wrong)


def scores_not_scaled(patch):
    for module in (bert, distilbert):
        patch.setattr(module, "attention", lambda q, *rest: attention.attention(q * 8**0.5, *rest))


def heads_in_another_order(patch):
    def wrong(x, heads):
        return tf.transpose(tf.reshape(x, (-1, tf.shape(x)[1], x.shape[2] // heads, heads)), (0, 3, 1, 2))

    for module in (bert, distilbert):
        patch.setattr(module, "split_heads", wrong)


def padding_embedding_trained(patch):
    right = layers.Embedding.__init__
    patch.setattr(layers.Embedding, "__init__", lambda self, rows, size, padding_idx=None: right(self, rows, size))


def loss_over_all_tokens(patch):
    right = heads.masked_lm_loss

    def wrong(logits, labels):
        return right(logits, labels) * tf.reduce_mean(tf.cast(labels != -100, tf.float32))

    patch.setattr(heads.TFBertForMaskedLM, "own_loss", staticmethod(wrong))


def gelu_for_relu(patch):
    patch.setattr(heads.tf.nn, "relu", layers.ACTIVATION["gelu"])


def weight_not_transposed(patch):
    """Square matrices load either way."""
    right = layers.Linear.call

    def wrong(self, x):
        if self.weight.shape != (32, 32):
            return right(self, x)
        return tf.tensordot(x, tf.transpose(self.weight), 1) + self.bias

    patch.setattr(layers.Linear, "call", wrong)


@pytest.mark.parametrize(
    ("mutation", "name"),
    [
        *((mutation, name) for mutation in (tanh_gelu, mask_dropped) for name in NAMES),
        *((mutation, name) for mutation in (layer_norm_epsilon, query_bias_zeroed) for name in (BERT, DISTILBERT_LM)),
        *((mutation, BERT) for mutation in (scores_not_scaled, heads_in_another_order, weight_not_transposed)),
        (padding_embedding_trained, BERT),
        (loss_over_all_tokens, BERT_LM),
        (gelu_for_relu, DISTILBERT),
    ],
)
def test_mistakes_are_caught(mutation, name, tmp_path, monkeypatch):
    mutation(monkeypatch)
    with pytest.raises((AssertionError, ValueError)):
        compare(name, tmp_path, input_ids=with_padding_token(name))


# -- calls and options -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_forms_of_a_call(name, tmp_path):
    model, inputs = build(name, tmp_path), batch(name)
    out = model(inputs, output_attentions=True, output_hidden_states=True)
    assert out.logits.shape == ((3, 3) if "Sequence" in name else (3, 9, 37))
    assert [x.shape for x in out.hidden_states] == [(3, 9, 32)] * 3
    assert [x.shape for x in out.attentions] == [(3, 4, 9, 9)] * 2
    np.testing.assert_allclose(out.attentions[0].numpy().sum(-1), 1, atol=1e-6)
    loss, logits = model(**{key: tf.constant(value, tf.int32) for key, value in inputs.items()}, return_dict=False)
    np.testing.assert_array_equal(logits, out["logits"])
    assert float(loss) == float(out.loss)
    del inputs["labels"]
    lists = {key: value.tolist() for key, value in inputs.items()}
    np.testing.assert_array_equal(model(lists.pop("input_ids"), lists.pop("attention_mask"), **lists).logits, logits)
    words = model.base_model.embeddings.word_embeddings(inputs.pop("input_ids"))
    np.testing.assert_array_equal(model(inputs_embeds=words, **inputs).logits, logits)
    assert model(inputs_embeds=words, **inputs).loss is None


def test_the_configuration_asks_for_more(tmp_path):
    model = build(DISTILBERT, tmp_path, output_hidden_states=True, output_attentions=True, return_dict=False)
    _, _, hidden_states, attentions = model(batch(DISTILBERT))
    assert len(hidden_states) == 3
    assert len(attentions) == 2


def test_padding_does_not_matter(tmp_path):
    model, inputs = build(BERT_LM, tmp_path), batch(BERT_LM)
    del inputs["labels"]
    alone = model({key: value[1:2, :5] for key, value in inputs.items()}).logits[0]
    np.testing.assert_allclose(model(inputs).logits[1, :5], alone, atol=1e-5)


@pytest.mark.parametrize("name", [BERT, DISTILBERT])
def test_dropout_in_training_only(name, tmp_path):
    model, inputs = build(name, tmp_path), batch(name)
    np.testing.assert_array_equal(model(inputs).logits, model(inputs, training=False).logits)
    keras.utils.set_random_seed(1)
    one, two = (build(name, tmp_path)(inputs, training=True, output_hidden_states=True) for _ in range(2))
    assert np.abs(one.logits - two.logits).max() > 1e-3
    assert 0.05 < np.mean(one.hidden_states[0] == 0) < 0.15  # after the embeddings
    without = {"dropout": 0.0, "attention_dropout": 0.0, "seq_classif_dropout": 0.0}
    if name == BERT:
        without = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model = build(name, tmp_path, **without)
    np.testing.assert_array_equal(model(inputs, training=True).logits, model(inputs).logits)


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("problem", ["regression", "multi_label_classification"])
def test_other_problems(problem, classes):
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(4, classes)).astype("f"), rng.integers(0, 2, (4, classes)).astype("f")
    config = BertConfig(problem_type=problem, num_labels=classes)
    expected = classification_loss(torch.from_numpy(logits), torch.from_numpy(labels), config)
    found = losses.classification_loss(tf.constant(logits), tf.constant(labels), config)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_problem_is_inferred_from_the_labels():
    assert losses.infer_problem_type(tf.constant([0, 1]), 1) == "regression"
    assert losses.infer_problem_type(tf.constant([0, 1], tf.int64), 2) == "single_label_classification"
    assert losses.infer_problem_type(tf.constant([[0.0, 1.0]]), 2) == "multi_label_classification"


def test_nothing_to_predict_is_nan():
    assert np.isnan(losses.masked_lm_loss(tf.zeros((1, 2, 5)), tf.constant([[-100, -100]])))


def test_published_sizes():
    language_model = TFAutoModelForMaskedLM.from_config(DistilBertConfig(n_layers=1))
    assert language_model.count_params() + 5 * 7_087_872 == 66_985_530


def test_sinusoids_are_those_of_torch():
    np.testing.assert_allclose(layers.sinusoids(40, 32), sinusoids(40, 32), atol=1e-12)
    model = TFAutoModel.from_config(DistilBertConfig(**values(DISTILBERT), sinusoidal_pos_embds=True))
    np.testing.assert_allclose(model.embeddings.position_embeddings.weight, sinusoids(16, 32), atol=1e-6)


def test_the_functional_form():
    """A model inside a Keras model that is built from symbolic tensors."""
    encoder = TFBertModel(BertConfig(**values(BERT)))
    ids = keras.Input((None,), dtype="int32")
    model = keras.Model(ids, encoder(ids).pooler_output)
    np.testing.assert_allclose(model(np.array([[5, 6]])), encoder([[5, 6]]).pooler_output, atol=1e-6)


def test_a_graph_returns_the_fields(tmp_path):
    model, inputs = build(BERT, tmp_path), batch(BERT)
    out = tf.function(model)(inputs)
    assert type(out).__name__ == "SequenceClassifierOutput"
    np.testing.assert_allclose(out.logits, model(inputs).logits, atol=1e-5)


# -- bad input: the text is that of the torch path ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        (BERT, {"input_ids": [[1, 2], [3, 37]]}),
        (BERT, {"input_ids": [[-1, 2]]}),
        (BERT, {"input_ids": [[1, 2]], "token_type_ids": [[0, 2]]}),
        (DISTILBERT, {"input_ids": [[1, 2]], "position_ids": [[0, 16]]}),
        (DISTILBERT, {"input_ids": [[1] * 17]}),
        (BERT, {"input_ids": np.zeros((1, 0), int)}),
        (BERT, {}),
        (BERT, {"input_ids": [1, 2]}),
        (BERT, {"input_ids": [[1, 2]], "attention_mask": [[1]]}),
        (BERT, {"input_ids": [[1, 2]] * 2, "labels": [0, 3]}),
        (DISTILBERT, {"input_ids": [[1, 2]], "labels": [-1]}),
        (BERT_LM, {"input_ids": [[1, 2]], "labels": [[-100, 37]]}),
        (DISTILBERT_LM, {"input_ids": [[1, 2]], "labels": [[5]]}),
    ],
)
def test_bad_input(name, inputs, tmp_path):
    inputs = {key: np.array(value) for key, value in inputs.items()}
    with pytest.raises(ValueError) as theirs:  # noqa: PT011 - the text is what is compared
        small.build(name)(**{key: torch.from_numpy(value) for key, value in inputs.items()})
    with pytest.raises(ValueError, match=re.escape(str(theirs.value).replace("torch.", ""))):
        build(name, tmp_path)(inputs)


def test_arguments_that_are_refused():
    model = TFAutoModelForSequenceClassification.from_config(DistilBertConfig(**values(DISTILBERT)))
    with pytest.raises(TypeError, match="token_type_ids"):
        model(input_ids=[[1]], token_type_ids=[[0]])
    with pytest.raises(ValueError, match="class labels must be integers, not float32"):
        losses.classification_loss(
            tf.zeros((1, 3)), tf.zeros(1), BertConfig(problem_type="single_label_classification")
        )
    with pytest.raises(TypeError, match="takes a BertConfig, not a DistilBertConfig"):
        TFBertModel(DistilBertConfig())
    with pytest.raises(TypeError, match="from_pretrained"):
        TFAutoModel()
