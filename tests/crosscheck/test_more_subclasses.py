"""More of what users change in Trainer: hooks around checkpoints and steps, schedules, memory; as in transformers."""

import pytest
import torch

from tests.crosscheck.test_subclasses import arguments, columns, same, tiny  # noqa: F401 - same is a fixture

pytestmark = pytest.mark.usefixtures("one_thread")


def losses(trainer):
    return [round(entry["loss"], 5) for entry in trainer.state.log_history if "loss" in entry]


def own_step(T, D, folder):
    class Mine(T.Trainer):
        def training_step(self, model, inputs, num_items_in_batch=None):
            model.train()
            inputs = self._prepare_inputs(inputs)
            loss = self.compute_loss(model, inputs) * 2
            self.accelerator.backward(loss)
            return loss.detach()

    options = {"gradient_accumulation_steps": 2, "logging_steps": 1}
    trainer = Mine(model=tiny(T), args=arguments(T, folder, **options), train_dataset=D.from_dict(columns()))
    trainer.train()
    return losses(trainer)


def hooks_around_files(T, D, folder):
    class Mine(T.Trainer):
        def _save_checkpoint(self, *args, **options):
            calls.append(("save", self.state.global_step, self.is_in_train))
            return super()._save_checkpoint(*args, **options)

        def _load_best_model(self):
            calls.append(("load", self.state.best_global_step))
            return super()._load_best_model()

        def floating_point_ops(self, inputs):
            return 7.0

    calls = []
    options = {"save_strategy": "steps", "save_steps": 2, "eval_strategy": "steps", "eval_steps": 2}
    args = arguments(T, folder, **options, load_best_model_at_end=True)
    sets = {"train_dataset": D.from_dict(columns()), "eval_dataset": D.from_dict(columns(8, seed=1))}
    trainer = Mine(model=tiny(T), args=args, **sets)
    trainer.train()
    return calls, trainer.state.total_flos, trainer.is_in_train


def own_optimizer_class(T, D, folder):
    class Mine(T.Trainer):
        @staticmethod
        def get_optimizer_cls_and_kwargs(args, model=None):
            return torch.optim.SGD, {"lr": args.learning_rate, "momentum": 0.5}

    trainer = Mine(model=tiny(T), args=arguments(T, folder, logging_steps=1), train_dataset=D.from_dict(columns()))
    trainer.train()
    return losses(trainer)


def plateau(T, D, folder):
    options = {"lr_scheduler_type": "reduce_lr_on_plateau", "lr_scheduler_kwargs": {"patience": 0, "threshold": 0.5}}
    options |= {"eval_strategy": "steps", "eval_steps": 1, "logging_steps": 1}
    sets = {"train_dataset": D.from_dict(columns()), "eval_dataset": D.from_dict(columns(8, seed=1))}
    trainer = T.Trainer(model=tiny(T), args=arguments(T, folder, **options), **sets)
    trainer.train()
    rates = [entry["learning_rate"] for entry in trainer.state.log_history if "learning_rate" in entry]
    assert len(set(rates)) > 1
    return rates


def checkpointed(T, D, folder, reentrant):
    options = {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": reentrant}}
    model = tiny(T)
    model.config.hidden_dropout_prob = 0.1
    args = arguments(T, folder, **options, logging_steps=1)
    trainer = T.Trainer(model=model, args=args, train_dataset=D.from_dict(columns()))
    trainer.train()
    return model.is_gradient_checkpointing, losses(trainer)


def optimizer_from_the_arguments(T, D, folder):
    """As people write `create_optimizer`: the class and the arguments that the library would take."""

    class Mine(T.Trainer):
        def create_optimizer(self, *args, **options):
            kind, settings = T.Trainer.get_optimizer_cls_and_kwargs(self.args)
            self.optimizer = kind(self.model.classifier.parameters(), **settings)
            return self.optimizer

    seen = []
    for options in ({"optim": "adamw_torch"}, {"optim": "sgd", "optim_args": "momentum=0.9,nesterov=true"}):
        trainer = Mine(
            model=tiny(T), args=arguments(T, folder, logging_steps=1, **options), train_dataset=D.from_dict(columns())
        )
        trainer.train()
        _, settings = T.Trainer.get_optimizer_cls_and_kwargs(trainer.args)
        seen.append((losses(trainer), settings))
    return seen


def two_kinds_of_labels(T, D, folder):
    """A label that `forward` does not name is kept, because `label_names` does."""

    class Two(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.tensor(2.0))

        def forward(self, x, labels=None, **others):
            y = x * self.scale
            loss = ((y - labels) ** 2).mean() + (0.0 if "more" not in others else ((y - others["more"]) ** 2).mean())
            return {"loss": loss, "y": y, "z": -y}

    rows = [{"x": float(i), "labels": float(i % 3), "more": float(i % 5), "unused": 1.0} for i in range(10)]
    trainer = T.Trainer(
        model=Two(),
        args=arguments(T, folder, label_names=["labels", "more"], per_device_eval_batch_size=4),
        eval_dataset=rows,
        data_collator=lambda rows: {name: torch.tensor([row[name] for row in rows]) for name in rows[0]},
        compute_metrics=lambda p: {"n": len(p.label_ids), "sum": float(p.label_ids[1].sum() + p.predictions[1].sum())},
    )
    metrics = trainer.evaluate()
    return {name: value for name, value in metrics.items() if name in ("eval_loss", "eval_n", "eval_sum")}


def an_evaluation_that_drops_the_last_rows(T, D, folder):
    options = {"dataloader_drop_last": True, "per_device_eval_batch_size": 4}
    trainer = T.Trainer(
        model=tiny(T),
        args=arguments(T, folder, **options),
        eval_dataset=D.from_dict(columns(10)),
        compute_metrics=lambda p: {"n": len(p.predictions)},
    )
    metrics = trainer.evaluate()
    return metrics["eval_loss"], metrics["eval_n"], len(trainer.get_eval_dataloader())


def who_is_told_first(T, D, folder):
    """What a user's callback changes in the logs is printed: the bars and the printer come last."""

    class Rounds(T.TrainerCallback):
        def on_log(self, args, state, control, logs=None, **objects):
            logs["mine"] = 1

    trainer = T.Trainer(
        model=tiny(T), args=arguments(T, folder), callbacks=[Rounds], train_dataset=D.from_dict(columns())
    )
    return [type(callback).__name__ for callback in trainer.callback_handler.callbacks][-2:]


def events_in_the_librarys_form(T, D, folder):
    """As the question answering example does at the end of its `evaluate`."""

    class Counts(T.TrainerCallback):
        def on_evaluate(self, args, state, control, metrics=None, **objects):
            seen.append((sorted(metrics), state.global_step, objects["model"] is trainer.model))
            control.should_log = True
            return control

    class Mine(T.Trainer):
        def evaluate(self, *args, **options):
            self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, {"eval_mine": 1.0})
            return {"eval_mine": 1.0}

    seen = []
    trainer = Mine(model=tiny(T), args=arguments(T, folder), callbacks=[Counts])
    trainer.evaluate()
    return seen, trainer.control.should_log


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "case",
    [
        own_step,
        hooks_around_files,
        own_optimizer_class,
        plateau,
        optimizer_from_the_arguments,
        two_kinds_of_labels,
        an_evaluation_that_drops_the_last_rows,
        who_is_told_first,
        events_in_the_librarys_form,
    ],
)
def test_what_users_change(same, case):  # noqa: F811 - the fixture
    same(case)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("reentrant", [False, True])
def test_gradient_checkpointing(same, reentrant):  # noqa: F811 - the fixture
    same(checkpointed, reentrant)
