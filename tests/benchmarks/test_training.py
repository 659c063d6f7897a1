"""The training stages on a model of two small layers: both Trainers run, in turns, and a wrong loss is refused."""

import pytest

from benchmarks import workloads
from benchmarks.harness import Refused, measure
from benchmarks.profile import profile
from benchmarks.settings import Settings
from benchmarks.training import FAST, FAST_MASKED, Job, Variant, compare, curves
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
    return Job(checkpoint, "SequenceClassification", rows, 4)


@pytest.fixture(scope="module")
def masked(checkpoint):
    rows = Dataset.from_dict({"input_ids": [list(range(i, i + 16)) for i in range(10, 50)]})
    return Job(checkpoint, "MaskedLM", rows, 4, labelled=0.15)


class Here:
    """`Apart` without a process: what `make(*arguments)` gives, in this one."""

    def __init__(self, threads, make, *arguments):
        self.made = make(*arguments)

    def __call__(self):
        return self.made()

    def ask(self, method, *arguments):
        return getattr(self.made, method)(*arguments)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


@pytest.fixture
def here(monkeypatch):
    monkeypatch.setattr("benchmarks.training.Apart", Here)


def run(cases):
    return [row for case in cases for row in measure("stage", case, repeats=2)]


@pytest.mark.long
def test_classification_in_processes_of_their_own(classify):
    variants = [Variant("plain", target=1.0), Variant("fast, bf16", FAST | {"bf16": True}, tolerance=0.05)]
    plain, fast = run(compare("name", classify, variants, SETTINGS, steps=3))
    assert len(plain.seconds) == len(plain.peer_seconds) == 2
    assert plain.floor_seconds[0] < min(plain.seconds)
    assert plain.facts["padding_factor"] > 1
    assert fast.side == "fast, bf16"
    assert fast.facts["resident_bytes"] > 0


@pytest.mark.long
def test_masked_language_modelling(masked, here):
    rows = run(compare("name", masked, [Variant("plain"), Variant("fast", FAST_MASKED)], SETTINGS, steps=3))
    assert len(rows) == 2


@pytest.mark.long
def test_another_loss_is_refused(classify, here):
    wrong = Variant("label smoothing", {"label_smoothing_factor": 0.5})
    with pytest.raises(Refused, match="label smoothing beside transformers Trainer"):
        run(compare("name", classify, [wrong], SETTINGS, steps=3))


def test_turns_take_the_next_rows_and_begin_again(classify):
    first, second, fifth = (classify.turn(number, steps=2) for number in (0, 1, 5))
    assert first["input_ids"][:] == classify.rows["input_ids"][:8]
    assert second["input_ids"][:] == classify.rows["input_ids"][8:16]
    assert len(fifth) == 8


def test_a_curve_has_a_point_for_every_entry_of_the_log(classify, here):
    peer, plain, fast = curves("name", classify, FAST, SETTINGS, steps=6, every=2)
    assert [line["side"] for line in (peer, plain, fast)] == [
        "transformers Trainer",
        "minift, plain",
        "minift, fast, bf16",
    ]
    assert len(peer["loss"]) == len(fast["seconds"]) == 3
    assert peer["loss"] == pytest.approx(plain["loss"], rel=1e-4)
    assert fast["seconds"] == sorted(fast["seconds"])


def test_a_profile_shares_out_the_seconds_of_a_step(classify):
    rates = {"float32": 1e11, "bfloat16": 1e11}
    step = profile("job", "fast", classify, FAST, rates)
    assert sum(step["shares"].values()) == pytest.approx(1)
    assert "matrix products" in step["shares"]
    assert step["mfu"] == pytest.approx(step["flop"] / step["seconds"] / 1e11)
