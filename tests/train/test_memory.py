"""`auto_find_batch_size`: smaller batches while memory does not suffice, and other errors as they are."""

import pytest

from minift.train.arguments import TrainingArguments
from minift.train.trainer import Trainer
from tests.tiny import PadRows, tiny_model, tiny_rows


class Narrow(Trainer):
    """A device on which batches of more than `most` rows do not fit."""

    most, seen = 5, None

    def compute_loss(self, model, inputs, **options):
        rows = len(inputs["input_ids"])
        self.seen = [*(self.seen or []), rows]
        if rows > self.most:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return super().compute_loss(model, inputs, **options)


def trainer(tmp_path, **options):
    settings = dict(auto_find_batch_size=True, per_device_train_batch_size=8, disable_tqdm=True) | options
    return Narrow(
        tiny_model(), TrainingArguments(str(tmp_path), **settings), PadRows(), tiny_rows(20), optimizers=(None, None)
    )


def test_batches_get_smaller_until_one_fits(tmp_path, caplog):
    one = trainer(tmp_path, num_train_epochs=1)
    output = one.train()
    assert one.seen[:4] == [8, 7, 6, 5]  # 0.9 of each, rounded down
    assert (one.args.per_device_train_batch_size, output.global_step) == (8, 4)
    assert one.state.train_batch_size == one._train_batch_size == 5
    assert "a batch of 8 rows is too large" in caplog.text
    assert "the run begins anew with 5 rows" in caplog.text


def test_a_resumed_run_has_the_size_that_was_found(tmp_path):
    one = trainer(tmp_path, max_steps=3, save_steps=2)
    one.train()
    again = trainer(tmp_path, max_steps=3, save_steps=2)
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert again.seen == [5]
    weights = one.model.state_dict()
    assert all((value == weights[name]).all() for name, value in again.model.state_dict().items())


def test_other_errors_and_no_fit(tmp_path):
    one = trainer(tmp_path, max_steps=1)
    one.most = 0
    with pytest.raises(RuntimeError, match="No executable batch size found, reached zero"):
        one.train()
    one = trainer(tmp_path, max_steps=1, auto_find_batch_size=False)
    with pytest.raises(RuntimeError, match="CUDA out of memory"):
        one.train()
    one = trainer(tmp_path, max_steps=1)
    one.compute_loss = lambda *args, **options: (_ for _ in ()).throw(RuntimeError("something else"))
    with pytest.raises(RuntimeError, match="something else"):
        one.train()
