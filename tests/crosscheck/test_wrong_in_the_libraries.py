"""Where transformers is wrong or surprises, shown on transformers itself."""

import pytest
import torch
import transformers

import minift
from tests.test_better_than_the_libraries import ROWS, UNEVEN
from tests.tiny import CONFIG, PadRows


def trainer_for(library, folder, rows, **options):
    """Without dropout, so that one step on the same rows should give the same numbers however they are batched."""
    torch.manual_seed(0)
    settings = dict(max_steps=1, logging_steps=1, save_strategy="no", report_to="none", disable_tqdm=True)
    arguments = library.TrainingArguments(str(folder), **(settings | options))
    still = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    model = library.BertForSequenceClassification(library.BertConfig(**CONFIG, **still))
    return library.Trainer(model, arguments, PadRows(), rows, rows)


@pytest.mark.parametrize(("library", "times"), [(minift, 1), (transformers, 4)], ids=["minift", "transformers"])
def test_four_batches_of_four_weigh_as_much_as_one_of_sixteen(library, times, tmp_path):
    """transformers adds four batches' losses up without dividing by four (its issue 47688)."""
    norms = []
    for options in (
        {"per_device_train_batch_size": 16},
        {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 4},
    ):
        trainer = trainer_for(library, tmp_path, ROWS, **options)
        trainer.train()
        norms.append(trainer.state.log_history[0]["grad_norm"])
    assert norms[1] / norms[0] == pytest.approx(times, rel=1e-4)


def test_the_evaluation_loss_depends_on_the_batches(tmp_path):
    theirs, ours = [], []
    for size in (4, 16):
        theirs.append(trainer_for(transformers, tmp_path, UNEVEN, per_device_eval_batch_size=size).evaluate())
        ours.append(trainer_for(minift, tmp_path, UNEVEN, per_device_eval_batch_size=size))
        ours[-1].model.load_state_dict(trainer_for(transformers, tmp_path, UNEVEN).model.state_dict())
        ours[-1] = ours[-1].evaluate()
    assert theirs[0]["eval_loss"] != pytest.approx(theirs[1]["eval_loss"], rel=1e-3)
    assert [metrics["eval_loss"] for metrics in ours] == pytest.approx([m["eval_loss"] for m in theirs], rel=1e-6)
    assert ours[0]["eval_weighted_loss"] == pytest.approx(ours[1]["eval_weighted_loss"], rel=1e-6)
