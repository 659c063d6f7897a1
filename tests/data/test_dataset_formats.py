"""Rows as Python, numpy, torch, TensorFlow, Arrow or pandas values; transforms; the DataLoader."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from minift.data.dataset import Dataset


def rows():
    return Dataset.from_dict(
        {"text": ["a", "b", "c"], "label": [1, 0, 1], "ids": [[1, 2], [3, 4], [5]], "score": [0.5, 1.5, None]}
    )


def test_torch():
    dataset = rows().with_format("torch")
    assert dataset[0]["text"] == "a"
    assert dataset[0]["ids"].dtype == dataset["label"][:].dtype == torch.int64
    assert dataset[:2]["score"].dtype == torch.float32
    assert torch.equal(dataset[:2]["ids"], torch.tensor([[1, 2], [3, 4]]))
    assert [ids.tolist() for ids in dataset[:]["ids"]] == [[1, 2], [3, 4], [5]]  # ragged: a list of tensors
    assert dataset[2]["score"].isnan()


def test_narrow_integers_become_int64():
    dataset = Dataset.from_dict({"input_ids": [[1, 2], [3, 4]], "attention_mask": [[1, 1], [1, 1]]})
    assert str(dataset.data.schema.field("input_ids").type) == "list<item: int32>"
    for kind, dtype in (("numpy", np.int64), ("torch", torch.int64)):
        assert all(value.dtype == dtype for value in dataset.with_format(kind)[:].values())
        assert all(value.dtype == dtype for value in dataset.with_format(kind)[1].values())


@pytest.mark.parametrize("kind", ["torch", "numpy"])
def test_tensors_do_not_share_the_file_s_memory(kind):
    dataset = rows().with_format(kind, ["label"])
    dataset[:]["label"][0] = 99
    assert dataset[:]["label"].tolist() == [1, 0, 1]


def test_numpy_ragged_rows_are_an_object_array():
    ids = rows().with_format("numpy")[:]["ids"]
    assert ids.dtype == object
    assert ids[2].tolist() == [5]


def test_dtype_on_request():
    assert rows().with_format("numpy", ["label"], dtype=np.int32)[:]["label"].dtype == np.int32
    assert rows().with_format("torch", ["score"], dtype=torch.float64)[0]["score"].dtype == torch.float64


def test_tensorflow():
    import tensorflow as tf

    dataset = rows().with_format("tf")
    assert dataset[:]["label"].dtype == tf.int64
    assert isinstance(dataset[:]["ids"], tf.RaggedTensor)
    assert dataset[0]["text"].numpy() == b"a"


def test_arrow_and_pandas():
    assert rows().with_format("arrow")[:2].equals(rows().data.slice(0, 2))
    assert isinstance(rows().with_format("arrow")["label"], pa.ChunkedArray)
    assert rows().with_format("pandas")[1:]["label"].tolist() == rows().to_pandas()["label"].tolist()[1:]
    assert Dataset.from_pandas(rows().to_pandas()[["text", "label"]])[:2] == {"text": ["a", "b"], "label": [1, 0]}


def test_chosen_columns():
    dataset = rows().with_format("numpy", columns=["label"])
    assert list(dataset[0]) == ["label"]
    assert dataset.column_names == ["text", "label", "ids", "score"]
    assert dataset["text"] == ["a", "b", "c"]  # a column that was left out is still there by its name
    everything = rows().with_format("numpy", columns=["label"], output_all_columns=True)
    assert everything[:2]["ids"] == [[1, 2], [3, 4]]
    assert everything.rename_column("label", "labels")[0]["labels"] == 1
    mapped = dataset.map(lambda row: {"new": row["label"] * 2})
    assert list(mapped[0]) == ["label", "new"]  # new columns join, left-out ones stay out


def test_a_format_for_a_while():
    dataset = rows()
    with dataset.formatted_as("numpy", ["label"]):
        assert isinstance(dataset[:]["label"], np.ndarray)
    assert dataset[:1] == {"text": ["a"], "label": [1], "ids": [[1, 2]], "score": [0.5]}
    dataset.set_format("numpy")
    assert isinstance(dataset.shuffle(seed=0)[0]["ids"], np.ndarray)  # handed on
    dataset.reset_format()
    assert dataset[0]["ids"] == [1, 2]


def test_transform():
    calls = []

    def upper(batch):
        calls.append(len(batch["text"]))
        return {"upper": [text.upper() for text in batch["text"]]}

    dataset = rows().with_transform(upper)
    assert dataset[1] == {"upper": "B"}
    assert dataset[:2] == {"upper": ["A", "B"]}
    assert dataset.__getitems__([2, 0]) == [{"upper": "C"}, {"upper": "A"}]
    assert calls == [1, 2, 2]
    assert rows().with_transform(upper, columns=["text"], output_all_columns=True)[0]["label"] == 1


def test_a_data_loader_takes_batches_of_rows():
    dataset = rows().with_format("torch", columns=["label"])
    batches = list(torch.utils.data.DataLoader(dataset, batch_size=2))
    assert [batch["label"].tolist() for batch in batches] == [[1, 0], [1]]
    ragged = torch.utils.data.DataLoader(rows(), batch_size=3, collate_fn=list, num_workers=1)
    assert next(iter(ragged)) == rows().to_list()


def test_offsets_and_values_is_a_view_where_it_can_be():
    dataset = rows()
    offsets, values = dataset.offsets_and_values("ids")
    assert (offsets.tolist(), values.tolist()) == ([0, 2, 4, 5], [1, 2, 3, 4, 5])
    assert values.__array_interface__["data"][0] == dataset.data["ids"].chunk(0).values.buffers()[1].address
    offsets, values = dataset.select([2, 0]).offsets_and_values("ids")
    assert (offsets.tolist(), values.tolist()) == ([0, 1, 3], [5, 1, 2])
