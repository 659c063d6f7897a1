"""Noise, counted tokens, callbacks that are restored, what callbacks get to see: as in transformers."""

import json
from pathlib import Path

import pytest
import torch
import transformers

import minift
from tests.tiny import PadRows, tiny_model, tiny_rows

pytestmark = pytest.mark.usefixtures("one_thread")
BASES = {minift: minift.TrainerCallback, transformers: transformers.TrainerCallback}


def trained(library, folder, callbacks=(), resume=None, **options):
    settings = {"max_steps": 6, "logging_steps": 2, "per_device_train_batch_size": 4, "learning_rate": 1e-3}
    settings |= {
        "use_cpu": True,
        "disable_tqdm": True,
        "report_to": "none",
        "optim": "adamw_torch",
        "save_strategy": "no",
    }
    torch.manual_seed(0)
    trainer = library.Trainer(
        tiny_model(),
        library.TrainingArguments(output_dir=folder, **(settings | options)),
        data_collator=PadRows(),
        train_dataset=tiny_rows(32),
        eval_dataset=tiny_rows(8),
        callbacks=list(callbacks),
    )
    trainer.train(resume_from_checkpoint=resume)
    return trainer


def both(tmp_path, **options):
    return [trained(library, tmp_path / library.__name__, **options) for library in (minift, transformers)]


def losses(trainer):
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def test_noise_on_embeddings(tmp_path):
    """The same draws; and none in an evaluation, or after the run."""
    ours, theirs = both(tmp_path, neftune_noise_alpha=5.0)
    assert losses(ours) == pytest.approx(losses(theirs), rel=1e-5)
    assert losses(ours) != pytest.approx(losses(trained(minift, tmp_path / "plain")), rel=1e-3)
    assert len(ours.model.get_input_embeddings()._forward_hooks) == 0


@pytest.mark.parametrize("which", [True, "non_padding", "all", "no"])
def test_tokens_are_counted(tmp_path, which):
    ours, theirs = both(tmp_path, include_num_input_tokens_seen=which)
    assert ours.state.num_input_tokens_seen == theirs.state.num_input_tokens_seen
    assert (ours.state.num_input_tokens_seen > 0) == (which != "no")
    seen = [[entry.get("num_input_tokens_seen") for entry in one.state.log_history] for one in (ours, theirs)]
    assert seen[0] == seen[1]


def test_other_ways_to_count_are_refused(tmp_path):
    with pytest.raises(ValueError, match="include_num_input_tokens_seen must be one of no, all, non_padding"):
        minift.TrainingArguments(str(tmp_path), include_num_input_tokens_seen="some")


def counting(library):
    bases = (BASES[library],) if library is minift else (BASES[library], transformers.trainer_callback.ExportableState)

    class Counting(*bases):
        def __init__(self, start=1):
            self.start, self.steps = start, 0

        def on_step_end(self, args, state, control, **objects):
            self.steps += 1

        def state(self):
            return {"args": {"start": self.start}, "attributes": {"steps": self.steps}}

    return Counting


@pytest.mark.parametrize("restored", [True, False])
def test_callbacks_in_the_librarys_form(tmp_path, restored):
    found = []
    for library in (minift, transformers):
        folder, kind = tmp_path / library.__name__, counting(library)
        trained(library, folder, [kind(5)], save_strategy="steps", save_steps=3)
        stored = json.loads((folder / "checkpoint-3" / "trainer_state.json").read_text())["stateful_callbacks"][
            "Counting"
        ]
        options = {"restore_callback_states_from_checkpoint": restored}
        trainer = trained(library, folder, [kind(1)], str(folder / "checkpoint-3"), **options)
        callback = next(one for one in trainer.callback_handler.callbacks if type(one).__name__ == "Counting")
        found.append((stored, callback.start, callback.steps))
    assert found[0] == found[1]
    assert found[0][0] == {"args": {"start": 5}, "attributes": {"steps": 3}}
    assert found[0][1:] == ((5, 6) if restored else (1, 3))


def test_callbacks_see_both_loaders(tmp_path):
    found = []
    for library in (minift, transformers):
        seen = found.append({}) or found[-1]

        class Looking(BASES[library]):
            def on_evaluate(self, args, state, control, seen=seen, eval_dataloader=None, **objects):
                seen["evaluate"] = len(eval_dataloader)

            def on_train_end(self, args, state, control, seen=seen, train_dataloader=None, **objects):
                seen["end"] = len(train_dataloader)

        trained(
            library, tmp_path / library.__name__, [Looking()], eval_strategy="epoch", max_steps=-1, num_train_epochs=1
        )
    assert found[0] == found[1] == {"evaluate": 1, "end": 8}


@pytest.mark.parametrize("option", ["bf16_full_eval", "fp16_full_eval"])
def test_evaluation_in_half_precision(tmp_path, option):
    """The model stays in it after an evaluation by itself, and not after one within a training run."""
    found = []
    for library in (minift, transformers):
        trainer = trained(library, tmp_path / library.__name__, eval_strategy="steps", eval_steps=3, **{option: True})
        during = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
        assert trainer.model.dtype == torch.float32
        loss = trainer.evaluate()["eval_loss"]
        found.append((during, loss, trainer.predict(tiny_rows(8)).predictions.tolist(), trainer.model.dtype))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    assert found[0][1:] == found[1][1:]


def test_a_folder_may_be_a_path(tmp_path):
    trainer = trained(minift, Path(tmp_path) / "run")
    assert trainer.args.output_dir == str(tmp_path / "run")
