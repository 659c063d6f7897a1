"""Fine-tuning with Keras: TensorFlow batches, compile, fit with a falling learning rate, predict, metrics."""

# ruff: noqa: E402 - imports come where they are first needed, as on the page
import numpy as np
from datasets import load_dataset, load_metric
from transformers import AutoTokenizer, DataCollatorWithPadding, TFAutoModelForSequenceClassification

raw_datasets = load_dataset("glue", "mrpc")
checkpoint = "sentence-transformers/all-MiniLM-L6-v2"
tokenizer = AutoTokenizer.from_pretrained(checkpoint)


def tokenize_function(example):
    return tokenizer(example["sentence1"], example["sentence2"], truncation=True)


tokenized_datasets = raw_datasets.map(tokenize_function, batched=True)
data_collator = DataCollatorWithPadding(tokenizer=tokenizer, return_tensors="tf")
columns = ["attention_mask", "input_ids", "token_type_ids"]
tf_train_dataset = (
    tokenized_datasets["train"]
    .select(range(20))
    .to_tf_dataset(columns=columns, label_cols=["labels"], shuffle=True, collate_fn=data_collator, batch_size=8)
)
tf_validation_dataset = (
    tokenized_datasets["validation"]
    .select(range(20))
    .to_tf_dataset(columns=columns, label_cols=["labels"], shuffle=False, collate_fn=data_collator, batch_size=8)
)
features, labels = next(iter(tf_validation_dataset))
print(sorted(features), labels.shape)

from tensorflow.keras.losses import SparseCategoricalCrossentropy

model = TFAutoModelForSequenceClassification.from_pretrained(checkpoint, num_labels=2)
model.compile(optimizer="adam", loss=SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
model.fit(tf_train_dataset, validation_data=tf_validation_dataset)

import tensorflow as tf
from tensorflow.keras.optimizers import Adam
from tensorflow.keras.optimizers.schedules import PolynomialDecay

num_epochs = 2
num_train_steps = len(tf_train_dataset) * num_epochs
print(num_train_steps)
lr_scheduler = PolynomialDecay(initial_learning_rate=5e-5, end_learning_rate=0.0, decay_steps=num_train_steps)
opt = Adam(learning_rate=lr_scheduler)
model = TFAutoModelForSequenceClassification.from_pretrained(checkpoint, num_labels=2)
loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(optimizer=opt, loss=loss, metrics=["accuracy"])
history = model.fit(tf_train_dataset, validation_data=tf_validation_dataset, epochs=num_epochs)
print(sorted(history.history))

preds = model.predict(tf_validation_dataset)["logits"]
class_preds = np.argmax(preds, axis=1)
print(preds.shape, class_preds.shape)
metric = load_metric("glue", "mrpc")
scores = metric.compute(predictions=class_preds, references=raw_datasets["validation"].select(range(20))["label"])
print(sorted(scores))
