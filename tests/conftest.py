"""Settings that every test shares."""

import os
import sys

import pytest

# No test may reach the internet: the libraries answer from local files, or from the loopback server of a test.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")

# pytest-xdist runs two test files at a time: with a thread each, they do not wait for one another's.
if "PYTEST_XDIST_WORKER" in os.environ:
    for threads in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
        os.environ.setdefault(threads, "1")


SLOW_FIRST = ("test_damaged_files", "distributed", "tf", "crosscheck", "libraries", "benchmarks")


def pytest_collection_modifyitems(items):
    """The files and folders of long tests first, so that at the end no process works alone."""
    places = {name: place for place, name in enumerate(SLOW_FIRST)}
    items.sort(key=lambda item: places.get(item.path.stem, places.get(item.path.parent.name, len(places))))


@pytest.fixture(autouse=True)
def _new_state():
    """The states that an Accelerator shares with the next one: each test begins without."""
    yield
    if "minift.accelerator.state" in sys.modules:
        from minift.accelerator.state import AcceleratorState, GradientState

        AcceleratorState.reset(reset_partial_state=True)
        GradientState.reset()


@pytest.fixture
def one_thread():
    """Sums in one order, which equality to the bit needs; and on small matrices threads only wait for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def start(tmp_path_factory):
    """The folder of the demo's small BERT with random weights, without a head; nobody writes to it."""
    from minift.demo.corpus import write_corpus, write_model
    from minift.model.bert import BertModel
    from minift.model.config import BertConfig

    folder = tmp_path_factory.mktemp("start")
    model = write_model(folder / "start", write_corpus(folder / "corpus"))
    BertModel(BertConfig.from_pretrained(model)).save_pretrained(model)
    return model
