"""`minift crosscheck` on small models: equal to the bit, and every planted difference found at the stage it is in."""

import functools
import json
import random
import shutil

import pytest
import torch

import minift
from minift.batches.sampler import RandomOrder
from minift.cli.main import main
from minift.crosscheck import on_libraries, on_minift
from minift.crosscheck.job import Job
from minift.metrics.metric import SCORES
from tests.hub import MINILM, MRPC, needs_hub
from tests.tiny import CONFIG

pytestmark = pytest.mark.usefixtures("one_thread")

DISTILBERT = {"hidden_size": "dim", "num_hidden_layers": "n_layers", "num_attention_heads": "n_heads"}
DISTILBERT |= {"intermediate_size": "hidden_dim"}
STEPS, MAX_ROWS = 7, 43  # more than an epoch; a part of the training rows


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Encoders without a head, and their vocabulary."""
    folders = {}
    for kind in ("bert", "distilbert"):
        folder = folders[kind] = tmp_path_factory.mktemp(kind)
        tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{i}" for i in range(45))]
        (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in tokens))
        torch.manual_seed(3)
        if kind == "bert":
            model = minift.BertModel(minift.BertConfig(**CONFIG))
        else:
            config = {DISTILBERT.get(name, name): value for name, value in CONFIG.items()}
            model = minift.DistilBertModel(minift.DistilBertConfig(**config))
        model.save_pretrained(folder)
        minift.AutoTokenizer.from_pretrained(folder).save_pretrained(folder)
    return folders


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """JSON lines: pairs of texts, some longer than the models read, and one label column a folder."""
    draw = random.Random(0)
    rows = {}
    for split, count in (("train", 51), ("validation", 13)):
        rows[split] = []
        for _ in range(count):
            text, pair = (" ".join(f"w{draw.randrange(47)}" for _ in range(draw.randint(3, 18))) for _ in range(2))
            rows[split].append({"text": text, "pair": pair, "number": draw.randrange(3)})
    labels = {
        "classes": lambda number: number % 2,
        "names": lambda number: ("no", "perhaps", "yes")[number],
        "flags": lambda number: number > 0,
        "scores": lambda number: number / 3,
    }
    folders = {}
    for name, label in labels.items():
        folder = folders[name] = tmp_path_factory.mktemp(name)
        for split, found in rows.items():
            lines = [
                json.dumps({**row, "label": label(row["number"])} | {"number": str(row["number"])}) for row in found
            ]
            (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    folders["alone"] = tmp_path_factory.mktemp("alone")  # nothing to evaluate on: training rows have to do
    shutil.copy(folders["names"] / "train.jsonl", folders["alone"])
    return folders


def job(models, data, kind="bert", labels="classes", task="classification"):
    return Job(str(models[kind]), str(data[labels]), None, task, steps=STEPS, max_rows=MAX_ROWS, max_eval_rows=11)


def run(job, file):
    """The exit code of the command and the rows of its JSON by stage."""
    options = {"model": job.model, "dataset": job.dataset, "task": job.task, "steps": job.steps}
    options |= {"max_rows": job.max_rows, "max_eval_rows": job.max_eval_rows, "json": file}
    code = main(["crosscheck", *(part for name, value in options.items() for part in (f"--{name}", str(value)))])
    report = json.loads(file.read_text())
    return code, report, {row["stage"]: row for row in report["stages"]}


@pytest.mark.parametrize(
    ("kind", "labels", "task"),
    [
        ("bert", "names", "classification"),
        ("distilbert", "flags", "classification"),
        ("bert", "scores", "classification"),
        ("bert", "alone", "classification"),
        ("bert", "classes", "mlm"),
        ("distilbert", "classes", "mlm"),
    ],
)
def test_every_stage_is_equal_to_the_bit(models, data, tmp_path, capsys, kind, labels, task):
    code, report, found = run(job(models, data, kind, labels, task), tmp_path / "report.json")
    assert code == 0
    assert report["ok"]
    assert all(row["equal"] or row["stage"] == "metrics" for row in found.values())
    assert found["metrics"]["equal"] or (labels == "scores" and found["metrics"]["max_abs"] < 1e-12)
    assert found["loss by step"]["values"] == STEPS
    empty = {name for name, row in found.items() if row["values"] == 0}
    assert not empty
    table = capsys.readouterr().out
    assert table.count("equal to the bit") >= len(found) - 1
    assert "differs" not in table
    assert {"transformers", "datasets", "accelerate", "torch", "minift"} <= report["header"]["versions"].keys()
    assert report["header"]["threads"] == 1


@needs_hub
def test_real_pairs_and_the_real_checkpoint_are_equal_to_the_bit(tmp_path, capsys):
    options = ["--config", "mrpc", "--steps", "2", "--max_rows", "32", "--max_eval_rows", "5"]
    assert main(["crosscheck", "--model", str(MINILM), "--dataset", str(MRPC), *options]) == 0
    assert capsys.readouterr().out.count("equal to the bit") == 14


# -- planted differences ---------------------------------------------------------------------------------------------


def another_shuffle(patch):
    shuffle = minift.Dataset.shuffle  # the training rows are drawn from more
    patch.setattr(minift.Dataset, "shuffle", lambda self, seed: shuffle(self, seed + 1))


def a_shorter_cut(patch):
    patch.setattr(on_minift, "tokenize_rows", functools.partial(on_minift.tokenize_rows, max_length=13))


def chunked_in_other_groups(patch):
    chunk = minift.chunk_dataset
    patch.setattr(
        minift, "chunk_dataset", lambda rows, size, **options: chunk(rows, size, **options | {"batch_size": 20})
    )


def in_file_order(patch):
    patch.setattr(RandomOrder, "order", lambda self, epoch: range(self.length))


def padded_further(patch):
    patch.setattr(
        minift, "DataCollatorWithPadding", functools.partial(minift.DataCollatorWithPadding, pad_to_multiple_of=8)
    )


def a_draw_less(patch):
    collator = minift.DataCollatorForLanguageModeling
    patch.setattr(minift, "DataCollatorForLanguageModeling", functools.partial(collator, random_replace_prob=0.0))


def without_the_loaders_draw(patch):
    quiet = functools.partial(torch.utils.data.DataLoader, generator=torch.Generator())
    patch.setattr("minift.train.loader.DataLoader", quiet)


def not_one_batch_ahead(patch):
    patch.setattr("minift.train.loader.look_ahead", lambda batches, before_each: ((batch, None) for batch in batches))


def a_stored_tensor_changed(patch):
    load = minift.model.pretrained.load_weights

    def load_and_change(model, *options):
        report = load(model, *options)
        with torch.no_grad():
            model.get_parameter("bert.encoder.layer.0.attention.self.key.weight")[3, 5] += 1e-3
        return report

    patch.setattr("minift.model.pretrained.load_weights", load_and_change)


def a_draw_before_the_head(patch):
    draw = minift.PreTrainedModel.init_weights

    def init_weights(self, names):
        torch.rand(1)
        draw(self, names)

    patch.setattr(minift.PreTrainedModel, "init_weights", init_weights)


def tanh_gelu(patch):
    patch.setitem(minift.model.bert.ACTIVATION, "gelu", functools.partial(torch.nn.functional.gelu, approximate="tanh"))


def another_epsilon(patch):
    class LayerNorm(torch.nn.LayerNorm):
        def __init__(self, size, eps):
            super().__init__(size, eps=1e-5)

    patch.setattr("torch.nn.LayerNorm", LayerNorm)


def no_dropout(patch):
    patch.setattr("minift.model.attention.F.dropout", lambda x, *rest, **options: x)
    patch.setattr(torch.nn.Dropout, "forward", lambda self, x: x)


def without_warmup(patch):
    patch.setattr("minift.train.arguments.TrainingArguments.get_warmup_steps", lambda self, steps: 0)


def without_clipping(patch):
    clip = torch.nn.utils.clip_grad_norm_
    patch.setattr("torch.nn.utils.clip_grad_norm_", lambda parameters, norm: clip(parameters, 1e9))


def norm_after_clipping(patch):
    clip = torch.nn.utils.clip_grad_norm_
    patch.setattr("torch.nn.utils.clip_grad_norm_", lambda parameters, norm: clip(parameters, norm).clamp(max=norm))


def no_last_step(patch):
    step = minift.AdamW.step

    def all_but_the_last(self, closure=None):
        self.steps = getattr(self, "steps", 0) + 1
        return step(self) if self.steps < STEPS else None

    patch.setattr(minift.AdamW, "step", all_but_the_last)


def loss_by_label(patch):
    evaluate = minift.Trainer.evaluate
    patch.setattr(
        minift.Trainer,
        "evaluate",
        lambda self: (s := evaluate(self)) | {"eval_loss": s["eval_weighted_loss"] + 1e-6},
    )


def f1_of_the_other_class(patch):
    kind, f1 = SCORES["f1"]
    patch.setitem(SCORES, "f1", (kind, functools.partial(f1, pos_label=0)))


PLANTED = [
    (another_shuffle, "classification", "rows and features", "train, text, row 0: character"),
    (a_shorter_cut, "classification", "token ids", "train, input_ids, row"),
    (chunked_in_other_groups, "mlm", "blocks", "train, input_ids, block"),
    (in_file_order, "classification", "batch composition", "batch 0, position 0: 0 against"),
    (padded_further, "classification", "padding", "batch"),
    (a_draw_less, "mlm", "masks", "batch 0, input_ids, row"),
    (without_the_loaders_draw, "mlm", "masks", "batch 0, input_ids, row"),
    (
        a_stored_tensor_changed,
        "classification",
        "loaded weights",
        "bert.encoder.layer.0.attention.self.key.weight[3, 5]",
    ),
    (a_draw_before_the_head, "classification", "weights of the new head", "classifier.weight[0, 0]"),
    (tanh_gelu, "classification", "logits", "row 0[0]"),
    (another_epsilon, "classification", "logits", "row 0[0]"),
    (not_one_batch_ahead, "mlm", "inputs by step", "step 2, input_ids, row"),
    (without_warmup, "classification", "learning rate by step", "step 1"),
    (no_dropout, "classification", "loss by step", "step 1"),
    (without_clipping, "classification", "loss by step", "step 3"),
    (norm_after_clipping, "classification", "gradient norm by step", "step 1"),
    (no_last_step, "classification", "weights after training", "bert.embeddings.word_embeddings.weight["),
    (loss_by_label, "classification", "evaluation loss", ""),
    (f1_of_the_other_class, "classification", "metrics", "f1: "),
]


@pytest.fixture(scope="module")
def of_the_libraries(models, data, tmp_path_factory):
    """The libraries' side, which no planted difference touches, run once for each task."""

    @functools.cache
    def run(task):
        tried = job(models, data, task=task)
        found, _ = on_minift.run_minift(tried, str(tmp_path_factory.mktemp("ours")))
        return on_libraries.run_libraries(tried, found, str(tmp_path_factory.mktemp("theirs")))

    return run


@pytest.mark.parametrize(("plant", "task", "stage", "place"), PLANTED, ids=[row[0].__name__ for row in PLANTED])
def test_a_planted_difference_is_found(
    plant, task, stage, place, models, data, of_the_libraries, tmp_path, monkeypatch
):
    theirs = of_the_libraries(task)
    monkeypatch.setattr(on_libraries, "run_libraries", lambda *job: theirs)
    plant(monkeypatch)
    code, report, found = run(job(models, data, task=task), tmp_path / "report.json")
    assert code == 1
    assert not report["ok"]
    first = next(row for row in found.values() if not row["ok"])
    assert (first["stage"], first["first"][: len(place)]) == (stage, place)
