"""`push_to_hub` of data sets: what the README says, what is replaced and what stays; both libraries read it."""

import pytest
import yaml

from minift.data.dataset import Dataset, DatasetDict
from minift.data.features import ClassLabel, Features, List, Value, to_yaml
from minift.data.publish import with_splits
from minift.data.repository import HEADER
from tests.loopback_upload import READ, WRITE, upload_hub

__all__ = ["upload_hub"]  # a fixture

NESTED = Features(
    text=Value("string"),
    label=ClassLabel(names=["neg", "pos"]),
    tags=List(ClassLabel(names=["O", "B"])),
    answers={"text": List(Value("string")), "start": List(Value("int32"))},
    matrix=List(List(Value("int64"))),
    pairs=List({"a": Value("float64")}),
    three=List(Value("int8"), length=3),
    large=List(Value("string"), large=True),
    when=Value("timestamp[s]"),
)
PUSH = """
from minift import ClassLabel, Dataset, DatasetDict, Features, Value, load_dataset
features = Features(text=Value("string"), label=ClassLabel(names=["neg", "pos"]))
rows = Dataset.from_dict({{"text": list("abcdefg"), "label": [0, 1] * 3 + [1]}}, features=features)
splits = DatasetDict(train=rows.select(range(5)), validation=rows.select([5, 6]))
splits.push_to_hub("me/letters", token={token!r}, num_shards={{"train": 2}}, commit_message="letters")
rows.push_to_hub("letters", split="test", token={token!r})
rows.select([0]).push_to_hub("me/letters", "small", token={token!r}, private=True)
rows.select(range(3)).push_to_hub("me/letters", token={token!r})  # the split train, now in one file
"""
READ_BACK = """
import {library}
from {library} import load_dataset
whole = load_dataset("me/letters")
print({{name: (rows["text"][:], rows["label"][:], rows.features["label"].names) for name, rows in whole.items()}})
print(load_dataset("me/letters", "small")["train"]["text"][:])
"""


@pytest.mark.parametrize("library", ["minift", "datasets"])
def test_what_is_pushed_loads_by_name_in_both_libraries(upload_hub, tmp_path, library):
    upload_hub.run(PUSH.format(token=WRITE), tmp_path / "cache")
    folder = upload_hub.root / "datasets" / "me" / "letters"
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.parquet"))
    assert files == [
        "data/test-00000-of-00001.parquet",
        "data/train-00000-of-00001.parquet",
        "data/validation-00000-of-00001.parquet",
        "small/train-00000-of-00001.parquet",
    ]
    assert [commit.message for commit in upload_hub.commits][:2] == ["letters", "Upload dataset"]
    card = yaml.safe_load(HEADER.match((folder / "README.md").read_text())[1])
    assert [config["config_name"] for config in card["configs"]] == ["default", "small"]
    default, small = card["dataset_info"]
    assert {split["name"]: split["num_examples"] for split in default["splits"]} == {
        "validation": 2,
        "test": 7,
        "train": 3,
    }
    assert default["dataset_size"] == sum(split["num_bytes"] for split in default["splits"]) > 0
    assert small["config_name"] == "small"
    printed = upload_hub.run(READ_BACK.format(library=library), tmp_path / f"cache of {library}")
    whole, part = printed.strip().splitlines()[-2:]
    assert eval(whole) == {
        "train": (["a", "b", "c"], [0, 1, 0], ["neg", "pos"]),
        "validation": (["f", "g"], [1, 1], ["neg", "pos"]),
        "test": (list("abcdefg"), [0, 1, 0, 1, 0, 1, 1], ["neg", "pos"]),
    }
    assert part == "['a']"


def test_a_token_that_cannot_write(upload_hub, tmp_path):
    with pytest.raises(RuntimeError, match="PermissionError: me/letters was not created: the token has no"):
        upload_hub.run(PUSH.format(token=READ), tmp_path / "cache")


def test_features_are_written_as_they_are_read():
    described = to_yaml(NESTED)
    assert Features.from_yaml(yaml.safe_load(yaml.safe_dump(described))) == NESTED


def test_what_people_have_written_stays():
    features = to_yaml(Features(text=Value("string")))
    split = {"name": "train", "num_bytes": 5, "num_examples": 1, "download_size": 9}
    text = "---\nlicense: mit\n---\n# Letters\n\nBy hand.\n"
    once = with_splits(text, "default", features, [split], "data", None)
    assert once.endswith("---\n# Letters\n\nBy hand.\n")
    card = yaml.safe_load(HEADER.match(once)[1])
    assert card["license"] == "mit"
    assert card["dataset_info"]["splits"] == [{"name": "train", "num_bytes": 5, "num_examples": 1}]
    assert card["configs"] == [{"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*"}]}]
    twice = yaml.safe_load(
        HEADER.match(with_splits(once, "more", features, [split | {"name": "test"}], "more", True))[1]
    )
    assert [info.get("config_name", "default") for info in twice["dataset_info"]] == ["default", "more"]
    assert [config.get("default") for config in twice["configs"]] == [None, True]
    with pytest.raises(ValueError, match="the columns differ from those of the splits that are there"):
        with_splits(once, "default", to_yaml(Features(other=Value("string"))), [split | {"name": "b"}], "data", None)


def test_a_readme_written_by_hand_keeps_its_splits():
    """Files in every spelling that loading takes; no dataset_info says which splits there are."""
    features = to_yaml(Features(text=Value("string")))
    split = {"name": "test", "num_bytes": 5, "num_examples": 1, "download_size": 9}
    new = {"split": "test", "path": "data/test-*"}
    for given, kept in [
        ("letters.csv", ["letters.csv"]),
        (["a.csv", "b.csv"], ["a.csv", "b.csv"]),
        ({"train": "a.csv"}, ["a.csv"]),
        ([{"split": "train", "path": ["a.csv", "b.csv"]}, {"split": "test", "path": "old.csv"}], ["a.csv", "b.csv"]),
    ]:
        text = f"---\n{yaml.safe_dump({'configs': [{'config_name': 'default', 'data_files': given}]})}---\n"
        card = yaml.safe_load(HEADER.match(with_splits(text, "default", features, [split], "data", None))[1])
        old = {"split": "train", "path": kept[0] if len(kept) == 1 else kept}
        assert card["configs"][0]["data_files"] == [old, new], given
    with pytest.raises(ValueError, match=r"README\.md: its header is not YAML"):
        with_splits("---\na: [\n---\n", "default", features, [split], "data", None)


def test_what_is_refused():
    rows = Dataset.from_dict({"a": [1]})
    for made in (rows, DatasetDict(train=rows)):
        with pytest.raises(ValueError, match="push_to_hub does not support create_pr=True"):
            made.push_to_hub("me/a", create_pr=True)
