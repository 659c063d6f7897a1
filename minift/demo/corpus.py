"""A generated corpus with structure worth learning, for a demo without network: reviews and paraphrase pairs.

Words alone decide little in it. A review is praise or blame by its meaning: "not dull" is praise, and what follows
"but" outweighs what comes before. A pair of sentences is equivalent if both tell of the same event, in other words or
in another order; if not, one thing differs: whether it happened, who did it to whom, what, or where.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from minift.data.features import ClassLabel, Features, Value
from minift.files import atomic_path
from minift.model.config import BertConfig
from minift.tokenizer.tokenizer import AutoTokenizer

# -- reviews

PRAISE = ["moving", "clever", "funny", "brilliant", "charming", "gripping", "warm", "fresh", "honest", "thoughtful"]
BLAME = ["dull", "clumsy", "boring", "weak", "predictable", "tedious", "flat", "lazy", "shallow", "confusing"]
PARTS = ["film", "plot", "acting", "ending", "music", "cast", "script", "opening", "story", "humour", "lead"]
DEGREES = ["", "", "very ", "really ", "quite ", "simply ", "surprisingly "]
PLAIN = [
    "the {part} is {word}",
    "the {part} was {word}",
    "I found the {part} {word}",
    "we thought the {part} was {word}",
]
DENIED = [
    "the {part} is not {word}",
    "the {part} was never {word}",
    "the {part} is far from {word}",
    "I did not find the {part} {word}",
    "nobody could call the {part} {word}",
]
AGREEING = ["{first}, and {second}", "{first}. Also, {second}"]
SECOND_WINS = ["{first}, but {second}", "although {first}, {second}", "{first}. Still, {second}"]
FIRST_WINS = ["{first}, although {second}", "{first}, even if {second}"]


def review(rng: random.Random) -> tuple[str, int]:
    """One or two statements about a film, and 1 if they come out as praise (three in five), 0 if as blame."""
    praise = rng.random() < 0.6
    forms, first, second = rng.choices(
        [
            (["{first}"], praise, praise),
            (AGREEING, praise, praise),
            (SECOND_WINS, not praise, praise),
            (FIRST_WINS, praise, not praise),
        ],
        weights=[4, 3, 2, 1],
    )[0]
    part, other = rng.sample(PARTS, 2)
    text = rng.choice(forms).format(first=statement(rng, part, first), second=statement(rng, other, second))
    return _sentence(text), int(praise)


def statement(rng: random.Random, part: str, praise: bool) -> str:
    """A clause that praises or blames a part of the film, outright or (one in four) by denying the opposite."""
    if rng.random() < 0.25:
        return rng.choice(DENIED).format(part=part, word=rng.choice(BLAME if praise else PRAISE))
    word = rng.choice(DEGREES) + rng.choice(PRAISE if praise else BLAME)
    return rng.choice(PLAIN).format(part=part, word=word)


# -- paraphrases

PEOPLE = [("director", "filmmaker"), ("actor", "performer"), ("critic", "reviewer"), ("author", "writer")]
ACTIONS = [("praised", "applauded"), ("blamed", "accused"), ("hired", "employed"), ("helped", "assisted")]
PLACES = ["in Paris", "in Rome", "at the studio", "at the festival"]
NOT_QUITE = ["never", "almost", "hardly"]


@dataclass(frozen=True)
class Event:
    """Who did what to whom and where, as indices into the lists of words above, and whether it happened."""

    agent: int
    action: int
    patient: int
    place: int
    happened: bool


def paraphrase(rng: random.Random) -> tuple[str, str, int]:
    """Two sentences, and 1 if they tell of the same event (three in five), 0 if one thing differs."""
    same = rng.random() < 0.6
    agent, patient = rng.sample(range(len(PEOPLE)), 2)
    event = Event(agent, rng.randrange(len(ACTIONS)), patient, rng.randrange(len(PLACES)), rng.random() < 0.8)
    other = event if same else changed(rng, event)
    first, second = tell(rng, event), tell(rng, other)
    while first == second:
        second = tell(rng, other)
    return first, second, int(same)


def changed(rng: random.Random, event: Event) -> Event:
    """`event` with one difference."""
    kind = rng.choices(["happened", "roles", "action", "place"], weights=[5, 2, 2, 2])[0]
    if kind == "happened":
        return replace(event, happened=not event.happened)
    if kind == "roles":
        return replace(event, agent=event.patient, patient=event.agent)
    choices = range(len(ACTIONS if kind == "action" else PLACES))
    return replace(event, **{kind: rng.choice([other for other in choices if other != getattr(event, kind)])})


def tell(rng: random.Random, event: Event) -> str:
    """One of the sentences that report `event`: synonyms, active or passive, the place first or last."""
    agent, patient = (f"the {rng.choice(PEOPLE[person])}" for person in (event.agent, event.patient))
    action = rng.choice(ACTIONS[event.action])
    if not event.happened:
        action = f"{rng.choice(NOT_QUITE)} {action}"
    core = f"{agent} {action} {patient}" if rng.random() < 0.6 else f"{patient} was {action} by {agent}"
    return _sentence(rng.choice(["{core} {place}", "{place}, {core}"]).format(core=core, place=PLACES[event.place]))


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


# -- files

SPLITS = {"train": 3600, "validation": 450, "test": 450}
UNLABELLED = {"unsupervised": 6000}  # more reviews, with the label -1, as IMDb has them
CONFIGS: dict[str, tuple[Callable[[random.Random], tuple], Features]] = {
    "reviews": (review, Features(text=Value("string"), label=ClassLabel(names=["negative", "positive"]))),
    "paraphrases": (
        paraphrase,
        Features(
            sentence1=Value("string"),
            sentence2=Value("string"),
            label=ClassLabel(names=["not_equivalent", "equivalent"]),
        ),
    ),
}


def splits_of(config: str) -> dict[str, int]:
    """The splits of a configuration and their numbers of rows."""
    return SPLITS | (UNLABELLED if config == "reviews" else {})


def write_corpus(folder: str | Path, seed: int = 0) -> Path:
    """Write the configurations "reviews" (the default one) and "paraphrases" as a Hub repository lays them out.

    Each has the `SPLITS` train, validation and test, and the reviews an unlabelled one: Parquet files whose schemas
    carry the features. No text, nor pair in either order, occurs twice in a configuration. The same `seed` gives the
    same rows. What was at `folder` is replaced.
    """
    with atomic_path(folder) as fresh:
        for config, (make, features) in CONFIGS.items():
            rows = _distinct(make, random.Random(f"{config} {seed}"))
            for split, size in splits_of(config).items():
                *texts, labels = zip(*(next(rows) for _ in range(size)), strict=True)
                labels = [-1] * size if split in UNLABELLED else labels
                table = pa.table([list(column) for column in (*texts, labels)], schema=features.arrow_schema)
                path = fresh / config / f"{split}-00000-of-00001.parquet"
                path.parent.mkdir(parents=True, exist_ok=True)
                pq.write_table(table, path)
        (fresh / "README.md").write_text(_card(seed), encoding="utf-8")
    return Path(folder)


def _distinct(make: Callable[[random.Random], tuple], rng: random.Random) -> Iterator[tuple]:
    """Rows of `make`, the texts of each once."""
    seen = set()
    while True:
        *texts, label = make(rng)
        if frozenset(texts) not in seen:
            seen.add(frozenset(texts))
            yield *texts, label


def _card(seed: int) -> str:
    """README.md: the header says where the splits are and what the columns hold, for `load_dataset`."""
    header = {
        "configs": [
            {
                "config_name": config,
                "data_files": [{"split": split, "path": f"{config}/{split}-*"} for split in splits_of(config)],
                **({"default": True} if config == "reviews" else {}),
            }
            for config in CONFIGS
        ],
        "dataset_info": [
            {
                "config_name": config,
                "features": [{"name": name, "dtype": _yaml_type(feature)} for name, feature in features.items()],
                "splits": [{"name": split, "num_examples": size} for split, size in splits_of(config).items()],
            }
            for config, (_, features) in CONFIGS.items()
        ],
    }
    text = f"Generated by `minift demo` with seed {seed}: short reviews, and pairs of sentences. No one wrote them."
    return f"---\n{yaml.safe_dump(header, sort_keys=False)}---\n\n{text}\n"


def _yaml_type(feature: Value | ClassLabel) -> str | dict:
    if isinstance(feature, Value):
        return feature.dtype
    return {"class_label": {"names": {str(i): name for i, name in enumerate(feature.names)}}}


# -- a model to train on it

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def train_vocabulary(texts: list[str], size: int = 600) -> list[str]:
    """The tokens of a lower-cased WordPiece vocabulary trained on `texts`, at most `size`, in the order of their ids.

    The five special tokens come first. WordPiece: Wu et al., 2016, https://arxiv.org/abs/1609.08144.
    """
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    # The trainer numbers letters inside words as a hash map meets them and breaks ties by number: naming them
    # beforehand makes every run give the same vocabulary.
    letters = sorted(filter(str.isalnum, set(tokenizer.normalizer.normalize_str("".join(texts)))))
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        special_tokens=[*SPECIAL_TOKENS, *(f"##{letter}" for letter in letters)],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    vocabulary = tokenizer.get_vocab()
    return sorted(vocabulary, key=vocabulary.get)


def write_model(folder: str | Path, corpus: str | Path, vocab_size: int = 600) -> Path:
    """Write the folder of a small BERT without weights: a vocabulary trained on the training splits of the corpus at
    `corpus`, the tokenizer's files, and config.json."""
    texts = []
    for config, (_, features) in CONFIGS.items():
        table = pq.read_table(next((Path(corpus) / config).glob("train-*.parquet")))
        texts += [text for name, feature in features.items() if name != "label" for text in table[name].to_pylist()]
    vocabulary = train_vocabulary(texts, vocab_size)
    with atomic_path(folder) as fresh:
        fresh.mkdir()
        (fresh / "vocab.txt").write_text("".join(f"{token}\n" for token in vocabulary), encoding="utf-8")
        AutoTokenizer.from_pretrained(fresh, model_max_length=64).save_pretrained(fresh)
        BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=512,
            max_position_embeddings=64,
        ).save_pretrained(fresh)
    return Path(folder)
