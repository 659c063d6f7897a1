"""CSV, JSON and text files: `datasets` reads the same columns, values and types, or both refuse."""

import bz2
import csv
import gzip
import json
import lzma
import zipfile

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import minift

datasets.disable_progress_bars()


def kind_of(type_):
    """pandas 3 has 64-bit offsets in its text columns; the values are the same."""
    return str(type_).replace("large_", "")


def read(library, kind, files, features=None, **options):
    types = None
    if features is not None:
        types = library.Features(
            {
                name: library.ClassLabel(names=dtype) if isinstance(dtype, list) else library.Value(dtype)
                for name, dtype in features.items()
            }
        )
    try:
        data = library.load_dataset(kind, data_files=files, features=types, **options)
    except Exception:
        return "refused"
    return {
        split: (rows.column_names, repr(rows[:]), [kind_of(field.type) for field in rows.features.arrow_schema])
        for split, rows in data.items()
    }


@pytest.fixture
def same(tmp_path, monkeypatch):
    """A function that reads files with both libraries, in a cache of their own, and compares."""

    def check(kind, files, refused=False, **options):
        theirs = read(datasets, kind, files, cache_dir=str(tmp_path / "theirs"), **options)
        ours = read(minift, kind, files, cache_dir=tmp_path / "ours", **options)
        assert ours == theirs
        assert (ours == "refused") == refused

    return check


CSV = {
    "missing values": "text,label,s\na,1,0.5\nb,None,<NA>\nNone,0,0.1\nnan,NA,n/a\n",
    "zeros in front": "a,b\n007,1\n010,2\n",
    "hexadecimal, signs": "a,b,c\n0x10,+1,-0\n0x1f,-2,+0.5\n",
    "integers with blanks": "a,b\n1,\n,x\n3,y\n",
    "large integers": "a,b\n9223372036854775808,18446744073709551615\n1,2\n",
    "floats": "a,b,c,d\n1.5,1e3,.5,inf\n2.,-1E-3,5.,-Infinity\n",
    "whole floats": "a\n1.0\n2.0\n",
    "booleans": "a,b,c\nTrue,true,1\nFalse,FALSE,true\n",
    "booleans with blanks": "a,b\nTrue,1\n,2\n",
    "blanks around": "a,b,c\n 1, x ,1.5 \n2 ,y, 2\n",
    "only blanks": 'a,b\n" ",1\n"",2\n',
    "quoted": 'a,b\n"1","x, y"\n"2","say ""hi"""\n',
    "lines in a cell": 'a,b\n"one\ntwo",1\n"",2\n',
    "windows": "a,b\r\n1,x\r\n2,y\r\n",
    "dates": "a,b,c\n2020-01-01,12:30,2020-01-01T10:00:00\n2020-02-30,x,y\n",
    "no name": ",text\n0,a\n1,b\n",
    "no names": ",,a\n1,2,3\n",
    "twice": "t,t,t.1,t\n1,2,3,4\n",
    "short rows": "a,b,c\n1,2,3\n4,5\n6\n",
    "empty lines": "a,b\n\n1,2\n\n3,4\n\n",
    "one column": "a\nx\n\ny\n",
    "byte order mark": "\ufeffa,b\n1,é\n",
    "all missing": "a,b\n,1\nNA,2\n",
    "mixed": "a,b\n1,x\nx,2\n1.5,3\n",
    "underscores": "a\n1_000\n2\n",
    "no line end": "a,b\n1,2",
    "unicode spaces": "a,b\n\u00a01,2\n3,\u20034\n",
}


@pytest.mark.parametrize("text", ["a,b\n1,2,3\n4,5\n6,7,8,9\n", "a,b\n1,2\n3,4,5\n"])
def test_long_rows_are_refused_or_left_out(same, tmp_path, text):
    text = "a,b\n0,0\n" + text.split("\n", 1)[1]
    (tmp_path / "f.csv").write_text(text)
    same("csv", str(tmp_path / "f.csv"), refused=True)
    same("csv", str(tmp_path / "f.csv"), on_bad_lines="skip")


TABLE = 'x;y,z;"q\'r",u\n1,NA,"a;b",-\n2,,c,7\n\n3,x,d,8\n'
OPTIONS = [
    {"sep": ";"},
    {"delimiter": ";"},
    {"names": list("abcd")},
    {"column_names": list("abcd"), "skiprows": 1},
    {"header": None},
    {"header": 1},
    {"skiprows": 1},
    {"skiprows": [1, 3]},
    {"nrows": 2},
    {"usecols": ["q'r", "x;y"]},
    {"usecols": [0, 3]},
    {"na_values": "-"},
    {"na_values": ["-", "c"]},
    {"keep_default_na": False},
    {"keep_default_na": False, "na_values": ["x"]},
    {"na_filter": False},
    {"quotechar": "'"},
    {"quoting": csv.QUOTE_NONE},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_csv_options(same, tmp_path, options):
    (tmp_path / "f.csv").write_text("x;y,z,q'r,u\n" + TABLE.split("\n", 1)[1])
    same("csv", str(tmp_path / "f.csv"), **options)


FEATURES = [
    {"a": "string", "b": "string"},
    {"a": "int64", "b": "float64"},
    {"a": "int8", "b": "float32"},
    {"a": "float64", "b": ["1.50", "x"]},
    {"a": ["007", "8"], "b": "string"},
]


@pytest.mark.parametrize("features", FEATURES, ids=str)
def test_features_decide_before_anything_is_guessed(same, tmp_path, features):
    (tmp_path / "f.csv").write_text("a,b\n007,1.50\n8,1.50\n")
    same("csv", str(tmp_path / "f.csv"), features=features)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "cp1252"])
def test_encodings(same, tmp_path, encoding):
    (tmp_path / "f.csv").write_text("a,b\né,1\n", encoding=encoding)
    same("csv", str(tmp_path / "f.csv"), encoding=encoding)
    same("csv", str(tmp_path / "f.csv"), refused=True)


JSON = {
    "lines": '{"a": 1, "b": "x"}\n{"a": 2, "b": "y"}\n',
    "keys of later rows": '{"a": 1}\n{"a": 2, "b": "x"}\n{"b": "y", "c": [1]}\n',
    "list": '[{"id": 1}, {"id": 2, "text": "a", "label": 0}]',
    "list over lines": '[\n {"a": 1},\n {"a": 2.5}\n]\n',
    "texts": '["a", "b"]',
    "integers and floats": '{"a": 1}\n{"a": 2.5}\n',
    "null": '{"a": null}\n{"a": 1}\n',
    "structs": '{"a": {"x": 1, "y": "z"}}\n{"a": {"x": null, "y": null}}\n',
    "lists": '{"a": [1, 2]}\n{"a": []}\n{"a": null}\n',
    "dates": '{"a": "2020-01-01", "b": "2020-01-01T10:00:00"}\n',
    "dates in a list": '[{"a": "2020-01-01"}, {"a": "x"}]',
    "byte order mark": '\ufeff{"a": "é"}\n',
    "no line end": '{"a": 1}\n{"a": 2}',
    "empty lines": '{"a": 1}\n\n{"a": 2}\n',
    "columns": '{"a": [1, 2], "b": ["x", "y"]}',
    "large numbers": '{"a": 9223372036854775807}\n{"a": 1e300}\n',
}


FILES = [("csv", name) for name in CSV] + [("json", name) for name in JSON]


@pytest.mark.parametrize(("kind", "name"), FILES)
def test_files(same, tmp_path, kind, name):
    text = {"csv": CSV, "json": JSON}[kind][name]
    (tmp_path / "f").write_text(text, encoding="utf-8", newline="")
    same(kind, str(tmp_path / "f"))


def test_json_field(same, tmp_path):
    (tmp_path / "f.json").write_text(json.dumps({"version": "1", "data": [{"a": 1}, {"a": 2, "b": "x"}]}))
    same("json", str(tmp_path / "f.json"), field="data")
    same("json", str(tmp_path / "f.json"), field="none", refused=True)


def test_several_files(same, tmp_path):
    texts = ['{"t": "a", "l": 1}\n', "", '{"t": "b"}\n', '{"t": "c", "l": 2.0}\n']
    files = [tmp_path / f"{number}.jsonl" for number in range(4)]
    for file, text in zip(files, texts, strict=True):
        file.write_text(text)
    same("json", [str(file) for file in files])
    files[2].write_text('{"t": "b", "new": 1}\n')
    same("json", [str(file) for file in files], refused=True)


def test_the_first_split_decides_the_types(same, tmp_path):
    (tmp_path / "train.csv").write_text("a,b\n0.5,x\n")
    (tmp_path / "test.csv").write_text("a,b\n1,2\n")
    same("csv", {"train": str(tmp_path / "train.csv"), "test": str(tmp_path / "test.csv")})
    same("csv", {"train": str(tmp_path / "test.csv"), "test": str(tmp_path / "train.csv")}, refused=True)


TEXT = "one\ntwo\n\nthree\r\nfour\n\n\nfive"


@pytest.mark.parametrize("sample_by", ["line", "paragraph", "document"])
@pytest.mark.parametrize("keep", [False, True])
def test_text(same, tmp_path, sample_by, keep):
    (tmp_path / "f.txt").write_text(TEXT, newline="")
    same("text", str(tmp_path / "f.txt"), sample_by=sample_by, keep_linebreaks=keep)


@pytest.mark.parametrize("packed", ["gz", "bz2", "xz", "zip"])
@pytest.mark.parametrize(("kind", "text"), [("csv", "a,b\n1,x\n"), ("json", '{"a": 1}\n'), ("text", "x\ny\n")])
def test_compressed(same, tmp_path, packed, kind, text):
    file = tmp_path / f"f.{kind}.{packed}"
    if packed == "zip":
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(f"f.{kind}", text)
    else:
        pack = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}[packed]
        file.write_bytes(pack(text.encode()))
    same(kind, str(file))


def test_parquet(same, tmp_path):
    table = pa.table(
        {
            "words": pa.array(["x", "y", None, "x"]).dictionary_encode(),
            "number": pa.array([1, 2, None, 4], pa.decimal128(10, 2)),
            "day": pa.array([0, 1, None, 3], pa.date32()),
        }
    )
    pq.write_table(table, tmp_path / "f.parquet")
    same("parquet", str(tmp_path / "f.parquet"))
    same("parquet", str(tmp_path / "f.parquet"), columns=["day", "words"])


def folder_of(library, path):
    try:
        return {split: (rows.column_names, rows.num_rows) for split, rows in library.load_dataset(str(path)).items()}
    except Exception:
        return "refused"


FOLDERS = [
    ["train.csv", "test.csv", "config.json", "label_map.json", "vocab.json"],
    ["train.csv", "labels.json"],
    ["a.csv", "b.csv"],
    ["train.csv", "test.jsonl"],
    ["data/train.csv", "data/dev.csv", "README.md", "dataset_infos.json"],
    ["train/a.csv", "test/b.csv"],
    ["train.csv.gz"],
    ["train.txt", "test.txt"],
]
CONTENT = {"csv": "text,label\na,1\n", "json": '{"0": "neg"}', "jsonl": '{"a": 1}\n', "txt": "x\n", "md": "hello\n"}


@pytest.mark.parametrize("names", FOLDERS, ids=str)
def test_folders(tmp_path, names, monkeypatch):
    for name in names:
        file = tmp_path / "folder" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        text = "{}" if "infos" in name else CONTENT[name.split(".")[1]]
        file.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    assert folder_of(minift, tmp_path / "folder") == folder_of(datasets, tmp_path / "folder")
