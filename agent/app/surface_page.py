"""The liquidation surface as one HTML page that needs nothing else: the matrix, the order of falling, and the surface drawn.

Everything that comes from a file or a chain is escaped; there is no script and nothing is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from html import escape

from agent.app.stress import PARTS_PCT, Stress, change_text, percent
from agent.margin.model import State
from agent.margin.shocks import moved_assets
from agent.margin.surface import Member, grid

COLOURS = {
    State.SAFE: "#d7ecd9",
    State.AT_RISK: "#f6e3a8",
    State.LIQUIDATABLE: "#e59a8f",
    State.UNKNOWN: "#c9c9d1",
}
LEVELS = tuple(Fraction(n, 20) for n in range(-14, 15))
CELL = 22

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:62rem;padding:0 1rem;color:#1c1c22;background:#fff}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}
table{border-collapse:collapse;width:100%}td,th{padding:.3rem .6rem;text-align:right;border:1px solid #ddd}
td:first-child,th:first-child{text-align:left}.box{overflow-x:auto}p.note{color:#555}
svg{max-width:100%;height:auto}svg text{font:11px system-ui,sans-serif;fill:#333}
.key span{display:inline-block;padding:0 .5rem;margin-right:.5rem;border:1px solid #999}
"""


def page(title: str, members: Sequence[Member], symbols: Mapping[str, str], found: Stress) -> str:
    """The page as text; `title` is the command's own first line."""
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>",
        f"<h1>{escape(title)}</h1>",
        _key(),
        "<h2>What would be liquidated</h2>",
        f"<p>{escape(_shock_words(found))}</p>",
        _matrix(found),
        "<h2>What falls first</h2>",
        _order(found),
        "<h2>The surface</h2>",
        _surface(members, symbols, found),
        "</body></html>\n",
    ]
    return "\n".join(parts)


def _key() -> str:
    spans = "".join(f'<span style="background:{c}">{s.value}</span>' for s, c in COLOURS.items())
    return f'<p class="key">{spans}</p>'


def _shock_words(found: Stress) -> str:
    words = [f"{name} {change_text(change)} %" for name, change in found.shock.items()]
    if found.vol:
        words.append(f"volatility {change_text(found.vol)} %")
    still = f"; unmoved: {', '.join(found.unmoved)}" if found.unmoved else ""
    return f"The whole shock (100 %) is {', '.join(words)}{still}."


def _matrix(found: Stress) -> str:
    head = "".join(f'<th scope="col">{part} %</th>' for part in PARTS_PCT)
    rows = []
    for r in found.rows:
        cells = "".join(
            f'<td style="background:{COLOURS[s]}">{escape(factor_text(f) if s is not State.UNKNOWN else "UNKNOWN")}</td>'
            for s, f in zip(r.states, r.factors, strict=True)
        )
        why = f"<br><small>{escape(r.member.why)}</small>" if r.member.why else ""
        rows.append(f'<tr><th scope="row">{escape(r.member.name)}{why}</th>{cells}</tr>')
    return (
        '<div class="box"><table><thead><tr><th scope="col">account</th>'
        f"{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def factor_text(factor: int | None) -> str:
    """Two decimals, cut; nothing owed is a dash."""
    if factor is None:
        return "–"
    return f"{factor // 10**18}.{factor % 10**18 // 10**16:02d}" if factor < 10**21 else "> 1000"


def _order(found: Stress) -> str:
    rows = []
    for f in found.falls:
        if f.state is State.UNKNOWN:
            when = "UNKNOWN: it may have fallen already"
        elif f.part is None:
            when = "stands throughout, five times the shock included"
        else:
            when = f"at {percent(f.part)} % of the shock"
        drags = f"; then soon {', '.join(f.drags)}" if f.drags else ""
        rows.append(f"<li>{escape(f.name)}: {escape(when + drags)}</li>")
    return f"<ol>{''.join(rows)}</ol>" if rows else "<p>No account.</p>"


def _surface(members: Sequence[Member], symbols: Mapping[str, str], found: Stress) -> str:
    names = list(found.shock)
    across, up = names[0], names[1] if len(names) > 1 else ""
    groups = [list(moved_assets({n: Fraction(1)}, symbols)) if n else [] for n in (across, up)]
    second = [a for a in groups[1] if a not in groups[0]]
    up, levels = up if second else "", LEVELS
    rows = grid(members, groups[0], second, levels)
    count, left, top = len(levels), 60, 10
    height = top + CELL * len(rows) + 45
    out = [
        f'<svg viewBox="0 0 {left + CELL * count + 10} {height}" role="img" aria-label="Worst state of any account by the change of prices">'
    ]
    for n, row in enumerate(rows):
        y = top + CELL * (len(rows) - 1 - n)
        for k, (state, name) in enumerate(row):
            where = f"{across} {change_text(levels[k])} %" + (
                f", {up} {change_text(levels[n])} %" if up else ""
            )
            out.append(
                f'<rect x="{left + CELL * k}" y="{y}" width="{CELL}" height="{CELL}" fill="{COLOURS[state]}">'
                f"<title>{escape(f'{where}: {state.value} {name}')}</title></rect>"
            )
        if up and n % 4 == 2:
            out.append(
                f'<text x="{left - 6}" y="{y + 15}" text-anchor="end">{change_text(levels[n])} %</text>'
            )
    bottom = top + CELL * len(rows)
    for k in range(2, count, 4):
        x = left + CELL * k + CELL // 2
        out.append(f'<text x="{x}" y="{bottom + 16}" text-anchor="middle">{change_text(levels[k])} %</text>')
    middle = count // 2
    x, y = left + CELL * middle, top + CELL * (len(rows) - 1 - (middle if up else 0))
    out.append(
        f'<rect x="{x}" y="{y}" width="{CELL}" height="{CELL}" fill="none" stroke="#222" stroke-width="2"/>'
    )
    out.append(f'<text x="{left}" y="{bottom + 36}">across: {escape(across)}{escape(f", up: {up}" if up else "")}; the frame is now</text>')  # fmt: skip
    out.append("</svg>")
    note = "The worst state of any account at each change of prices, by each protocol's own arithmetic."
    return f'<p class="note">{note}</p><div class="box">{"".join(out)}</div>'
