"""The `set_…` methods of transformers' TrainingArguments: several fields that belong together, in one call."""

from inspect import Parameter, Signature
from typing import Any

from minift.train.argument_checks import check_combinations, check_ranges, check_types

# method -> its arguments in order, each with the field that it sets and the default
METHODS: dict[str, dict[str, tuple[str, Any]]] = {
    "set_training": {
        "learning_rate": ("learning_rate", 5e-5),
        "batch_size": ("per_device_train_batch_size", 8),
        "weight_decay": ("weight_decay", 0),
        "num_epochs": ("num_train_epochs", 3),
        "max_steps": ("max_steps", -1),
        "gradient_accumulation_steps": ("gradient_accumulation_steps", 1),
        "seed": ("seed", 42),
        "gradient_checkpointing": ("gradient_checkpointing", False),
    },
    "set_evaluate": {
        "strategy": ("eval_strategy", "no"),
        "steps": ("eval_steps", 500),
        "batch_size": ("per_device_eval_batch_size", 8),
        "accumulation_steps": ("eval_accumulation_steps", None),
        "delay": ("eval_delay", 0),
        "loss_only": ("prediction_loss_only", False),
    },
    "set_testing": {"batch_size": ("per_device_eval_batch_size", 8), "loss_only": ("prediction_loss_only", False)},
    "set_save": {
        "strategy": ("save_strategy", "steps"),
        "steps": ("save_steps", 500),
        "total_limit": ("save_total_limit", None),
    },
    "set_logging": {
        "strategy": ("logging_strategy", "steps"),
        "steps": ("logging_steps", 500),
        "report_to": ("report_to", "none"),
        "level": ("log_level", "passive"),
        "first_step": ("logging_first_step", False),
        "nan_inf_filter": ("logging_nan_inf_filter", False),
    },
    "set_push_to_hub": {
        "model_id": ("hub_model_id", None),
        "strategy": ("hub_strategy", "every_save"),
        "token": ("hub_token", None),
        "private_repo": ("hub_private_repo", None),
        "revision": ("hub_revision", None),
    },
    "set_optimizer": {
        "name": ("optim", "adamw_torch"),
        "learning_rate": ("learning_rate", 5e-5),
        "weight_decay": ("weight_decay", 0),
        "beta1": ("adam_beta1", 0.9),
        "beta2": ("adam_beta2", 0.999),
        "epsilon": ("adam_epsilon", 1e-8),
    },
    "set_lr_scheduler": {
        "name": ("lr_scheduler_type", "linear"),
        "num_epochs": ("num_train_epochs", 3.0),
        "max_steps": ("max_steps", -1),
        "warmup_steps": ("warmup_steps", 0),
    },
    "set_dataloader": {
        "train_batch_size": ("per_device_train_batch_size", 8),
        "eval_batch_size": ("per_device_eval_batch_size", 8),
        "drop_last": ("dataloader_drop_last", False),
        "num_workers": ("dataloader_num_workers", 0),
        "pin_memory": ("dataloader_pin_memory", True),
        "persistent_workers": ("dataloader_persistent_workers", False),
        "prefetch_factor": ("dataloader_prefetch_factor", None),
        "ignore_data_skip": ("ignore_data_skip", False),
        "sampler_seed": ("data_seed", None),
    },
}
SWITCHES = {"set_evaluate": "do_eval", "set_testing": "do_predict", "set_push_to_hub": "push_to_hub"}


def setter(method: str) -> Any:
    """Make the method: it sets its fields, checks all of them, and returns the arguments."""
    fields = METHODS[method]
    defaults = ((name, default) for name, (_, default) in fields.items())
    signature = Signature([Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, default=value) for name, value in defaults])

    def set_fields(self: Any, *values: Any, **options: Any) -> Any:
        if unknown := options.keys() - fields.keys():
            raise TypeError(f"TrainingArguments.{method} does not support {', '.join(map(repr, sorted(unknown)))}")
        given = signature.bind(*values, **options)
        given.apply_defaults()
        for name, value in given.arguments.items():
            setattr(self, fields[name][0], value)
        if method in SWITCHES:
            setattr(self, SWITCHES[method], method != "set_evaluate" or self.eval_strategy != "no")
        if method == "set_training":
            self.do_train = True
        for check in (check_types, check_ranges, check_combinations):
            check(self)
        return self

    set_fields.__name__ = method
    set_fields.__doc__ = f"Set {', '.join(field for field, _ in fields.values())}; what is not given is at its default."
    return set_fields


class Settings:
    """The methods of METHODS."""


for method in METHODS:
    setattr(Settings, method, setter(method))
