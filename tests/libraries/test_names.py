"""The names and call forms of the course's chapters 2, 3 and 7.3 (2021 to 2026) under the stand-ins.

Each snippet is code of the tests' own. It runs in a folder in which the Hub's names, short and long, are folders.
"""

import pytest
import torch

from minift.libraries.stand_ins import stand_ins
from tests.hub import needs_hub
from tests.loopback_hub import LEGACY_NAMES
from tests.tiny_hub import tiny_hub  # noqa: F401 - a fixture

pytestmark = needs_hub

ROWS = """
from datasets import load_dataset
from transformers import AutoTokenizer, AutoModelForSequenceClassification, DataCollatorWithPadding
checkpoint = "bert-base-uncased"
tokenizer = AutoTokenizer.from_pretrained(checkpoint)
model = AutoModelForSequenceClassification.from_pretrained(checkpoint, num_labels=2)
pairs = load_dataset("glue", "mrpc")["train"].select(range(24))
rows = pairs.map(lambda row: tokenizer(row["sentence1"], row["sentence2"], truncation=True), batched=True)
data_collator = DataCollatorWithPadding(tokenizer=tokenizer)
"""
TRAINER = (
    ROWS
    + """
import evaluate
import numpy as np
from transformers import EarlyStoppingCallback, Trainer, TrainingArguments
def compute_metrics(eval_preds):
    logits, labels = eval_preds
    return evaluate.load("glue", "mrpc").compute(predictions=np.argmax(logits, axis=-1), references=labels)
def log_of(trainer):
    trainer.train()
    return [entry for entry in trainer.state.log_history if "eval_accuracy" in entry]
"""
)
LOOP = (
    ROWS
    + """
from torch.utils.data import DataLoader
from transformers import get_scheduler
rows = rows.remove_columns(["sentence1", "sentence2", "idx"]).rename_column("label", "labels")
rows.set_format("torch")
train_dataloader = DataLoader(rows, shuffle=True, batch_size=8, collate_fn=data_collator)
"""
)
CHAPTER_2 = {
    "AutoTokenizer": """
from transformers import AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained("bert-base-cased")
tokens = tokenizer.tokenize("Using a Transformer network is simple")
ids = tokenizer.convert_tokens_to_ids(tokens)
assert tokenizer.decode(ids) == "using a transformer network is simple"
assert tokenizer.convert_ids_to_tokens(ids) == tokens
assert tokenizer("How are you?", "Fine!")["token_type_ids"] == [0] * 6 + [1] * 3
tokenizer.save_pretrained("my_tokenizer")
assert AutoTokenizer.from_pretrained("my_tokenizer")("a b") == tokenizer("a b")
""",
    "BertTokenizer": """
from transformers import BertTokenizer
assert BertTokenizer.from_pretrained("bert-base-cased")("hello")["input_ids"] == [101, 7592, 102]
""",
    "padding and truncation": """
from transformers import AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained("bert-base-uncased")
texts = ["This is a long one, which goes on.", "So do I!"]
assert [len(x) for x in tokenizer(texts, padding="longest")["input_ids"]] == [12, 12]
assert [len(x) for x in tokenizer(texts, padding="max_length")["input_ids"]] == [512, 512]
assert [len(x) for x in tokenizer(texts, padding="max_length", max_length=14)["input_ids"]] == [14, 14]
assert [len(x) for x in tokenizer(texts, max_length=8, truncation=True)["input_ids"]] == [8, 6]
assert tokenizer(texts, padding=True, return_tensors="pt")["input_ids"].shape == (2, 12)
assert tokenizer(texts, padding=True, return_tensors="np")["input_ids"].shape == (2, 12)
assert tokenizer.pad_token_id == 0
""",
    "AutoModel": """
from transformers import AutoModel, BertModel
import torch
model = AutoModel.from_pretrained("bert-base-cased")
assert isinstance(model, BertModel)
assert model(torch.tensor([[101, 7592, 102]])).last_hidden_state.shape == (1, 3, 8)
assert model(torch.tensor([[101, 7592, 102]]))["last_hidden_state"].shape == model(torch.tensor([[101, 2, 3]]))[0].shape
model.save_pretrained("directory_on_my_computer")
again = AutoModel.from_pretrained("directory_on_my_computer")
assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True))
""",
    "BertConfig": """
from transformers import BertConfig, BertModel
config = BertConfig()
assert (config.hidden_size, config.num_hidden_layers, config.max_position_embeddings) == (768, 12, 512)
assert '"num_attention_heads": 12' in str(config)
model = BertModel(BertConfig(hidden_size=8, num_attention_heads=2, num_hidden_layers=1, intermediate_size=8))
assert isinstance(BertModel.from_pretrained("bert-base-cased"), BertModel)
""",
    "one batch by hand": """
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
checkpoint = "distilbert-base-uncased-finetuned-sst-2-english"
tokenizer = AutoTokenizer.from_pretrained(checkpoint)
model = AutoModelForSequenceClassification.from_pretrained(checkpoint)
model.eval()
short = model(torch.tensor([[200, 200]])).logits
ids, mask = [[200, 200, 200], [200, 200, tokenizer.pad_token_id]], [[1, 1, 1], [1, 1, 0]]
both = model(torch.tensor(ids), attention_mask=torch.tensor(mask)).logits
assert torch.allclose(both[1], short[0], atol=1e-6)
assert model.config.id2label == {0: "NEGATIVE", 1: "POSITIVE"}
assert torch.nn.functional.softmax(both, dim=-1).sum(-1).allclose(torch.ones(2))
""",
    "pipeline without a model": """
from transformers import pipeline
classifier = pipeline("sentiment-analysis")
(answer,) = classifier("I've been waiting for a HuggingFace course my whole life.")
assert answer["label"] in ("NEGATIVE", "POSITIVE")
assert len(classifier(["I hate this so much!", "Not me."])) == 2
""",
}
CHAPTER_3 = {
    "one step": """
import torch
from transformers import AdamW, AutoModelForSequenceClassification, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained("bert-base-uncased")
model = AutoModelForSequenceClassification.from_pretrained("bert-base-uncased")
batch = tokenizer(["Me too.", "Not me!"], padding=True, truncation=True, return_tensors="pt")
batch["labels"] = torch.tensor([1, 1])
optimizer = AdamW(model.parameters())
before = model(**batch).loss
before.backward()
optimizer.step()
""",
    "AdamW of transformers": """
import torch
from transformers import AdamW
weight = torch.nn.Parameter(torch.ones(3))
AdamW([weight], lr=5e-5, correct_bias=False, no_deprecation_warning=True)
""",
    "load_metric": """
from datasets import load_metric
metric = load_metric("glue", "mrpc")
assert metric.compute(predictions=[0, 1, 1], references=[0, 1, 0])["accuracy"] == 2 / 3
""",
    "the dataset": """
from datasets import load_dataset
raw_datasets = load_dataset("glue", "mrpc")
assert raw_datasets["train"][0]["label"] == 1
assert raw_datasets["train"].features["label"].names == ["not_equivalent", "equivalent"]
assert len(raw_datasets["train"]["sentence1"]) == 3668
assert raw_datasets["validation"].map(lambda row: {"n": len(row["sentence1"])}, num_proc=2).num_rows == 408
""",
    "load_dataset imdb": """
from datasets import load_dataset
assert load_dataset("imdb").num_rows == {"train": 25000, "test": 25000, "unsupervised": 50000}
assert set(load_dataset("imdb", split="unsupervised").select(range(5))["label"]) == {-1}
""",
    "dynamic padding": ROWS
    + """
samples = {k: v for k, v in rows[:8].items() if k not in ["idx", "sentence1", "sentence2"]}
assert [len(x) for x in samples["input_ids"]] == [50, 59, 47, 67, 59, 50, 62, 32]
assert {k: tuple(v.shape) for k, v in data_collator(samples).items()}["input_ids"] == (8, 67)
""",
    "Trainer, 2021": TRAINER
    + """
args = TrainingArguments("test-trainer", evaluation_strategy="epoch", num_train_epochs=2, overwrite_output_dir=True)
trainer = Trainer(
    model, args, train_dataset=rows, eval_dataset=rows, data_collator=data_collator, tokenizer=tokenizer,
    compute_metrics=compute_metrics,
)
assert len(log_of(trainer)) == 2
predictions = trainer.predict(rows)
assert predictions.predictions.shape == (24, 2) and predictions.label_ids.shape == (24,)
assert predictions.metrics["test_accuracy"] == trainer.state.log_history[-2]["eval_accuracy"]
""",
    "Trainer, 2025": TRAINER
    + """
args = TrainingArguments(
    "test-trainer", eval_strategy="epoch", fp16=True, per_device_train_batch_size=4, gradient_accumulation_steps=4,
    learning_rate=2e-5, lr_scheduler_type="cosine", num_train_epochs=1,
)
trainer = Trainer(model, args, data_collator, rows, rows, processing_class=tokenizer, compute_metrics=compute_metrics)
assert len(log_of(trainer)) == 1 and trainer.state.global_step == 2
""",
    "early stopping": TRAINER
    + """
args = TrainingArguments(
    output_dir="./results", eval_strategy="steps", eval_steps=1, save_strategy="steps", save_steps=1,
    load_best_model_at_end=True, metric_for_best_model="eval_loss", greater_is_better=False, num_train_epochs=10,
    learning_rate=0.0,
)
trainer = Trainer(
    model=model, args=args, train_dataset=rows, eval_dataset=rows, data_collator=data_collator,
    processing_class=tokenizer, compute_metrics=compute_metrics,
    callbacks=[EarlyStoppingCallback(early_stopping_patience=3)],
)
assert len(log_of(trainer)) == 4
""",
    "log, save": TRAINER
    + """
import json
trainer = Trainer(model, TrainingArguments("out", max_steps=1), data_collator, rows, rows, tokenizer)
result = trainer.train()
trainer.log_metrics("train", result.metrics)
trainer.save_metrics("train", result.metrics)
trainer.save_metrics("eval", {"eval_loss": 1.0})
trainer.save_state()
trainer.save_model()
assert json.load(open("out/train_results.json"))["train_loss"] == result.training_loss
assert {"train_loss", "eval_loss"} <= json.load(open("out/all_results.json")).keys()
assert json.load(open("out/trainer_state.json"))["global_step"] == 1
""",
    "the loop": LOOP
    + """
import evaluate
import torch
from transformers import AdamW
optimizer = AdamW(model.parameters(), lr=5e-5)
scheduler = get_scheduler("linear", optimizer=optimizer, num_warmup_steps=0, num_training_steps=len(train_dataloader))
model.to(torch.device("cpu"))
metric = evaluate.load("glue", "mrpc")
for batch in train_dataloader:
    batch = {k: v.to(model.device) for k, v in batch.items()}
    outputs = model(**batch)
    outputs.loss.backward()
    optimizer.step()
    scheduler.step()
    optimizer.zero_grad()
    metric.add_batch(predictions=torch.argmax(outputs.logits, dim=-1), references=batch["labels"])
assert scheduler.get_last_lr() == [0.0]
assert metric.compute().keys() == {"accuracy", "f1"}
""",
    "the loop with Accelerate": LOOP
    + """
import torch
from accelerate import Accelerator, notebook_launcher
from torch.optim import AdamW
def training_function():
    accelerator = Accelerator()
    optimizer = AdamW(model.parameters(), lr=3e-5)
    train_dl, prepared, optimizer = accelerator.prepare(train_dataloader, model, optimizer)
    losses = []
    for batch in train_dl:
        assert batch["input_ids"].device == accelerator.device
        loss = prepared(**batch).loss
        accelerator.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(accelerator.gather(loss.repeat(8)))
    accelerator.wait_for_everyone()
    accelerator.unwrap_model(prepared).save_pretrained("out", save_function=accelerator.save)
    if accelerator.is_main_process:
        tokenizer.save_pretrained("out")
    accelerator.print(torch.cat(losses).shape)
    assert torch.cat(losses).shape == (24,)
notebook_launcher(training_function)
""",
}
CHAPTER_7 = {
    "AutoModelForMaskedLM": """
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer
model = AutoModelForMaskedLM.from_pretrained("distilbert-base-uncased")
assert model.num_parameters() == sum(p.numel() for p in model.parameters())
tokenizer = AutoTokenizer.from_pretrained("distilbert-base-uncased")
assert tokenizer.model_max_length == 512 and tokenizer.is_fast
inputs = tokenizer("This is a great [MASK].", return_tensors="pt")
(position,) = torch.where(inputs["input_ids"] == tokenizer.mask_token_id)[1]
assert position == 5 and tokenizer.mask_token == "[MASK]"
assert model(**inputs).logits.shape == (1, 8, 30522)
""",
    "blocks and masks": """
from datasets import load_dataset
from transformers import AutoTokenizer, DataCollatorForLanguageModeling, default_data_collator
tokenizer = AutoTokenizer.from_pretrained("distilbert-base-uncased")
reviews = load_dataset("imdb", split="train").shuffle(seed=42).select(range(3))
assert reviews["label"] == [0, 0, 1]
def tokenize_function(examples):
    result = tokenizer(examples["text"])
    result["word_ids"] = [result.word_ids(i) for i in range(len(result["input_ids"]))]
    return result
tokens = reviews.map(tokenize_function, batched=True, remove_columns=["text", "label"])
blocks = tokens.map(
    lambda rows: {k: [sum(v, [])[:128]] for k, v in rows.items()} | {"labels": [sum(rows["input_ids"], [])[:128]]},
    batched=True,
)
assert blocks.column_names == ["input_ids", "attention_mask", "word_ids", "labels"] and blocks.num_rows == 1
samples = [blocks[0]]
for sample in samples:
    _ = sample.pop("word_ids")
collator = DataCollatorForLanguageModeling(tokenizer=tokenizer, mlm_probability=0.15)
assert collator(samples)["input_ids"].shape == default_data_collator(samples)["labels"].shape == (1, 128)
split = reviews.train_test_split(train_size=2, test_size=1, seed=42)
assert {k: len(v) for k, v in split.items()} == {"train": 2, "test": 1}
""",
    "fill-mask": """
from transformers import pipeline
mask_filler = pipeline("fill-mask", model="huggingface-course/distilbert-base-uncased-finetuned-imdb")
assert [set(found) for found in mask_filler("This is a great [MASK].")] == [
    {"score", "token", "token_str", "sequence"}] * 5
""",
    "collators by their module": """
from transformers import default_data_collator
from transformers.data.data_collator import default_data_collator as again
assert again is default_data_collator
""",
}
SNIPPETS = {**CHAPTER_2, **CHAPTER_3, **CHAPTER_7}

TENSORFLOW = {
    "TFAutoModel": "from transformers import TFAutoModel",
    "TFAutoModelForSequenceClassification": "from transformers import TFAutoModelForSequenceClassification",
    "TFAutoModelForMaskedLM": "from transformers import TFAutoModelForMaskedLM",
    "TFBertModel": "from transformers import BertConfig, TFBertModel",
    "create_optimizer": "from transformers import create_optimizer",
    "PushToHubCallback": "from transformers.keras_callbacks import PushToHubCallback",
    "to_tf_dataset": ROWS
    + """
features, labels = next(iter(rows.to_tf_dataset(2, ["input_ids"], collate_fn=data_collator, label_cols=["labels"])))
assert labels.shape == (2,)
""",
}


@pytest.fixture
def names(tiny_hub, tmp_path, monkeypatch):  # noqa: F811
    """A working folder in which each name of the Hub, with or without its organisation, is a folder."""
    for kind in ("models", "datasets"):
        for organisation in (tiny_hub / kind).iterdir():
            (tmp_path / organisation.name).symlink_to(organisation)
        for short, name in LEGACY_NAMES[kind].items():
            (tmp_path / short).symlink_to(tiny_hub / kind / name)
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)


@pytest.mark.parametrize("name", SNIPPETS)
def test_the_call_forms_of_the_chapters(name, names):
    with stand_ins():
        exec(SNIPPETS[name], {"__name__": "__main__"})


@pytest.mark.parametrize("name", TENSORFLOW)
def test_the_tensorflow_names(name, names):
    with stand_ins():
        exec(TENSORFLOW[name], {"__name__": "__main__"})
