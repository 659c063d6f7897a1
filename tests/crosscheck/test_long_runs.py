"""Long runs on real text against transformers' Trainer, to the bit: one thread, dropout on, clipping on.

The loss, gradient norm and learning rate of every step, every evaluation and every final weight are the same number.
transformers is given torch's plain AdamW: its default is the fused kernel, whose last bit differs.
"""

import math

import pytest
import torch
import transformers

import minift
from tests.hub import BERT_BASE, DISTILBERT_BASE, IMDB, MINILM, MRPC, needs_hub

pytestmark = [needs_hub, pytest.mark.usefixtures("one_thread")]

MRPC_ROWS, REVIEWS, BLOCK = 480, 60, 128
STEPS = {"mrpc": 60, "imdb": 30}
CLIP = 0.5  # which most gradients exceed
KEYS = ("loss", "grad_norm", "learning_rate", "eval_loss", "step")
NARROW = {
    "bert": minift.BertConfig(hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128),
    "distilbert": minift.DistilBertConfig(dim=64, n_layers=3, n_heads=4, hidden_dim=128),
}
# Over the runs of a task each architecture meets warm-up, decay and evaluation, and the lack of each.
WITH = {"warmup_steps": 6, "weight_decay": 0.01, "eval_strategy": "steps", "eval_steps": 20}
WARMUP_AND_EVALUATION = {"warmup_steps": 6, "eval_strategy": "steps", "eval_steps": 10}
DECAY = {"weight_decay": 0.01}
LONG = [
    ("mrpc", "minilm", WITH),
    ("mrpc", "distilbert", DECAY),
    ("imdb", "minilm", DECAY),
    ("imdb", "bert", WARMUP_AND_EVALUATION),
    ("imdb", "distilbert", WITH),
    ("imdb", "distilbert", {}),
]
RUNS = [
    pytest.param("mrpc", "bert", {}, 60, marks=pytest.mark.long),
    ("mrpc", "distilbert", WARMUP_AND_EVALUATION, 60),
    ("imdb", "distilbert", WARMUP_AND_EVALUATION, 12),
    *[pytest.param(*run, STEPS[run[0]], marks=pytest.mark.long) for run in LONG],
]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """The real encoder, and narrow random ones with the real vocabulary."""
    folders = {"minilm": MINILM}
    for name, vocabulary in (("bert", BERT_BASE), ("distilbert", DISTILBERT_BASE)):
        folders[name] = tmp_path_factory.mktemp(name)
        torch.manual_seed(3)
        minift.AutoModel.from_config(NARROW[name]).save_pretrained(folders[name])
        minift.AutoTokenizer.from_pretrained(vocabulary).save_pretrained(folders[name])
    return folders


def pairs(tokenizer):
    """The first pairs of MRPC, tokenised."""
    texts = minift.load_dataset(MRPC, "mrpc", split="train").select(range(MRPC_ROWS))
    return [{**tokenizer(row["sentence1"], row["sentence2"], truncation=True), "label": row["label"]} for row in texts]


def blocks(tokenizer):
    """The first reviews of IMDb in blocks, special tokens inside them."""
    texts = minift.load_dataset(IMDB, split="train").select(range(REVIEWS))["text"]
    ids = [token for text in texts for token in tokenizer(text)["input_ids"]]
    starts = range(0, len(ids) - BLOCK + 1, BLOCK)
    return [{"input_ids": ids[start : start + BLOCK], "attention_mask": [1] * BLOCK} for start in starts]


def run(library, task, checkpoint, folder, optimizer, options, steps):
    """Train with one library; returns the numbers of the log and the final weights."""
    tokenizer = library.AutoTokenizer.from_pretrained(checkpoint)
    torch.manual_seed(1)
    if task == "mrpc":
        rows, batch_size = pairs(tokenizer), 8
        model = library.AutoModelForSequenceClassification.from_pretrained(checkpoint, num_labels=2)
        collator = library.DataCollatorWithPadding(tokenizer)
    else:
        rows, batch_size = blocks(tokenizer), 2
        model = library.AutoModelForMaskedLM.from_pretrained(checkpoint)
        collator = library.DataCollatorForLanguageModeling(tokenizer=tokenizer, mlm_probability=0.15)
    settings = dict(max_steps=steps, per_device_train_batch_size=batch_size, learning_rate=1e-4, max_grad_norm=CLIP)
    trainer = library.Trainer(
        model,
        library.TrainingArguments(
            str(folder), logging_steps=1, save_strategy="no", report_to="none", disable_tqdm=True, **settings, **options
        ),
        train_dataset=rows,
        eval_dataset=rows[:20],
        data_collator=collator,
        optimizer_cls_and_kwargs=optimizer,
    )
    trainer.train()
    log = [{key: entry[key] for key in KEYS if key in entry} for entry in trainer.state.log_history]
    return [entry for entry in log if "loss" in entry or "eval_loss" in entry], trainer.model.state_dict()


@pytest.mark.parametrize(("task", "name", "options", "steps"), RUNS, ids=str)
def test_every_loss_norm_and_weight_is_equal_to_the_bit(task, name, options, steps, checkpoints, tmp_path):
    plain_adamw = (torch.optim.AdamW, {"lr": 1e-4, "betas": (0.9, 0.999), "eps": 1e-8, "foreach": False})
    got_log, got = run(minift, task, checkpoints[name], tmp_path, None, options, steps)
    want_log, want = run(transformers, task, checkpoints[name], tmp_path, plain_adamw, options, steps)
    evaluations = math.ceil(steps / options["eval_steps"]) if "eval_steps" in options else 0  # the last step is one
    assert len(want_log) == steps + evaluations
    assert any(entry.get("grad_norm", 0.0) > CLIP for entry in want_log)  # so that something is clipped
    assert got_log == want_log
    assert got.keys() == want.keys()
    for weight in want:
        assert torch.equal(got[weight], want[weight]), weight
