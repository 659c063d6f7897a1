"""`report_to`: what each service is told, the files that need none, and packages that are not installed."""

import json
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace

import pytest
import torch

from minift.train.arguments import TrainingArguments
from minift.train.tracking import SERVICES, MLflowCallback, TensorBoardCallback, by_stage, trackers_of
from minift.train.trainer import Trainer
from tests.report.test_event_file import read_events
from tests.tiny import PadRows, tiny_model, tiny_rows


def trained(tmp_path, **options):
    settings = {"max_steps": 4, "logging_steps": 2, "eval_strategy": "steps", "eval_steps": 4, "disable_tqdm": True}
    args = TrainingArguments(str(tmp_path / "out"), **settings | options)
    trainer = Trainer(tiny_model(), args, PadRows(), tiny_rows(16), eval_dataset=tiny_rows(8))
    trainer.train()
    return trainer


class Client(ModuleType):
    """A package that notes what is called; a call returns the package itself."""

    def __init__(self, name, calls):
        super().__init__(name)
        self.__spec__ = ModuleSpec(name, None)
        self.calls = calls

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*args, **options):
            self.calls.append((name, args, options))
            return self

        return call


@pytest.fixture
def clients(monkeypatch):
    """The packages of all services, each with the list of what is called."""
    calls = {name: [] for name in ("wandb", "mlflow", "codecarbon")}
    for name, noted in calls.items():
        monkeypatch.setitem(sys.modules, name, Client(name, noted))
    return calls


def test_tensorboard(tmp_path):
    trainer = trained(tmp_path, report_to="tensorboard", logging_dir=str(tmp_path / "events"))
    scalars, texts = read_events(tmp_path / "events")
    log = trainer.state.log_history
    assert [step for step, _ in scalars["train/loss"]] == [2, 4]
    losses = [entry["loss"] for entry in log if "loss" in entry]
    assert [value for _, value in scalars["train/loss"]] == pytest.approx(losses)
    assert scalars["eval/loss"][0][0] == 4
    assert {"train/grad_norm", "train/learning_rate", "train/epoch", "eval/runtime"} <= scalars.keys()
    assert json.loads(texts["args/text_summary"])["max_steps"] == 4
    assert json.loads(texts["model_config/text_summary"])["model_type"] == "bert"
    trained(tmp_path, report_to=["tensorboard"])
    assert len(list((tmp_path / "out" / "runs").glob("*/events.out.tfevents.*"))) == 1


def test_jsonl_goes_on_where_a_run_goes_on(tmp_path):
    trained(tmp_path, report_to="jsonl", save_steps=2)
    lines = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [2, 4]
    settings = {"max_steps": 6, "logging_steps": 2, "disable_tqdm": True, "report_to": "jsonl"}
    args = TrainingArguments(str(tmp_path / "out"), **settings)
    again = Trainer(tiny_model(), args, PadRows(), tiny_rows(16))
    again.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-4"))
    lines = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [2, 4, 6]


def test_services_with_clients_of_their_own(tmp_path, clients, monkeypatch):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "letters")
    trained(tmp_path, report_to=["wandb", "mlflow", "codecarbon"], run_name="first")
    names = {service: [name for name, _, _ in calls] for service, calls in clients.items()}
    assert names["wandb"] == ["init", "log", "log", "log", "log", "finish"]
    assert names["mlflow"][:3] == ["set_experiment", "start_run", "log_params"]
    assert names["mlflow"][-1] == "end_run"
    assert names["codecarbon"] == ["EmissionsTracker", "start", "stop"]
    _, _, begun = clients["wandb"][0]
    assert (begun["project"], begun["name"], begun["config"]["max_steps"]) == ("huggingface", "first", 4)
    _, (first,), _ = clients["wandb"][1]
    assert first.keys() >= {"train/loss", "train/global_step"}
    assert clients["mlflow"][0][1] == ("letters",)
    assert all(len(args[0]) <= 100 for name, args, _ in clients["mlflow"] if name == "log_params")


def test_what_a_service_cannot_store_is_named(clients, tmp_path, caplog):
    logs = {"loss": torch.tensor(0.5), "eval_f1 (macro)": 0.25, "rows": [1, 2], "note": "text"}
    args = TrainingArguments(str(tmp_path), run_name="first")
    for kind in (MLflowCallback, TensorBoardCallback):
        one = kind()
        one.client = sys.modules["mlflow"]
        one.start(args, None, SimpleNamespace(config=SimpleNamespace(to_dict=lambda: {"long": "x" * 501})))
        one.write(dict(logs), 3)
        one.finish()
    written = next(args for name, args, _ in clients["mlflow"] if name == "log_metrics")[0]
    assert written == {"loss": 0.5, "eval_f1 _macro_": 0.25}
    assert not any("long" in args[0] for name, args, _ in clients["mlflow"] if name == "log_params")
    (folder,) = (tmp_path / "runs").iterdir()
    scalars, texts = read_events(folder)
    assert scalars == {"train/loss": [(3, 0.5)], "eval/f1 (macro)": [(3, 0.25)]}
    assert texts["train/note/text_summary"] == "text"
    assert [line.split(" is not stored")[0] for line in caplog.messages] == [
        "mlflow: long",
        "mlflow: rows",
        "mlflow: note",
        "tensorboard: train/rows",
    ]


def test_names(clients):
    assert trackers_of("none") == trackers_of([]) == trackers_of(None) == []
    assert {one.name for one in trackers_of("all")} >= {"tensorboard", "jsonl"}
    assert [one.name for one in trackers_of(list(SERVICES))] == list(SERVICES)
    assert by_stage({"loss": 1, "eval_loss": 2, "test_f1": 3, "evaluated": 4}) == {
        "train/loss": 1,
        "eval/loss": 2,
        "test/f1": 3,
        "train/evaluated": 4,
    }


def test_a_package_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ImportError, match="report_to='wandb' needs the package wandb: pip install wandb"):
        Trainer(tiny_model(), TrainingArguments(str(tmp_path), report_to="wandb"), PadRows(), tiny_rows(4))
