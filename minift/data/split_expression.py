"""Which rows a split expression such as ``train[:10%]+test`` names."""

import re

_PART = re.compile(r"(?P<split>[\w.-]+?)(\[(?P<start>-?\d+%?)?:(?P<stop>-?\d+%?)?\])?")


def parse_split(expression: str) -> list[tuple[str, str | None, str | None]]:
    """Take an expression apart: ``train[:10%]+test`` -> ``[("train", None, "10%"), ("test", None, None)]``."""
    parts = [_PART.fullmatch(part.strip()) for part in expression.split("+")]
    if None in parts:
        raise ValueError(f"split={expression!r}: expected a name, name[from:to], name[from%:to%], or a sum of those")
    return [(part["split"], part["start"], part["stop"]) for part in parts]


def split_range(rows: int, start: str | None, stop: str | None) -> range:
    """The rows between two bounds: numbers of rows, or percentages (rounded to a row); negative: from the end."""
    bounds = []
    for text, default in ((start, 0), (stop, rows)):
        if text is None:
            bounds.append(default)
            continue
        if text.endswith("%"):
            percent = int(text[:-1])
            if abs(percent) > 100:
                raise ValueError(f"{text}: a percentage of a split must be from -100 to 100")
            bound = round(percent * rows / 100)
        else:
            bound = int(text)
        bounds.append(min(max(bound + rows, 0) if bound < 0 else bound, rows))
    return range(bounds[0], max(bounds))
