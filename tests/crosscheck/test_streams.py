"""Streams: `datasets.IterableDataset` gives the same rows in the same order, also shuffled, shared out and resumed."""

import datasets
import datasets.distributed
import pytest
import torch
import transformers
from torch.utils.data import DataLoader

import minift
from tests.hub import HUB, needs_hub

ROWS = {"a": list(range(50)), "t": [f"text {i}" for i in range(50)]}
FEATURES = {"text": "string", "label": "float32"}


def stream(library, shards=3):
    return library.Dataset.from_dict(ROWS).to_iterable_dataset(num_shards=shards)


def split_by_node(library, rows, rank, ranks):
    if library is minift:
        return minift.split_dataset_by_node(rows, rank, ranks)
    return datasets.distributed.split_dataset_by_node(rows, rank, ranks)


def doubled(batch):
    return {"b": [value for value in batch["a"] for _ in range(2)]}


def epochs(rows):
    order = []
    for epoch in range(3):
        rows.set_epoch(epoch)
        order.append([row["a"] for row in rows])
    return order


def generated(library):
    def rows(shards, end):
        for shard in shards:
            yield from ({"shard": shard, "row": row} for row in range(end))

    return library.IterableDataset.from_generator(rows, gen_kwargs={"shards": [0, 1, 2], "end": 5})


CALLS = {
    "as they are": lambda lib: stream(lib),
    "what it holds": lambda lib: [str(stream(lib, 4).features), stream(lib, 4).num_shards, stream(lib).column_names],
    "map": lambda lib: stream(lib).map(lambda row: {"b": row["a"] * 2}),
    "map, unknown columns": lambda lib: [stream(lib).map(lambda row: {"b": row["a"] * 2}).column_names],
    "map batches": lambda lib: stream(lib).map(doubled, batched=True, batch_size=7, remove_columns=["a", "t"]),
    "map whole batches": lambda lib: stream(lib).map(
        lambda b: {"b": b["a"]}, batched=True, batch_size=7, drop_last_batch=True
    ),
    "map with numbers": lambda lib: stream(lib).map(lambda row, i: {"i": i}, with_indices=True, remove_columns="t"),
    "map columns": lambda lib: stream(lib).map(lambda a, by: {"i": a * by}, input_columns="a", fn_kwargs={"by": 3}),
    "filter": lambda lib: stream(lib).filter(lambda row: row["a"] % 3 == 0),
    "filter batches": lambda lib: stream(lib).filter(
        lambda b: [a % 3 == 0 for a in b["a"]], batched=True, batch_size=4
    ),
    "take and skip": lambda lib: stream(lib).skip(5).take(7),
    "take, shuffled": lambda lib: stream(lib).take(30).shuffle(seed=1, buffer_size=10),
    "columns, shuffled": lambda lib: stream(lib).select_columns("a").shuffle(seed=1, buffer_size=10),
    "renamed, shuffled": lambda lib: stream(lib).rename_column("a", "b").shuffle(seed=1, buffer_size=10),
    "removed": lambda lib: stream(lib).remove_columns("a"),
    "cast": lambda lib: stream(lib).cast_column("a", lib.Value("float64")),
    "batch": lambda lib: stream(lib).batch(7),
    "batch, types": lambda lib: [str(stream(lib).batch(7).features)],
    "repeat": lambda lib: stream(lib).repeat(2),
    "iter": lambda lib: stream(lib).iter(8),
    "iter, whole": lambda lib: stream(lib).iter(8, drop_last_batch=True),
    "numpy": lambda lib: stream(lib).with_format("numpy").take(3),
    "torch": lambda lib: stream(lib).with_format("torch").take(3),
    "torch, mapped": lambda lib: stream(lib).with_format("torch").map(lambda row: {"z": row["a"] + 1}).take(3),
    "a column": lambda lib: stream(lib)["t"],
    "other shards by epoch": lambda lib: epochs(stream(lib, 4)),
    "mapped after shuffling, by epoch": lambda lib: epochs(
        stream(lib, 4).shuffle(seed=3, buffer_size=4).map(lambda row: {"q": 1})
    ),
    "generator": lambda lib: generated(lib),
    "generator, shuffled": lambda lib: generated(lib).shuffle(seed=0, buffer_size=3),
    "generator, shards": lambda lib: [generated(lib).num_shards, generated(lib).features],
}


def test_values_have_the_types_that_map_is_told():
    """`datasets` says float32 there and hands out the integers that the function returned."""
    floats = minift.Features({"b": minift.Value("float32")})
    rows = stream(minift).map(lambda row: {"b": row["a"]}, remove_columns=["a", "t"], features=floats)
    assert (str(rows.features), repr(next(iter(rows)))) == (str(floats), "{'b': 0.0}")


@pytest.mark.parametrize("name", CALLS)
def test_rows_and_their_order(name):
    ours, theirs = (list(CALLS[name](library)) for library in (minift, datasets))
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize(("shards", "size"), [(1, 10), (1, 1000), (4, 10), (4, 100), (12, 20)])
@pytest.mark.parametrize("mapped", [False, True])
def test_the_shuffling_buffer(shards, size, mapped):
    def orders(library):
        rows = stream(library, shards)
        rows = rows.map(lambda row: {"z": 1}) if mapped else rows
        return epochs(rows.shuffle(seed=42, buffer_size=size))

    assert orders(minift) == orders(datasets)


@pytest.mark.parametrize(("ranks", "shards"), [(2, 4), (3, 4), (2, 1)])
def test_rows_are_shared_out_over_ranks(ranks, shards):
    def parts(library):
        return [list(split_by_node(library, stream(library, shards), rank, ranks)) for rank in range(ranks)]

    assert parts(minift) == parts(datasets)


@pytest.mark.parametrize(("shards", "workers", "shuffled"), [(4, 2, False), (4, 2, True), (3, 2, False), (1, 2, False)])
def test_shards_are_shared_out_over_workers(shards, workers, shuffled):
    def batches(library):
        rows = stream(library, shards).select_columns("a")
        rows = rows.shuffle(seed=1, buffer_size=4) if shuffled else rows
        loader = DataLoader(rows.with_format("torch"), batch_size=4, num_workers=workers)
        return [batch["a"].tolist() for batch in loader]

    assert batches(minift) == batches(datasets)


def test_a_stream_goes_on_after_the_rows_that_its_state_counts():
    def rest(library):
        rows = stream(library).map(lambda row: {"z": row["a"]})
        for number, _ in enumerate(rows):
            if number == 20:
                state = rows.state_dict()
                break
        resumed = stream(library).map(lambda row: {"z": row["a"]})
        resumed.load_state_dict(state)
        return list(resumed)

    assert rest(minift) == rest(datasets)
    assert len(rest(minift)) == 29


def test_with_a_shuffling_buffer_a_resumed_stream_loses_no_row():
    """`datasets` forgets the rows that lie in the buffer, and says so; here they come."""
    rows = stream(minift).shuffle(seed=3, buffer_size=10)
    whole = list(rows)
    for number, _ in enumerate(rows):
        if number == 20:
            break
    resumed = stream(minift).shuffle(seed=3, buffer_size=10)
    resumed.load_state_dict(rows.state_dict())
    assert list(resumed) == whole[21:]


@pytest.mark.parametrize("types", [None, FEATURES])
def test_files_are_shards(tmp_path, types):
    for file in range(3):
        lines = "".join(f"text {file} {row},{row}\n" for row in range(4))
        (tmp_path / f"{file}.csv").write_text(f"text,label\n{lines}", encoding="utf-8")

    def read(library):
        features = types and library.Features({name: library.Value(kind) for name, kind in types.items()})
        splits = library.load_dataset("csv", data_files=str(tmp_path / "*.csv"), streaming=True, features=features)
        rows = splits["train"]
        return list(splits), list(rows), str(rows.features), rows.num_shards, str(rows.split)

    assert read(minift) == read(datasets)


def test_a_transform_is_refused():
    rows = minift.Dataset.from_dict(ROWS)
    for formatted in (rows.with_transform(lambda batch: batch), rows.with_format("numpy", columns=["a"])):
        with pytest.raises(ValueError, match=r"takes no transform or chosen columns: call with_format\(None\)"):
            formatted.to_iterable_dataset()


@needs_hub
def test_real_pairs():
    def read(library):
        splits = library.load_dataset(str(HUB / "datasets/nyu-mll/glue"), "mrpc", streaming=True)
        order = [row["idx"] for row in splits["train"].shuffle(seed=42).take(10)]
        return list(splits), list(splits["train"].take(3)), str(splits["train"].features), order

    assert read(minift) == read(datasets)


def accuracy(prediction):
    return {"accuracy": float((prediction.predictions.argmax(-1) == prediction.label_ids).mean())}


@needs_hub
def test_trainer_trains_on_a_stream_and_resumes_to_the_bit(tmp_path):
    def losses(library, resume=None):
        folder = str(HUB / "models/sentence-transformers/all-MiniLM-L6-v2")
        tokenizer = library.AutoTokenizer.from_pretrained(folder)
        rows = minift if library is minift else datasets
        pairs = rows.load_dataset(str(HUB / "datasets/nyu-mll/glue"), "mrpc", streaming=True)

        def encode(batch):
            return tokenizer(batch["sentence1"], batch["sentence2"], truncation=True, max_length=64)

        encoded = pairs["train"].shuffle(seed=1, buffer_size=50).map(encode, batched=True, batch_size=16)
        evaluation = pairs["validation"].take(21).map(encode, batched=True)
        pad = library.DataCollatorWithPadding(tokenizer)

        def collate(batch):
            torch.rand(1)  # as one that masks: when it is called shows in the dropout
            return pad(batch)

        library.set_seed(0)
        sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
        model = library.BertForSequenceClassification(library.BertConfig(**sizes))
        options = {
            "max_steps": 4,
            "save_steps": 2,
            "eval_strategy": "steps",
            "eval_steps": 2,
            "logging_steps": 1,
            "report_to": "none",
            "disable_tqdm": True,
        }
        args = library.TrainingArguments(
            str(tmp_path / library.__name__), **options, optim="adamw_torch", use_cpu=True, logging_nan_inf_filter=False
        )
        trainer = library.Trainer(
            model, args, collate, train_dataset=encoded, eval_dataset=evaluation, compute_metrics=accuracy
        )
        trainer.train(resume_from_checkpoint=resume)
        weights = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
        keys = ("loss", "grad_norm", "eval_loss", "eval_accuracy")
        return [{key: entry[key] for key in keys if key in entry} for entry in trainer.state.log_history[:-1]], weights

    ours, theirs = losses(minift), losses(transformers)
    assert ours[0] == theirs[0]
    assert [sorted(entry) for entry in ours[0]].count(["eval_accuracy", "eval_loss"]) == 2
    torch.testing.assert_close(ours[1], theirs[1], rtol=0, atol=1e-7)
    resumed = losses(minift, resume=str(tmp_path / "minift" / "checkpoint-2"))
    assert resumed[0] == ours[0]
    assert torch.equal(resumed[1], ours[1])
