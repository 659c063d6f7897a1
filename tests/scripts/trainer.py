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
    set_seed,
)

set_seed(42)
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


training_args = TrainingArguments(
    "test-trainer", evaluation_strategy="epoch", num_train_epochs=2, logging_steps=1, save_strategy="no"
)
trainer = Trainer(
    model,
    training_args,
    train_dataset=tokenized_datasets["train"].select(range(28)),
    eval_dataset=tokenized_datasets["validation"].select(range(20)),
    data_collator=data_collator,
    tokenizer=tokenizer,
    compute_metrics=compute_metrics,
)
result = trainer.train()
print(result.global_step, round(result.training_loss, 4))
for entry in trainer.state.log_history:
    print({name: round(entry[name], 5) for name in ("loss", "grad_norm", "eval_loss", "eval_f1") if name in entry})
predictions = trainer.predict(tokenized_datasets["validation"].select(range(20)))
print(predictions.predictions.shape, predictions.label_ids.shape)
preds = np.argmax(predictions.predictions, axis=-1)
scores = evaluate.load("glue", "mrpc").compute(predictions=preds, references=predictions.label_ids)
print({name: round(float(score), 4) for name, score in scores.items()})
print(scores["accuracy"] == predictions.metrics["test_accuracy"])
