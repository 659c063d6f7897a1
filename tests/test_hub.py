"""Hub names through huggingface_hub's own client: from a loopback server, then from the cache without it."""

import pytest

from minift.hub import snapshot
from tests.hub import MRPC, needs_hub
from tests.loopback_hub import LoopbackHub, loopback_hub  # noqa: F401 - a fixture

DATA = """
from minift import load_dataset
data = load_dataset("glue", "mrpc")
print(data, data["train"].features, data["train"][0], sum(data["test"]["label"]))
print(load_dataset("stanfordnlp/imdb", split="test[:2]")[:])
"""
TOKENIZER_AND_CONFIG = """
from minift import AutoConfig, AutoTokenizer
from minift.hub import snapshot
print(AutoTokenizer.from_pretrained("bert-base-uncased")("Hello, world!")["input_ids"])
print(AutoConfig.from_pretrained("distilbert-base-uncased").to_dict())
print(sorted(path.name for path in snapshot("google-bert/bert-base-uncased", allow_patterns=["*.json"]).iterdir()))
"""
MODEL = """
import torch
from minift import AutoModel
model = AutoModel.from_pretrained("sentence-transformers/all-MiniLM-L6-v2").eval()
with torch.no_grad():
    print(model(torch.tensor([[101, 7592, 102]])).last_hidden_state.double().sum().item())
"""


@needs_hub
@pytest.mark.parametrize("code", [DATA, TOKENIZER_AND_CONFIG, MODEL], ids=["data", "tokenizer", "model"])
def test_second_time_from_the_cache(code, tmp_path):
    """Names with and without an organisation, with the server and then with neither server nor network."""
    with LoopbackHub() as hub:
        online = hub.run(code, tmp_path)
        assert hub.requests
    offline = hub.run(code, tmp_path, offline=True)
    assert online.strip()
    assert offline == online


@needs_hub
def test_only_the_files_of_the_configuration_are_fetched(loopback_hub, tmp_path):  # noqa: F811
    loopback_hub.run("import minift; minift.load_dataset('glue', 'mrpc', data_files='mrpc/test-*')", tmp_path)
    files = {path.split("/")[-1] for method, path in loopback_hub.requests if method == "GET" and "resolve" in path}
    assert files == {"README.md", "test-00000-of-00001.parquet"}


def test_a_folder_of_copies_comes_first(tmp_path, monkeypatch):
    """`MINIFT_HUB`: by full name, and by the last part of the name where only one copy has it."""
    for name in ("models/one/bert", "models/one/both", "models/two/both", "datasets/one/glue"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setenv("MINIFT_HUB", str(tmp_path))
    assert snapshot("one/bert") == snapshot("bert") == tmp_path / "models/one/bert"
    assert snapshot("glue", "dataset") == tmp_path / "datasets/one/glue"
    assert snapshot("two/both") == tmp_path / "models/two/both"
    for name, options in (("both", {}), ("glue", {}), ("three/bert", {}), ("one/bert", {"revision": "v1"})):
        with pytest.raises(FileNotFoundError, match=name):
            snapshot(name, local_files_only=True, cache_dir=tmp_path / "cache", **options)


UNKNOWN = """
from minift import load_dataset
from minift.hub import snapshot
for call in (
    lambda: snapshot("nobody/nothing"),
    lambda: snapshot("glue", "dataset", revision="v9"),
    lambda: load_dataset("nobody/nothing"),
):
    try:
        call()
    except FileNotFoundError as error:
        print(str(error).split(" that can be")[0])
"""


@needs_hub
def test_unknown_repositories_are_named(loopback_hub, tmp_path):  # noqa: F811
    assert loopback_hub.run(UNKNOWN, tmp_path).splitlines() == [
        "nobody/nothing: no such folder, and no model repository of that name",
        "glue: no such folder, and no dataset repository of that name at revision 'v9'",
        "nobody/nothing: no such folder, and no dataset repository of that name",
    ]


def test_a_folder_is_itself(tmp_path):
    assert snapshot(tmp_path) == tmp_path
    assert snapshot(str(tmp_path), "dataset") == tmp_path


@pytest.mark.parametrize("name", ["no-such-organisation/no-such-model", "/no/such/folder", "a/b/c"])
def test_neither_folder_nor_repository(name, tmp_path):
    with pytest.raises(FileNotFoundError, match=f"{name}: no such folder"):
        snapshot(name, cache_dir=tmp_path, local_files_only=True)


@needs_hub
def test_offline_without_a_cache_names_the_repository(tmp_path):
    code = "from minift import load_dataset\ntry: load_dataset('glue', 'mrpc')\nexcept FileNotFoundError as e: print(e)"
    printed = LoopbackHub(MRPC).run(code, tmp_path, offline=True)
    assert printed.startswith("glue: no such folder, and no dataset repository of that name")
