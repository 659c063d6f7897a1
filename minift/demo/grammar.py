"""Sentences with structure worth learning: reviews of films, and pairs that may say the same.

Single words decide little here. A review is praise or blame by its meaning: "not dull" is praise, and what follows
"but" counts more than what comes before. Two sentences are equivalent if both report the same event, in other words or
in another order. If they are not, one thing differs: whether it happened, who did it to whom, what, or where.
"""

import random
from dataclasses import dataclass, replace

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
    """Return one or two statements about a film, and 1 if they are praise (three in five), 0 if they are blame."""
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
    """Return a clause that praises or blames a part of the film, directly or (one in four) by denying the opposite."""
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
