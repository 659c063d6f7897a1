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


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", [own_step, hooks_around_files, own_optimizer_class, plateau])
def test_what_users_change(same, case):  # noqa: F811 - the fixture
    same(case)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("reentrant", [False, True])
def test_gradient_checkpointing(same, reentrant):  # noqa: F811 - the fixture
    same(checkpointed, reentrant)
