"""Where the libraries are wrong or surprise (section 6 of the design): what the tests beside each part do not show."""

import ast
import gc
import weakref
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

import minift
from minift import Chunker, Dataset, Trainer, TrainingArguments
from tests.tiny import PadRows, tiny_model, tiny_rows

pytestmark = pytest.mark.usefixtures("one_thread")

ROWS = tiny_rows(16, (8, 8))
UNEVEN = [row | {"label": -100} if number in (1, 4, 5, 6, 12) else row for number, row in enumerate(ROWS)]


def trainer_for(folder, rows, **options):
    """A trainer without dropout, so that one step on the same rows gives the same numbers however they are batched."""
    compute_metrics = options.pop("compute_metrics", None)
    arguments = TrainingArguments(str(folder), save_strategy="no", logging_steps=1, disable_tqdm=True, **options)
    model = tiny_model(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    return Trainer(model, arguments, PadRows(), rows, rows, compute_metrics=compute_metrics)


def test_accumulation_counts_labels_not_batches(tmp_path):
    """The batches of a step have 3, 1, 4 and 3 labels: their mean is not the mean of their means."""
    accumulated = trainer_for(
        tmp_path, UNEVEN, max_steps=1, optim="sgd", per_device_train_batch_size=4, gradient_accumulation_steps=4
    )
    large = trainer_for(tmp_path, UNEVEN, max_steps=1, optim="sgd", per_device_train_batch_size=16)
    accumulated.train()
    large.train()
    got, want = accumulated.state.log_history[0], large.state.log_history[0]
    assert got["loss"] == pytest.approx(want["loss"], rel=1e-6)
    assert got["grad_norm"] == pytest.approx(want["grad_norm"], rel=1e-5)
    for one, other in zip(accumulated.model.parameters(), large.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_the_weighted_loss_does_not_depend_on_the_batches_and_the_librarys_does(tmp_path):
    losses = [trainer_for(tmp_path, UNEVEN, per_device_eval_batch_size=size).evaluate() for size in (4, 8, 16)]
    weighted = [metrics["eval_weighted_loss"] for metrics in losses]
    assert weighted == pytest.approx([weighted[-1]] * 3, rel=1e-6)
    assert losses[0]["eval_loss"] != pytest.approx(losses[-1]["eval_loss"], rel=1e-3)


def test_streaming_keeps_no_logits(tmp_path):
    alive = []
    gc.freeze()  # what other tests have left is not looked through

    def count_living_logits(prediction, compute_result):
        gc.collect()
        alive.append(weakref.ref(prediction.predictions))
        return {"living": sum(logits() is not None for logits in alive)}

    trainer = trainer_for(
        tmp_path, ROWS, per_device_eval_batch_size=2, batch_eval_metrics=True, compute_metrics=count_living_logits
    )
    assert trainer.evaluate()["eval_living"] <= 2  # this batch's, and the one before it that is not yet let go
    assert len(alive) == 8
    gc.unfreeze()


def test_map_computes_anew_each_time():
    """A hash of a function misses what the function reads from elsewhere; here nothing is looked up."""
    settings, rows = {"add": 1}, Dataset.from_dict({"n": [1, 2]})
    calls = []

    def add(row):
        calls.append(row["n"])
        return {"m": row["n"] + settings["add"]}

    assert rows.map(add)["m"] == [2, 3]
    settings["add"] = 10
    assert rows.map(add)["m"] == [11, 12]
    assert calls == [1, 2, 1, 2]


def test_chunking_copies_no_token():
    """``sum(lists, [])`` copies all tokens once for each list; here blocks are offsets over the values there are."""
    tokens = pa.table({"input_ids": pa.array([[1, 2, 3], [], [4, 5], [6, 7, 8]], pa.list_(pa.int32()))})
    blocks = Chunker(4)(tokens)["input_ids"]
    assert blocks.to_pylist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
    address = [column.chunk(0).values.buffers()[1].address for column in (tokens["input_ids"], blocks)]
    assert address[0] == address[1]


def test_no_part_reads_or_writes_pickles():
    """But for the tensors of a pytorch_model.bin, by torch's unpickler that knows nothing else."""
    for file in Path(minift.__file__).parent.rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        restricted = [
            node.func
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and any(word.arg == "weights_only" and ast.unparse(word.value) == "True" for word in node.keywords)
        ]
        for node in ast.walk(tree):
            imported = [node.module] if isinstance(node, ast.ImportFrom) else []
            imported += [name.name for name in node.names] if isinstance(node, ast.Import) else []
            assert not {"pickle", "cloudpickle", "dill", "marshal", "shelve", "joblib"} & set(imported), file
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node not in restricted:
                assert (node.value.id, node.attr) not in {("torch", "load"), ("torch", "save")}, file
                assert (node.value.id, node.attr) != ("np", "load"), file


def test_rows_of_whole_batches_and_of_one_left_over_are_all_evaluated(tmp_path):
    """17 rows in batches of 4: metrics, logits and losses are of 17 rows, not of 20."""
    trainer = trainer_for(
        tmp_path,
        tiny_rows(17, (8, 8)),
        per_device_eval_batch_size=4,
        compute_metrics=lambda prediction: {"rows": len(prediction.predictions), "labels": len(prediction.label_ids)},
    )
    metrics = trainer.evaluate()
    assert (metrics["eval_rows"], metrics["eval_labels"]) == (17, 17)
    output = trainer.predict(tiny_rows(17, (8, 8)))
    assert output.predictions.shape == (17, 2)
    np.testing.assert_array_equal(output.label_ids, [row["label"] for row in tiny_rows(17, (8, 8))])
