"""The Trainer's fast options against its plain path: logs, weights, predictions."""

import numpy as np
import pytest
import torch

from minift import Trainer, TrainingArguments
from tests.tiny import PadRows, tiny_model, tiny_rows

NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def accuracy(prediction) -> dict[str, float]:
    return {"accuracy": float((prediction.predictions.argmax(-1) == prediction.label_ids).mean())}


def make(folder, model=None, **options) -> Trainer:
    settings = dict(max_steps=6, learning_rate=1e-3, logging_steps=1, save_strategy="no", disable_tqdm=True)
    return Trainer(
        model or tiny_model(**NO_DROPOUT),
        TrainingArguments(str(folder), **(settings | options)),
        PadRows(),
        train_dataset=tiny_rows(40, (2, 20)),
        eval_dataset=tiny_rows(21, (2, 20), seed=1),
        compute_metrics=accuracy,
    )


def log_of(trainer) -> list[dict[str, float]]:
    trainer.train()
    return [
        {key: entry[key] for key in ("loss", "grad_norm")} for entry in trainer.state.log_history if "loss" in entry
    ]


@pytest.mark.parametrize(
    "options",
    [
        {"padding_free": True},
        {"padding_free": True, "fast_dropout": True, "optim": "adamw_torch_fused"},
        {"padding_free": True, "gradient_accumulation_steps": 2, "max_grad_norm": 0.1},
    ],
    ids=str,
)
def test_training_takes_the_same_steps(tmp_path, options):
    same = {name: value for name, value in options.items() if name in ("gradient_accumulation_steps", "max_grad_norm")}
    plain, fast = log_of(make(tmp_path, **same)), log_of(make(tmp_path, **options))
    assert len(plain) == 6
    for expected, found in zip(plain, fast, strict=True):
        assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.long
@pytest.mark.parametrize("padding_free", [False, True])
def test_torch_compile(tmp_path, padding_free):
    """Batches of several widths, so that the compiled code has to take any."""
    model = tiny_model(num_hidden_layers=1, **NO_DROPOUT)
    plain = log_of(make(tmp_path, tiny_model(num_hidden_layers=1, **NO_DROPOUT), max_steps=4))
    fast = log_of(make(tmp_path, model, max_steps=4, torch_compile=True, padding_free=padding_free))
    for expected, found in zip(plain, fast, strict=True):
        assert found == pytest.approx(expected, rel=1e-4)


def test_bf16_and_padding_free_stay_near(tmp_path):
    """Near the plain path, and no nearer than bfloat16 is."""
    plain = log_of(make(tmp_path))
    fast = log_of(make(tmp_path, bf16=True, padding_free=True, fast_dropout=True))
    for expected, found in zip(plain, fast, strict=True):
        assert found == pytest.approx(expected, rel=0.05)
        assert found != pytest.approx(expected, rel=1e-4)


def test_the_compiled_optimizer_takes_the_same_steps(tmp_path):
    """On matrices large enough to be compiled."""
    size = {"hidden_size": 128, "intermediate_size": 128, "num_hidden_layers": 1, **NO_DROPOUT}
    torch.manual_seed(0)
    plain = log_of(make(tmp_path, tiny_model(**size)))
    torch.manual_seed(0)
    trainer = make(tmp_path, tiny_model(**size), optim="adamw_compiled")
    for expected, found in zip(plain, log_of(trainer), strict=True):
        assert found == pytest.approx(expected, rel=1e-4)
    assert trainer.optimizer.compiled_update is not None


def casts_of(trainer, work) -> int:
    """How many times `work` casts a tensor of a shape that only one weight has, and its gradient."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], record_shapes=True) as profiler:
        work()
    shape = list(trainer.model.bert.encoder.layer[0].intermediate.dense.weight.shape)
    return sum(event.name == "aten::_to_copy" and event.input_shapes[0] == shape for event in profiler.events())


def test_weights_are_cast_once_a_step_and_once_an_evaluation(tmp_path):
    options = {"bf16": True, "max_steps": 1, "eval_strategy": "no", "gradient_accumulation_steps": 3}
    trainer = make(tmp_path, tiny_model(num_hidden_layers=1, **NO_DROPOUT), **options)
    assert casts_of(trainer, trainer.train) == 1 + 3  # and the gradient of each batch, back to float32
    assert casts_of(trainer, trainer.evaluate) == 1


@pytest.mark.parametrize("max_norm", [0.1, 100.0, 0.0])
def test_clipping_in_the_update_takes_the_same_steps(tmp_path, max_norm):
    """Clipped at every step, at none, and without a limit; the weights say whether it was this step's gradients."""
    settings = {"optim": "adamw_torch_fused", "max_grad_norm": max_norm, "adam_epsilon": 0.01}
    plain, fast = (make(tmp_path, clip_in_update=option, **settings) for option in (False, True))
    for expected, found in zip(log_of(plain), log_of(fast), strict=True):
        assert found == pytest.approx(expected, rel=1e-4)
    for name, expected in plain.model.state_dict().items():
        torch.testing.assert_close(fast.model.state_dict()[name], expected, rtol=1e-5, atol=1e-7)
    assert fast.optimizer.grad_scale is None


def test_clipping_in_the_update_needs_the_fused_kernel(tmp_path):
    with pytest.raises(ValueError, match="clip_in_update needs optim='adamw_torch_fused'"):
        make(tmp_path, clip_in_update=True).train()
    for other in ("fp16", "shard_optimizer"):
        with pytest.raises(ValueError, match="clip_in_update excludes fp16 and shard_optimizer"):
            make(tmp_path, clip_in_update=True, optim="adamw_torch_fused", **{other: True})


@pytest.mark.parametrize("name", ["padding_free", "sparse_mlm_head", "fast_dropout"])
def test_options_are_for_models_that_have_them(tmp_path, name):
    with pytest.raises(ValueError, match=f"{name}=True needs a model of minift, not Linear"):
        make(tmp_path, torch.nn.Linear(2, 2), **{name: True})


def test_evaluation_by_length_gives_the_same_in_the_same_order(tmp_path):
    plain, fast = (make(tmp_path, eval_sort_by_length=option) for option in (False, True))
    expected, found = plain.evaluate(), fast.evaluate()
    for name in ("eval_loss", "eval_weighted_loss", "eval_accuracy"):
        assert found[name] == pytest.approx(expected[name], rel=1e-5)
    expected, found = plain.predict(plain.eval_dataset), fast.predict(fast.eval_dataset)
    np.testing.assert_allclose(found.predictions, expected.predictions, atol=1e-5)
    np.testing.assert_array_equal(found.label_ids, expected.label_ids)


def test_evaluation_by_length_pads_less_and_hands_over_rows_in_order(tmp_path):
    trainer = make(tmp_path, eval_sort_by_length=True, include_for_metrics=["inputs", "loss"])
    widths, seen = [], []

    trainer.model.register_forward_hook(
        lambda module, args, inputs, out: widths.append(inputs["input_ids"].shape[1]), with_kwargs=True
    )
    trainer.compute_metrics = lambda prediction: seen.append(prediction) or {}
    trainer.evaluate()
    lengths = sorted((len(row["input_ids"]) for row in trainer.eval_dataset), reverse=True)
    assert widths == lengths[::8]
    for row, ids in zip(trainer.eval_dataset, seen[0].inputs, strict=True):
        assert [i for i in ids if i > 0] == row["input_ids"]
    assert len(seen[0].losses) == 21


@pytest.mark.parametrize("by_length", [False, True])
def test_a_loader_of_the_users_own_keeps_its_order(tmp_path, by_length):
    trainer = make(tmp_path, eval_sort_by_length=by_length)
    expected = trainer.predict(trainer.eval_dataset).predictions
    trainer.get_test_dataloader = lambda dataset: torch.utils.data.DataLoader(
        dataset, batch_size=8, collate_fn=trainer.data_collator
    )
    np.testing.assert_allclose(trainer.predict(trainer.eval_dataset).predictions, expected, atol=1e-5)
