"""Masked language modelling on film reviews: blocks, masks, Trainer, then the same with Accelerate."""

import collections
import math

import numpy as np
import torch
from accelerate import Accelerator
from datasets import load_dataset
from torch.optim import AdamW
from torch.utils.data import DataLoader
from tqdm.auto import tqdm
from transformers import (
    AutoModelForMaskedLM,
    AutoTokenizer,
    DataCollatorForLanguageModeling,
    Trainer,
    TrainingArguments,
    default_data_collator,
    get_scheduler,
    pipeline,
    set_seed,
)

model_checkpoint = "sentence-transformers/all-MiniLM-L6-v2"
set_seed(0)
model = AutoModelForMaskedLM.from_pretrained(model_checkpoint)
print(f"{round(model.num_parameters() / 1_000_000)}M")
tokenizer = AutoTokenizer.from_pretrained("distilbert-base-uncased")
text = "This is a great [MASK]."
inputs = tokenizer(text, return_tensors="pt")
mask_token_index = torch.where(inputs["input_ids"] == tokenizer.mask_token_id)[1]
top_5_tokens = torch.topk(model(**inputs).logits[0, mask_token_index, :], 5, dim=1).indices[0].tolist()
print(len([text.replace(tokenizer.mask_token, tokenizer.decode([token])) for token in top_5_tokens]))

imdb_dataset = load_dataset("imdb")
for row in imdb_dataset["train"].shuffle(seed=42).select(range(3)):
    print(row["text"][:36], row["label"])


def tokenize_function(examples):
    result = tokenizer(examples["text"])
    if tokenizer.is_fast:
        result["word_ids"] = [result.word_ids(i) for i in range(len(result["input_ids"]))]
    return result


reviews = imdb_dataset["train"].select(range(100))
tokenized_datasets = reviews.map(tokenize_function, batched=True, remove_columns=["text", "label"])
print([len(ids) for ids in tokenized_datasets[:3]["input_ids"]])
chunk_size = 128


def group_texts(examples):
    concatenated_examples = {k: sum(examples[k], []) for k in examples}  # noqa: RUF017
    total_length = len(concatenated_examples[next(iter(examples.keys()))]) // chunk_size * chunk_size
    result = {
        k: [t[i : i + chunk_size] for i in range(0, total_length, chunk_size)] for k, t in concatenated_examples.items()
    }
    result["labels"] = result["input_ids"].copy()
    return result


lm_datasets = tokenized_datasets.map(group_texts, batched=True)
print(len(lm_datasets))
data_collator = DataCollatorForLanguageModeling(tokenizer=tokenizer, mlm_probability=0.15)


def whole_word_masking_data_collator(features):
    for feature in features:
        word_ids = feature.pop("word_ids")
        mapping = collections.defaultdict(list)
        current_word_index, current_word = -1, None
        for idx, word_id in enumerate(word_ids):
            if word_id is not None:
                if word_id != current_word:
                    current_word = word_id
                    current_word_index += 1
                mapping[current_word_index].append(idx)
        mask = np.random.binomial(1, 0.2, (len(mapping),))
        new_labels = [-100] * len(feature["labels"])
        for word_id in np.where(mask)[0]:
            for idx in mapping[word_id.item()]:
                new_labels[idx] = feature["labels"][idx]
                feature["input_ids"][idx] = tokenizer.mask_token_id
        feature["labels"] = new_labels
    return default_data_collator(features)


batch = whole_word_masking_data_collator([lm_datasets[i] for i in range(2)])
print(int((batch["input_ids"] == tokenizer.mask_token_id).sum()), int((batch["labels"] != -100).sum()))

downsampled_dataset = lm_datasets.train_test_split(train_size=16, test_size=8, seed=42)
training_args = TrainingArguments(
    output_dir="imdb",
    eval_strategy="epoch",
    learning_rate=2e-5,
    weight_decay=0.01,
    per_device_train_batch_size=8,
    per_device_eval_batch_size=8,
    num_train_epochs=1,
    logging_steps=2,
    save_strategy="no",
    report_to="none",
)
trainer = Trainer(
    model=model,
    args=training_args,
    train_dataset=downsampled_dataset["train"],
    eval_dataset=downsampled_dataset["test"],
    data_collator=data_collator,
    processing_class=tokenizer,
)
print(f">>> Perplexity: {math.exp(trainer.evaluate()['eval_loss']):.1f}")
trainer.train()
print(f">>> Perplexity: {math.exp(trainer.evaluate()['eval_loss']):.1f}")


def insert_random_mask(batch):
    features = [dict(zip(batch, t, strict=True)) for t in zip(*batch.values(), strict=True)]
    masked_inputs = data_collator(features)
    return {"masked_" + k: v.numpy() for k, v in masked_inputs.items()}


downsampled_dataset = downsampled_dataset.remove_columns(["word_ids"])
eval_dataset = downsampled_dataset["test"].map(
    insert_random_mask, batched=True, remove_columns=downsampled_dataset["test"].column_names
)
eval_dataset = eval_dataset.rename_columns({name: name.removeprefix("masked_") for name in eval_dataset.column_names})
batch_size = 8
train_dataloader = DataLoader(
    downsampled_dataset["train"], shuffle=True, batch_size=batch_size, collate_fn=data_collator
)
eval_dataloader = DataLoader(eval_dataset, batch_size=batch_size, collate_fn=default_data_collator)

model = AutoModelForMaskedLM.from_pretrained(model_checkpoint)
optimizer = AdamW(model.parameters(), lr=5e-5)
accelerator = Accelerator()
model, optimizer, train_dataloader, eval_dataloader = accelerator.prepare(
    model, optimizer, train_dataloader, eval_dataloader
)
num_training_steps = len(train_dataloader)
lr_scheduler = get_scheduler("linear", optimizer=optimizer, num_warmup_steps=0, num_training_steps=num_training_steps)
progress_bar = tqdm(range(num_training_steps))
for epoch in range(1):
    model.train()
    for batch in train_dataloader:
        outputs = model(**batch)
        accelerator.backward(outputs.loss)
        optimizer.step()
        lr_scheduler.step()
        optimizer.zero_grad()
        progress_bar.update(1)

    model.eval()
    losses = []
    for batch in eval_dataloader:
        with torch.no_grad():
            outputs = model(**batch)
        losses.append(accelerator.gather(outputs.loss.repeat(batch_size)))
    losses = torch.cat(losses)[: len(eval_dataset)]
    print(f">>> Epoch {epoch}: Perplexity: {math.exp(torch.mean(losses)):.1f}")
    accelerator.wait_for_everyone()
    unwrapped_model = accelerator.unwrap_model(model)
    unwrapped_model.save_pretrained("imdb-accelerate", save_function=accelerator.save)
    if accelerator.is_main_process:
        tokenizer.save_pretrained("imdb-accelerate")

mask_filler = pipeline("fill-mask", model="imdb-accelerate")
print(len(mask_filler(text)))
