"""What Trainer and TrainingArguments offer around training, against transformers: settings, blocks, the card."""

import dataclasses

import pytest
import torch
import transformers
import yaml

import minift
from minift.train.settings import METHODS
from tests.tiny import PadRows, tiny_model, tiny_rows

CALLS = {
    "set_training": {"learning_rate": 1e-3, "batch_size": 4, "max_steps": 7, "seed": 3},
    "set_evaluate": {"strategy": "steps", "steps": 5, "batch_size": 2},
    "set_testing": {"batch_size": 3},
    "set_save": {"strategy": "epoch", "total_limit": 2},
    "set_logging": {"strategy": "epoch", "level": "error", "first_step": True},
    "set_push_to_hub": {"model_id": "me/model", "private_repo": True},
    "set_optimizer": {"beta2": 0.95, "epsilon": 1e-7},
    "set_lr_scheduler": {"name": "cosine", "warmup_steps": 4},
    "set_dataloader": {"train_batch_size": 5, "drop_last": True, "sampler_seed": 9},
}


@pytest.mark.parametrize("method", METHODS)
def test_set_methods(method, tmp_path, caplog):
    ours = minift.TrainingArguments(str(tmp_path), use_cpu=True)
    theirs = transformers.TrainingArguments(str(tmp_path), use_cpu=True, report_to="none")
    before = dataclasses.asdict(ours)
    assert getattr(ours, method)(**CALLS[method]) is ours
    getattr(theirs, method)(**CALLS[method])
    changed = {name for name, value in dataclasses.asdict(ours).items() if value != before[name]}
    assert changed
    for name in changed:
        assert str(getattr(ours, name)) == str(getattr(getattr(theirs, name), "value", getattr(theirs, name))), name
    with pytest.raises(TypeError, match=f"TrainingArguments.{method} does not support 'wrong'"):
        getattr(ours, method)(wrong=1)


def test_set_methods_by_position(tmp_path):
    args = minift.TrainingArguments(str(tmp_path), use_cpu=True)
    assert args.set_save("epoch", 7).save_steps == 7
    with pytest.raises(TypeError, match="too many positional arguments"):
        args.set_testing(3, False, 5)
    with pytest.raises(TypeError, match="multiple values for argument 'batch_size'"):
        args.set_testing(3, batch_size=4)


def test_set_methods_check_what_they_set(tmp_path):
    with pytest.raises(ValueError, match="learning_rate must be at least 0, not -1"):
        minift.TrainingArguments(str(tmp_path), use_cpu=True).set_training(learning_rate=-1)


def test_fields_without_effect_can_be_read(tmp_path):
    ours = minift.TrainingArguments(str(tmp_path), use_cpu=True, run_name="mine")
    assert (ours.run_name, ours.ddp_timeout, ours.local_rank, ours.neftune_noise_alpha) == ("mine", 1800, -1, None)
    assert (ours.parallel_mode.value, ours.mixed_precision) == ("not_parallel", "no")
    with pytest.raises(AttributeError, match="TrainingArguments has no 'warm_up'"):
        _ = ours.warm_up


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The same run on both sides."""
    pair = []
    for library in (minift, transformers):
        folder = tmp_path_factory.mktemp(library.__name__) / "run"
        arguments = {"max_steps": 6, "logging_steps": 2, "eval_strategy": "steps", "eval_steps": 3, "use_cpu": True}
        arguments |= {
            "per_device_train_batch_size": 4,
            "disable_tqdm": True,
            "report_to": "none",
            "optim": "adamw_torch",
        }
        torch.manual_seed(0)
        trainer = library.Trainer(
            tiny_model(),
            library.TrainingArguments(str(folder), save_strategy="no", **arguments),
            data_collator=PadRows(),
            train_dataset=tiny_rows(24),
            eval_dataset=tiny_rows(8),
            compute_metrics=lambda p: {"accuracy": float((p.predictions.argmax(-1) == p.label_ids).mean())},
        )
        trainer.train()
        pair.append(trainer)
    return pair


def test_counts(trained):
    ours, theirs = trained
    for trainer in trained:
        loader = trainer.get_train_dataloader()
        assert trainer.num_examples(loader) == 24
    assert ours.get_num_trainable_parameters() == theirs.get_num_trainable_parameters()
    assert ours.get_total_train_batch_size(ours.args) == theirs.get_total_train_batch_size(theirs.args) == 4
    assert ours.get_learning_rates() == theirs.get_learning_rates()
    weight = ours.model.classifier.weight
    assert any(one is weight for one in ours.get_optimizer_group(weight)["params"])
    assert [len(group) for group in ours.get_optimizer_group()] == [len(g) for g in theirs.get_optimizer_group()]
    with pytest.raises(ValueError, match="does not support hyperparameter_search"):
        ours.hyperparameter_search()


def test_blocks_of_metrics(trained, capsys):
    metrics = {
        "eval_loss": 0.123456,
        "eval_runtime": 3725.678,
        "total_flos": 5 * 2**30,
        "rows": 7,
        "init_mem_cpu": 3 << 20,
    }
    ours, theirs = trained
    assert ours.metrics_format(metrics) == type(theirs).metrics_format(metrics)
    capsys.readouterr()
    ours.log_metrics("eval", metrics)
    printed = capsys.readouterr().out
    theirs.log_metrics("eval", metrics)
    assert printed == capsys.readouterr().out


def test_state_files_go_both_ways(trained, tmp_path):
    ours, theirs = trained
    ours.state.save_to_json(str(tmp_path / "ours.json"))
    theirs.state.save_to_json(str(tmp_path / "theirs.json"))
    read = transformers.TrainerState.load_from_json(str(tmp_path / "ours.json"))
    assert read.global_step == minift.TrainerState.load_from_json(str(tmp_path / "theirs.json")).global_step == 6
    assert ours.control.state() == theirs.control.state()


def test_the_card(trained, tmp_path):
    """The data for the Hub is that of transformers; of the text, all lines but the names of versions."""
    given = {"language": "en", "finetuned_from": "bert-base-cased", "tasks": "text-classification", "tags": ["mine"]}
    given |= {"dataset_tags": "glue", "dataset_args": "mrpc", "dataset": "GLUE MRPC", "license": "apache-2.0"}
    texts = []
    for trainer in trained:
        trainer.create_model_card(**{name: list(v) if isinstance(v, list) else v for name, v in given.items()})
        with open(f"{trainer.args.output_dir}/README.md", encoding="utf-8") as file:
            texts.append(file.read())
    (_, head, body), (_, their_head, their_body) = (text.split("---\n", 2) for text in texts)
    ours, theirs = yaml.safe_load(head), yaml.safe_load(their_head)
    values = [index["model-index"][0]["results"][0]["metrics"][0] for index in (ours, theirs)]
    assert values[0] == values[1]
    assert ours == theirs
    ours, theirs = (
        [line for line in text.splitlines() if line.startswith(("#", "This", "It", "- "))]
        for text in (body, their_body)
    )
    known = ("- optimizer", "- minift", "- Transformers", "- Datasets", "- Weighted Loss")
    assert [line for line in ours if not line.startswith(known)] == [
        line for line in theirs if not line.startswith(known)
    ]
    assert body.count("\n|") == their_body.count("\n|") == 4


def test_a_subclass_may_write_its_own_card(tmp_path, monkeypatch):
    """An upload asks for it, as transformers' does."""

    class Own(minift.Trainer):
        def create_model_card(self, **given):
            self.asked = given

    monkeypatch.setattr("minift.train.surface.upload_folder", lambda folder, name, **options: "address")
    trainer = Own(tiny_model(), minift.TrainingArguments(str(tmp_path), use_cpu=True))
    assert trainer.push_to_hub(language="en") == "address"
    assert trainer.asked == {"language": "en"}


def test_a_new_card_keeps_what_a_person_has_written(trained):
    ours = trained[0]
    ours.create_model_card()
    file = f"{ours.args.output_dir}/README.md"
    with open(file, encoding="utf-8") as handle:
        text = handle.read()
    edited = text.replace(
        "## Model description\n\nMore information needed", "## Model description\n\nFinds pairs.\n\n- a: b", 1
    )
    assert edited != text
    with open(file, "w", encoding="utf-8") as handle:
        handle.write(edited)
    ours.create_model_card(license="mit")
    with open(file, encoding="utf-8") as handle:
        again = handle.read()
    assert "## Model description\n\nFinds pairs.\n\n- a: b\n\n## Intended uses" in again
    assert yaml.safe_load(again.split("---\n")[1])["license"] == "mit"
