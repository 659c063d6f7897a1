"""`load_dataset`: repositories, folders and files; configurations, splits and features; the cache; bad files."""

import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from minift.data.dataset import Dataset, DatasetDict
from minift.data.features import ClassLabel, Features, Value
from minift.data.load import load_dataset, split_range
from tests.hub import IMDB, MRPC, needs_hub

LABEL = ClassLabel(names=["neg", "pos"])
README = """---
configs:
- config_name: small
  data_files:
  - split: train
    path: small/train-*
  - split: test
    path: [small/test-0.parquet, small/test-1.parquet]
- config_name: {second}
  data_files: "big/**/*.parquet"
  {default}
dataset_info:
- config_name: small
  features:
  - name: text
    dtype: string
  - name: label
    dtype:
      class_label:
        names: {{'0': neg, '1': pos}}
- config_name: pictures
  features:
  - name: picture
    dtype: image
---
# A data set
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf-home"))


def write_parquet(path, texts, features=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({"text": texts, "label": [i % 2 for i in range(len(texts))]})
    pq.write_table(table.cast(features.arrow_schema) if features else table, path)


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "repo"
    write_parquet(folder / "small/train-00000-of-00002.parquet", ["a", "b"])
    write_parquet(folder / "small/train-00001-of-00002.parquet", ["c"])
    write_parquet(folder / "small/test-0.parquet", ["d"])
    write_parquet(folder / "small/test-1.parquet", ["e"])
    write_parquet(folder / "big/x/y.parquet", ["f"])
    (folder / "README.md").write_text(README.format(second="big", default="default: false"))
    return folder


def test_a_configuration_of_a_repository(repository):
    data = load_dataset(str(repository), "small")
    assert isinstance(data, DatasetDict)
    assert {split: dataset["text"][:] for split, dataset in data.items()} == {
        "train": ["a", "b", "c"],
        "test": ["d", "e"],
    }
    assert data["train"].features == {"text": Value("string"), "label": LABEL}
    assert load_dataset(repository, "big", split="train")["text"] == ["f"]


@pytest.mark.parametrize(("second", "default"), [("default", ""), ("big", "default: true")])
def test_the_default_configuration(repository, second, default):
    (repository / "README.md").write_text(README.format(second=second, default=default))
    assert load_dataset(str(repository))["train"]["text"] == ["f"]


def test_several_configurations_and_no_choice(repository):
    with pytest.raises(ValueError, match=r"several configurations: pass name=, one of \['small', 'big'\]"):
        load_dataset(str(repository))
    with pytest.raises(ValueError, match=r"no configuration 'tiny': expected one of \['small', 'big'\]"):
        load_dataset(str(repository), "tiny")
    with pytest.raises(ValueError, match=r"no split 'dev': expected one of \['train', 'test'\]"):
        load_dataset(str(repository), "small", split="dev")


def test_the_features_of_a_file_go_before_the_readme(repository):
    told = Features(text=Value("string"), label=ClassLabel(names=["no", "yes"]))
    write_parquet(repository / "small/test-0.parquet", ["d"], told)
    assert load_dataset(str(repository), "small", split="test").features == told
    said = Features(text=Value("string"), label=Value("float32"))
    assert load_dataset(str(repository), "small", split="test", features=said)["label"] == [0.0, 0.0]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["data/train-00000-of-00001.parquet", "data/extra-00000-of-00001.parquet"], ["train", "extra"]),
        (["train.parquet", "dev.parquet", "test.parquet"], ["train", "validation", "test"]),
        (["sst_training-1.parquet", "my.val.parquet"], ["train", "validation"]),
        (["train/part1.parquet", "valid/part1.parquet"], ["train", "validation"]),
        (["latest.parquet", "contest.parquet"], ["train"]),
        (["train.parquet", ".hidden/test.parquet", "_private.parquet"], ["train"]),
    ],
)
def test_splits_are_told_from_names(tmp_path_factory, names, expected):
    folder = tmp_path_factory.mktemp("plain")
    for name in names:
        write_parquet(folder / name, ["a"])
    assert list(load_dataset(str(folder))) == expected


@pytest.mark.parametrize("kind", ["parquet", "csv", "json", "arrow"])
def test_files_by_format(tmp_path, kind):
    rows = [{"text": 'one, "two"\nlines', "label": 1, "score": 0.5}, {"text": "ü", "label": 0, "score": None}]
    table = pa.Table.from_pylist(rows)
    for name in ("a", "b"):
        file = tmp_path / f"{name}.{kind}"
        if kind == "parquet":
            pq.write_table(table, file)
        elif kind == "csv":
            pa.csv.write_csv(table, file)
        elif kind == "json":
            file.write_text("\n".join(json.dumps(row) for row in rows))
        else:
            with pa.ipc.new_stream(str(file), table.schema) as writer:
                writer.write_table(table)
    one, both = str(tmp_path / f"a.{kind}"), str(tmp_path / f"*.{kind}")
    assert load_dataset(kind, data_files=one)["train"].to_list() == rows
    assert load_dataset(kind, data_files=[one, one], split="train").to_list() == rows * 2
    loaded = load_dataset(kind, data_files={"train": both, "dev": one})
    assert (loaded["train"].to_list(), loaded["dev"].to_list()) == (rows * 2, rows)
    assert loaded["train"].features == {"text": Value("string"), "label": Value("int64"), "score": Value("float64")}
    assert load_dataset(str(tmp_path), data_files=f"a.{kind}", split="train").to_list() == rows


def test_text_formats_of_other_shapes(tmp_path):
    (tmp_path / "a.tsv").write_text("text\twhen\na, b\t2020-01-01\n")
    assert load_dataset("csv", data_files=str(tmp_path / "a.tsv"), split="train")[0] == {
        "text": "a, b",
        "when": "2020-01-01",
    }
    (tmp_path / "a.csv").write_text("text;n\na;1\n")
    assert load_dataset("csv", data_files=str(tmp_path / "a.csv"), sep=";", split="train")[0] == {"text": "a", "n": 1}
    (tmp_path / "a.json").write_text('  [{"ids": [1, 2]}, {"ids": []}]')
    assert load_dataset("json", data_files=str(tmp_path / "a.json"), split="train")["ids"] == [[1, 2], []]


def test_quoted_line_ends_where_a_csv_file_is_cut_into_blocks(tmp_path):
    texts = [f"line {i}\n" * (i % 120) for i in range(5000)]  # several blocks of a megabyte
    (tmp_path / "a.csv").write_text("n,text\n" + "".join(f'{i},"{text}"\n' for i, text in enumerate(texts)))
    loaded = load_dataset("csv", data_files=str(tmp_path / "a.csv"), split="train")
    assert [text or "" for text in loaded["text"]] == texts
    assert loaded["n"] == list(range(5000))


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        ("train[:3]", range(3)),
        ("train[-2:]", range(8, 10)),
        ("train[20%:50%]", range(2, 5)),
        ("train[:25%]", range(2)),  # 2.5 rows: to the closest, ties to the even
        ("train[-10%:]", range(9, 10)),
        ("train[8:100]", range(8, 10)),
        ("train[5:2]", range(0)),
    ],
)
def test_parts_of_a_split(tmp_path, split, expected):
    write_parquet(tmp_path / "all.parquet", [str(i) for i in range(10)])
    loaded = load_dataset("parquet", data_files=str(tmp_path / "all.parquet"), split=split)
    assert loaded["text"] == [str(i) for i in expected]
    assert loaded.split == split


def test_sums_and_lists_of_splits(repository):
    both = load_dataset(str(repository), "small", split="train[1:]+test")
    assert both["text"] == ["b", "c", "d", "e"]
    first, second = load_dataset(str(repository), "small", split=["test", "train[:1]"])
    assert (first["text"], second["text"]) == (["d", "e"], ["a"])
    for wrong in ("train[1]", "train[a:]", "train+", "train[:5%%]"):
        with pytest.raises(ValueError, match="expected a name"):
            load_dataset(str(repository), "small", split=wrong)
    with pytest.raises(ValueError, match="from -100 to 100"):
        split_range(10, None, "101%")


def test_files_are_converted_once_and_again_when_they_change(tmp_path, monkeypatch):
    file = tmp_path / "a.parquet"
    write_parquet(file, ["old"])
    load_dataset("parquet", data_files=str(file))
    cached = list((tmp_path / "hf-home" / "minift").iterdir())
    assert len(cached) == 1
    monkeypatch.setattr(pq, "ParquetFile", None)  # a second conversion would fail
    assert load_dataset("parquet", data_files=str(file))["train"]["text"] == ["old"]
    monkeypatch.undo()
    cached[0].write_bytes(cached[0].read_bytes()[:-10])  # a damaged cache is made again
    assert load_dataset("parquet", data_files=str(file), cache_dir=cached[0].parent)["train"]["text"] == ["old"]
    size = file.stat().st_size
    write_parquet(file, ["new"])
    os.utime(file, ns=(1, 1))
    assert file.stat().st_size == size  # only its time tells
    assert load_dataset("parquet", data_files=str(file), cache_dir=cached[0].parent)["train"]["text"] == ["new"]


def test_a_cache_that_cannot_be_written(tmp_path):
    write_parquet(tmp_path / "a.parquet", ["a"])
    (tmp_path / "file").write_text("not a folder")
    with pytest.warns(UserWarning, match="file cannot be written .*using a temporary file"):
        loaded = load_dataset("parquet", data_files=str(tmp_path / "a.parquet"), cache_dir=tmp_path / "file")
    assert loaded["train"]["text"] == ["a"]


BAD_FILES = {
    "parquet": (b"PAR1 not parquet", "bad.parquet"),
    "arrow": (b"\xff\xff\xff\xff not arrow", "bad.arrow"),
    "csv": (b"a,b\n1,2\n3,4,5\n", "bad.csv.*3"),
    "json": (b'{"a": 1}\n{"a": \n', "bad.json"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_damaged_files_are_named(tmp_path, kind):
    content, message = BAD_FILES[kind]
    (tmp_path / f"bad.{kind}").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load_dataset(kind, data_files=str(tmp_path / f"bad.{kind}"))
    assert not list((tmp_path / "hf-home" / "minift").iterdir())  # nothing half-written


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_truncated_files_are_named(tmp_path, kind):
    file = tmp_path / f"cut.{kind}"
    if kind == "parquet":
        write_parquet(file, ["a"] * 1000)
    else:
        schema = pa.schema({"n": pa.int64()})
        with pa.ipc.new_stream(str(file), schema) as writer:
            writer.write_table(pa.table({"n": range(1000)}))
    whole = file.read_bytes()
    for size in (0, 6, len(whole) // 2, len(whole) - 8, len(whole) - 1):
        file.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=f"cut.{kind}"):
            load_dataset(kind, data_files=str(file))


def test_a_parquet_file_with_damage_inside_is_named(tmp_path):
    file = tmp_path / "scratched.parquet"
    write_parquet(file, [str(i) for i in range(1000)])
    content = bytearray(file.read_bytes())
    content[4:2000] = bytes(1996)
    file.write_bytes(content)
    with pytest.raises(ValueError, match="scratched.parquet"):
        load_dataset("parquet", data_files=str(file))


@pytest.mark.parametrize("path", ["../secret.parquet", "/secret.parquet", "data/../../x"])
def test_a_readme_cannot_name_files_outside_its_repository(tmp_path, path):
    write_parquet(tmp_path / "secret.parquet", ["a"])
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo/README.md").write_text(f"---\nconfigs:\n- config_name: c\n  data_files: {path}\n---\n")
    with pytest.raises(ValueError, match="README.md names files outside its repository"):
        load_dataset(str(tmp_path / "repo"))


def test_files_whose_columns_differ(tmp_path):
    write_parquet(tmp_path / "a.parquet", ["a"])
    pq.write_table(pa.table({"text": ["b"], "other": [1]}), tmp_path / "b.parquet")
    with pytest.raises(
        ValueError, match=r"b.parquet .*its columns are \['text', 'other'\]; expected \['text', 'label'\]"
    ):
        load_dataset("parquet", data_files=str(tmp_path / "*.parquet"))
    write_parquet(tmp_path / "a.parquet", ["a", "b"])
    one_class = Features(text=Value("string"), label=ClassLabel(names=["only"]))
    with pytest.raises(ValueError, match=r"a.parquet .*column 'label': labels from 0 to 1 do not fit"):
        load_dataset("parquet", data_files=str(tmp_path / "a.parquet"), features=one_class)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda f: load_dataset("csv"), ValueError, "data_files="),
        (lambda f: load_dataset("csv", "name", data_files="x"), ValueError, "name='name'"),
        (lambda f: load_dataset("csv", data_files=str(f / "none*.csv")), FileNotFoundError, r"none\*.csv"),
        (lambda f: load_dataset("csv", data_files=[]), TypeError, r"data_files=\[\]"),
        (lambda f: load_dataset("csv", data_files=[{"split": "x"}]), TypeError, "a split and a path in each"),
        (lambda f: load_dataset("csv", data_files=str(f / "latin.csv")), ValueError, "latin.csv .*line 2 is not UTF-8"),
        (lambda f: load_dataset("json", data_files=str(f / "list.json")), ValueError, "list.json .*row 1 is 2; expect"),
        (
            lambda f: load_dataset("csv", data_files=str(f / "latin.csv"), streaming=True, split="train[:1]"),
            ValueError,
            "has no split 'train\\[:1\\]': expected one of \\['train'\\]; a stream has no slices",
        ),
        (lambda f: load_dataset("csv", data_files="x", num_procs=2), ValueError, "'num_procs' is not supported"),
        (lambda f: load_dataset(str(f / "empty")), FileNotFoundError, "holds no data files"),
        (lambda f: load_dataset(str(f / "nowhere")), FileNotFoundError, "nowhere: no such folder"),
        (lambda f: load_dataset(str(f / "notes.csv")), ValueError, r"notes.csv is a file: load_dataset\('csv'"),
        (lambda f: load_dataset(str(f / "saved")), ValueError, "load_from_disk reads it"),
        (lambda f: load_dataset(str(f / "torn")), ValueError, "README.md: its YAML header"),
        (lambda f: load_dataset(str(f / "binary")), ValueError, "README.md: its YAML header"),
    ],
)
def test_bad_calls(tmp_path_factory, call, error, message):
    folder = tmp_path_factory.mktemp("bad")
    (folder / "empty").mkdir()
    (folder / "notes.csv").write_text("a\n1\n")
    (folder / "latin.csv").write_bytes("a\ncafé\n".encode("latin-1"))
    (folder / "list.json").write_text('[{"a": 1}, 2]')
    Dataset.from_dict({"a": [1]}).save_to_disk(folder / "saved")
    (folder / "torn").mkdir()
    (folder / "torn" / "README.md").write_text("---\nconfigs: [\n---\n")
    (folder / "binary").mkdir()
    (folder / "binary" / "README.md").write_bytes(b"---\n\xff\n---\n")
    with pytest.raises(error, match=message):
        call(folder)


@needs_hub
def test_the_real_data():
    mrpc = load_dataset(str(MRPC))  # its only configuration
    assert mrpc.num_rows == {"train": 3668, "validation": 408, "test": 1725}
    assert mrpc["train"].features["label"] == ClassLabel(names=["not_equivalent", "equivalent"])
    assert mrpc["train"].features["idx"] == Value("int32")
    assert load_dataset(str(IMDB), split="unsupervised[:2]").shape == (2, 2)


def test_the_first_split_decides_the_types_of_those_that_have_its_columns(tmp_path):
    """A split without one of its columns has the others; asked for by `features=`, the missing column is an error."""
    (tmp_path / "train.csv").write_text("text,label\na,0.5\n")
    (tmp_path / "test.csv").write_text("text\n7\n")
    files = {split: str(tmp_path / f"{split}.csv") for split in ("train", "test")}
    loaded = load_dataset("csv", data_files=files, cache_dir=tmp_path / "cache")
    assert loaded["test"][:] == {"text": ["7"]}  # text, as in train
    with pytest.raises(ValueError, match=r"test.csv.*expected \['text', 'label'\]"):
        load_dataset("csv", data_files=files, features=loaded["train"].features, cache_dir=tmp_path / "cache")


def test_of_files_that_say_their_types_only_the_split_that_is_asked_for_is_read(tmp_path):
    Dataset.from_dict({"a": [1]}).to_parquet(tmp_path / "test.parquet")
    (tmp_path / "train.parquet").write_bytes(b"damaged")
    assert load_dataset(str(tmp_path), split="test", cache_dir=tmp_path / "cache")["a"][:] == [1]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (
            "---\nconfigs:\n- config_name: default\n  data_dir: ../secret\n---\n",
            "names a folder outside its repository",
        ),
        ("---\nconfigs:\n- config_name: default\n  data_dir: /secret\n---\n", "names a folder outside its repository"),
        ("---\na: &a [1]\nb: [*a, *a]\n---\n", r"aliases \(\*name\) are not supported"),
        ("---\nconfigs:\n- config_name: default\n", "the header does not end: a line --- is missing"),
    ],
)
def test_readmes_that_are_refused(tmp_path, header, message):
    (tmp_path / "train.csv").write_text("text\na\n", encoding="utf-8")
    (tmp_path / "README.md").write_text(header, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        load_dataset(str(tmp_path))
