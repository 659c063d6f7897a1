"""Subclasses, callbacks and loaders of a user's own: transformers and minift call the same at the same moments."""

import math
import os

import datasets
import numpy as np
import pytest
import torch
import transformers
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset, SequentialSampler, WeightedRandomSampler

import minift

LIBRARIES = {"minift": (minift, minift.Dataset), "transformers": (transformers, datasets.Dataset)}
CONFIG = {
    "vocab_size": 100,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
pytestmark = pytest.mark.usefixtures("one_thread")


def tiny(library):
    torch.manual_seed(0)
    return library.BertForSequenceClassification(library.BertConfig(**CONFIG))


def columns(count=24, seed=0):
    draw = np.random.RandomState(seed)
    ids = [draw.randint(5, 100, 8).tolist() for _ in range(count)]
    return {"input_ids": ids, "attention_mask": [[1] * 8] * count, "labels": [i % 2 for i in range(count)]}


def arguments(library, folder, **options):
    usual = {"report_to": "none", "disable_tqdm": True, "save_strategy": "no", "use_cpu": True, "learning_rate": 1e-2}
    batches = {"per_device_train_batch_size": 4, "num_train_epochs": 1}
    return library.TrainingArguments(str(folder), **(usual | batches | options))


@pytest.fixture
def same(tmp_path):
    """A function that runs a case with both libraries and compares what it returns."""

    def check(case, *options):
        found = {name: case(*library, tmp_path / name, *options) for name, library in LIBRARIES.items()}
        assert found["minift"] == found["transformers"]
        return found["minift"]

    return check


def own_optimizer(T, D, folder):
    class Mine(T.Trainer):
        def create_optimizer(self, *args, **options):
            self.optimizer = torch.optim.SGD(self.model.classifier.parameters(), lr=0.5)
            return self.optimizer

        def create_scheduler(self, num_training_steps, optimizer=None):
            calls.append(num_training_steps)
            return super().create_scheduler(num_training_steps, optimizer)

    calls, model = [], tiny(T)
    before = model.bert.embeddings.word_embeddings.weight.detach().clone()
    Mine(model=model, args=arguments(T, folder), train_dataset=D.from_dict(columns())).train()
    moved = not torch.equal(before, model.bert.embeddings.word_embeddings.weight)
    return moved, calls, round(model.classifier.weight.abs().sum().item(), 4)


def decaying(T, D, folder):
    class Mine(T.Trainer):
        def get_decay_parameter_names(self, model):
            return [name for name in super().get_decay_parameter_names(model) if "embeddings" not in name]

    trainer = Mine(model=tiny(T), args=arguments(T, folder, weight_decay=0.1), train_dataset=D.from_dict(columns()))
    trainer.train()
    return [(group["weight_decay"], len(group["params"])) for group in trainer.optimizer.param_groups]


def own_loader(T, D, folder):
    class Mine(T.Trainer):
        def get_train_dataloader(self):
            sampler = WeightedRandomSampler([float(i % 2) for i in range(24)], 24)
            rows = self.train_dataset.with_format("torch")
            return DataLoader(rows, batch_size=4, sampler=sampler, collate_fn=T.default_data_collator)

        def compute_loss(self, model, inputs, *args, **options):
            seen.extend(inputs["labels"].tolist())
            return super().compute_loss(model, inputs, *args, **options)

    seen = []
    out = Mine(model=tiny(T), args=arguments(T, folder), train_dataset=D.from_dict(columns())).train()
    return seen, out.global_step, round(out.training_loss, 5)


def own_sampler(T, D, folder):
    class Mine(T.Trainer):
        def _get_train_sampler(self, train_dataset=None):
            return SequentialSampler(self.train_dataset)

        def _prepare_inputs(self, inputs):
            inputs = super()._prepare_inputs(inputs)
            seen.append(inputs["input_ids"][:, 0].tolist())
            return inputs

    seen = []
    Mine(model=tiny(T), args=arguments(T, folder), train_dataset=D.from_dict(columns())).train()
    return seen


def own_evaluate(T, D, folder):
    class Mine(T.Trainer):
        def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix="eval"):
            return super().evaluate(eval_dataset=eval_dataset, metric_key_prefix=metric_key_prefix)

        def prediction_step(self, model, inputs, prediction_loss_only, ignore_keys=None):
            return super().prediction_step(model, inputs, prediction_loss_only, ignore_keys=ignore_keys)

    sets = {"a": D.from_dict(columns()), "b": D.from_dict(columns(8, seed=1))}
    metrics = Mine(model=tiny(T), args=arguments(T, folder), eval_dataset=sets).evaluate()
    return {name: round(value, 5) for name, value in metrics.items() if name.endswith(("a_loss", "b_loss"))}


def by_position(T, D, folder):
    class Mine(T.Trainer):
        def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix="eval"):
            return super().evaluate(eval_dataset, ignore_keys, metric_key_prefix)

        def predict(self, test_dataset, ignore_keys=None, metric_key_prefix="test"):
            return super().predict(test_dataset, ignore_keys=ignore_keys, metric_key_prefix=metric_key_prefix)

        def evaluation_loop(self, loader, description, loss_only=None, ignore_keys=None, prefix="eval", **options):
            calls.append((description, sorted(options)))
            return super().evaluation_loop(loader, description, ignore_keys=ignore_keys, **options)

        def save_model(self, output_dir=None, _internal_call=False):
            calls.append(("save", _internal_call))
            super().save_model(output_dir, _internal_call)

    calls, rows = [], D.from_dict(columns(8))
    args = arguments(T, folder, save_strategy="epoch", eval_strategy="epoch")
    trainer = Mine(model=tiny(T), args=args, train_dataset=rows, eval_dataset=rows)
    trainer.train(ignore_keys_for_eval=["hidden_states"])
    logits = trainer.predict(rows).predictions
    trainer.save_model()
    return calls, logits.shape


def nan_first(T, D, folder, early):
    scores = iter([math.nan, 0.5, 0.6, 0.7, 0.8, 0.9] if early else [math.nan, 0.5, 0.8, 0.7, 0.6, 0.6])
    every = {"max_steps": 6, "eval_strategy": "steps", "eval_steps": 1, "save_strategy": "steps", "save_steps": 1}
    trainer = T.Trainer(
        model=tiny(T),
        args=arguments(T, folder, load_best_model_at_end=True, metric_for_best_model="pearson", **every),
        train_dataset=D.from_dict(columns()),
        eval_dataset=D.from_dict(columns(8, 1)),
        compute_metrics=lambda prediction: {"pearson": next(scores)},
        callbacks=[T.EarlyStoppingCallback(2)] if early else [],
    )
    steps = trainer.train().global_step
    return steps, trainer.state.best_metric, os.path.basename(trainer.state.best_model_checkpoint)


def several_sets(T, D, folder):
    options = {"eval_strategy": "steps", "eval_steps": 1, "metric_for_best_model": "eval_a_loss", "max_steps": 6}
    sets = {"a": D.from_dict(columns(8, 1)), "b": D.from_dict(columns(8, 2))}
    trainer = T.Trainer(
        model=tiny(T),
        args=arguments(T, folder, **options),
        train_dataset=D.from_dict(columns()),
        eval_dataset=sets,
        callbacks=[T.EarlyStoppingCallback(2)],
    )
    trainer.train()
    return trainer.state.global_step, round(trainer.state.best_metric, 4)


def substeps(T, D, folder):
    class Listener(T.TrainerCallback):
        def on_substep_end(self, args, state, control, **objects):
            seen.append(("substep", state.global_step))

        def on_epoch_begin(self, args, state, control, train_dataloader=None, **objects):
            seen.append(train_dataloader is not None)

    seen, args = [], arguments(T, folder, gradient_accumulation_steps=4)
    T.Trainer(model=tiny(T), args=args, train_dataset=D.from_dict(columns()), callbacks=[Listener()]).train()
    return seen


def nested_metrics(T, D, folder):
    report = {"report": {"class 0": {"f1": np.float32(0.5), "support": np.int64(4)}}}
    args = arguments(T, folder, eval_strategy="epoch", save_strategy="epoch")
    rows = D.from_dict(columns())
    trainer = T.Trainer(
        model=tiny(T), args=args, train_dataset=rows, eval_dataset=rows, compute_metrics=lambda prediction: report
    )
    trainer.train()
    found = [entry["eval_report"] for entry in trainer.state.log_history if "eval_report" in entry]
    return sorted(os.listdir(folder)), found


def numpy_numbers(T, D, folder):
    numbers = {"warmup_steps": np.int64(2), "learning_rate": np.float64(1e-3), "save_total_limit": np.int64(2)}
    args = arguments(T, folder, save_strategy="epoch", num_train_epochs=np.int64(1), **numbers)
    return round(T.Trainer(model=tiny(T), args=args, train_dataset=D.from_dict(columns())).train().training_loss, 4)


def with_trial(T, D, folder):
    trainer = T.Trainer(
        model_init=lambda trial: tiny(T), args=arguments(T, folder), train_dataset=D.from_dict(columns())
    )
    return round(trainer.train().training_loss, 4)


class Endless(IterableDataset):
    def __iter__(self):
        rows = columns()
        for i in range(24):
            yield {name: torch.tensor(values[i]) for name, values in rows.items()}


def iterable(T, D, folder):
    out = T.Trainer(model=tiny(T), args=arguments(T, folder, max_steps=8), train_dataset=Endless()).train()
    return out.global_step, round(out.training_loss, 5)


def own_parameters(T, D, folder):
    class Mine(T.BertForSequenceClassification):
        def __init__(self, config):
            super().__init__(config)
            self.gate, self.prelu = nn.Parameter(torch.ones(3)), nn.PReLU()
            self.norm, self.group, self.recurrent = nn.BatchNorm1d(4), nn.GroupNorm(1, 4), nn.LSTM(4, 4)
            self.extra = nn.Linear(4, 4)
            self.post_init()

    config = T.BertConfig(**CONFIG)
    torch.manual_seed(0)
    model = Mine(config)
    model.save_pretrained(folder / "all")
    tiny(T).save_pretrained(folder / "base")
    models = [model, Mine.from_pretrained(folder / "all"), Mine.from_pretrained(folder / "base")]
    start = models[0].classifier.weight.sum().item()
    if T is minift:  # of a checkpoint without them, transformers 5.23 gives a subclass's parameters no values at all
        for model in models:
            assert model.gate.tolist() == [1, 1, 1]
            assert model.prelu.weight.item() == 0.25
            assert model.norm.weight.tolist() == model.group.weight.tolist() == [1] * 4
            assert 0.1 < model.recurrent.weight_hh_l0.std() < 1
    return [model.gate.tolist() for model in models[:2]], round(start, 5), [m.extra.bias.tolist() for m in models]


CASES = [
    own_optimizer,
    decaying,
    own_loader,
    own_sampler,
    own_evaluate,
    by_position,
    several_sets,
    substeps,
    nested_metrics,
    numpy_numbers,
    with_trial,
    iterable,
    own_parameters,
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_a_users_own_code_meets_the_same(same, case):
    assert same(case)


@pytest.mark.parametrize("early", [False, True])
def test_nan_is_never_the_best(same, early):
    same(nan_first, early)


@pytest.mark.parametrize("kind", ["sum", "model", "mean"])
def test_the_loss_does_not_depend_on_accumulation(kind, tmp_path):
    """Whether a loss divides by the step's labels itself, lets the model do it, or is a mean of its batch."""

    class Mine(minift.Trainer):
        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            if kind == "model":
                outputs = model(**inputs, num_items_in_batch=num_items_in_batch)
                return (outputs.loss, outputs) if return_outputs else outputs.loss
            labels = inputs.pop("labels")
            outputs = model(**inputs)
            loss = F.cross_entropy(outputs.logits, labels, reduction="sum" if kind == "sum" else "mean")
            if kind == "sum":
                loss = loss / (num_items_in_batch or len(labels))
            return (loss, outputs) if return_outputs else loss

    found = []
    for accumulated in (1, 2, 4):
        options = {"max_grad_norm": 0, "logging_steps": 1, "learning_rate": 0.0}
        batches = {"gradient_accumulation_steps": accumulated, "per_device_train_batch_size": 16 // accumulated}
        args = arguments(minift, tmp_path, **options, **batches)
        trainer = Mine(model=tiny(minift), args=args, train_dataset=minift.Dataset.from_dict(columns(16)))
        trainer.train()
        found.append((trainer.state.log_history[0]["loss"], trainer.state.log_history[0]["grad_norm"]))
    assert found[1] == pytest.approx(found[0], rel=1e-5)
    assert found[2] == pytest.approx(found[0], rel=1e-5)


def test_a_run_goes_on_with_other_batches(tmp_path, caplog):
    steps = {"save_strategy": "steps", "save_steps": 8, "max_steps": 12}
    rows = minift.Dataset.from_dict(columns())
    minift.Trainer(tiny(minift), arguments(minift, tmp_path, **steps), train_dataset=rows).train()
    args = arguments(minift, tmp_path, **steps | {"per_device_train_batch_size": 2})
    out = minift.Trainer(tiny(minift), args, train_dataset=rows).train(str(tmp_path / "checkpoint-8"))
    assert out.global_step == 12
    assert "it goes on at step 8 of epoch 0" in caplog.text


class Noise:
    """A collator that draws."""

    def __call__(self, rows):
        batch = minift.default_data_collator(rows)
        return batch | {"input_ids": (batch["input_ids"] + torch.randint(0, 3, batch["input_ids"].shape)) % 100}


def test_a_plain_loader_resumes_to_the_bit(tmp_path):
    """With a collator and dropout that draw, in the middle of an epoch."""

    class Mine(minift.Trainer):
        def get_train_dataloader(self):
            rows = self.train_dataset.with_format("torch")
            return DataLoader(rows, batch_size=4, shuffle=True, collate_fn=Noise())

    rows, found = minift.Dataset.from_dict(columns()), []
    for start in (None, str(tmp_path / "checkpoint-4")):
        args = arguments(minift, tmp_path, save_strategy="steps", save_steps=4, num_train_epochs=2)
        torch.manual_seed(0)
        model = minift.BertForSequenceClassification(minift.BertConfig(**CONFIG | {"hidden_dropout_prob": 0.1}))
        trainer = Mine(model, args, train_dataset=rows)
        trainer.train(start)
        found.append(trainer.model.state_dict())
    for name, weights in found[0].items():
        assert torch.equal(weights, found[1][name]), name


@pytest.mark.parametrize("hook", ["_inner_training_loop", "prediction_loop", "hyperparameter_search", "num_tokens"])
def test_a_hook_that_would_not_be_called_is_refused(hook, tmp_path):
    kind = type("Mine", (minift.Trainer,), {hook: lambda self: None})
    with pytest.raises(TypeError, match=rf"Mine\.{hook} would never be called"):
        kind(tiny(minift), arguments(minift, tmp_path))
