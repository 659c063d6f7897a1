"""Draw the README's picture of the pipeline: what each room hands to the next, with its shape.

`python -m benchmarks.pipeline` writes `benchmarks/pictures/pipeline.svg`.
"""

from pathlib import Path
from xml.sax.saxutils import escape

FILE = Path(__file__).parent / "pictures" / "pipeline.svg"

# What a stage holds: its name, its shape, and the numbers of the first batch of MRPC in MiniLM.
FORWARD = [
    ("text", "rows", "3,668 pairs"),
    ("token ids", "lists", "50, 59, 47, … ids"),
    ("input_ids", "(B, T)", "8 × 67"),
    ("states x", "(B, T, E)", "8 × 67 × 384"),
]
BACKWARD = [
    ("weights θ", "(V, E) (E, E) …", "22,713,986 numbers"),
    ("gradients", "as θ", "clipped to norm 1"),
    ("loss", "()", "one number"),
    ("logits", "(B, C)", "8 × 2"),
]
# What leads from one stage to the next: the room, and what it does.
ROOMS = [("tokenizer/", "split, look up"), ("batches/", "pad, mask"), ("model/", "embed, attend")]
ROOMS_BACK = [("optim/", "AdamW"), ("train/", "backward"), ("model/", "cross-entropy")]

WIDTH, HEIGHT, STEP, BOX = 960, 300, 244, 134  # of the picture, from box to box, of a box
TOP, BOTTOM, TALL = 48, 196, 72  # upper edge of the two rows, and the height of a box


def text(x: float, y: float, words: str, kind: str = "") -> str:
    """Write centred words; `kind` is a class of the style sheet."""
    return f'<text x="{x}" y="{y}" class="{kind}">{escape(words)}</text>'


def boxes(stages: list[tuple[str, str, str]], top: int) -> list[str]:
    """Draw a row of stages, from left to right."""
    drawn = []
    for number, (name, shape, example) in enumerate(stages):
        left = 47 + number * STEP
        middle = left + BOX / 2
        drawn.append(f'<rect x="{left}" y="{top}" width="{BOX}" height="{TALL}" rx="8"/>')
        drawn.append(text(middle, top + 25, name, "name"))
        drawn.append(text(middle, top + 44, shape, "shape"))
        drawn.append(text(middle, top + 62, example, "example"))
    return drawn


def arrows(rooms: list[tuple[str, str]], top: int, leftward: bool) -> list[str]:
    """Draw the arrows between the stages of a row, each with its room above and what it does below."""
    drawn = []
    for number, (room, work) in enumerate(rooms):
        left, y = 47 + BOX + number * STEP, top + TALL / 2
        ends = (left + 104, left + 6) if leftward else (left + 6, left + 104)
        drawn.append(f'<line x1="{ends[0]}" y1="{y}" x2="{ends[1]}" y2="{y}"/>')
        drawn.append(text(left + 55, y - 10, room, "room"))
        drawn.append(text(left + 55, y + 20, work, "example"))
    return drawn


def draw() -> str:
    """Return the picture as SVG."""
    last = 47 + 3 * STEP + BOX / 2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'role="img" aria-label="text, token ids, input_ids, states, logits, loss, gradients, weights">',
        "<style>text { font: 13px sans-serif; text-anchor: middle; fill: #24292f }"
        " .name { font-weight: bold; font-size: 15px } .shape { font-family: monospace } .example { fill: #57606a;"
        " font-size: 11.5px } .room { fill: #0550ae; font-family: monospace; font-size: 13px }"
        " rect { fill: #f6f8fa; stroke: #8c959f } line, path { stroke: #24292f; stroke-width: 1.5; fill: none;"
        " marker-end: url(#tip) }</style>",
        '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<polygon points="0,0 8,4 0,8" fill="#24292f"/></marker>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" style="fill: white; stroke: none"/>',
        text(114, 16, "data/", "room"),
        f'<line x1="114" y1="22" x2="114" y2="{TOP - 6}"/>',
        *boxes(FORWARD, TOP),
        *arrows(ROOMS, TOP, leftward=False),
        f'<line x1="{last}" y1="{TOP + TALL + 4}" x2="{last}" y2="{BOTTOM - 6}"/>',
        text(last + 52, 162, "model/heads/", "room"),
        *boxes(BACKWARD, BOTTOM),
        *arrows(ROOMS_BACK, BOTTOM, leftward=True),
        # the updated weights go back into the model
        f'<path d="M 114 {BOTTOM - 4} V 158 H {47 + 2 * STEP + BOX + 55} V {TOP + TALL / 2 + 30}"/>',
        text(360, 151, "the next batch meets the new weights", "example"),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    FILE.write_text(draw(), encoding="utf-8")
