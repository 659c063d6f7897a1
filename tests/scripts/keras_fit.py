"""Fine-tuning with Keras on pairs of sentences: `compile`, `fit`, a falling learning rate, `predict`, the metric."""

import numpy as np
import tensorflow as tf
from datasets import load_dataset, load_metric
from tensorflow.keras.losses import SparseCategoricalCrossentropy
from tensorflow.keras.optimizers import Adam
from tensorflow.keras.optimizers.schedules import PolynomialDecay
from transformers import (
    AutoTokenizer,
    DataCollatorWithPadding,
    TFAutoModelForSequenceClassification,
    create_optimizer,
)

raw_datasets = load_dataset("glue", "mrpc")
checkpoint = "bert-base-uncased"
tokenizer = AutoTokenizer.from_pretrained(checkpoint)


def tokenize_function(example):
    return tokenizer(example["sentence1"], example["sentence2"], truncation=True)


tokenized_datasets = raw_datasets.map(tokenize_function, batched=True)
data_collator = DataCollatorWithPadding(tokenizer=tokenizer, return_tensors="tf")
tf_train_dataset, tf_validation_dataset = (
    tokenized_datasets[split].to_tf_dataset(
        columns=["attention_mask", "input_ids", "token_type_ids"],
        label_cols=["labels"],
        shuffle=split == "train",
        collate_fn=data_collator,
        batch_size=8,
    )
    for split in ("train", "validation")
)

model = TFAutoModelForSequenceClassification.from_pretrained(checkpoint, num_labels=2)
model.compile(optimizer="adam", loss=SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
model.fit(tf_train_dataset, validation_data=tf_validation_dataset, verbose=0)

num_epochs = 3
num_train_steps = len(tf_train_dataset) * num_epochs
schedule = PolynomialDecay(initial_learning_rate=5e-5, end_learning_rate=0.0, decay_steps=num_train_steps)
model = TFAutoModelForSequenceClassification.from_pretrained(checkpoint, num_labels=2)
loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(optimizer=Adam(learning_rate=schedule), loss=loss, metrics=["accuracy"])
history = model.fit(tf_train_dataset, validation_data=tf_validation_dataset, epochs=num_epochs, verbose=0)
print(num_train_steps, sorted(history.history), len(history.history["val_loss"]))

preds = model.predict(tf_validation_dataset, verbose=0)["logits"]
class_preds = np.argmax(preds, axis=1)
print(preds.shape, class_preds.shape)
metric = load_metric("glue", "mrpc")
result = metric.compute(predictions=class_preds, references=raw_datasets["validation"]["label"])
print(sorted(result), abs(result["accuracy"] - history.history["val_accuracy"][-1]) < 1e-6)

# create_optimizer, and the loss that the model computes itself from labels among its inputs
optimizer, _ = create_optimizer(
    init_lr=5e-5, num_train_steps=num_train_steps, num_warmup_steps=2, weight_decay_rate=0.01
)
model.compile(optimizer=optimizer)
with_labels = model.prepare_tf_dataset(tokenized_datasets["train"], batch_size=8, shuffle=True, tokenizer=tokenizer)
history = model.fit(with_labels, epochs=1, verbose=0)
print(len(with_labels), float(history.history["loss"][0]) > 0)
