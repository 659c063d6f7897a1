"""Two ranks of transformers' Trainer and of accelerate's loop, then of minift's, in the same processes."""

import itertools
import json
import sys
from pathlib import Path

import torch
from torch.distributed.algorithms.join import Join
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    RandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

import minift
from minift.distributed.world import world
from tests.hub import MINILM, MRPC
from tests.tiny import CONFIG, NoisyRows, tiny_rows

PLAIN_ADAMW = (torch.optim.AdamW, {"lr": 5e-5, "betas": (0.9, 0.999), "eps": 1e-8, "foreach": False})
KEYS = ("loss", "grad_norm", "learning_rate", "epoch", "eval_loss", "eval_accuracy", "step")


class Recording:
    """A collator that notes the rows of each batch, and draws a number, as one that masks does."""

    def __init__(self, collate):
        self.collate, self.seen = collate, []

    def __call__(self, rows):
        self.seen.append([row.pop("idx") for row in (dict(row) for row in rows)])
        torch.rand(1)
        return self.collate([{name: value for name, value in row.items() if name != "idx"} for row in rows])


def accuracy(prediction):
    logits, labels = prediction.predictions, prediction.label_ids
    return {"accuracy": float((logits.argmax(-1) == labels).mean())}


def train(library, rows, checkpoint, tokenizer, folder, optimizer=None, evaluation=(), **options):
    """Train on this rank; the log, the rows of every batch, the state of the generator and two sums of the weights."""
    torch.manual_seed(1)
    model = library.AutoModelForSequenceClassification.from_pretrained(checkpoint, num_labels=2)
    settings = dict(max_steps=12, logging_steps=1, save_strategy="no", disable_tqdm=True, report_to="none")
    settings["use_cpu"] = True  # else the library shares out the rows of a run without a GPU, but averages nothing
    collator = Recording(library.DataCollatorWithPadding(tokenizer))
    trainer = library.Trainer(
        model,
        library.TrainingArguments(str(folder), remove_unused_columns=False, **(settings | options)),
        train_dataset=rows,
        eval_dataset=evaluation or None,
        data_collator=collator,
        compute_metrics=accuracy,
        optimizer_cls_and_kwargs=optimizer,
    )
    trainer.train()
    return {
        "log": [{key: entry[key] for key in KEYS if key in entry} for entry in trainer.state.log_history],
        "rows": collator.seen,
        "generator": torch.get_rng_state().tolist()[:64],
        "weights": {name: tensor.double().sum().item() for name, tensor in trainer.model.state_dict().items()},
    }


def real_mrpc(folder, results):
    import transformers

    texts = minift.load_dataset(MRPC, "mrpc", split="train").select(range(150))
    tokenizers = minift.AutoTokenizer.from_pretrained(MINILM), transformers.AutoTokenizer.from_pretrained(MINILM)
    rows = [
        {**tokenizers[0](row["sentence1"], row["sentence2"], truncation=True), "label": row["label"], "idx": number}
        for number, row in enumerate(texts)
    ]
    rows = [dict(row) for row in rows]
    options = dict(eval_strategy="steps", eval_steps=6, weight_decay=0.01)
    results["minift"] = train(minift, rows, MINILM, tokenizers[0], folder, evaluation=rows[:32], **options)
    options["average_tokens_across_devices"] = False
    results["transformers"] = train(
        transformers, rows, MINILM, tokenizers[1], folder, PLAIN_ADAMW, evaluation=rows[:32], **options
    )


def tokenizer_of(library, folder):
    if world().is_main:
        tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{i}" for i in range(45))]
        (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in tokens))
        minift.BertTokenizer.from_pretrained(folder).save_pretrained(folder)
        torch.manual_seed(3)
        minift.BertModel(minift.BertConfig(**CONFIG)).save_pretrained(folder)
    torch.distributed.barrier()
    return library.AutoTokenizer.from_pretrained(folder)


def small_sets(folder, results):
    """Sets that do not divide by the ranks, and streams; the library's own default weighting, too."""
    import datasets
    import transformers

    for library, optimizer in ((minift, None), (transformers, PLAIN_ADAMW)):
        tokenizer = tokenizer_of(library, folder)
        rows = [{"input_ids": row["input_ids"], "label": row["label"], "idx": i} for i, row in enumerate(tiny_rows(43))]
        for name, options in {
            "uneven": {"num_train_epochs": 3, "max_steps": -1, "average_tokens_across_devices": False},
            "drop last": {"dataloader_drop_last": True, "average_tokens_across_devices": False},
            "five rows": {"first": 5, "max_steps": 2, "average_tokens_across_devices": False},
            "default": {"max_steps": 2},
        }.items():
            first = options.pop("first", len(rows))
            results[f"{name}, {library.__name__}"] = train(
                library, rows[:first], folder, tokenizer, folder, optimizer, rows[:32], **options
            )
        lists = (minift if library is minift else datasets).Dataset.from_list
        short = lists([row | {"input_ids": row["input_ids"][:2]} for row in rows]).to_iterable_dataset(2)
        for name, options in {"stream": {}, "stream, drop last": {"dataloader_drop_last": True}}.items():
            options |= {"eval_strategy": "steps", "eval_steps": 6, "average_tokens_across_devices": False}
            results[f"{name}, {library.__name__}"] = train(
                library, short.shuffle(4, buffer_size=10), folder, tokenizer, folder, optimizer, rows[:32], **options
            )


def accelerator_loop(library, accelerator, checkpoint, adamw, split):
    torch.manual_seed(7)
    rows = tiny_rows(43)
    model = library.AutoModelForSequenceClassification.from_pretrained(checkpoint, num_labels=2)
    optimizer = adamw(model.parameters())
    train_loader = DataLoader(rows, shuffle=True, batch_size=8, collate_fn=NoisyRows())
    eval_loader = DataLoader(rows[:21], batch_size=8, collate_fn=NoisyRows())
    model, optimizer, train_loader, eval_loader = accelerator.prepare(model, optimizer, train_loader, eval_loader)
    schedule = accelerator.prepare(library.get_scheduler("linear", optimizer, 2, 24))
    losses = []
    for _ in range(2):
        model.train()
        for batch in train_loader:
            with accelerator.accumulate(model):
                loss = model(**batch).loss
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    losses.append(accelerator.clip_grad_norm_(model.parameters(), 0.1).item())
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
            losses += accelerator.gather(loss.detach()).tolist() + schedule.get_last_lr()
        model.eval()
        for batch in eval_loader:
            with torch.no_grad():
                output = model(**batch)
            logits, labels = accelerator.gather_for_metrics((output.logits, batch["labels"]))
            losses += [len(labels), labels.tolist(), logits.double().sum().item()]
            losses.append(accelerator.pad_across_processes(batch["input_ids"], dim=1, pad_index=-1).shape[1])
            losses += accelerator.reduce(output.loss, "mean").reshape(-1).tolist()
    unwrapped = accelerator.unwrap_model(model).state_dict()
    return losses + [tensor.double().sum().item() for tensor in unwrapped.values()]


def accelerator_loops(folder, results):
    import accelerate
    import transformers

    from minift.accelerator.accelerator import Accelerator

    tokenizer_of(minift, folder)
    for steps, split in ((1, False), (2, False), (1, True)):
        accelerate.state.AcceleratorState._reset_state()
        accelerate.state.GradientState._reset_state()
        config = accelerate.DataLoaderConfiguration(split_batches=split)
        theirs = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=steps, dataloader_config=config)
        ours = Accelerator(cpu=True, gradient_accumulation_steps=steps, split_batches=split)
        name = f"loop, {steps} steps, split {split}"
        torch_adamw = lambda p: torch.optim.AdamW(p, lr=5e-4, weight_decay=0.0, foreach=False, fused=False)  # noqa: E731
        results[f"{name}, minift"] = accelerator_loop(minift, ours, folder, lambda p: minift.AdamW(p, lr=5e-4), split)
        results[f"{name}, library"] = accelerator_loop(transformers, theirs, folder, torch_adamw, split)


def joined_loops(folder, results):
    """Rank 0 has a batch more than rank 1, and takes a step more; beside torch's own wrapper and its `Join`."""
    rows = torch.randn(10, 3, generator=torch.Generator().manual_seed(1))

    def parts():
        torch.manual_seed(3)
        model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 1))
        return model, torch.optim.SGD(model.parameters(), lr=0.1)

    def weights(model):
        return [number for weight in model.state_dict().values() for number in weight.flatten().tolist()]

    model, optimizer = parts()
    wrapped = DistributedDataParallel(model)
    with Join([wrapped]):
        for batch in rows.split(2)[world().rank :: 2]:
            wrapped(batch).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
    results["joined, torch"] = weights(model)
    accelerator = minift.Accelerator(cpu=True, even_batches=False)
    model, optimizer, loader = accelerator.prepare(*parts(), DataLoader(rows, batch_size=2))
    with accelerator.join_uneven_inputs([model]):
        for batch in loader:
            accelerator.backward(model(batch).square().mean())
            optimizer.step()
            optimizer.zero_grad()
    results["joined, minift"] = weights(model)


class Numbers(IterableDataset):
    """A stream of n numbers; with `generator`, in an order that it draws."""

    def __init__(self, n, generator=None):
        self.n, self.generator, self.epoch = n, generator, 0

    def __len__(self):
        return self.n

    def __iter__(self):
        yield from torch.randperm(self.n, generator=self.generator).tolist() if self.generator else range(self.n)


class Pairs(torch.utils.data.Sampler):
    """A sampler of the user's own, which draws from torch's global generator."""

    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __iter__(self):
        return iter(torch.randperm(self.n).tolist())


def loaders(rows):
    """DataLoaders of every kind that people prepare, with a batch of 4 rows."""
    batches = BatchSampler(RandomSampler(range(rows)), 4, False)
    return {
        "in order": DataLoader(range(rows), 4),
        "drop_last": DataLoader(range(rows), 4, drop_last=True),
        "shuffled": DataLoader(range(rows), 4, shuffle=True),
        "generator": DataLoader(range(rows), 4, shuffle=True, generator=torch.Generator().manual_seed(3)),
        "weighted": DataLoader(range(rows), 4, sampler=WeightedRandomSampler(torch.arange(1.0, rows + 1), rows)),
        "batches": DataLoader(range(rows), batch_sampler=batches),
        "batches as sampler": DataLoader(torch.arange(rows), sampler=batches, batch_size=None),
        "own sampler": DataLoader(range(rows), 4, sampler=Pairs(rows)),
        "stream": DataLoader(Numbers(rows), 4),
        "stream, drop_last": DataLoader(Numbers(rows), 4, drop_last=True),
        "stream with a generator": DataLoader(Numbers(rows, torch.Generator().manual_seed(5)), 4),
        "nest": DataLoader(TensorDataset(torch.arange(rows), torch.arange(rows) * 2), 4),
    }


def what_a_loader_gives(library, accelerator, kind, rows):
    """The batches of two epochs, then of one without its first two batches, and what is gathered of them."""
    torch.manual_seed(11)
    loader = accelerator.prepare(loaders(rows)[kind])
    seen = []
    for batch in (batch for _ in range(2) for batch in loader):
        part = batch[0] if isinstance(batch, list | tuple) else batch
        where = accelerator.gradient_state
        seen.append([part.tolist(), where.end_of_dataloader])
        if accelerator.even_batches:  # else one process may have a batch more
            seen[-1] += accelerator.gather_for_metrics(part).tolist()
    for batch in library.skip_first_batches(loader, 2):  # whose last batch accelerate does not cut to the real rows
        seen.append((batch[0] if isinstance(batch, list | tuple) else batch).tolist())
    return [*seen, len(loader)]


def shared_loaders(folder, results):
    import accelerate

    from minift.accelerator.state import GradientState

    options = [{}, {"split_batches": True}, {"even_batches": False}, {"use_seedable_sampler": True, "data_seed": 7}]
    options += [
        {"dispatch_batches": True},
        {"dispatch_batches": True, "split_batches": True},
        {"dispatch_batches": False},
    ]
    for kind, rows, settings in itertools.product(loaders(4), (3, 21), options):
        if kind == "batches as sampler" and settings and "even_batches" not in settings:
            continue  # accelerate waits for ever for what is dispatched, and does not seed the order
        dispatched = settings.get("dispatch_batches", kind.startswith("stream"))
        if rows == 3 and (dispatched or "drop" in kind):
            continue  # accelerate cannot dispatch less than a batch
        for name, library in (("library", accelerate), ("minift", minift)):
            (accelerate.state if name == "library" else minift).GradientState._reset_state()
            config = library.DataLoaderConfiguration(**settings)
            try:
                found = what_a_loader_gives(
                    library, library.Accelerator(cpu=True, dataloader_config=config), kind, rows
                )
            except (ValueError, RuntimeError, TypeError) as error:
                found = f"{type(error).__name__}: {error}"
            results[f"{kind}, {rows} rows, {settings}, {name}"] = found
    GradientState.reset()


if __name__ == "__main__":
    torch.set_num_threads(1)
    place = world()
    output, *parts = sys.argv[1:]
    results: dict = {}
    for part in parts:
        globals()[part](Path(output), results)
    Path(output, f"{place.rank}.json").write_text(json.dumps(results))
