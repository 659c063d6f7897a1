"""The stages in the terminal, and as a page: one file without anything that is loaded from elsewhere."""

import textwrap
from collections.abc import Sequence
from html import escape

import numpy as np

from minift.report.page import STYLE
from minift.tour.stage import Picture, Stage

SHADES = " ░▒▓█"
MORE_STYLE = """
body { max-width: none; display: grid; grid-template-columns: 13rem 1fr; gap: 1.5rem; }
nav { position: sticky; top: 1.2rem; align-self: start; }
nav a { display: block; color: var(--ink); text-decoration: none; padding: .15rem .5rem;
  border-left: 3px solid var(--rule); }
nav a:hover, nav a:focus { border-color: var(--c0); }
main { max-width: 70rem; min-width: 0; } section { margin-bottom: 1rem; scroll-margin-top: 1rem; }
pre { overflow-x: auto; font: 13px/1.45 ui-monospace, monospace; margin: .5rem 0; } code { font: inherit; }
.heat { display: inline-grid; gap: 1px; font: 11px ui-monospace, monospace; }
.heat i { min-width: 1.1rem; height: 1.1rem; }
.heat b { font-weight: 400; white-space: nowrap; padding-right: .4rem; text-align: right; }
.heads button { font: inherit; margin: 0 .3rem .3rem 0; padding: .1rem .6rem; border: 1px solid var(--rule);
  background: var(--back); color: var(--ink); border-radius: 4px; cursor: pointer; }
.heads button[aria-pressed=true] { border-color: var(--c0); color: var(--c0); }
#tip { min-height: 1.5em; font-variant-numeric: tabular-nums; }
@media (max-width: 700px) { body { grid-template-columns: minmax(0, 1fr); } nav { position: static; }
  nav a { display: inline-block; } }
"""
# heads: a button shows its picture; the pointer on a cell tells its number; arrow keys go from stage to stage
SCRIPT = """
for (const group of document.querySelectorAll('.heads')) {
  const maps = [...group.querySelectorAll('.one')], buttons = [...group.querySelectorAll('button')];
  const show = n => maps.forEach((m, i) => { m.hidden = i !== n; buttons[i].setAttribute('aria-pressed', i === n); });
  buttons.forEach((b, i) => { b.onclick = b.onmouseenter = b.onfocus = () => show(i); });
  if (buttons.length) show(0);
}
document.addEventListener('pointerover', e => {
  const tip = e.target.dataset && e.target.dataset.tip, box = e.target.closest && e.target.closest('section');
  if (tip && box) box.querySelector('.tip').textContent = tip;
});
document.addEventListener('keydown', e => {
  const step = {ArrowRight: 1, ArrowLeft: -1}[e.key], all = [...document.querySelectorAll('section')];
  if (!step) return;
  const now = all.findIndex(s => s.getBoundingClientRect().bottom > 60);
  const next = all[Math.min(all.length - 1, Math.max(0, now + step))];
  next.scrollIntoView(); history.replaceState(null, '', '#' + next.id);
});
"""


def as_text(stage: Stage, number: int, count: int, width: int = 80) -> str:
    """Write a stage for a terminal of this width."""
    lines = [f"── {number} of {count}: {stage.title} ".ljust(width, "─"), "", *textwrap.wrap(stage.text, width), ""]
    lines += [f"shape   {stage.shape}", ""]
    lines += [fact[:width] for fact in stage.facts[:30]]
    if len(stage.facts) > 30:
        lines.append(f"… and {len(stage.facts) - 30} more")
    for one in stage.pictures[:1]:
        lines += ["", one.title, *in_shades(one, width)]
    for source in stage.sources:
        lines += [
            "",
            f"{source.file}:{source.line}",
            *(part for line in source.text.splitlines() for part in code(line, width)),
        ]
    return "\n".join(lines) + "\n"


def code(line: str, width: int) -> list[str]:
    """Break a line of code that is wider than the terminal."""
    deeper = " " * (len(line) - len(line.lstrip()) + 8)
    return textwrap.wrap(line, width, subsequent_indent=deeper, break_on_hyphens=False) or [""]


def in_shades(one: Picture, width: int) -> list[str]:
    """Draw a picture with five shades, two letters a number."""
    strength = np.abs(one.numbers) / max(np.abs(one.numbers).max(), 1e-12)
    longest = max(map(len, one.rows))
    columns = max(1, (width - longest - 1) // 2)
    return [
        f"{name:>{longest}} " + "".join(SHADES[round(4 * x)] * 2 for x in row[:columns])
        for name, row in zip(one.rows, strength, strict=True)
    ]


def as_page(stages: Sequence[Stage], title: str) -> str:
    """Write all stages as one page: a list at the side, token chips, pictures, source lines; light and dark."""
    links = "".join(f'<a href="#{stage.name}">{escape(stage.title)}</a>' for stage in stages)
    boxes = "".join(box(stage) for stage in stages)
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    head += f"<title>{escape(title)}</title><style>{STYLE}{MORE_STYLE}</style>"
    body = f"<nav><h1>{escape(title)}</h1>{links}</nav><main>{boxes}</main><script>{SCRIPT}</script>"
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>{body}</body></html>\n'


def box(stage: Stage) -> str:
    facts = "\n".join(map(escape, stage.facts))
    pictures = [heat_map(one) for one in stage.pictures]
    if len(pictures) > 1:
        buttons = "".join(f'<button type="button">{escape(one.title)}</button>' for one in stage.pictures)
        pictures = [f'<div class="heads">{buttons}{"".join(pictures)}</div>']
    sources = "".join(
        f"<details><summary><code>{escape(source.file)}:{source.line}</code></summary><pre>{escape(source.text)}</pre></details>"
        for source in stage.sources
    )
    return (
        f'<section id="{stage.name}"><h2>{escape(stage.title)}</h2><p>{escape(stage.text)}</p>'
        f'<p class="soft">{escape(stage.shape)}</p><pre>{facts}</pre>{"".join(pictures)}'
        f'<p class="soft tip">{"Rest the pointer on a cell." if pictures else ""}</p>{sources}</section>\n'
    )


def heat_map(one: Picture) -> str:
    """Make a grid of shaded cells: blue above 0, orange below; each tells its number."""
    most = max(np.abs(one.numbers).max(), 1e-12)
    cells = []
    for name, row in zip(one.rows, one.numbers, strict=True):
        cells.append(f"<b>{escape(name)}</b>")
        for column, value in zip(one.columns, row, strict=True):
            share, color = round(100 * abs(value) / most), "--c0" if value >= 0 else "--c1"
            tip = escape(f"{name} → {column}: {value:.4f}", quote=True)
            shade = f"background:color-mix(in srgb,var({color}) {share}%,transparent)"
            cells.append(f'<i style="{shade}" data-tip="{tip}"></i>')
    grid = f"grid-template-columns:auto repeat({len(one.columns)},1.1rem)"
    return (
        f'<div class="one scroll"><p class="soft">{escape(one.title)}</p>'
        f'<div class="heat" style="{grid}">{"".join(cells)}</div></div>'
    )
