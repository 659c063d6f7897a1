"""Masked language modelling against transformers: the same masks, losses, gradients and weights, to the bit."""

import random
from types import SimpleNamespace

import pytest
import torch
import transformers

from minift.batches.mask import DataCollatorForLanguageModeling
from minift.model.auto import AutoModelForMaskedLM
from minift.model.config import BertConfig, DistilBertConfig
from minift.tasks.mlm import MaskedLMTrainer
from minift.tokenizer.classes import AutoTokenizer
from minift.train.arguments import TrainingArguments
from tests.hub import MINILM, needs_hub
from tests.tiny import CONFIG

pytestmark = pytest.mark.usefixtures("one_thread")

OURS = SimpleNamespace(
    AutoTokenizer=AutoTokenizer,
    AutoModelForMaskedLM=AutoModelForMaskedLM,
    DataCollatorForLanguageModeling=DataCollatorForLanguageModeling,
    TrainingArguments=TrainingArguments,
    Trainer=MaskedLMTrainer,
)
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CONFIGS = {
    "bert": BertConfig(**CONFIG),
    "distilbert": DistilBertConfig(
        vocab_size=50,
        dim=32,
        n_layers=2,
        n_heads=4,
        hidden_dim=64,
        max_position_embeddings=32,
        initializer_range=0.2,
    ),
}
ARGUMENTS = dict(
    max_steps=9,
    per_device_train_batch_size=4,
    per_device_eval_batch_size=4,
    learning_rate=1e-3,
    weight_decay=0.01,
    warmup_steps=2,
    logging_steps=1,
    eval_strategy="steps",
    eval_steps=4,  # each evaluation masks and so moves the generator that the next step draws from
    optim="adamw_torch",
    save_strategy="no",
    report_to="none",
    disable_tqdm=True,
)


@pytest.fixture
def checkpoint(request, tmp_path):
    """A small model of the parametrised kind, and a vocabulary of letters, in a folder."""
    letters = [chr(ord("a") + i) for i in range(26)] + [f"##{chr(ord('a') + i)}" for i in range(19)]
    (tmp_path / "vocab.txt").write_text("".join(f"{token}\n" for token in SPECIAL + letters))
    torch.manual_seed(0)
    AutoModelForMaskedLM.from_config(CONFIGS[request.param]).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tmp_path, model_max_length=32).save_pretrained(tmp_path)
    return tmp_path


def blocks(count, length):
    """Rows of random ids with special tokens inside, as blocks cut from several documents have."""
    draw = random.Random(0)
    rows = []
    for _ in range(count):
        ids = [draw.randrange(1, 50) for _ in range(draw.randint(*length))]
        rows.append({"input_ids": ids, "attention_mask": [1] * len(ids)})
    return rows


def run(library, folder, rows, **options):
    """Evaluate, train, evaluate, as the course does; returns the numbers of the log and the final weights."""
    tokenizer = library.AutoTokenizer.from_pretrained(folder)
    model = library.AutoModelForMaskedLM.from_pretrained(folder)
    trainer = library.Trainer(
        model=model,
        args=library.TrainingArguments(str(folder / "out"), **ARGUMENTS),
        data_collator=library.DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.3),
        train_dataset=rows[:22],
        eval_dataset=rows[22:],
        processing_class=tokenizer,
        **options,
    )
    before = trainer.evaluate()["eval_loss"]
    trainer.train()
    trainer.evaluate()
    names = ("loss", "grad_norm", "learning_rate", "eval_loss")
    log = [{name: entry[name] for name in names if name in entry} for entry in trainer.state.log_history]
    return [before, *filter(None, log)], model.state_dict()


@pytest.mark.parametrize("length", [(16, 16), (6, 20)], ids=["blocks", "padded"])
@pytest.mark.parametrize("checkpoint", CONFIGS, indirect=True)
def test_training_to_the_bit(checkpoint, length):
    """Dropout on, evaluation in between: every loss, gradient norm and final weight is the same number."""
    rows = blocks(29, length)
    ours, our_weights = run(OURS, checkpoint, rows)
    adamw = (torch.optim.AdamW, dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-8, foreach=False))
    theirs, their_weights = run(transformers, checkpoint, rows, optimizer_cls_and_kwargs=adamw)
    assert len(ours) == 1 + 9 + 3 + 1  # before, nine steps, evaluations at steps 4, 8 and 9, after
    assert ours == theirs
    assert our_weights.keys() == their_weights.keys()
    for name, weight in our_weights.items():
        assert torch.equal(weight, their_weights[name]), name


@needs_hub
def test_a_new_head_is_the_same_to_the_bit():
    """An encoder without a head: both libraries draw the same new weights from the same seed."""
    torch.manual_seed(42)
    ours = AutoModelForMaskedLM.from_pretrained(MINILM).state_dict()
    after = torch.rand(1)
    torch.manual_seed(42)
    theirs = transformers.AutoModelForMaskedLM.from_pretrained(MINILM).state_dict()
    assert ours.keys() == theirs.keys()
    for name, weight in ours.items():
        assert torch.equal(weight, theirs[name]), name
    assert torch.equal(after, torch.rand(1))  # and leave the generator in the same state
