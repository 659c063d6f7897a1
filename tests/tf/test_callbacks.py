"""What the callbacks print, save, upload and stop."""

import keras
import numpy as np
import pytest

from minift.tf.callbacks import EpochTable, Evaluation, PushToHubCallback, SaveCheckpoints, StopAtStep
from minift.tf.optim import create_optimizer
from tests.loopback_upload import READ, WRITE, upload_hub  # noqa: F401 - a fixture


class Line(keras.Sequential):
    """A straight line that can be saved as a model can."""

    def __init__(self):
        super().__init__([keras.layers.Dense(1)])

    def save_pretrained(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "weights.txt").write_text(str(self.get_weights()))


class Tokenizer:
    def save_pretrained(self, folder):
        (folder / "vocab.txt").write_text("a b c")


def fit(*callbacks, epochs=3, rate=0.1, validation=False):
    """Five steps an epoch."""
    x = np.linspace(0, 1, 10, dtype="f4")[:, None]
    model = Line()
    optimizer, _ = create_optimizer(rate, num_train_steps=5 * epochs, num_warmup_steps=0)
    model.compile(optimizer, "mse", metrics=["mae"])
    held_out = (x, 2 * x) if validation else None
    return model.fit(
        x, 2 * x, batch_size=2, epochs=epochs, callbacks=list(callbacks), validation_data=held_out, verbose=0
    )


def test_the_table_shows_rate_losses_and_validation_metrics(capsys):
    history = fit(EpochTable(), validation=True).history
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| Epoch | Learning Rate | Training Loss | Validation Loss |      Mae |"
    assert [line.split("|")[2].strip() for line in lines[2:]] == ["6.67e-02", "3.33e-02", "0.00e+00"]
    shown = [[float(cell) for cell in line.split("|")[3:6]] for line in lines[2:]]
    expected = np.transpose([history["loss"], history["val_loss"], history["val_mae"]])
    np.testing.assert_allclose(shown, expected, atol=1e-6)
    assert history["learning_rate"] == pytest.approx([0.1 * 2 / 3, 0.1 / 3, 0.0], abs=1e-7)


def test_the_table_without_validation_shows_the_trainings_metrics(capsys):
    fit(EpochTable(), epochs=1)
    assert capsys.readouterr().out.splitlines()[0] == "| Epoch | Learning Rate | Training Loss |      Mae |"


def test_evaluation_joins_log_and_table(capsys):
    seen = iter([0.25, 0.5, 0.75])
    history = fit(Evaluation(lambda: {"loss": 1.0, "f1": next(seen)}), EpochTable()).history
    assert history["val_f1"] == [0.25, 0.5, 0.75]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("| Validation Loss |       F1 |")
    assert [line.split("|")[5].strip() for line in lines[2:]] == ["0.250000", "0.500000", "0.750000"]


def test_a_loss_that_is_no_number_ends_training():
    with pytest.raises(ValueError, match="the loss is (nan|inf) in epoch 1: lower the learning rate"):
        fit(EpochTable(), rate=1e30, epochs=4)


@pytest.mark.parametrize(("limit", "epochs"), [(5, 1), (7, 2), (15, 3)])
def test_training_stops_at_a_step(limit, epochs):
    history = fit(StopAtStep(limit))
    assert int(history.model.optimizer.iterations) == limit
    assert len(history.epoch) == epochs


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        (dict(save_strategy="epoch"), [10, 15, 5]),
        (dict(save_strategy="steps", save_steps=4), [12, 4, 8]),
        (dict(save_strategy="no"), []),
    ],
)
def test_checkpoints(tmp_path, options, steps):
    fit(SaveCheckpoints(tmp_path, tokenizer=Tokenizer(), **options))
    assert sorted(folder.name for folder in tmp_path.iterdir()) == [f"checkpoint-{step}" for step in steps]
    for folder in tmp_path.iterdir():
        assert sorted(file.name for file in folder.iterdir()) == ["vocab.txt", "weights.txt"]


PUSH = """
from tests.tf.test_callbacks import Tokenizer, fit
from minift.tf.callbacks import PushToHubCallback
for name, options in {runs!r}.items():
    fit(PushToHubCallback(f"{folder}/{{name}}", tokenizer=Tokenizer(), hub_token={token!r}, **options))
try:
    fit(PushToHubCallback("{folder}/refused", hub_token={read!r}))
except PermissionError as error:
    print(error)
"""
RUNS = {
    "epochs": ({}, ["epoch 1", "epoch 2", "epoch 3"]),
    "steps": ({"save_strategy": "steps", "save_steps": 6, "hub_model_id": "me/other"}, ["step 6", "step 12", "End"]),
    "end": ({"save_strategy": "no"}, ["End"]),
}


@pytest.mark.long
def test_uploads(upload_hub, tmp_path):  # noqa: F811
    (tmp_path / "epochs" / "checkpoint-5").mkdir(parents=True)
    (tmp_path / "epochs" / "checkpoint-5" / "weights.txt").write_text("")  # of `SaveCheckpoints`: stays here
    runs = {name: options for name, (options, _) in RUNS.items()}
    code = PUSH.format(folder=tmp_path, runs=runs, token=WRITE, read=READ)
    refusal = upload_hub.run(code, tmp_path / "cache").splitlines()[-1]
    assert refusal.startswith(f"{tmp_path}/refused was not uploaded to refused: the token has no permission")
    expected = [
        (options.get("hub_model_id", f"me/{name}"), message)
        for name, (options, messages) in RUNS.items()
        for message in messages
    ]
    words = [commit.message.removeprefix("Training in progress, ") for commit in upload_hub.commits]
    found = [word.removesuffix(" of training") for word in words]
    assert list(zip([commit.repository for commit in upload_hub.commits], found, strict=True)) == expected
    assert {path for commit in upload_hub.commits for path in commit.paths} == {"vocab.txt", "weights.txt"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(save_strategy="best"), "save_strategy='best': expected 'epoch', 'steps' or 'no'"),
        (dict(save_strategy="steps"), "save_strategy='steps' needs save_steps"),
        (dict(checkpoint=True), "checkpoint=True is not supported"),
    ],
)
def test_bad_options_are_named(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        PushToHubCallback(tmp_path, **options)
