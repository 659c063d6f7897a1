"""Text in, answers out, and behind it; then pairs of sentences: tokens, dynamic padding, Trainer."""

import numpy as np
import torch
from datasets import load_dataset, load_metric
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertModel,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    pipeline,
    set_seed,
)

set_seed(42)

encoder = "sentence-transformers/all-MiniLM-L6-v2"
tokenizer = AutoTokenizer.from_pretrained("bert-base-uncased")
texts = ["I've been waiting for a HuggingFace course my whole life.", "I hate this so much!"]
inputs = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
print(inputs["input_ids"][0].tolist())
hidden = AutoModel.from_pretrained(encoder)(**inputs).last_hidden_state
print(hidden.shape, [round(value, 5) for value in hidden[0, 0, :4].tolist()])

config = BertConfig(num_hidden_layers=2, hidden_size=64, num_attention_heads=4, intermediate_size=128)
print(config.vocab_size, sum(p.numel() for p in BertModel(config).parameters()))

raw_datasets = load_dataset("glue", "mrpc")
print(raw_datasets["train"].num_rows, raw_datasets["train"].features["label"].names)
pair = tokenizer("This is the first sentence.", "This is the second one.")
print(len(pair["input_ids"]), pair["token_type_ids"])


def tokenize_function(example):
    return tokenizer(example["sentence1"], example["sentence2"], truncation=True)


tokenized_datasets = raw_datasets.map(tokenize_function, batched=True)
samples = tokenized_datasets["train"][:8]
samples = {k: v for k, v in samples.items() if k not in ["idx", "sentence1", "sentence2"]}
print([len(x) for x in samples["input_ids"]])
data_collator = DataCollatorWithPadding(tokenizer=tokenizer)
print({k: tuple(v.shape) for k, v in data_collator(samples).items()})


def compute_metrics(eval_preds):
    metric = load_metric("glue", "mrpc")
    logits, labels = eval_preds
    return metric.compute(predictions=np.argmax(logits, axis=-1), references=labels)


training_args = TrainingArguments(
    "test-trainer", evaluation_strategy="epoch", max_steps=2, logging_steps=1, save_strategy="no"
)
model = AutoModelForSequenceClassification.from_pretrained(encoder, num_labels=2)
trainer = Trainer(
    model,
    training_args,
    train_dataset=tokenized_datasets["train"],
    eval_dataset=tokenized_datasets["validation"].select(range(16)),
    data_collator=data_collator,
    tokenizer=tokenizer,
    compute_metrics=compute_metrics,
)
trainer.train()
predictions = trainer.predict(tokenized_datasets["validation"].select(range(16)))
print(predictions.predictions.shape, predictions.label_ids.shape)
print({name: round(predictions.metrics[f"test_{name}"], 5) for name in ("loss", "accuracy", "f1")})
trainer.save_model("trained")

classifier = pipeline("sentiment-analysis", model="trained")
logits = trainer.model.eval()(**tokenizer(texts[0], return_tensors="pt")).logits
probability = torch.nn.functional.softmax(logits, dim=-1).max().item()
print([(answer["label"], round(answer["score"], 5)) for answer in classifier(texts)])
print(abs(classifier(texts)[0]["score"] - probability) < 1e-5)
