"""The five course pages as scripts: their blocks joined in order, and the figures that they print.

The pages are read from ../shared/seeds. Here are only line numbers: which lines are code, which have lost their
indentation, and which are output that does not depend on the weights.

Trainings stop after a few steps, and most reviews of IMDb are cut short. With MINIFT_WHOLE_PAGES=1 every training
takes its 1,377 steps and IMDb is whole (on one core: some 10 minutes), and more figures are compared.
"""

import ast
import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

WHOLE = os.environ.get("MINIFT_WHOLE_PAGES") == "1"
SEEDS = Path(__file__).resolve().parents[2] / "shared" / "seeds"


def lines_of(ranges: str) -> list[list[int]]:
    """ "3-5 9" -> [[3, 4, 5], [9]]."""
    pairs = [part.partition("-")[::2] for part in ranges.split()]
    return [list(range(int(first), int(last or first) + 1)) for first, last in pairs]


@dataclass(frozen=True)
class Page:
    """Lines count from 1."""

    file: str
    blocks: str
    """The code, a range for each block."""
    figures: str
    """Printed lines that must be printed again."""
    deeper: str = ""
    """Ranges to indent by one level; a line in two ranges is indented by two."""
    also: tuple[str, ...] = ()
    """Figures within lines that hold other numbers too, and those of minift's own log."""
    instead: dict[str, str] = field(default_factory=dict)
    """What a test on a CPU cannot do -> what it does instead."""
    shorter: dict[str, str] = field(default_factory=dict)
    """The same, for what it can do in minutes."""
    whole_figures: str = ""
    whole_also: tuple[str, ...] = ()
    """Figures that come out when nothing is made shorter."""

    @property
    def path(self) -> Path:
        return SEEDS / self.file

    def script(self) -> str:
        """The page's code as one script that, like a notebook, shows the value of the last line of each block."""
        text = ["", *self.path.read_text(encoding="utf-8").splitlines()]
        for numbers in lines_of(self.deeper):
            text[numbers[0] : numbers[-1] + 1] = ["    " + text[number] for number in numbers]
        blocks = ["\n".join(without_diff_marks([text[n] for n in numbers])) for numbers in lines_of(self.blocks)]
        code = "\n".join(["import sys", *map(show_last_value, blocks)])
        for old, new in (self.instead | ({} if WHOLE else self.shorter)).items():
            if old not in code:
                raise ValueError(f"{self.file} has no {old!r}")
            code = code.replace(old, new)
        return code

    def missing_figures(self, printed: str) -> Counter[str]:
        """The figures that are not in `printed`, or not as often as on the page."""
        text = self.path.read_text(encoding="utf-8").splitlines()
        ranges, also = self.figures, self.also
        if WHOLE:
            ranges, also = f"{ranges} {self.whole_figures}", also + self.whole_also
        figures = [text[n - 1] for numbers in lines_of(ranges) for n in numbers] + list(also)
        found, expected = plain(printed), Counter(map(plain, figures))
        missing = {figure: count - found.count(figure) for figure, count in expected.items() if figure}
        return +Counter(missing)


def without_diff_marks(lines: list[str]) -> list[str]:
    """Apply a block that is shown as a change: lines with ``- `` go, those with ``+ `` stay, without the mark."""
    marks = re.compile(r"^( *)\+ ")
    return [marks.sub(r"\1", line) for line in lines if not line.lstrip().startswith("- ")]


def show_last_value(block: str) -> str:
    last = ast.parse(block).body[-1]
    if not isinstance(last, ast.Expr):
        return block
    before = block.splitlines()[: last.lineno - 1]
    return "\n".join([*before, f"sys.displayhook({ast.get_source_segment(block, last.value)})"])


def plain(text: str) -> str:
    """`text` without spaces, line ends, comments, escapes and outer brackets, and with lists of names in order.

    Those are what distinguishes a page's layout, and the releases of the libraries that printed it, from minift's.
    """
    text = re.sub(r"#\D.*", "", text)
    text = re.sub(r"[\s\\]", "", text).replace('"', "'")
    text = re.sub(r"\[('\w+'(?:,'\w+')*)\]", lambda names: str(sorted(names[1].split(","))).replace('"', ""), text)
    return text.replace(" ", "").strip("{},").removesuffix("...")


TWENTY_STEPS = {'TrainingArguments("test-trainer"': 'TrainingArguments("test-trainer", max_steps=20'}
PAGES = {
    "keras": Page(
        "000_e1c901546f33d70d.txt",
        blocks="5-28 34-35 42-51 58-67 68-69 74-77 79 86 89-90 96-98",
        deeper="12",
        figures="91",
        shorter={"model.fit(": "model.fit(steps_per_epoch=20, x="},
    ),
    "pipeline_and_trainer": Page(
        "001_c51b7d1d2616718f.txt",
        blocks=(
            "78-81 86-89 137-143 164-173 192-195 224-228 232 241 247-250 258 288-291 313-314 319-321 326 340-343 "
            "347-348 355-360 366-367 375-376 405-416 422-424 430-432 438-447 453 485 493-494 505-506 510-513 520-524 "
            "528-538 542 582-588 592 608-611 619-621 644-646 650-654 659-660"
        ),
        figures="179 180 183 233 259 292-305 315-318 349-351 380-393 486-489 495 595-599 655 661-664",
        also=("[408 rows x 4 columns]", "sentence1, sentence2, idx", *("TrainOutput(global_step=",) * 2),
        shorter=TWENTY_STEPS,
        whole_also=("TrainOutput(global_step=1377,",) * 2,
    ),
    "trainer": Page(
        "002_20d9e5740f3b3259.txt",
        blocks="20-33 39-41 47-49 55-64 70 81-82 89-91 95-98 105-109 113-124 128",
        figures="83",
        also=("TrainOutput(global_step=",) * 2,
        shorter=TWENTY_STEPS,
        whole_also=("TrainOutput(global_step=1377,",) * 2,
    ),
    "masked_language_model": Page(
        "003_83950af2efa76090.txt",
        blocks=(
            "40-43 47-49 55 59-61 65-76 89-92 110-114 137-148 168 177 184-187 194-198 203-209 226-240 246-247 265 270 "
            "279-281 285-290 303-338 342-346 355-361 387-405 413-422 432-435 440 444-445 464-468 472-484 488-500 504 "
            "508-510 514-519 523-534 540 549 554-597 611-615 619-622"
        ),
        figures="51 93-106 116-117 119-120 122-123 149-162 169 188-190 199 210-217 266 271",
        also=("features: ['attention_mask', 'input_ids', 'labels', 'word_ids']",) * 5,
        instead={
            "train_size = 10_000": "train_size = 40",
            "batch_size = 64": "batch_size = 8",
            "    push_to_hub=True,\n": "",
        },
        whole_figures="248-261",
    ),
    "plain_loop": Page(
        "004_5adb85ed6b24679e.txt",
        blocks="4-12 27-30 34-40 42-44 52-53 55-56 64-65 68-77 82-85 89-101 108-118 124-148 150-180 192-218",
        deeper="10 43 93-101 94-101 112-117 114 140-148 141-148 171-180 172-180 211-218 212-218",
        figures="32 47 78",
        also=("torch.Size([8, 2])", "'accuracy'", "'f1'"),
        shorter={
            f"{loader}:\n        ": f"(batch for _, batch in zip(range(20), {loader})):\n        "
            for loader in ("train_dataloader", "train_dl")
        },
    ),
}
