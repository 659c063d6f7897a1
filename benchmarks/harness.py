"""Two sides in one run: checked equal, warmed up, then timed in turns; what comes out is a ratio and its range."""

import gc
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from statistics import median
from types import MappingProxyType
from typing import Any, NamedTuple

LEAST_SECONDS = 0.02  # a sample repeats its call until it takes this long, so that the clock's steps do not show


class Refused(Exception):
    """A side gave another answer than its peer: however fast it is, it is not timed."""


class Timed(NamedTuple):
    """What a side returns that has taken the time itself, of the part that counts."""

    seconds: float
    made: Any = None
    facts: Mapping[str, Any] = MappingProxyType({})  # measured beside the time, such as the peak of memory
    timed_itself: bool = True


@dataclass(frozen=True)
class Side:
    """One way to do the work.

    Attributes:
        name: minift's option, or the library's call.
        run: does the work once and returns what it made, for `check`.
        check: given what the peer made and what this side made; raises `Refused` where they differ.
        target: the ratio to reach, peer's seconds over this side's.
        floor: seconds of what has to be done anyway, done without either library, or a function that does it. A side
            only goes below by doing less, as minift does for texts that its tokenizer need not normalise.
    """

    name: str
    run: Callable[[], Any]
    check: Callable[[Any, Any], None] | None = None
    target: float | None = None
    floor: Callable[[], Any] | float | None = None


@dataclass(frozen=True)
class Case:
    """A piece of work, the library that is the peer, and one or several of minift's ways beside it."""

    name: str
    peer: Side
    ours: list[Side]
    repeats: int | None = None  # where the stage's own number is too many
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Work:
    """Something to do at several sizes.

    `prepare` makes, from a size, what is timed: a function for each side, minift's first.
    """

    name: str
    size: str
    sizes: list[int]
    prepare: Callable[[int], dict[str, Callable[[], Any]]]


class Spread(NamedTuple):
    """The middle of some samples, and their range."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, samples: list[float]) -> "Spread":
        return cls(median(samples), min(samples), max(samples))


@dataclass(frozen=True)
class Row:
    """A line of the report: every sample of one side, of its peer and of its floor, in the order of the rounds."""

    stage: str
    case: str
    side: str
    peer: str
    target: float | None
    seconds: list[float]
    peer_seconds: list[float]
    floor_seconds: list[float] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> Spread:
        """How many times as fast as the peer: round by round, since both sides of a round saw the same machine."""
        return Spread.of([theirs / ours for theirs, ours in zip(self.peer_seconds, self.seconds, strict=True)])

    @property
    def floor_ratio(self) -> float | None:
        """The ratio that a side at the floor would have."""
        return median(self.peer_seconds) / median(self.floor_seconds) if self.floor_seconds else None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def line(self) -> str:
        """The row as printed while the benchmarks run."""
        ratio = self.ratio
        target = "" if self.target is None else f"target {self.target:.3g}×"
        floor = "" if self.floor_ratio is None else f"floor {self.floor_ratio:.3g}×"
        verdict = "" if self.target is None else "reached" if ratio.median >= self.target else "BELOW"
        return (
            f"  {self.case:<44.44} {self.side:<24.24} {show(median(self.seconds)):>9} | {self.peer} "
            f"{show(median(self.peer_seconds))} | {ratio.median:.3g}× ({ratio.low:.3g}–{ratio.high:.3g}) "
            + "  ".join(part for part in (target, verdict, floor) if part)
        )


def measure(stage: str, case: Case, repeats: int) -> Iterator[Row]:
    """Run every side once, refuse wrong answers, then time all sides in turns, `repeats` rounds.

    Raises:
        Refused: a side's answer is not its peer's. Nothing has been timed then.
    """
    works = {"peer": case.peer.run} | {f"ours {i}": side.run for i, side in enumerate(case.ours)}
    made, calls = {}, {}
    for key, work in works.items():
        made[key], calls[key] = warm_up(work)
    for i, side in enumerate(case.ours):
        if side.check is not None:
            try:
                side.check(made["peer"], made[f"ours {i}"])
            except Refused as error:
                raise Refused(f"{stage}, {case.name}, {side.name} beside {case.peer.name}: {error}") from None
    made.clear()
    for i, side in enumerate(case.ours):
        if callable(side.floor):
            works[f"floor {i}"] = side.floor
            _, calls[f"floor {i}"] = warm_up(side.floor)
    seconds, facts = _time_in_turns(works, calls, case.repeats or repeats)
    for i, side in enumerate(case.ours):
        floor = seconds.get(f"floor {i}") or ([] if side.floor is None else [float(side.floor)])
        more = {**case.facts, **facts[f"ours {i}"]} | {f"peer_{name}": value for name, value in facts["peer"].items()}
        yield Row(
            *(stage, case.name, side.name, case.peer.name, side.target),
            *(seconds[f"ours {i}"], seconds["peer"], floor, more),
        )


def warm_up(work: Callable[[], Any]) -> tuple[Any, int]:
    """What the work makes, and how often to call it for one sample."""
    first = clock(work)
    if first.timed_itself or first.seconds > 10 * LEAST_SECONDS:
        return first.made, 1
    return first.made, max(1, math.ceil(LEAST_SECONDS / clock(work).seconds))


def _time_in_turns(
    works: dict[str, Callable[[], Any]], calls: dict[str, int], repeats: int
) -> tuple[dict[str, list[float]], dict[str, dict]]:
    """Samples of every work; each round starts with another one, so that none always follows the same."""
    seconds, facts = {name: [] for name in works}, {}
    names = list(works)
    for turn in range(repeats):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            gc.collect()
            sample = clock(works[name], calls[name])
            seconds[name].append(sample.seconds)
            facts[name] = sample.facts
    return seconds, facts


def clock(work: Callable[[], Any], calls: int = 1) -> Timed:
    """The seconds of one call: the clock's over `calls` of them, or those that the work has taken itself."""
    start = time.perf_counter()
    for _ in range(calls):
        made = work()
    elapsed = (time.perf_counter() - start) / calls
    return made if isinstance(made, Timed) else Timed(elapsed, made, timed_itself=False)


def show(seconds: float) -> str:
    """Seconds in the unit that suits them."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"
