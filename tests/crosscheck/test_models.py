"""Models against transformers: outputs, losses and gradients, the mutations that this catches, and bits in training."""

import pytest
import torch
import transformers
from torch.nn import functional as F

from minift.model import attention, bert, distilbert
from minift.model.heads import classification as heads
from minift.model.heads import masked_lm as mlm
from tests.model.small import CLASSES, NAMES, assert_same, batch, build, fill, results, values

pytestmark = pytest.mark.usefixtures("one_thread")

BERT, DISTILBERT, BERT_LM, DISTILBERT_LM = NAMES


def build_theirs(name, **overrides):
    config_class = getattr(transformers, CLASSES[name].config_class.__name__)
    return getattr(transformers, name)(config_class(**{**values(name), **overrides}))


def compare(name, **inputs):
    theirs = build_theirs(name).eval()
    fill(theirs)
    ours = build(name)
    inputs = batch(name) | inputs
    assert_same(results(ours, inputs), results(theirs, inputs))


@pytest.mark.parametrize("name", NAMES)
def test_layers_logits_loss_and_gradients(name):
    compare(name)


@pytest.mark.parametrize("name", NAMES)
def test_positions(name):
    compare(name, position_ids=torch.arange(9).flip(0)[None].expand(3, 9) + 3)


# -- what the comparison catches: each mutation is a plausible mistake ---------------------------------------------


def tanh_gelu(patch):
    for module in (bert, distilbert, mlm):
        patch.setitem(module.ACTIVATION, "gelu", lambda x: F.gelu(x, approximate="tanh"))


def layer_norm_epsilon(patch):
    norm = F.layer_norm
    patch.setattr(F, "layer_norm", lambda x, s, w, b, eps: norm(x, s, w, b, 1e-5 if eps == 1e-12 else eps))


def mask_dropped(patch):
    for module in (bert, distilbert):
        patch.setattr(module, "key_mask", lambda mask, x: None)


def mask_on_queries(patch):
    right = attention.key_mask
    for module in (bert, distilbert):
        patch.setattr(module, "key_mask", lambda mask, x: right(mask, x).transpose(2, 3))


def scores_not_scaled(patch):
    unscaled = lambda q, k, v, mask, p: F.scaled_dot_product_attention(q, k, v, mask, p, scale=1.0)  # noqa: E731
    patch.setitem(attention.ATTENTION, "sdpa", unscaled)


def heads_in_another_order(patch):
    wrong = lambda x, heads: x.unflatten(-1, (-1, heads)).permute(0, 3, 1, 2)  # noqa: E731
    for module in (bert, distilbert):
        patch.setattr(module, "split_heads", wrong)


def positions_reversed(patch):
    right = torch.arange
    patch.setattr(torch, "arange", lambda *a, **k: right(*a, **k).flip(0))


def positions_left_out(patch):
    right = torch.arange
    patch.setattr(torch, "arange", lambda *a, **k: right(*a, **k) * 0)


def types_left_out(patch):
    right = bert.BertEmbeddings.forward
    patch.setattr(bert.BertEmbeddings, "forward", lambda self, input_ids, **_: right(self, input_ids))


def types_swapped_with_positions(patch):
    def wrong(self, input_ids, token_type_ids, **others):
        places = torch.arange(input_ids.shape[1])[None]
        x = (
            self.word_embeddings(input_ids)
            + self.token_type_embeddings(places % 2)
            + self.position_embeddings(token_type_ids)
        )
        return self.LayerNorm(x)

    patch.setattr(bert.BertEmbeddings, "forward", wrong)


def pooled_without_tanh(patch):
    patch.setattr(torch, "tanh", lambda x: x)


def gelu_for_relu(patch):
    patch.setattr(heads.F, "relu", F.gelu)


def labels_shifted(patch):
    right = heads.classification_loss
    patch.setattr(heads, "classification_loss", lambda x, labels, *rest: right(x, (labels + 1) % 3, *rest))


def loss_over_all_tokens(patch):
    right = mlm.masked_lm_loss
    patch.setattr(mlm, "masked_lm_loss", lambda x, labels, n: right(x, labels, labels.numel()))


SHARED = [
    tanh_gelu,
    layer_norm_epsilon,
    mask_dropped,
    mask_on_queries,
    scores_not_scaled,
    heads_in_another_order,
    positions_reversed,
    positions_left_out,
]
CASES = [
    *[(mutation, name) for mutation in SHARED for name in NAMES],
    *[(mutation, name) for mutation in (types_left_out, types_swapped_with_positions) for name in (BERT, BERT_LM)],
    (pooled_without_tanh, BERT),
    (gelu_for_relu, DISTILBERT),
    *[(labels_shifted, name) for name in (BERT, DISTILBERT)],
    *[(loss_over_all_tokens, name) for name in (BERT_LM, DISTILBERT_LM)],
]


@pytest.mark.parametrize(("mutation", "name"), CASES, ids=[f"{m.__name__}-{n}" for m, n in CASES])
def test_comparison_catches(mutation, name, monkeypatch):
    theirs = build_theirs(name).eval()
    fill(theirs)
    expected = results(theirs, batch(name))
    ours = build(name)
    assert_same(results(ours, batch(name)), expected)
    with monkeypatch.context() as patch:
        mutation(patch)
        found = results(build(name), batch(name))
    with pytest.raises(AssertionError):
        assert_same(found, expected)


@pytest.mark.parametrize("name", NAMES)
def test_comparison_catches_each_parameter_left_out(name):
    theirs = build_theirs(name).eval()
    fill(theirs)
    expected = results(theirs, batch(name))
    ours = build(name)
    for parameter_name, parameter in ours.named_parameters():
        if parameter_name.endswith(("key.bias", "k_lin.bias")):
            continue  # adds the same to all scores of a query, which softmax takes out again
        kept = parameter.detach().clone()
        parameter.data.zero_()
        with pytest.raises(AssertionError):
            assert_same(results(ours, batch(name)), expected)
        parameter.data.copy_(kept)
    assert_same(results(ours, batch(name)), expected)


# -- bits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "overrides"),
    [*[(name, {}) for name in NAMES], (DISTILBERT, {"sinusoidal_pos_embds": True})],
)
def test_new_models_are_drawn_alike(name, overrides):
    torch.manual_seed(0)
    theirs = build_theirs(name, **overrides).state_dict()
    their_next = torch.rand(1)
    torch.manual_seed(0)
    ours = CLASSES[name](CLASSES[name].config_class(**{**values(name), **overrides})).state_dict()
    assert torch.equal(torch.rand(1), their_next)
    assert list(ours) == list(theirs)
    for parameter, tensor in theirs.items():
        assert torch.equal(ours[parameter], tensor), parameter


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_training_is_equal_to_the_bit_with_dropout(name, padded):
    def train(model):
        model.train()
        torch.manual_seed(1)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        inputs, steps = batch(name, padded), []
        for _ in range(8):
            loss = model(**inputs).loss
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            steps.append((loss.item(), norm.item()))
        return steps

    theirs = build_theirs(name)
    fill(theirs)
    steps = train(build(name))
    assert steps == train(theirs)
    assert len(set(steps)) == 8


@pytest.mark.parametrize("name", NAMES)
def test_attentions_and_hidden_states(name):
    theirs = build_theirs(name, attn_implementation="eager").eval()
    fill(theirs)
    inputs = batch(name) | {"output_attentions": True, "output_hidden_states": True}
    ours, theirs = build(name)(**inputs), theirs(**inputs)
    assert list(ours.keys()) == list(theirs.keys())
    for kind in ("attentions", "hidden_states"):
        for a, b in zip(ours[kind], theirs[kind], strict=True):
            torch.testing.assert_close(a, b, atol=1e-6, rtol=0)


PROBLEMS = {
    "regression": (1, torch.tensor([0.5, -1.0, 2.0])),
    "single_label_classification": (3, torch.tensor([2, 0, 1])),
    "multi_label_classification": (3, torch.tensor([[1.0, 0, 1], [0, 0, 1], [1, 1, 1]])),
}


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("name", [BERT, DISTILBERT])
def test_losses_and_the_inferred_problem_type(name, problem):
    num_labels, labels = PROBLEMS[problem]
    theirs = build_theirs(name, num_labels=num_labels).eval()
    fill(theirs)
    ours = build(name, num_labels=num_labels)
    inputs = batch(name) | {"labels": labels}
    assert_same(results(ours, inputs), results(theirs, inputs))
    assert ours.config.problem_type == theirs.config.problem_type == problem


@pytest.mark.parametrize("name", NAMES)
def test_counts(name):
    ours, theirs, inputs = build(name), build_theirs(name), batch(name)
    assert ours.num_parameters() == theirs.num_parameters()
    assert ours.num_parameters(exclude_embeddings=True) == theirs.num_parameters(exclude_embeddings=True)
    tokens = inputs["input_ids"].numel()
    assert ours.floating_point_ops(inputs) == 6 * tokens * theirs.num_parameters(exclude_embeddings=True)
