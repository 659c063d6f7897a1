"""TrainingArguments: the course's names, derived values, and everything that is refused."""

import dataclasses
import enum
import json
import logging

import pytest
import transformers

from minift import TrainingArguments


class IntervalStrategy(enum.Enum):
    EPOCH = "epoch"


def test_defaults_are_those_of_the_library():
    args = TrainingArguments("out")
    assert (args.per_device_train_batch_size, args.num_train_epochs, args.learning_rate, args.seed) == (
        8,
        3.0,
        5e-5,
        42,
    )
    assert (args.eval_strategy, args.save_strategy, args.save_steps, args.logging_steps) == ("no", "steps", 500, 500)
    assert (args.weight_decay, args.adam_epsilon, args.max_grad_norm, args.lr_scheduler_type) == (
        0,
        1e-8,
        1.0,
        "linear",
    )


def test_names_of_former_releases():
    assert TrainingArguments("out", evaluation_strategy="epoch").eval_strategy == "epoch"
    assert TrainingArguments("out", eval_strategy=IntervalStrategy.EPOCH).eval_strategy == "epoch"
    assert TrainingArguments("out", no_cuda=True).use_cpu
    assert TrainingArguments("out", warmup_ratio=0.1).get_warmup_steps(1377) == 138
    assert TrainingArguments("out", overwrite_output_dir=True)


def test_derived_values():
    args = TrainingArguments("out", eval_strategy="steps", logging_steps=50)
    assert args.do_eval
    assert args.eval_steps == 50
    best = TrainingArguments("out", eval_strategy="epoch", save_strategy="epoch", load_best_model_at_end=True)
    assert (best.metric_for_best_model, best.greater_is_better) == ("loss", False)
    assert TrainingArguments("out", metric_for_best_model="f1").greater_is_better
    assert TrainingArguments("out", warmup_steps=10).get_warmup_steps(100) == 10
    assert TrainingArguments("out", warmup_steps=0.06).get_warmup_steps(101) == 7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(eval_strategy="sometimes"), "eval_strategy must be one of no, steps, epoch, not 'sometimes'"),
        (dict(optim="adafactor"), "optim must be one of adamw_torch"),
        (dict(lr_scheduler_type="zigzag"), "lr_scheduler_type must be one of linear, cosine"),
        (dict(report_to="comet"), "report_to must be none, all, or some of tensorboard, jsonl, .*, not 'comet'"),
        (dict(per_device_train_batch_size=0), "per_device_train_batch_size must be at least 1, not 0"),
        (dict(learning_rate=-1.0), "learning_rate must be at least 0"),
        (dict(learning_rate=float("nan")), "learning_rate must be at least 0, not nan"),
        (dict(num_train_epochs=0), "num_train_epochs must be above 0"),
        (dict(max_steps=0), "max_steps must be positive"),
        (dict(save_total_limit=-1), "save_total_limit must be above 0, not -1"),
        (dict(logging_steps=2.5), "logging_steps must be a whole number of steps or a share below 1"),
        (dict(adam_beta2=1.0), "adam_beta2 must be a probability in"),
        (dict(fp16=True, bf16=True), "fp16 and bf16 exclude each other"),
        (dict(load_best_model_at_end=True), "load_best_model_at_end needs save_strategy='best', or equal"),
        (
            dict(load_best_model_at_end=True, eval_strategy="steps", eval_steps=3, save_steps=4),
            "save_steps \\(4\\) to be a multiple of eval_steps",
        ),
        (dict(save_strategy="best"), "save_strategy='best' needs an eval_strategy"),
        (dict(include_for_metrics=["logits"]), "include_for_metrics must be a list of 'inputs' and 'loss', not"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_values_are_refused_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        TrainingArguments("out", **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(learning_rate="5e-5"), "learning_rate must be float, not '5e-5'"),
        (dict(max_steps=1.5), "max_steps must be int, not 1.5"),
        (dict(seed=True), "seed must be int, not True"),
        (dict(max_grad_norm=None), "max_grad_norm must be float, not None"),
        (dict(fp16="yes"), "fp16 must be bool, not 'yes'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_values_of_another_type_are_refused_by_name(options, message):
    with pytest.raises(TypeError, match=message):
        TrainingArguments("out", **options)


def test_unknown_arguments_are_refused_by_name():
    with pytest.raises(TypeError, match="learning_speed"):
        TrainingArguments("out", learning_speed=1)
    with pytest.raises(ValueError, match="does not support fsdp='full_shard', only None"):
        TrainingArguments("out", fsdp="full_shard")


def test_json_masks_the_token():
    stored = json.loads(TrainingArguments("out", hub_token="secret").to_json_string())
    assert stored["hub_token"] == "<HUB_TOKEN>"
    assert stored["output_dir"] == "out"


def test_every_field_of_transformers_is_taken_at_its_default():
    theirs = transformers.TrainingArguments("out")
    fields = {field.name: getattr(theirs, field.name) for field in dataclasses.fields(theirs)}
    refused = {"accelerator_config": None}
    TrainingArguments(**fields | refused)


def test_attributes_that_scripts_read():
    args = TrainingArguments("out", per_gpu_train_batch_size=3, include_inputs_for_metrics=True, log_level="error")
    assert (args.train_batch_size, args.eval_batch_size, args.should_save, args.should_log) == (3, 8, True, True)
    assert args.include_for_metrics == ["inputs"]
    assert args.get_process_log_level() == logging.ERROR
    logging.getLogger("minift").setLevel(logging.NOTSET)
    assert TrainingArguments("out", train_sampling_strategy="group_by_length").group_by_length
    assert args.to_sanitized_dict()["include_for_metrics"] == "['inputs']"
    with pytest.raises(ValueError, match="train_sampling_strategy must be one of random, group_by_length"):
        TrainingArguments("out", train_sampling_strategy="sequential")


def test_a_subclass_that_is_a_dataclass_takes_what_the_class_takes():
    """`@dataclass class Mine(TrainingArguments)` makes an __init__ of its own."""

    @dataclasses.dataclass
    class Mine(TrainingArguments):
        a: float = 0.0
        run_name: str = "own"

    mine = Mine("out", a=1.5, save_safetensors=True, logging_dir="logs", run_name="b")
    assert (mine.a, mine.save_safetensors, mine.logging_dir, mine.run_name) == (1.5, True, "logs", "b")
    assert (Mine("out").run_name, Mine("out").skip_memory_metrics) == ("own", True)
    with pytest.raises(ValueError, match="TrainingArguments does not support save_safetensors=False, only True"):
        Mine("out", save_safetensors=False)
    with pytest.raises(TypeError, match="unexpected keyword argument 'nonsense'"):
        Mine("out", nonsense=1)


def test_accelerator_config(tmp_path):
    (tmp_path / "a.json").write_text('{"even_batches": false, "non_blocking": true}')
    for given in (tmp_path / "a.json", str(tmp_path / "a.json"), {"even_batches": False, "non_blocking": True}):
        config = TrainingArguments("out", accelerator_config=given).accelerator_config
        assert (config.even_batches, config.non_blocking, config.split_batches) == (False, True, False)
    with pytest.raises(ValueError, match="even_batches=False is not supported, only True"):
        config.check_ranks(2)
    with pytest.raises(ValueError, match="use_seedable_sampler=False is not supported"):
        TrainingArguments("out", accelerator_config={"use_seedable_sampler": False})
    with pytest.raises(ValueError, match="accelerator_config has no batches; it has: split_batches"):
        TrainingArguments("out", accelerator_config={"batches": 1})
