"""The generated corpus: its files, its balance, that words alone do not solve it, and that a seed decides it."""

import random
import re
import subprocess
import sys
from collections import Counter

import pyarrow.parquet as pq
import pytest

import minift
from minift.data.features import ClassLabel, Features
from minift.demo import grammar
from minift.demo.corpus import CONFIGS, SPLITS, UNLABELLED, train_vocabulary, write_corpus, write_model
from minift.demo.grammar import Event, paraphrase, review
from minift.model.config import AutoConfig
from minift.tokenizer.classes import AutoTokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("demo") / "corpus")


@pytest.fixture(scope="module")
def model(folder):
    return write_model(folder.parent / "model", folder)


def rows(folder, config, split) -> list[tuple]:
    table = pq.read_table(folder / config / f"{split}-00000-of-00001.parquet")
    return [tuple(row.values()) for row in table.to_pylist()]


@pytest.mark.parametrize("config", CONFIGS)
def test_splits_are_balanced_and_share_no_text(folder, config):
    seen = Counter()
    for split, size in CONFIGS[config].splits.items():
        split_rows = rows(folder, config, split)
        assert len(split_rows) == size
        if split in UNLABELLED:
            assert {row[-1] for row in split_rows} == {-1}
        else:
            assert 0.52 < sum(row[-1] for row in split_rows) / size < 0.68
        seen.update(frozenset(row[:-1]) for row in split_rows)
    assert set(seen.values()) == {1}


@pytest.mark.parametrize("config", CONFIGS)
def test_the_schema_names_the_classes(folder, config):
    schema = pq.read_schema(folder / config / "train-00000-of-00001.parquet")
    features = Features.from_arrow_schema(schema)
    assert features == CONFIGS[config].features
    assert isinstance(features["label"], ClassLabel)


def test_minift_loads_it(folder):
    data = minift.load_dataset(str(folder), "paraphrases")
    assert {split: len(rows) for split, rows in data.items()} == SPLITS
    assert data["train"].features["label"].names == ["not_equivalent", "equivalent"]
    assert minift.load_dataset(str(folder))["test"].column_names == ["text", "label"]


def test_datasets_loads_it(folder, tmp_path):
    import datasets

    data = datasets.load_dataset(str(folder), "reviews", cache_dir=tmp_path)
    assert {split: len(rows) for split, rows in data.items()} == SPLITS | UNLABELLED
    assert data["train"].features["label"].names == ["negative", "positive"]
    assert data["train"][0]["text"] == rows(folder, "reviews", "train")[0][0]


def test_a_seed_decides_every_byte(folder, model, tmp_path):
    """In another process, where hash maps are laid out in another order."""
    code = (
        "import sys; from minift.demo.corpus import *; to = sys.argv[1]\n"
        "write_model(to + '/m', write_corpus(to + '/c'))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    for written, expected in ((tmp_path / "c", folder), (tmp_path / "m", model)):
        files = sorted(path.relative_to(expected) for path in expected.rglob("*") if path.is_file())
        assert files
        assert all((written / file).read_bytes() == (expected / file).read_bytes() for file in files)
    other = write_corpus(tmp_path / "other", seed=1)
    assert rows(other, "reviews", "train") != rows(folder, "reviews", "train")


def test_labels_follow_the_meaning():
    rng = random.Random(0)
    assert len({*grammar.PRAISE, *grammar.BLAME}) == len(grammar.PRAISE) + len(grammar.BLAME) == 64
    for _ in range(2000):
        text, label = review(rng)
        words = set(re.findall(r"\w+", text.lower()))
        praise, blame = len(words & set(grammar.PRAISE)), len(words & set(grammar.BLAME))
        assert praise + blame == 4
        assert (praise > blame) == bool(label), text


def event_of(sentence: str) -> Event:
    """Read one sentence of a pair back."""
    text = sentence.lower().rstrip(".")
    people = sorted(
        (text.index(f"the {name}"), i) for i, names in enumerate(grammar.PEOPLE) for name in names if name in text
    )
    (_, subject), (_, other) = people
    agent, patient = (other, subject) if " was " in text else (subject, other)
    (action,) = (i for i, words in enumerate(grammar.ACTIONS) if any(word in text for word in words))
    (place,) = (i for i, words in enumerate(grammar.PLACES) if words.lower() in text)
    return Event(agent, action, patient, place, not any(word in text for word in grammar.NOT_QUITE))


def test_equivalent_pairs_tell_of_the_same_event():
    rng = random.Random(0)
    for _ in range(2000):
        first, second, label = paraphrase(rng)
        assert first != second
        assert (event_of(first) == event_of(second)) == bool(label), (first, second)


def test_words_alone_do_not_solve_it(folder):
    """A linear classifier on bags of words: all reviews teach it every word, sixteen do not; pairs are beyond it."""
    import sklearn.linear_model as linear
    from sklearn.feature_extraction import text

    def score(config, labelled, seed=0):
        bags, known = text.CountVectorizer(), random.Random(seed).sample(rows(folder, config, "train"), labelled)
        asked = rows(folder, config, "test")
        counts = bags.fit_transform(" ".join(row[:-1]) for row in known)
        model = linear.LogisticRegression().fit(counts, [row[-1] for row in known])
        return model.score(bags.transform(" ".join(row[:-1]) for row in asked), [row[-1] for row in asked])

    assert score("paraphrases", 3600) < 0.65
    assert score("reviews", 3600) > 0.98
    assert sum(score("reviews", 16, seed) for seed in range(8)) / 8 < 0.85


def test_the_vocabulary_covers_the_corpus(folder, model):
    tokenizer = AutoTokenizer.from_pretrained(model)
    assert AutoConfig.from_pretrained(model).vocab_size == len(tokenizer) < 700
    assert tokenizer.convert_ids_to_tokens(list(range(5))) == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    for config in CONFIGS:
        texts = [text for row in rows(folder, config, "test") for text in row[:-1]]
        ids = tokenizer(texts)["input_ids"]
        assert tokenizer.unk_token_id not in {i for row in ids for i in row}
        assert max(map(len, ids)) <= tokenizer.model_max_length // 2
    for word in (*grammar.PRAISE, *grammar.BLAME):
        assert tokenizer.tokenize(word) == [word]  # a word is a token: which it keeps company with is learned at once


def test_a_small_vocabulary_is_cut():
    assert len(train_vocabulary(["the plot is dull", "the plot is not dull"], size=40)) <= 40
