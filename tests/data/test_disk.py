"""`save_to_disk` and `load_from_disk`: what comes back, and what is refused."""

import json

import pytest

from minift.data.dataset import Dataset, DatasetDict
from minift.data.features import ClassLabel
from minift.data.load import load_from_disk


def sample():
    dataset = Dataset.from_dict({"text": ["a", None, "c"], "label": [0, 1, 1], "ids": [[1], [], [2, 3]]})
    return dataset.cast_column("label", ClassLabel(names=["neg", "pos"]))


@pytest.mark.parametrize("in_memory", [False, True])
def test_rows_order_features_and_format_come_back(tmp_path, in_memory):
    dataset = sample().select([2, 0]).with_format("numpy", ["label"])
    dataset.save_to_disk(tmp_path / "saved")
    loaded = load_from_disk(tmp_path / "saved", keep_in_memory=in_memory)
    assert loaded.to_list() == dataset.to_list()
    assert (loaded.features, loaded.format) == (dataset.features, dataset.format)
    assert sorted(path.name for path in (tmp_path / "saved").iterdir()) == [
        "data-00000-of-00001.arrow",
        "dataset_info.json",
        "state.json",
    ]


def test_a_dict_comes_back(tmp_path):
    splits = DatasetDict(train=sample(), test=sample().select([]))
    splits.save_to_disk(tmp_path / "saved")
    loaded = load_from_disk(str(tmp_path / "saved"))
    assert {split: dataset.to_list() for split, dataset in loaded.items()} == {"train": sample().to_list(), "test": []}
    assert loaded["test"].features == sample().features


def test_other_rows_have_another_fingerprint(tmp_path):
    for name, dataset in {"a": sample(), "b": sample(), "c": sample().select([1, 0, 2])}.items():
        dataset.save_to_disk(tmp_path / name)
    prints = {name: json.loads((tmp_path / name / "state.json").read_text())["_fingerprint"] for name in "abc"}
    assert prints["a"] == prints["b"] != prints["c"]


def test_a_dataset_may_be_saved_over_the_folder_it_was_read_from(tmp_path):
    sample().save_to_disk(tmp_path / "saved")
    loaded = load_from_disk(tmp_path / "saved")
    loaded.filter(lambda row: row["label"] == 1).save_to_disk(tmp_path / "saved")
    assert load_from_disk(tmp_path / "saved")["ids"] == [[], [2, 3]]
    assert loaded["ids"] == [[1], [], [2, 3]]
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]


def test_other_files_are_never_replaced(tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.tex").write_text("years")
    for dataset in (sample(), DatasetDict(train=sample())):
        with pytest.raises(FileExistsError, match="holds other files"):
            dataset.save_to_disk(tmp_path / "work")
        with pytest.raises(FileExistsError, match="is a file"):
            dataset.save_to_disk(tmp_path / "work" / "thesis.tex")
    assert (tmp_path / "work" / "thesis.tex").read_text() == "years"


def test_a_failed_save_leaves_what_was_there(tmp_path):
    sample().save_to_disk(tmp_path / "saved")
    with pytest.raises(ValueError, match="a transform is code"):
        sample().select([0]).with_transform(lambda batch: batch).save_to_disk(tmp_path / "saved")
    assert load_from_disk(tmp_path / "saved").to_list() == sample().to_list()
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]


@pytest.mark.parametrize("name", ["data-00000-of-00001.arrow", "dataset_info.json", "state.json"])
def test_missing_and_damaged_files_are_named(tmp_path, name):
    sample().save_to_disk(tmp_path / "saved")
    file = tmp_path / "saved" / name
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(ValueError, match=name):
        load_from_disk(tmp_path / "saved")
    file.unlink()
    with pytest.raises(FileNotFoundError, match=name):
        load_from_disk(tmp_path / "saved")


def test_features_that_do_not_fit_the_data(tmp_path):
    sample().save_to_disk(tmp_path / "saved")
    info = tmp_path / "saved" / "dataset_info.json"
    described = json.loads(info.read_text())
    described["features"]["other"] = described["features"].pop("ids")
    info.write_text(json.dumps(described))
    with pytest.raises(ValueError, match=r"dataset_info\.json describes .*'other'.*; the data has .*'ids'"):
        load_from_disk(tmp_path / "saved")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("state.json", {}, r"state\.json is not what save_to_disk writes: KeyError\('_data_files'\)"),
        ("state.json", [], r"state\.json must hold a JSON object, not a list"),
        ("dataset_info.json", {"features": {"text": {"_type": "Image"}}}, r"dataset_info\.json .*'Image'"),
        (
            "dataset_info.json",
            {"features": {name: {"dtype": "int64", "_type": "Value"} for name in ("text", "label", "ids")}},
            r"dataset_info\.json describes \{'text': Value\('int64'\).*; the data has \{'text': 'string'",
        ),
    ],
)
def test_files_that_hold_something_else_are_named(tmp_path, name, content, message):
    sample().save_to_disk(tmp_path / "saved")
    (tmp_path / "saved" / name).write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        load_from_disk(tmp_path / "saved")


def test_files_without_data_or_splits_are_named(tmp_path):
    sample().save_to_disk(tmp_path / "saved")
    state = tmp_path / "saved" / "state.json"
    state.write_text(json.dumps(json.loads(state.read_text()) | {"_data_files": []}))
    with pytest.raises(ValueError, match=r"state\.json names no data files"):
        load_from_disk(tmp_path / "saved")
    (tmp_path / "dataset_dict.json").write_text("{}")
    with pytest.raises(ValueError, match=r'dataset_dict\.json does not list "splits"'):
        load_from_disk(tmp_path)


def test_no_dataset_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"neither state.json nor dataset_dict.json"):
        load_from_disk(tmp_path)
