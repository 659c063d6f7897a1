"""Schedules and AdamW of the TensorFlow path: formulas against Keras' and torch's, arguments, and what decays."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch

from minift.model.config import BertConfig, DistilBertConfig
from minift.tf.heads import TFBertForMaskedLM, TFBertForSequenceClassification, TFDistilBertForSequenceClassification
from minift.tf.optim import AdamW, PolynomialDecay, WarmUp, create_optimizer

STEPS = 200
SMALL = dict(vocab_size=50, hidden_size=32, num_attention_heads=4, intermediate_size=64)


class Net(keras.Model):
    """Variables with the names that a transformer's have, and a product of them."""

    def __init__(self, seed=0, dtype="float32"):
        super().__init__(dtype=dtype)
        draw = np.random.default_rng(seed)
        self.dense = keras.layers.Dense(5, name="dense", dtype=dtype, bias_initializer=keras.initializers.Constant(0.3))
        self.norm = keras.layers.LayerNormalization(name="LayerNorm", dtype=dtype)
        self.last = keras.layers.LayerNormalization(name="sa_layer_norm", dtype=dtype)
        self.dense.build((None, 6))
        self.norm.build((None, 5))
        self.last.build((None, 5))
        self.dense.kernel.assign(draw.normal(size=(6, 5)))


def gradients(variables, scale=1.0, dtype="float32", seed=1):
    """A gradient a variable and step, of sizes that differ a thousandfold between elements."""
    draw = np.random.default_rng(seed)
    for _ in range(STEPS):
        yield [
            (draw.normal(size=variable.shape) * scale * 10 ** draw.uniform(-3, 0, variable.shape)).astype(dtype)
            for variable in variables
        ]


def run(optimizer, scale=1.0, dtype="float32"):
    """The variables after each of the steps, end to end: (STEPS, N)."""
    variables, path = Net(dtype=dtype).trainable_variables, []
    optimizer.build(variables)
    update = tf.function(lambda step: optimizer.apply(step, variables))
    for step in gradients(variables, scale, dtype):
        update([tf.constant(gradient) for gradient in step])
        path.append(np.concatenate([variable.numpy().ravel() for variable in variables]))
    return np.stack(path)


def run_torch(scale=1.0, **options):
    parameters = [torch.nn.Parameter(torch.tensor(v.numpy())) for v in Net(dtype="float64").trainable_variables]
    groups = [{"params": parameters[:1], "weight_decay": options.pop("weight_decay", 0.0)}]
    optimizer = torch.optim.AdamW([*groups, {"params": parameters[1:], "weight_decay": 0.0}], foreach=False, **options)
    path = []
    for step in gradients(parameters, scale, "float64"):
        for parameter, gradient in zip(parameters, step, strict=True):
            parameter.grad = torch.tensor(gradient)
        optimizer.step()
        path.append(torch.cat([parameter.detach().ravel() for parameter in parameters]).numpy())
    return np.stack(path)


# -- schedules


@pytest.mark.parametrize("cycle", [False, True])
@pytest.mark.parametrize(("end", "power"), [(0.0, 1.0), (1e-5, 1.0), (1e-5, 0.5), (0.0, 2.0)])
def test_polynomial_decay_is_keras(cycle, end, power):
    options = dict(decay_steps=70, end_learning_rate=end, power=power, cycle=cycle)
    ours, theirs = PolynomialDecay(5e-3, **options), keras.optimizers.schedules.PolynomialDecay(5e-3, **options)
    rates = [float(ours(step)) for step in range(STEPS)]
    np.testing.assert_allclose(rates, [float(theirs(step)) for step in range(STEPS)], rtol=1e-6, atol=1e-9)
    if not cycle:
        assert rates[70:] == pytest.approx([end] * (STEPS - 70), abs=1e-9)


def test_polynomial_decay_is_the_linear_schedule_of_the_torch_path():
    from minift.optim.schedule import linear

    _, schedule = create_optimizer(5e-5, num_train_steps=100, num_warmup_steps=10)
    rates = [float(schedule(step)) for step in range(120)]
    np.testing.assert_allclose(rates, [5e-5 * linear(step, 10, 100) for step in range(120)], rtol=1e-6, atol=1e-12)


def test_warm_up_with_a_power():
    schedule = WarmUp(1.0, PolynomialDecay(1.0, 10, 0.5), warmup_steps=4, power=2.0)
    assert [float(schedule(step)) for step in (0, 1, 2, 4, 9, 14)] == [0.0, 1 / 16, 0.25, 1.0, 0.75, 0.5]


def test_schedules_and_optimizer_survive_keras_serialisation():
    optimizer, schedule = create_optimizer(1e-3, 50, 5, weight_decay_rate=0.1, power=2.0, adam_global_clipnorm=1.0)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert [float(again(step)) for step in range(60)] == [float(schedule(step)) for step in range(60)]
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    np.testing.assert_array_equal(run(again), run(optimizer))


# -- AdamW


def test_adamw_is_keras_where_epsilon_is_small_beside_the_gradients():
    options = dict(learning_rate=1e-4, epsilon=1e-12, weight_decay=0.1)
    ours, theirs = run(AdamW(**options, not_decayed=())), run(keras.optimizers.AdamW(**options))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


def test_adamw_is_torchs_wherever_the_gradients_are():
    rate = 2**-10  # Keras keeps it in float32: a number that loses nothing there
    for scale in (1.0, 1e-7):
        ours = run(AdamW(rate, weight_decay=0.1), scale, "float64")
        theirs = run_torch(scale, lr=rate, weight_decay=0.1)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)


def test_keras_formula_differs_by_the_place_of_epsilon():
    """With gradients as small as epsilon the two part; Keras' ε, √(1 − β₂ᵗ) times as large, brings ours back."""
    keras_path = run(keras.optimizers.AdamW(1e-3, epsilon=1e-8, weight_decay=0.0), scale=1e-7)
    assert np.abs(run(AdamW(1e-3, epsilon=1e-8), scale=1e-7) - keras_path).max() > 1e-3
    model, path = Net(), []
    optimizer = AdamW(1e-3, epsilon=1e-8)
    for step, gradient in enumerate(gradients(model.trainable_variables, 1e-7), start=1):
        optimizer.epsilon = 1e-8 / np.sqrt(1 - 0.999**step)
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in gradient], model.trainable_variables)
        path.append(np.concatenate([variable.numpy().ravel() for variable in model.trainable_variables]))
    np.testing.assert_allclose(np.stack(path), keras_path, rtol=0, atol=1e-5)


def test_default_decay_differs_from_keras():
    assert AdamW().decay == 0.0
    assert keras.optimizers.AdamW().weight_decay == 0.004
    np.testing.assert_allclose(run(AdamW()), run(keras.optimizers.Adam(1e-3, epsilon=1e-8)), atol=1e-5)


def test_biases_and_layernorm_do_not_decay():
    model = Net()
    before = [variable.numpy() for variable in model.trainable_variables]
    optimizer = AdamW(0.1, weight_decay=0.5)
    optimizer.apply([keras.ops.zeros(v.shape) for v in before], model.trainable_variables)
    for variable, old in zip(model.trainable_variables, before, strict=True):
        decays = variable.path.endswith("kernel")
        np.testing.assert_allclose(variable.numpy(), old * (0.95 if decays else 1.0), rtol=1e-6)
    assert len(before) == 6


@pytest.mark.parametrize(
    ("model_class", "config"),
    [
        (TFBertForSequenceClassification, BertConfig(num_hidden_layers=1, **SMALL)),
        (TFBertForMaskedLM, BertConfig(num_hidden_layers=1, **SMALL)),
        (TFDistilBertForSequenceClassification, DistilBertConfig(n_layers=1, dim=32, hidden_dim=64, n_heads=4)),
    ],
)
def test_of_a_real_model_the_torch_paths_parameters_decay(model_class, config):
    model, optimizer = model_class(config), AdamW(weight_decay=0.01)
    optimizer.build(model.trainable_variables)
    decayed = {id(v) for v, decays in zip(model.trainable_variables, optimizer.decayed, strict=True) if decays}
    for name, parameter in model.named_parameters():
        expected = not name.endswith("bias") and "LayerNorm" not in name and "layer_norm" not in name
        assert (id(parameter.variable) in decayed) == expected, name


def test_rows_of_an_embedding_get_dense_updates():
    """Slices and the dense gradient they stand for move the same: moments of rows that are not met decay, too."""
    paths = []
    for dense in (True, False):
        table = keras.Variable(np.ones((4, 2), "f4"), name="embeddings")
        optimizer = AdamW(0.1, weight_decay=0.1)
        for row in (0, 1, 1):
            gradient = tf.IndexedSlices(tf.constant([[1.0, -2.0], [0.5, 0.5]]), tf.constant([row, row]), (4, 2))
            optimizer.apply([tf.convert_to_tensor(gradient) if dense else gradient], [table])
        paths.append(table.numpy())
    np.testing.assert_allclose(*paths, atol=1e-7)
    assert (paths[0][0] != paths[0][2]).all()


def test_it_trains_in_fit_with_a_schedule():
    optimizer, _ = create_optimizer(0.2, num_train_steps=40, num_warmup_steps=4, weight_decay_rate=0.01)
    draw = np.random.default_rng(0)
    x = draw.normal(size=(80, 4)).astype("f4")
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(optimizer, "mse")
    losses = model.fit(x, x @ [1.0, -1.0, 2.0, 0.5], batch_size=8, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0] / 10
    assert float(optimizer.learning_rate) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AdamW(beta_1=1.0), "beta_1 must be in"),
        (lambda: AdamW(weight_decay=-1), "weight_decay must be at least 0"),
        (lambda: PolynomialDecay(1.0, 0), "decay_steps must be above 0"),
        (lambda: WarmUp(1.0, PolynomialDecay(1.0, 1), 0), "warmup_steps must be above 0"),
        (lambda: create_optimizer(1e-3, 10, 10), "num_warmup_steps=10 must be below num_train_steps=10"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
