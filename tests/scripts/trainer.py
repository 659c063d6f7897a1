"""Fine-tuning with Trainer on pairs of sentences, evaluated with `evaluate` at the end of each epoch."""

import evaluate
import numpy as np
from datasets import load_dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)

raw_datasets = load_dataset("glue", "mrpc")
checkpoint = "sentence-transformers/all-MiniLM-L6-v2"
tokenizer = AutoTokenizer.from_pretrained(checkpoint)


def tokenize_function(example):
    return tokenizer(example["sentence1"], example["sentence2"], truncation=True)


tokenized_datasets = raw_datasets.map(tokenize_function, batched=True)
data_collator = DataCollatorWithPadding(tokenizer=tokenizer)
model = AutoModelForSequenceClassification.from_pretrained(checkpoint, num_labels=2)


def compute_metrics(eval_preds):
    metric = evaluate.load("glue", "mrpc")
    logits, labels = eval_preds
    predictions = np.argmax(logits, axis=-1)
    return metric.compute(predictions=predictions, references=labels)


trainer = Trainer(
    model,
    TrainingArguments("test-trainer", evaluation_strategy="epoch", num_train_epochs=2, save_strategy="no"),
    train_dataset=tokenized_datasets["train"].select(range(16)),
    eval_dataset=tokenized_datasets["validation"].select(range(16)),
    data_collator=data_collator,
    tokenizer=tokenizer,
    compute_metrics=compute_metrics,
)
trainer.train()
print([sorted(key for key in entry if key.startswith("eval")) for entry in trainer.state.log_history[:2]])
predictions = trainer.predict(tokenized_datasets["validation"].select(range(16)))
preds = np.argmax(predictions.predictions, axis=-1)
scores = evaluate.load("glue", "mrpc").compute(predictions=preds, references=predictions.label_ids)
print(trainer.state.global_step, scores["accuracy"] == predictions.metrics["test_accuracy"])
