"""The loop on one screen and Trainer: the same losses and the same weights, to the bit, with dropout."""

import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import minift
from minift import loop
from minift.demo.corpus import CONFIGS, write_corpus, write_model
from tests.hub import MINILM, MRPC, needs_hub


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Folders of a small BERT without a classifier, and of a few pairs of sentences."""
    folder = tmp_path_factory.mktemp("loop")
    write_model(folder / "model", write_corpus(folder / "words"))
    config = minift.BertConfig.from_pretrained(folder / "model", hidden_size=32, intermediate_size=64)
    torch.manual_seed(0)
    minift.BertModel(config).save_pretrained(folder / "model")
    rng, features = random.Random(0), CONFIGS["paraphrases"].features
    (folder / "pairs").mkdir()
    for split, size in {"train": 29, "validation": 11}.items():  # the last batches are not full
        columns = zip(*(CONFIGS["paraphrases"].make(rng) for _ in range(size)), strict=True)
        table = pa.table([list(column) for column in columns], schema=features.arrow_schema)
        pq.write_table(table, folder / "pairs" / f"{split}.parquet")
    return folder / "model", folder / "pairs"


def by_trainer(checkpoint, dataset, config, folder):
    """What `loop.main` does, by the Trainer."""
    tokenizer = minift.AutoTokenizer.from_pretrained(checkpoint)
    data = minift.load_dataset(dataset, config).map(
        lambda rows: tokenizer(rows["sentence1"], rows["sentence2"], truncation=True), batched=True
    )
    minift.set_seed(loop.SEED)
    model = minift.AutoModelForSequenceClassification.from_pretrained(checkpoint, num_labels=2)
    settings = dict(eval_strategy="epoch", logging_steps=1, save_strategy="no", use_cpu=True, disable_tqdm=True)
    trainer = minift.Trainer(
        model,
        minift.TrainingArguments(str(folder), **settings),
        train_dataset=data["train"],
        eval_dataset=data["validation"],
        processing_class=tokenizer,
    )
    trainer.train()
    return model, [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def compare(checkpoint, dataset, config, folder):
    model, losses = loop.main(checkpoint, dataset, config)
    expected_model, expected_losses = by_trainer(checkpoint, dataset, config, folder)
    assert losses == expected_losses
    assert len(set(losses)) == len(losses)
    for (name, found), expected in zip(model.state_dict().items(), expected_model.state_dict().values(), strict=True):
        assert torch.equal(found, expected), name
    return losses


def test_trainer_gives_the_same_bits(start, tmp_path, one_thread, capsys):
    assert len(compare(*start, None, tmp_path)) == 3 * 4
    assert [line[:8] for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")] == [
        "epoch 1:",
        "epoch 2:",
        "epoch 3:",
    ]


@needs_hub
def test_real_pairs_and_a_real_checkpoint(tmp_path, one_thread, monkeypatch):
    load = minift.load_dataset

    def few_rows(*args):
        data = load(*args)
        return minift.DatasetDict({"train": data["train"].take(24), "validation": data["validation"].take(9)})

    for module in (loop, minift):
        monkeypatch.setattr(module, "load_dataset", few_rows)
    compare(str(MINILM), str(MRPC), "mrpc", tmp_path)


def test_it_fits_on_one_screen():
    with open(loop.__file__) as file:
        assert len(file.readlines()) <= 60
