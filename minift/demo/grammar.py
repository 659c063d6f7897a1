"""Sentences with structure worth learning: reviews of films, and pairs that may say the same.

A review is praise or blame by its adjectives, and there are sixty-four of these: a few labelled reviews do not hold
them all, but unlabelled ones show which keep company. Two sentences are equivalent if both report the same event, in
other words or in another order. If they are not, one thing differs: whether it happened, who did it to whom, what, or
where.
"""

import random
from dataclasses import dataclass, replace

# -- reviews

# fmt: off
PRAISE = [
    "absorbing", "brilliant", "charming", "clever", "daring", "delightful", "elegant", "fresh",
    "funny", "graceful", "gripping", "heartfelt", "honest", "inspired", "joyful", "lively",
    "luminous", "memorable", "moving", "playful", "polished", "radiant", "rousing", "sincere",
    "splendid", "stirring", "superb", "tender", "touching", "vivid", "warm", "witty",
]
BLAME = [
    "awkward", "bland", "boring", "clumsy", "confusing", "contrived", "dismal", "drab",
    "dreary", "dull", "feeble", "flat", "forced", "grating", "hollow", "inept",
    "joyless", "lazy", "lifeless", "limp", "messy", "muddled", "murky", "pointless",
    "predictable", "shallow", "sloppy", "stale", "tedious", "trite", "weak", "wooden",
]
# fmt: on
PARTS = ["film", "plot", "acting", "ending", "music", "cast", "script", "opening", "story", "humour", "lead"]
REVIEWS = [
    "{0}, {1} {part} and {2}, {3} {other}",
    "{0} {part}, {1} {other}, {2} and {3} to the end",
]


def review(rng: random.Random) -> tuple[str, int]:
    """Return a review of four adjectives, and 1 if they are praise (three in five), 0 if they are blame.

    In one review of five, one adjective is of the other kind.
    """
    praise = rng.random() < 0.6
    words = rng.sample(PRAISE if praise else BLAME, 4)
    if rng.random() < 0.2:
        words[rng.randrange(4)] = rng.choice(BLAME if praise else PRAISE)
    part, other = rng.sample(PARTS, 2)
    return _sentence(rng.choice(REVIEWS).format(*words, part=part, other=other)), int(praise)


# -- paraphrases

PEOPLE = [("director", "filmmaker"), ("actor", "performer"), ("critic", "reviewer"), ("author", "writer")]
ACTIONS = [("praised", "applauded"), ("blamed", "accused"), ("hired", "employed"), ("helped", "assisted")]
PLACES = ["in Paris", "in Rome", "at the studio", "at the festival"]
NOT_QUITE = ["never", "almost", "hardly"]


@dataclass(frozen=True)
class Event:
    agent: int  # who did what to whom and where, as places in the lists above
    action: int
    patient: int
    place: int
    happened: bool


def paraphrase(rng: random.Random) -> tuple[str, str, int]:
    """Return two sentences, and 1 if they report the same event (three in five), 0 if one thing differs."""
    same = rng.random() < 0.6
    agent, patient = rng.sample(range(len(PEOPLE)), 2)
    event = Event(agent, rng.randrange(len(ACTIONS)), patient, rng.randrange(len(PLACES)), rng.random() < 0.8)
    other = event if same else changed(rng, event)
    first, second = tell(rng, event), tell(rng, other)
    while first == second:
        second = tell(rng, other)
    return first, second, int(same)


def changed(rng: random.Random, event: Event) -> Event:
    """Return `event` with one difference."""
    kind = rng.choices(["happened", "roles", "action", "place"], weights=[5, 2, 2, 2])[0]
    if kind == "happened":
        return replace(event, happened=not event.happened)
    if kind == "roles":
        return replace(event, agent=event.patient, patient=event.agent)
    choices = range(len(ACTIONS if kind == "action" else PLACES))
    return replace(event, **{kind: rng.choice([other for other in choices if other != getattr(event, kind)])})


def tell(rng: random.Random, event: Event) -> str:
    """Return one of the sentences that report `event`: synonyms, active or passive, the place first or last."""
    agent, patient = (f"the {rng.choice(PEOPLE[person])}" for person in (event.agent, event.patient))
    action = rng.choice(ACTIONS[event.action])
    if not event.happened:
        action = f"{rng.choice(NOT_QUITE)} {action}"
    core = f"{agent} {action} {patient}" if rng.random() < 0.6 else f"{patient} was {action} by {agent}"
    return _sentence(rng.choice(["{core} {place}", "{place}, {core}"]).format(core=core, place=PLACES[event.place]))


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
