"""Fine-tuning on one screen: a pretrained encoder learns to tell pairs of sentences apart.

`python -m minift.loop [CHECKPOINT DATASET CONFIG]`. The rest of minift is the parts of this loop, each in a room of its
own, and what `train/trainer.py` puts around them. From the same seed both give the same weights, bit for bit.
"""

import sys

import torch
from torch.nn.utils import clip_grad_norm_
from torch.utils.data import DataLoader

from minift.batches.collate import DataCollatorWithPadding
from minift.data.load import load_dataset
from minift.metrics.metric import load_metric
from minift.model.auto import AutoModelForSequenceClassification
from minift.optim.adamw import AdamW, parameter_groups
from minift.optim.schedule import get_linear_schedule_with_warmup
from minift.tokenizer.classes import AutoTokenizer

EPOCHS, BATCH_SIZE, LEARNING_RATE, SEED = 3, 8, 5e-5, 42


def main(checkpoint="sentence-transformers/all-MiniLM-L6-v2", dataset="nyu-mll/glue", config="mrpc"):
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)  # texts -> token ids
    data = load_dataset(dataset, config)
    data = data.map(lambda row: tokenizer(row["sentence1"], row["sentence2"], truncation=True), batched=True)
    data = data.select_columns([*tokenizer.model_input_names, "label"])
    collate = DataCollatorWithPadding(tokenizer)  # rows -> input_ids and masks (B, T), labels (B,)
    eval_batches = DataLoader(data["validation"], BATCH_SIZE, collate_fn=collate)

    torch.manual_seed(SEED)
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint, num_labels=2)
    optimizer = AdamW(parameter_groups(model, weight_decay=0.0), LEARNING_RATE)
    schedule = get_linear_schedule_with_warmup(optimizer, 0, EPOCHS * -(-len(data["train"]) // BATCH_SIZE))
    torch.manual_seed(SEED)  # again, as Trainer does: dropout then does not depend on what the new head drew
    losses = []
    for epoch in range(EPOCHS):
        order = torch.randperm(len(data["train"]), generator=torch.Generator().manual_seed(SEED + epoch)).tolist()
        model.train()
        for batch in DataLoader(data["train"], BATCH_SIZE, sampler=order, collate_fn=collate):
            loss = model(**batch).loss  # a scalar
            loss.backward()
            clip_grad_norm_(model.parameters(), max_norm=1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            losses.append(loss.item())
        model.eval()
        accuracy = load_metric("accuracy")
        for batch in eval_batches:
            with torch.no_grad():
                logits = model(**batch).logits  # (B, 2)
            accuracy.add_batch(predictions=logits.argmax(dim=-1), references=batch["labels"])
        print(f"epoch {epoch + 1}: last loss {losses[-1]:.4f}, {accuracy.compute()}", flush=True)
    return model, losses


if __name__ == "__main__":
    main(*sys.argv[1:])
