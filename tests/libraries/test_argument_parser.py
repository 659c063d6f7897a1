"""`HfArgumentParser` reads what transformers' own reads; and what scripts ask of their environment."""

from dataclasses import dataclass, field
from typing import Literal

import pytest
import transformers

import minift
from minift.libraries import checks, verbosity
from minift.train.strategies import IntervalStrategy


@dataclass
class Model:
    model_name: str = field(metadata={"help": "a name"})
    revision: str = "main"
    use_fast: bool = True
    freeze: bool = False
    length: int | None = None
    size: Literal["small", "large"] = "small"
    tasks: list[str] = field(default_factory=lambda: ["a"])


@dataclass
class Data:
    rate: float = 0.1
    when: IntervalStrategy = IntervalStrategy.NO


FLAGS = [
    ["--model_name", "x"],
    ["--model_name", "x", "--no_use_fast", "--freeze", "--length", "3", "--size", "large"],
    ["--model-name", "x", "--freeze", "false", "--use_fast", "no", "--tasks", "b", "c", "--rate", "2e-5"],
    ["--model_name", "x", "--when", "epoch"],
]


@pytest.mark.parametrize("flags", FLAGS)
def test_flags(flags):
    ours, theirs = (lib.HfArgumentParser((Model, Data)) for lib in (minift, transformers))
    read = ours.parse_args_into_dataclasses(flags, look_for_args_file=False)
    assert read == theirs.parse_args_into_dataclasses(flags, look_for_args_file=False)


def test_files_and_dicts(tmp_path):
    (tmp_path / "a.json").write_text('{"model_name": "x", "rate": 0.5}', encoding="utf-8")
    (tmp_path / "a.yaml").write_text("model_name: x\nlength: 4\n", encoding="utf-8")
    for library in (minift, transformers):
        parser = library.HfArgumentParser([Model, Data])
        model, data = parser.parse_json_file(str(tmp_path / "a.json"))
        assert (model.model_name, data.rate) == ("x", 0.5)
        assert parser.parse_yaml_file(str(tmp_path / "a.yaml"))[0].length == 4
        with pytest.raises(ValueError, match="not used by the HfArgumentParser"):
            parser.parse_dict({"model_name": "x", "other": 1})
        with pytest.raises(ValueError, match="not used by the HfArgumentParser"):
            parser.parse_args_into_dataclasses(["--model_name", "x", "--other", "1"], look_for_args_file=False)


def test_the_settings_of_a_run():
    (args,) = minift.HfArgumentParser(minift.TrainingArguments).parse_args_into_dataclasses(
        ["--output_dir", "out", "--learning_rate", "2e-5", "--do_train", "--eval_strategy", "epoch", "--bf16"],
        look_for_args_file=False,
    )
    assert (args.output_dir, args.learning_rate, args.do_train, args.eval_strategy) == ("out", 2e-5, True, "epoch")


def test_versions():
    checks.check_min_version("5.23.0")
    with pytest.raises(ImportError, match=r"needs transformers 6\.0; minift stands in for 5\.23"):
        checks.check_min_version("6.0")
    checks.require_version("datasets>=99")  # minift stands in for it
    checks.require_version("numpy>=1.0,<99")
    with pytest.raises(ImportError, match="needs numpy>99; numpy"):
        checks.require_version("numpy>99", "To fix: pip install it")
    with pytest.raises(ValueError, match="cannot read 'numpy and more'"):
        checks.require_version("numpy and more")


def test_a_flag_without_default_is_off_and_negations_have_both_forms():
    @dataclass
    class Flags:
        flag: bool
        on_by_default: bool = True

    for argv, expected in (([], (False, True)), (["--flag", "--no-on-by-default"], (True, False))):
        (flags,) = minift.HfArgumentParser(Flags).parse_args_into_dataclasses(argv)
        assert (flags.flag, flags.on_by_default) == expected


def test_a_message_is_said_once(caplog):
    logger = verbosity.get_logger("tests.once")
    for _ in range(2):
        logger.warning_once("said %d", 1)
        logger.warning_advice("advice")
    assert caplog.messages == ["said 1", "advice", "advice"]
