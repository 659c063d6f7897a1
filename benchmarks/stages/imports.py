"""What a script's import lines cost, each in a fresh process."""

from collections.abc import Iterator

from benchmarks import child
from benchmarks.harness import Case, Side
from benchmarks.settings import Settings

THEIRS = "start()\nfrom transformers import Trainer\nstop()"
OURS = "start()\nimport minift\nstop()"
OUR_TRAINER = "start()\nfrom minift import Trainer\nstop()"
TORCH = "start()\nimport torch\nstop()"


def cases(settings: Settings) -> Iterator[Case]:
    trainer = Side(
        "from minift import Trainer", lambda: child.run(OUR_TRAINER), target=1, floor=lambda: child.run(TORCH)
    )
    yield Case(
        "import",
        Side("from transformers import Trainer", lambda: child.run(THEIRS)),
        [Side("import minift", lambda: child.run(OURS), target=34)] + ([] if settings.quick else [trainer]),
        repeats=settings.pick(quick=1, full=5),
        facts={"floor": "import torch", "target": "import minift within 0.1 s where the peer takes 3.4 s"},
    )
