"""The model's fast options against its plain path: hidden states, logits, losses and every gradient."""

import copy

import pytest
import torch

from minift.fast.dropout import draw_keep
from minift.fast.options import use_fast_path
from minift.fast.packing import Packing
from minift.fast.within_texts import TextByText, attend_within_texts, jagged_attention
from tests.model.small import NAMES, assert_same, batch, build, results

LM_NAMES = [name for name in NAMES if name.endswith("MaskedLM")]
NEEDS_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
CLASSIFIERS = [name for name in NAMES if name not in LM_NAMES]
NO_DROPOUT = {
    "Bert": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
    "Distil": {"dropout": 0.0, "attention_dropout": 0.0, "seq_classif_dropout": 0.0},
}


def build_for_training(name: str, **options) -> torch.nn.Module:
    """A model in training mode, without dropout."""
    rates = next(rates for start, rates in NO_DROPOUT.items() if name.startswith(start))
    return build(name, **(rates | options)).train()


def loss_and_gradients(model: torch.nn.Module, inputs: dict) -> dict[str, torch.Tensor]:
    model.zero_grad()
    output = model(**inputs)
    output.loss.backward()
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return found | {name: output[name].detach() for name in ("loss", "logits") if name in output}


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_padding_free_gives_the_same_hidden_states(name, padded):
    inputs = batch(name, padded)
    plain, packed = (results(build(name, padding_free=option), inputs) for option in (False, True))
    real = inputs["attention_mask"].bool()
    for found in (plain, packed):
        for key in found:
            if key.startswith("hidden") or (key == "logits" and name in LM_NAMES):
                found[key] = found[key][real]
    assert_same(packed, plain)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_padding_free_computes_of_the_last_layer_only_the_first_tokens(name):
    inputs = batch(name)
    model = build_for_training(name, padding_free=True)
    widths = []
    last = model.base_model.layers[-1]
    net = last.output["dense"] if name.startswith("Bert") else last.ffn["lin2"]
    net.register_forward_hook(lambda module, args, out: widths.append(out.shape[:2]))
    assert_same(loss_and_gradients(model, inputs), loss_and_gradients(build_for_training(name), inputs))
    assert widths == [(1, 3)]


@pytest.mark.parametrize("name", NAMES)
def test_padding_free_takes_embeddings_and_positions(name):
    inputs = batch(name)
    inputs.pop("labels")
    ids = inputs.pop("input_ids")
    models = [build(name, padding_free=option) for option in (False, True)]
    inputs |= {"inputs_embeds": models[0].get_input_embeddings()(ids), "position_ids": torch.arange(9)[None].flip(1)}
    rows = inputs["attention_mask"].bool() if name in LM_NAMES else slice(None)
    plain, packed = (model(**inputs).logits[rows] for model in models)
    torch.testing.assert_close(packed, plain, atol=1e-5, rtol=0)


def test_padding_free_leaves_asked_for_attentions_as_they_are():
    name = NAMES[0]
    outputs = [build(name, padding_free=option)(**batch(name), output_attentions=True) for option in (False, True)]
    for plain, packed in zip(*(output.attentions for output in outputs), strict=True):
        assert torch.equal(plain, packed)


def test_padding_free_wants_padding_on_the_right():
    inputs = batch(NAMES[0])
    inputs["attention_mask"] = inputs["attention_mask"].flip(1)
    with pytest.raises(ValueError, match="row 1 begins with padding"):
        build(NAMES[0], padding_free=True)(**inputs)
    inputs["attention_mask"] = inputs["attention_mask"][:, 1:]
    with pytest.raises(ValueError, match=r"attention_mask has shape \(3, 8\), but the input has \(3, 9\)"):
        build(NAMES[0], padding_free=True)(**inputs)


def test_packing_and_unpacking():
    mask = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 1, 1]])
    x = torch.arange(9.0).view(3, 3, 1) + 1
    packing = Packing(x, mask)
    assert packing.pack(x).flatten().tolist() == [1, 2, 4, 7, 8, 9]
    assert packing.first(packing.pack(x)).flatten().tolist() == [1, 4, 7]
    assert torch.equal(packing.unpack(packing.pack(x)), x * mask[:, :, None])


@pytest.mark.parametrize("first_only", [False, True])
@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_the_gradient_of_attention_by_finite_differences(rate, first_only):
    packing = Packing(torch.zeros(2, 4), torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]]))
    torch.manual_seed(0)
    q, k, v = (torch.randn(1, 2, 6, 3, dtype=torch.float64, requires_grad=True) for _ in range(3))
    if first_only:
        q = q[:, :, :2].detach().requires_grad_()

    def attend_again(*qkv):
        torch.manual_seed(1)  # the same probabilities are dropped each time
        return attend_within_texts(*qkv, packing, rate, fast_dropout=True)

    assert torch.autograd.gradcheck(attend_again, (q, k, v))


@pytest.mark.parametrize("queries", [[5, 2, 3], [1, 1, 1]], ids=["all tokens", "first tokens"])
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=NEEDS_GPU)])
def test_the_form_for_the_gpu_gives_the_same(device, queries):
    torch.manual_seed(0)
    q = torch.randn(4, sum(queries), 8, device=device, requires_grad=True)
    k, v = (torch.randn(4, 10, 8, device=device, requires_grad=True) for _ in range(2))
    found = jagged_attention(q, k, v, queries, [5, 2, 3], 0.0)
    expected = TextByText.apply(q, k, v, queries, [5, 2, 3], 0.0, False)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    gradients = (torch.autograd.grad(out.square().sum(), (q, k, v)) for out in (found, expected))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


@NEEDS_GPU
@pytest.mark.parametrize("name", NAMES)
def test_padding_free_on_a_gpu(name):
    inputs = {key: value.cuda() for key, value in batch(name).items()}
    plain, packed = (build_for_training(name, padding_free=option).cuda() for option in (False, True))
    plain, packed = loss_and_gradients(plain, inputs), loss_and_gradients(packed, inputs)
    for found in (plain, packed):
        if name in LM_NAMES:
            found["logits"] = found["logits"][inputs["attention_mask"].bool()]
    assert_same(packed, plain, atol=1e-4)


@pytest.mark.parametrize("reduction", [None, 11])
@pytest.mark.parametrize("padding_free", [False, True])
@pytest.mark.parametrize("name", LM_NAMES)
def test_sparse_head(name, padding_free, reduction):
    inputs = batch(name) | {"num_items_in_batch": reduction}
    inputs["labels"][0, 0] = 0  # a label like any other
    dense = loss_and_gradients(build_for_training(name), inputs)
    sparse = loss_and_gradients(build_for_training(name, sparse_mlm_head=True, padding_free=padding_free), inputs)
    assert "logits" not in sparse
    dense.pop("logits")
    assert_same(sparse, dense)


@pytest.mark.parametrize("name", LM_NAMES)
def test_sparse_head_is_for_training_with_labels(name):
    inputs = batch(name)
    plain, sparse = build_for_training(name), build_for_training(name, sparse_mlm_head=True)
    assert torch.equal(sparse.eval()(**inputs).logits, plain.eval()(**inputs).logits)
    inputs["labels"][0, 0] = 37
    with pytest.raises(ValueError, match="row 0: label 37 is not one of the 37 classes"):
        sparse.train()(**inputs)
    inputs["labels"] = inputs["labels"][:, 1:]
    with pytest.raises(ValueError, match=r"labels have shape \(3, 8\), but the input has \(3, 9\)"):
        sparse(**inputs)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_fast_dropout_drops_at_its_rate_and_keeps_the_mean(rate):
    torch.manual_seed(0)
    count = 2**20 + 3
    keep = draw_keep(count, rate, torch.empty(0))
    dropped = (keep == 0).double().mean().item()
    assert dropped == pytest.approx(rate, abs=4 * (rate * (1 - rate) / count) ** 0.5 + 2**-17)
    assert keep.double().mean().item() == pytest.approx(1, abs=4 * (rate / (1 - rate) / count) ** 0.5)
    assert keep.unique().numel() == 2
    for lag in (1, 2, 3, 4):  # the four draws from one integer are independent, and so are neighbours
        together = ((keep[lag:] == 0) & (keep[:-lag] == 0)).double().mean().item()
        assert together == pytest.approx(rate**2, abs=5 * rate / count**0.5)


def test_fast_dropout_is_reproducible_and_off_outside_training():
    layer = next(m for m in build(NAMES[0], fast_dropout=True).modules() if isinstance(m, torch.nn.Dropout)).train()
    layer.p = 0.4
    x = torch.randn(5, 7)
    torch.manual_seed(3)
    first, second = layer(x), layer(x)
    torch.manual_seed(3)
    assert torch.equal(layer(x), first)
    assert not torch.equal(first, second)
    assert torch.equal(first != 0, (first / x).abs() > 1)
    assert layer.eval()(x) is x


@pytest.mark.parametrize("padding_free", [False, True])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_fast_dropout_has_the_distribution_of_dropout(name, padding_free):
    """Mean and spread of the logits over many draws, to some standard errors."""
    inputs = {key: value for key, value in batch(name).items() if key != "labels"}
    mean, spread, draws = {}, {}, 100
    for fast in (False, True):
        model = build(name, fast_dropout=fast, padding_free=fast and padding_free).train()
        torch.manual_seed(0)
        with torch.no_grad():
            logits = torch.stack([model(**inputs).logits for _ in range(draws)])  # (draws, 3, 3)
        mean[fast], spread[fast] = logits.mean(0), logits.std(0)
    assert ((mean[True] - mean[False]).abs() / spread[False] * (draws / 2) ** 0.5).mean() < 1.3
    torch.testing.assert_close(spread[True].mean(), spread[False].mean(), rtol=0.1, atol=0)


def test_a_copy_of_a_fast_model_is_a_model_of_its_own():
    model = build_for_training(LM_NAMES[0], padding_free=True, sparse_mlm_head=True)
    copied, inputs = copy.deepcopy(model), batch(LM_NAMES[0])
    expected = loss_and_gradients(model, inputs)
    model.requires_grad_(False).apply(lambda module: [p.zero_() for p in module.parameters(recurse=False)])
    assert_same(loss_and_gradients(copied, inputs), expected)


def test_the_options_need_a_model_that_has_what_they_change():
    for option in ("padding_free", "sparse_mlm_head", "fast_dropout"):
        with pytest.raises(ValueError, match=f"{option}=True needs a model of minift, not Linear"):
            use_fast_path(torch.nn.Linear(2, 2), **{option: True})
    with pytest.raises(ValueError, match="sparse_mlm_head=True needs a masked language model"):
        build(CLASSIFIERS[0], sparse_mlm_head=True)
    assert use_fast_path(torch.nn.Linear(2, 2))
