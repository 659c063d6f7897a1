"""The training loop: steps, losses, accumulation, logging, evaluation, saving, and what it refuses."""

import json
import logging

import numpy as np
import pytest
import torch

from minift import EvalPrediction, Trainer, TrainerCallback, TrainingArguments
from tests.tiny import PadRows, tiny_model, tiny_rows


def make(folder, model=None, rows=None, evaluate=None, collator=None, **options):
    trainer_options = {name: options.pop(name) for name in ("compute_metrics", "callbacks", "compute_loss_func")}
    trainer_options = {name: value for name, value in trainer_options.items() if value is not None}
    settings = dict(save_strategy="no", logging_steps=1, disable_tqdm=True)
    return Trainer(
        model or tiny_model(),
        TrainingArguments(str(folder), **(settings | options)),
        collator or PadRows(),
        train_dataset=rows if rows is not None else tiny_rows(16),
        eval_dataset=evaluate,
        **trainer_options,
    )


@pytest.fixture
def trainer_for(tmp_path):
    def make_in_folder(**options):
        for name in ("compute_metrics", "callbacks", "compute_loss_func"):
            options.setdefault(name, None)
        return make(tmp_path, **options)

    return make_in_folder


def losses(trainer):
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def test_training_learns(trainer_for):
    rows = tiny_rows(200)
    trainer = trainer_for(rows=rows, num_train_epochs=8, learning_rate=2e-3, logging_steps=25)
    output = trainer.train()
    assert output.global_step == 200
    assert losses(trainer)[-1] < 0.2 < 0.5 < losses(trainer)[0]
    predictions = trainer.predict(rows).predictions.argmax(-1)
    assert (predictions == [row["label"] for row in rows]).mean() > 0.95


@pytest.mark.parametrize("rows", [16, 13], ids=["whole batches", "a smaller last batch"])
def test_accumulation_equals_the_large_batch(trainer_for, rows):
    """4 × 4 rows give the step that 16 give, also if the last batch is smaller: what transformers 5.23 gets wrong."""
    steps = {}
    for name, options in {
        "large": dict(per_device_train_batch_size=16),
        "accumulated": dict(per_device_train_batch_size=4, gradient_accumulation_steps=4),
    }.items():
        model = tiny_model(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
        trainer = trainer_for(model=model, rows=tiny_rows(rows, (8, 8)), num_train_epochs=2, optim="sgd", **options)
        trainer.train()
        steps[name] = trainer
    assert steps["large"].state.global_step == steps["accumulated"].state.global_step == 2
    np.testing.assert_allclose(losses(steps["accumulated"]), losses(steps["large"]), rtol=1e-6)
    for got, want in zip(steps["accumulated"].model.parameters(), steps["large"].model.parameters(), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-6)


def test_number_of_steps_and_log(trainer_for):
    trainer = trainer_for(rows=tiny_rows(20), num_train_epochs=1.5, logging_steps=2, logging_first_step=True)
    trainer.train()
    assert trainer.state.global_step == 5  # ceil(1.5 epochs × 3 batches)
    assert [entry["step"] for entry in trainer.state.log_history] == [1, 2, 4, 5]
    assert trainer.state.log_history[-1]["epoch"] == pytest.approx(5 / 3)
    rates = [entry["learning_rate"] for entry in trainer.state.log_history if "loss" in entry]
    assert rates == pytest.approx([5e-5, 4e-5, 2e-5])


def test_summary(trainer_for):
    trainer = trainer_for(num_train_epochs=2, logging_steps=3)
    output = trainer.train()
    assert output.metrics.keys() == {
        *("train_runtime", "train_samples_per_second", "train_steps_per_second"),
        *("total_flos", "train_loss", "epoch"),
    }
    assert output.metrics["total_flos"] == trainer.state.total_flos > 0
    assert output.training_loss == output.metrics["train_loss"]


def test_header_names_what_will_run(trainer_for, caplog):
    with caplog.at_level(logging.INFO, "minift"):
        trainer_for(gradient_accumulation_steps=2, num_train_epochs=1).train()
    text = caplog.text
    for line in ("Num examples = 16", "Total train batch size (with accumulation) = 16", "optimization steps = 1"):
        assert line in text


def test_dropped_columns_are_named_once_a_loader(trainer_for, caplog):
    from minift import Dataset

    rows = Dataset.from_list([row | {"idx": index} for index, row in enumerate(tiny_rows(16))])
    with caplog.at_level(logging.WARNING, "minift"):
        trainer_for(rows=rows, num_train_epochs=2).train()
    assert [record.message for record in caplog.records] == [
        "Columns of the training set that BertForSequenceClassification.forward does not take are left out: idx"
    ]


def test_no_usable_column(trainer_for):
    from minift import Dataset

    with pytest.raises(ValueError, match="none of the columns .*text.* tokenise the data set first"):
        trainer_for(rows=Dataset.from_dict({"text": ["a"]})).train()


def accuracy(prediction: EvalPrediction):
    logits, labels = prediction
    return {"accuracy": (logits.argmax(-1) == labels).mean()}


class StreamedAccuracy:
    """The same, a batch at a time."""

    def __init__(self):
        self.right = self.seen = self.calls = 0

    def __call__(self, prediction, compute_result):
        logits, labels = prediction
        self.right += int((logits.argmax(-1) == labels).sum())
        self.seen += len(labels)
        self.calls += 1
        return {"accuracy": self.right / self.seen} if compute_result else {}


def test_streaming_metrics_equal_those_of_the_whole_set(trainer_for):
    rows = tiny_rows(21)
    whole = trainer_for(evaluate=rows, compute_metrics=accuracy).evaluate()
    streamed = StreamedAccuracy()
    stream = trainer_for(evaluate=rows, compute_metrics=streamed, batch_eval_metrics=True).evaluate()
    assert streamed.calls == 3
    assert stream["eval_accuracy"] == whole["eval_accuracy"]
    assert stream["eval_loss"] == whole["eval_loss"]


def test_evaluation_loss_weights_batches_by_their_rows(trainer_for):
    rows = tiny_rows(21)
    trainer = trainer_for(evaluate=rows)
    batch = PadRows()(rows)
    trainer.model.eval()
    with torch.no_grad():
        want = trainer.model(**batch).loss.item()
    metrics = trainer.evaluate()
    assert metrics["eval_loss"] == pytest.approx(want, rel=1e-5)
    assert metrics["eval_weighted_loss"] == pytest.approx(want, rel=1e-5)


def test_a_batch_without_labels_does_not_spoil_the_weighted_loss(trainer_for):
    ignore_zeros = lambda rows: (batch := PadRows()(rows)) | {"labels": torch.where(batch["labels"] == 0, -100, 1)}  # noqa: E731
    rows = [row for row in tiny_rows(60) if row["label"] == 0][:8] + [row for row in tiny_rows(60) if row["label"]][:8]
    metrics = trainer_for(evaluate=rows, collator=ignore_zeros).evaluate()
    assert np.isnan(metrics["eval_loss"])  # as the library has it
    assert np.isfinite(metrics["eval_weighted_loss"])


def test_predictions_keep_the_order_of_the_rows(trainer_for):
    rows = tiny_rows(21)
    output = trainer_for().predict(rows)
    assert output.predictions.shape == (21, 2)
    assert output.label_ids.tolist() == [row["label"] for row in rows]
    one = trainer_for().predict(rows[20:]).predictions
    np.testing.assert_allclose(output.predictions[20:], one, atol=1e-5)


def test_several_evaluation_sets(trainer_for):
    trainer = trainer_for(evaluate={"a": tiny_rows(8), "b": tiny_rows(8, seed=1)})
    metrics = trainer.evaluate()
    assert {"eval_a_loss", "eval_b_loss"} <= metrics.keys()


def test_best_model_is_loaded_at_the_end(tmp_path):
    rows = tiny_rows(24)
    settings = dict(eval_strategy="epoch", save_strategy="epoch", load_best_model_at_end=True, greater_is_better=True)
    trainer = Trainer(
        tiny_model(),
        TrainingArguments(str(tmp_path), save_total_limit=1, disable_tqdm=True, learning_rate=1e-3, **settings),
        PadRows(),
        train_dataset=rows,
        eval_dataset=rows,
    )
    trainer.train()
    by_epoch = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
    worst = max(by_epoch)  # which is the "best" here, so that it is not the last
    assert trainer.state.best_metric == worst == by_epoch[0] != by_epoch[1]
    assert trainer.evaluate()["eval_loss"] == pytest.approx(worst, rel=1e-6)
    assert sorted(folder.name for folder in tmp_path.glob("checkpoint-*")) == ["checkpoint-3", "checkpoint-9"]
    assert trainer.state.best_model_checkpoint == str(tmp_path / "checkpoint-3")
    assert json.loads((tmp_path / "checkpoint-9" / "trainer_state.json").read_text())["best_metric"] == worst


class Recorder(TrainerCallback):
    """Writes down the events."""

    def __init__(self):
        self.events = []

    def __getattribute__(self, name):
        if name.startswith("on_"):
            return lambda *args, **objects: self.events.append(name.removeprefix("on_"))
        return object.__getattribute__(self, name)


def test_events_come_in_the_order_of_transformers(trainer_for):
    recorder = Recorder()
    trainer_for(
        callbacks=[recorder], num_train_epochs=1, evaluate=tiny_rows(4), eval_strategy="epoch", logging_strategy="no"
    ).train()
    step = ["step_begin", "pre_optimizer_step", "optimizer_step", "step_end"]
    assert recorder.events == [
        *("init_end", "train_begin", "epoch_begin", *step, *step, "epoch_end"),
        *("prediction_step", "log", "evaluate", "log", "train_end"),
    ]


def test_label_smoothing_and_own_loss_functions(trainer_for):
    def own(outputs, labels, num_items_in_batch):
        return (
            torch.nn.functional.cross_entropy(outputs.logits, labels, reduction="sum", label_smoothing=0.1)
            / num_items_in_batch
        )

    smoothed = trainer_for(label_smoothing_factor=0.1, num_train_epochs=1)
    smoothed.train()
    by_hand = trainer_for(compute_loss_func=own, num_train_epochs=1)
    by_hand.train()
    assert losses(by_hand) == pytest.approx(losses(smoothed), rel=1e-6)


def test_bf16_stays_near_fp32(trainer_for):
    exact = trainer_for(num_train_epochs=1)
    exact.train()
    mixed = trainer_for(num_train_epochs=1, bf16=True)
    mixed.train()
    assert losses(mixed) != losses(exact)
    assert losses(mixed) == pytest.approx(losses(exact), rel=0.1)


@pytest.mark.skipif(torch.cuda.is_available(), reason="with a GPU, fp16 is used")
def test_fp16_without_a_gpu_warns_and_uses_fp32(trainer_for, caplog):
    with caplog.at_level(logging.WARNING, "minift"):
        trainer = trainer_for(fp16=True, num_train_epochs=1)
    assert "fp16 needs a GPU: training in float32 instead" in caplog.text
    trainer.train()
    plain = trainer_for(num_train_epochs=1)
    plain.train()
    assert losses(trainer) == losses(plain)


def test_model_init_is_seeded_again_at_each_train(tmp_path):
    args = TrainingArguments(str(tmp_path), num_train_epochs=1, logging_steps=1, save_strategy="no", disable_tqdm=True)
    make_model = lambda: tiny_model(seed=torch.initial_seed())  # noqa: E731
    trainer = Trainer(args=args, data_collator=PadRows(), train_dataset=tiny_rows(16), model_init=make_model)
    assert trainer.train().training_loss == trainer.train().training_loss


def test_bad_input(trainer_for, tmp_path):
    with pytest.raises(TypeError, match="args must be TrainingArguments, not 'out'"):
        Trainer(tiny_model(), "out")
    with pytest.raises(ValueError, match="the tokenizer has 51 tokens, but the model has embeddings for 50"):
        Trainer(tiny_model(), TrainingArguments(str(tmp_path)), processing_class=range(51))
    with pytest.raises(TypeError, match="compute_metrics must return a dict of numbers, not 0.5"):
        trainer_for(evaluate=tiny_rows(4), compute_metrics=lambda prediction: 0.5).evaluate()
    with pytest.raises(ValueError, match="either a model or a model_init"):
        Trainer(args=TrainingArguments(str(tmp_path)))
    with pytest.raises(ValueError, match="needs an eval_dataset"):
        trainer_for(eval_strategy="epoch")
    with pytest.raises(ValueError, match="the training set is empty"):
        trainer_for(rows=[]).train()
    with pytest.raises(ValueError, match="the set is smaller than a batch"):
        trainer_for(rows=tiny_rows(3), dataloader_drop_last=True).train()
    with pytest.raises(ValueError, match=r"row 0: label 2 is not one of the 2 classes"):
        trainer_for(rows=[{"input_ids": [5, 6], "attention_mask": [1, 1], "label": 2}]).train()
    rows = [{name: row[name] for name in ("input_ids", "attention_mask")} for row in tiny_rows(8)]
    without_labels = lambda rows: PadRows()([row | {"label": 0} for row in rows]) | {"labels": None}  # noqa: E731
    with pytest.raises(ValueError, match="the model gave no loss for a batch of"):
        trainer_for(rows=rows, collator=without_labels).train()


def test_nan_loss_stops_the_run_and_says_where(trainer_for):
    def broken(outputs, labels, num_items_in_batch):
        return outputs.logits.sum() * float("nan")

    with pytest.raises(ValueError, match="the loss is nan at step 1: lower the learning rate"):
        trainer_for(compute_loss_func=broken).train()
    trainer_for(compute_loss_func=broken, logging_nan_inf_filter=True, max_steps=1).train()


def test_an_output_folder_that_cannot_be_made(tmp_path, trainer_for):
    (tmp_path / "file").write_text("in the way")
    trainer = trainer_for(save_strategy="steps", save_steps=1, max_steps=1)
    trainer.args.output_dir = str(tmp_path / "file" / "out")
    with pytest.raises(OSError, match="file"):
        trainer.train()
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_stream_is_evaluated_under_a_bar(tmp_path, capsys):
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter(tiny_rows(10))

    trainer = Trainer(tiny_model(), TrainingArguments(str(tmp_path)), PadRows(), eval_dataset=Stream())
    assert trainer.evaluate()["eval_loss"] == pytest.approx(trainer.evaluate(tiny_rows(10))["eval_loss"], abs=1e-6)
    with pytest.raises(TypeError, match="a stream has no length"):
        len(trainer.get_eval_dataloader())
