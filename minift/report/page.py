"""A self-contained page: no script, nothing that is loaded from elsewhere, light and dark, narrow and wide."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

STYLE = """
:root { color-scheme: light dark; --back: #fff; --ink: #1d1d1f; --soft: #6a6a70; --rule: #dcdce0; --box: #f6f6f8;
  --c0: #2f6fde; --c1: #d9622b; --c2: #2b9a66; --c3: #a04ec2; --c4: #c0392b; --c5: #8a7a12; --c6: #0f8b9d; --c7: #777; }
@media (prefers-color-scheme: dark) { :root { --back: #17181b; --ink: #ececef; --soft: #a0a0a8; --rule: #37383e;
  --box: #212227; --c0: #6ea3ff; --c1: #ff9b66; --c2: #5fd09a; --c3: #cf8cf0; --c4: #ff7b6e; --c5: #d8c75a;
  --c6: #57c7d8; --c7: #aaa; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.2rem; max-width: 84rem; background: var(--back); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0.2rem 0; overflow-wrap: anywhere; } h2 { font-size: 1.15rem; margin: 0 0 0.6rem; }
p { margin: 0.3rem 0; } .soft { color: var(--soft); }
.grid-of-boxes { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1rem;
  margin-top: 1rem; align-items: start; }
section { background: var(--box); border: 1px solid var(--rule); border-radius: 8px; padding: 1rem; min-width: 0; }
section.wide { grid-column: 1 / -1; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.7rem; text-align: right; border-bottom: 1px solid var(--rule); vertical-align: top; }
th:first-child, td:first-child, td.text, th.text { text-align: left; }
td.text { overflow-wrap: anywhere; min-width: 14rem; }
td.cell { text-align: center; } td.cell.right { outline: 2px solid var(--c2); outline-offset: -2px; }
.numbers { display: flex; flex-wrap: wrap; gap: 0.4rem 2rem; margin: 0.8rem 0; }
.numbers b { display: block; font-size: 1.5rem; font-variant-numeric: tabular-nums; }
svg { width: 100%; height: auto; display: block; } svg text { font: 12px system-ui, sans-serif; fill: var(--soft); }
.grid { stroke: var(--rule); } .line { fill: none; stroke-width: 2; stroke: var(--c); }
.dot, .bar { fill: var(--c); } .legend { display: flex; flex-wrap: wrap; gap: 0.2rem 1rem; font-size: 0.85rem; }
.legend i { display: inline-block; width: 0.8em; height: 0.8em; border-radius: 2px; background: var(--c);
  margin-right: 0.4em; }
""" + "\n".join(f".c{number} {{ --c: var(--c{number}); }}" for number in range(8))


def page(title: str, below: str, sections: Sequence[str]) -> str:
    """Put sections, as `section` makes them, on a page with a title and a line below it (HTML)."""
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    head += f"<title>{escape(title)}</title>"
    body = f'<h1>{escape(title)}</h1>{below}<div class="grid-of-boxes">{"".join(sections)}</div>'
    return f'<!doctype html>\n<html lang="en"><head>{head}<style>{STYLE}</style></head>\n<body>{body}</body></html>\n'


def section(title: str, content: str, wide: bool = False) -> str:
    """Make a box of the page; without content there is none."""
    kind = ' class="wide"' if wide else ""
    return f"<section{kind}><h2>{escape(title)}</h2>{content}</section>\n" if content else ""


def table(rows: Sequence[Mapping[str, Any]], texts: Sequence[str] = ()) -> str:
    """Make a table of rows, head -> value; the columns named in `texts` hold long texts."""
    if not rows:
        return ""
    kind = {head: ' class="text"' if head in texts else "" for head in rows[0]}
    heads = "".join(f"<th{kind[head]}>{escape(head)}</th>" for head in rows[0])
    lines = "".join(
        "<tr>" + "".join(f"<td{kind[head]}>{escape(written(value))}</td>" for head, value in row.items()) + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table></div>'


def matrix(counts: Sequence[Sequence[int]], names: Sequence[str]) -> str:
    """Make a confusion matrix, (C, C): a row for each class, shaded by its share; the right ones have a frame."""
    heads = "".join(f"<th>{escape(name)}</th>" for name in names)
    lines = []
    for number, (name, row) in enumerate(zip(names, counts, strict=True)):
        cells = ""
        for other, count in enumerate(row):
            share = round(70 * count / max(1, sum(row)))
            right = " right" if number == other else ""
            shade = f"background: color-mix(in srgb, var(--c0) {share}%, transparent)"
            cells += f'<td class="cell{right}" style="{shade}">{count:,}</td>'
        lines.append(f"<tr><th>{escape(name)}</th>{cells}</tr>")
    return (
        '<p class="soft">A row is a class, a column what was predicted.</p><div class="scroll"><table>'
        f"<thead><tr><th></th>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def numbers(values: Mapping[str, Any]) -> str:
    """Make a row of large numbers with their names."""
    return (
        '<div class="numbers">'
        + "".join(
            f'<span class="soft">{escape(name)}<b style="color: var(--ink)">{escape(written(value))}</b></span>'
            for name, value in values.items()
        )
        + "</div>"
    )


def written(value: Any) -> str:
    """Write a value for people: floats with four digits behind the point, or with an exponent if they are small."""
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    return f"{value:.4f}" if value == 0 or 0.001 <= abs(value) < 1000 else f"{value:.4g}"
