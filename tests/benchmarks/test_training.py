"""The training stages on a model of two small layers: both Trainers run, in turns, and a wrong loss is refused."""

import pytest
import transformers

import minift
from benchmarks import workloads
from benchmarks.harness import Refused, measure
from benchmarks.profile import profile
from benchmarks.settings import Settings
from benchmarks.training import FAST, FAST_MASKED, Job, Variant, case, curve
from minift.data.dataset import Dataset
from minift.model.auto import AutoModelForMaskedLM
from minift.model.config import BertConfig

SIZE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
SETTINGS = Settings(quick=True)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    AutoModelForMaskedLM.from_config(BertConfig(**SIZE, initializer_range=0.2)).save_pretrained(folder)
    return workloads._with_vocabulary(folder)


@pytest.fixture(scope="module")
def classify(checkpoint):
    rows = [{"input_ids": [2, *range(10, 13 + i % 7), 3], "label": i % 2} for i in range(40)]
    rows = Dataset.from_list([row | {"attention_mask": [1] * len(row["input_ids"])} for row in rows])
    collator = lambda library, tokenizer: library.DataCollatorWithPadding(tokenizer)  # noqa: E731
    return Job(checkpoint, "SequenceClassification", rows, 4, collator)


@pytest.fixture(scope="module")
def masked(checkpoint):
    rows = Dataset.from_dict({"input_ids": [list(range(i, i + 16)) for i in range(10, 50)]})
    collator = lambda library, tokenizer: library.DataCollatorForLanguageModeling(tokenizer)  # noqa: E731
    return Job(checkpoint, "MaskedLM", rows, 4, collator, labelled=0.15)


def run(work):
    return list(measure("stage", work, repeats=2))


def test_classification(classify):
    variants = [Variant("plain", target=1.0), Variant("fast", FAST), Variant("bf16", {"bf16": True}, tolerance=0.05)]
    plain, *others = run(case("name", classify, variants, SETTINGS, steps=3))
    assert len(plain.seconds) == len(plain.peer_seconds) == 2
    assert plain.floor_seconds[0] < min(plain.seconds)
    assert plain.facts["padding_factor"] > 1
    assert [row.side for row in others] == ["fast", "bf16"]


def test_masked_language_modelling(masked):
    rows = run(case("name", masked, [Variant("plain"), Variant("fast", FAST_MASKED)], SETTINGS, steps=3))
    assert len(rows) == 2


def test_another_loss_is_refused(classify):
    wrong = Variant("label smoothing", {"label_smoothing_factor": 0.5})
    with pytest.raises(Refused, match="label smoothing beside transformers Trainer"):
        run(case("name", classify, [wrong], SETTINGS, steps=3))


def test_turns_take_the_next_rows_and_begin_again(classify):
    first, second, fifth = (classify.turn(number, steps=2) for number in (0, 1, 5))
    assert first["input_ids"][:] == classify.rows["input_ids"][:8]
    assert second["input_ids"][:] == classify.rows["input_ids"][8:16]
    assert len(fifth) == 8


def test_a_curve_has_a_point_for_every_entry_of_the_log(classify):
    lines = list(curve(classify, {"transformers": (transformers, {}), "minift": (minift, {})}, 6, 2))
    assert [line["side"] for line in lines] == ["transformers", "minift"]
    assert len(lines[0]["loss"]) == len(lines[1]["seconds"]) == 3
    assert lines[0]["loss"] == pytest.approx(lines[1]["loss"], rel=1e-4)
    assert lines[1]["seconds"] == sorted(lines[1]["seconds"])


def test_a_profile_shares_out_the_seconds_of_a_step(classify):
    rates = {"float32": 1e11, "bfloat16": 1e11}
    step = profile("job", "fast", classify, FAST, rates)
    assert sum(step["shares"].values()) == pytest.approx(1)
    assert "matrix products" in step["shares"]
    assert step["mfu"] == pytest.approx(step["flop"] / step["seconds"] / 1e11)
