"""The course's plain loop and its Accelerate form, to the bit: one thread, dropout on, two epochs with evaluation."""

import functools

import accelerate
import datasets
import pytest
import torch
import transformers
from torch.utils.data import DataLoader

import minift
from minift.accelerator import accelerator as ours
from tests.crosscheck.test_long_runs import NARROW
from tests.hub import BERT_BASE, DISTILBERT_BASE, MRPC, needs_hub
from tests.tiny import CONFIG, NoisyRows, tiny_rows

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A randomly initialised encoder without a head."""
    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(3)
    minift.BertModel(minift.BertConfig(**CONFIG)).save_pretrained(folder)
    return folder


def start(library, checkpoint, adamw):
    """The parts of both loops: model, optimizer, loaders whose collator draws random masks."""
    torch.manual_seed(7)
    rows = tiny_rows(43)
    model = library.AutoModelForSequenceClassification.from_pretrained(checkpoint, num_labels=2)
    optimizer = adamw(model.parameters())
    train = DataLoader(rows, shuffle=True, batch_size=8, collate_fn=NoisyRows())
    evaluation = DataLoader(rows[:21], batch_size=8, collate_fn=NoisyRows())
    return model, optimizer, train, evaluation


def schedule(library, optimizer, train, steps_per_update=1):
    updates = 2 * -(-len(train) // steps_per_update)
    return library.get_scheduler("linear", optimizer=optimizer, num_warmup_steps=2, num_training_steps=updates)


def evaluate(model, loader, losses):
    model.eval()
    for batch in loader:
        with torch.no_grad():
            losses.append(model(**batch).loss.item())


def raw_loop(library, checkpoint, adamw):
    model, optimizer, train, evaluation = start(library, checkpoint, adamw)
    scheduler = schedule(library, optimizer, train)
    losses = []
    for _ in range(2):
        model.train()
        for batch in train:
            loss = model(**batch).loss
            loss.backward()
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
            losses.append(loss.item())
        evaluate(model, evaluation, losses)
    return losses, model.state_dict()


def accelerate_loop(library, checkpoint, adamw, accelerator, clip=None, prepare_schedule=False):
    model, optimizer, train, evaluation = start(library, checkpoint, adamw)
    model, optimizer, train, evaluation = accelerator.prepare(model, optimizer, train, evaluation)
    scheduler = schedule(library, optimizer, train, accelerator.gradient_accumulation_steps)
    if prepare_schedule:
        scheduler = accelerator.prepare(scheduler)
    losses = []
    for _ in range(2):
        model.train()
        for batch in train:
            with accelerator.accumulate(model):
                loss = model(**batch).loss
                accelerator.backward(loss)
                if clip is not None and accelerator.sync_gradients:
                    losses.append(accelerator.clip_grad_norm_(model.parameters(), clip).item())
                optimizer.step()
                scheduler.step()
                optimizer.zero_grad()
                losses.append(accelerator.gather(loss.detach().repeat(2)).tolist())
        evaluate(model, evaluation, losses)
    return losses, accelerator.unwrap_model(model).state_dict()


def torch_adamw(parameters, lr=5e-4):
    return torch.optim.AdamW(parameters, lr=lr, weight_decay=0.0, foreach=False, fused=False)


def minift_adamw(parameters, lr=5e-4):
    return minift.AdamW(parameters, lr=lr)


def assert_equal(got, want):
    assert got[0] == want[0]
    assert got[1].keys() == want[1].keys()
    for name in want[1]:
        assert torch.equal(got[1][name], want[1][name]), name


def test_the_raw_loop(checkpoint):
    want = raw_loop(transformers, checkpoint, torch_adamw)
    assert len(want[0]) == 2 * (6 + 3)
    assert_equal(raw_loop(minift, checkpoint, minift_adamw), want)


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({}, {}),
        ({}, {"clip": 0.1, "prepare_schedule": True}),
        ({"gradient_accumulation_steps": 4}, {"clip": 0.1, "prepare_schedule": True}),
        ({"mixed_precision": "bf16"}, {}),
    ],
    ids=str,
)
def test_the_accelerator_loop(checkpoint, settings, options):
    accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)
    accelerate.state.GradientState._reset_state()
    theirs = accelerate.Accelerator(cpu=True, **settings)
    want = accelerate_loop(transformers, checkpoint, torch_adamw, theirs, **options)
    got = accelerate_loop(minift, checkpoint, minift_adamw, ours.Accelerator(cpu=True, **settings), **options)
    assert_equal(got, want)


def mrpc_loop(library, load_dataset, adamw, accelerator, checkpoint, warmup, decay, evaluating):
    """Two epochs of the course's loop on real pairs, clipped; `accelerator` None: without Accelerate."""
    tokenizer = library.AutoTokenizer.from_pretrained(checkpoint)
    rows = load_dataset(str(MRPC), "mrpc", split="train").select(range(240))
    rows = rows.map(lambda row: tokenizer(row["sentence1"], row["sentence2"], truncation=True), batched=True)
    rows = rows.remove_columns(["sentence1", "sentence2", "idx"]).rename_column("label", "labels")
    rows.set_format("torch")
    collate = library.DataCollatorWithPadding(tokenizer=tokenizer)
    torch.manual_seed(7)
    model = library.AutoModelForSequenceClassification.from_pretrained(checkpoint, num_labels=2)
    optimizer = adamw(model.parameters(), lr=1e-4, weight_decay=decay)
    train = DataLoader(rows, shuffle=True, batch_size=8, collate_fn=collate)
    evaluation = DataLoader(rows.select(range(20)), batch_size=8, collate_fn=collate)
    if accelerator is not None:
        model, optimizer, train, evaluation = accelerator.prepare(model, optimizer, train, evaluation)
    scheduler = library.get_scheduler("linear", optimizer, warmup, num_training_steps=2 * len(train))
    backward = torch.Tensor.backward if accelerator is None else accelerator.backward
    clip = torch.nn.utils.clip_grad_norm_ if accelerator is None else accelerator.clip_grad_norm_
    numbers = []
    for _ in range(2):
        model.train()
        for batch in train:
            loss = model(**batch).loss
            backward(loss)
            numbers += [loss.item(), clip(model.parameters(), 0.5).item(), scheduler.get_last_lr()[0]]
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
        if evaluating:
            evaluate(model, evaluation, numbers)
    return numbers, model.state_dict()


@needs_hub
@pytest.mark.parametrize(
    ("name", "accelerated", "warmup", "decay", "evaluating"),
    [
        ("bert", False, 0, 0.01, True),
        pytest.param("bert", True, 6, 0.0, True, marks=pytest.mark.long),
        pytest.param("distilbert", False, 6, 0.0, False, marks=pytest.mark.long),
        pytest.param("distilbert", True, 0, 0.01, True, marks=pytest.mark.long),
    ],
)
def test_sixty_steps_on_real_pairs(name, accelerated, warmup, decay, evaluating, tmp_path):
    torch.manual_seed(3)
    minift.AutoModel.from_config(NARROW[name]).save_pretrained(tmp_path)
    minift.AutoTokenizer.from_pretrained(BERT_BASE if name == "bert" else DISTILBERT_BASE).save_pretrained(tmp_path)
    accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)
    accelerate.state.GradientState._reset_state()
    settings = (tmp_path, warmup, decay, evaluating)
    theirs = accelerate.Accelerator(cpu=True) if accelerated else None
    torch_adamw = functools.partial(torch.optim.AdamW, foreach=False, fused=False)
    want = mrpc_loop(transformers, datasets.load_dataset, torch_adamw, theirs, *settings)
    assert len(want[0]) == 3 * 60 + (2 * 3 if evaluating else 0)
    assert any(norm > 0.5 for norm in want[0][1:90:3])  # so that something is clipped
    accelerator = ours.Accelerator(cpu=True) if accelerated else None
    assert_equal(mrpc_loop(minift, minift.load_dataset, minift.AdamW, accelerator, *settings), want)


def without_look_ahead(monkeypatch):
    monkeypatch.setattr(ours.PreparedLoader, "__iter__", lambda self: iter(self.loader))


def without_the_loaders_draws(monkeypatch):
    def start_quietly(self):
        state = torch.get_rng_state()
        iterator = iter(self.loader)
        torch.set_rng_state(state)
        return iterator

    monkeypatch.setattr(ours.PreparedLoader, "__iter__", start_quietly)


@pytest.mark.parametrize("mutate", [without_look_ahead, without_the_loaders_draws])
def test_the_comparison_catches(mutate, checkpoint, monkeypatch):
    """The random draws of both rules are needed: without them some loss differs."""
    want = accelerate_loop(minift, checkpoint, minift_adamw, ours.Accelerator(cpu=True))
    mutate(monkeypatch)
    assert accelerate_loop(minift, checkpoint, minift_adamw, ours.Accelerator(cpu=True))[0] != want[0]
