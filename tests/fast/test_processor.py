"""bfloat16 where a processor has no such products, and `fast=True`: which options are on, and what is said."""

import logging

import pytest
import torch

import minift
from minift.fast import processor
from minift.fast.processor import bf16_is_real, product_rates
from minift.train import fast_options, setup
from minift.train.arguments import TrainingArguments
from minift.train.trainer import Trainer
from tests.model import small
from tests.tiny import PadRows, tiny_model, tiny_rows

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(params=[False, True], ids=["emulated", "real"])
def real(request, monkeypatch):
    """A processor with or without bfloat16 products."""
    for module in (setup, fast_options):
        monkeypatch.setattr(module, "bf16_is_real", lambda: request.param)
    return request.param


def trained(tmp_path, rows=16, **options):
    settings = {"max_steps": 3, "logging_steps": 1, "disable_tqdm": True, "use_cpu": True, "learning_rate": 1e-2}
    trainer = Trainer(tiny_model(), TrainingArguments(str(tmp_path), **settings | options), PadRows(), tiny_rows(rows))
    trainer.train()
    return trainer, [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def test_flags_and_rates(monkeypatch):
    monkeypatch.setattr(processor, "cpu_flags", lambda: {"avx2", "fma"})
    assert not bf16_is_real.__wrapped__()
    monkeypatch.setattr(processor, "cpu_flags", lambda: {"avx2", "avx512_bf16"})
    assert bf16_is_real.__wrapped__()
    monkeypatch.setattr(processor, "cpu_flags", set)  # a system that does not tell: it is measured
    for rate, expected in ((9.0, False), (11.0, True)):
        monkeypatch.setattr(processor, "product_rates", lambda rate=rate: {"float32": 10.0, "bfloat16": rate})
        assert bf16_is_real.__wrapped__() is expected
    assert all(rate > 0 for rate in product_rates().values())


def test_bf16_falls_back_and_says_so(tmp_path, real, caplog):
    _, plain = trained(tmp_path / "plain")
    _, losses = trained(tmp_path / "bf16", bf16=True)
    said = "bf16: this processor has no bfloat16 products; they are emulated, at"
    assert (said in caplog.text) is not real
    assert ('Training in float32; bf16="force" has it anyway' in caplog.text) is not real
    assert (losses == plain) is not real
    caplog.clear()
    _, forced = trained(tmp_path / "forced", bf16="force")
    assert said not in caplog.text
    assert forced != plain
    with pytest.raises(ValueError, match="bf16 must be one of False, True, force, not 'yes'"):
        TrainingArguments(str(tmp_path), bf16="yes")


def test_fast_is_one_switch(tmp_path, real, caplog):
    caplog.set_level(logging.INFO)
    trainer, losses = trained(tmp_path / "fast", fast=True)
    args = trainer.args
    assert (args.padding_free, args.fast_dropout, args.keep_memory, args.clip_in_update) == (True,) * 4
    assert (args.optim, args.eval_sort_by_length, args.sparse_mlm_head) == ("adamw_torch_fused", True, False)
    assert args.bf16 is real
    assert ("not bf16: this processor emulates it" in caplog.text) is not real
    assert (
        "fast    padding_free, fast_dropout, eval_sort_by_length, keep_memory, optim=adamw_torch_fused" in caplog.text
    )
    _, plain = trained(tmp_path / "plain")
    assert losses == pytest.approx(plain, abs=0.2)
    assert losses != plain


@pytest.mark.parametrize(
    ("model", "options", "on", "off"),
    [
        ("BertForMaskedLM", {}, {"sparse_mlm_head", "padding_free"}, {"eval_sort_by_length"}),
        ("BertForSequenceClassification", {"torch_compile": True}, {"fast_dropout"}, {"padding_free"}),
        ("BertForSequenceClassification", {"optim": "sgd"}, {"padding_free"}, {"optim", "clip_in_update"}),
        ("BertForSequenceClassification", {"fp16": True}, {"padding_free"}, {"bf16", "clip_in_update"}),
        ("BertForSequenceClassification", {"bf16": True}, {"padding_free"}, {"bf16"}),
    ],
)
def test_what_fits_the_model_and_the_arguments(tmp_path, model, options, on, off):
    args = TrainingArguments(str(tmp_path), use_cpu=True, **options)
    found, _ = fast_options.fast_options(args, small.build(model))
    assert on <= found.keys()
    assert not off & found.keys()


def test_models_that_it_is_not_made_for(tmp_path):
    args = TrainingArguments(str(tmp_path), use_cpu=True)
    found, reasons = fast_options.fast_options(args, torch.nn.Linear(2, 2))
    assert "padding_free" not in found
    assert reasons["fast_dropout"] == "the model is not one of minift's"
    config = minift.BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2)
    found, reasons = fast_options.fast_options(args, minift.BertForQuestionAnswering(config))
    assert reasons["padding_free"] == "its scores run over the padding"
    assert found["fast_dropout"]
