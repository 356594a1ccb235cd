"""A recipe as a card to print and take to the bench: one HTML page, nothing fetched, every given text escaped."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING

from mediacvae.ingredients import GROUPS, group

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

CAUTION = (
    "A suggestion by a model, not a tested protocol: check solubility, order of mixing, sterilisation and safety "
    "before you make it."
)
_UNITS = ((1.0, "g"), (1e-3, "mg"), (1e-6, "µg"), (1e-9, "ng"))
_STYLE = """
@page { size: A4; margin: 12mm 15mm; }
* { box-sizing: border-box; }
html { background: #e9ece8; }
body { margin: 0; }
article { margin: 8mm auto; padding: 12mm 14mm 10mm; max-width: 210mm; background: #fff; color: #1d2521;
  font: 9.5pt/1.35 "Source Sans 3", "Segoe UI", "Helvetica Neue", Helvetica, Arial, sans-serif; }
header { border-bottom: 2.5pt solid #1f6f54; padding-bottom: 3mm; }
.kind { margin: 0; color: #1f6f54; font-size: 8pt; font-weight: 600; letter-spacing: .12em; text-transform: uppercase; }
h1 { margin: .5mm 0 0; font-size: 19pt; line-height: 1.2; font-weight: 650; overflow-wrap: anywhere; }
h2 { margin: 4.5mm 0 1mm; font-size: 10.5pt; font-weight: 650; color: #1f6f54; }
dl { margin: 3mm 0 0; display: flex; flex-wrap: wrap; gap: 2mm 9mm; }
dt { font-size: 8pt; color: #66726c; }
dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; }
.odds { margin: 4mm 0 0; padding: 2.5mm 4mm; background: #eef5f1; border-left: 2.5pt solid #1f6f54; }
.odds strong { font-size: 13pt; }
.bar { height: 2.2mm; margin-top: 1.5mm; background: #d3e3db; border-radius: 1.1mm; overflow: hidden; }
.bar span { display: block; height: 100%; background: #1f6f54; }
table { width: 100%; margin-top: 3mm; border-collapse: collapse; font-variant-numeric: tabular-nums; }
thead { display: table-header-group; }
th { padding: 1mm 2mm; text-align: left; font-size: 8pt; font-weight: 600; color: #66726c;
  border-bottom: .75pt solid #b9c4be; }
td { padding: .45mm 2mm; border-bottom: .4pt solid #e1e6e3; overflow-wrap: anywhere; }
tr { break-inside: avoid; }
.number { text-align: right; white-space: nowrap; width: 30mm; }
.tick { width: 8mm; text-align: center; }
.tick i { display: inline-block; width: 3mm; height: 3mm; border: .75pt solid #66726c; border-radius: .5mm; }
tr.group th { padding: 2mm 2mm .6mm 0; color: #1f6f54; font-size: 9.5pt;
  border-bottom: .75pt solid #8fb8a6; break-after: avoid; }
tr.sum td { border-bottom: 0; border-top: .75pt solid #1d2521; font-weight: 650; }
ul { margin: 0; padding-left: 4.5mm; }
li { margin: .4mm 0; overflow-wrap: anywhere; }
.quiet { color: #66726c; }
footer { margin-top: 5mm; padding-top: 2mm; border-top: .75pt solid #b9c4be; color: #66726c; font-size: 8.5pt; }
footer strong { color: #9a3412; }
section, footer, .odds { break-inside: avoid; }
@media print { html { background: none; } article { margin: 0; padding: 0; max-width: none; }
  article + article { break-before: page; }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; } }
"""


def card(
    rows: Iterable[tuple[str, float]],
    *,
    title: str,
    facts: Mapping[str, object],
    odds: float | None = None,
    span: tuple[float, float] | None = None,
    nearest: Sequence[tuple[str, float]] = (),
    reasons: Sequence[str] = (),
) -> str:
    """A whole HTML page for one recipe; arguments and errors are those of `article`."""
    one = article(rows, title=title, facts=facts, odds=odds, span=span, nearest=nearest, reasons=reasons)
    return page(title, [one])


def article(
    rows: Iterable[tuple[str, float]],
    *,
    title: str,
    facts: Mapping[str, object],
    odds: float | None = None,
    span: tuple[float, float] | None = None,
    nearest: Sequence[tuple[str, float]] = (),
    reasons: Sequence[str] = (),
) -> str:
    """The HTML of one recipe, for a `page`.

    rows: ingredient and g/L, those at 0 are left out. facts: what stands under the title by its label, such as
    organism, pH, atmosphere and temperature; one that is None, empty or NaN is left out. odds: probability of growth,
    span: where it lies four times in five. nearest: known media with their likeness, 0 to 1. reasons: a line each.
    Raises ValueError for amounts or a probability out of range.
    """
    amounts = [(str(name), _amount(str(name), g_per_l)) for name, g_per_l in rows]
    amounts = [(name, g_per_l) for name, g_per_l in amounts if g_per_l > 0]
    parts = [
        _head(title, facts),
        _odds(odds, span),
        _table(amounts),
        _list("Nearest known media", [_near(name, likeness) for name, likeness in nearest]),
        _list("Why these compounds", [_text(reason) for reason in reasons]),
        f"<footer><strong>Caution.</strong> {_text(CAUTION)}</footer>",
    ]
    return "<article>\n" + "\n".join(part for part in parts if part) + "\n</article>"


def page(title: str, articles: Iterable[str]) -> str:
    """A whole HTML page of recipes, each of which begins on a sheet of its own."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(articles)
        + "\n</body>\n</html>\n"
    )


def weighed(g: float) -> str:
    """An amount [g] as one reads it off a balance: three digits in g, mg, µg or ng."""
    for size, unit in _UNITS:
        if g >= 0.9995 * size:
            return f"{_three(g / size)} {unit}"
    return f"{_three(g / 1e-9)} ng" if g > 0 else "0 g"


def _head(title: str, facts: Mapping[str, object]) -> str:
    """Title and facts."""
    known = [(label, value) for label, value in facts.items() if _is_known(value)]
    listed = "".join(f"<div><dt>{_text(label)}</dt><dd>{_text(value)}</dd></div>" for label, value in known)
    made = f'<header><p class="kind">Growth medium, recipe card</p><h1>{_text(title)}</h1></header>'
    return made + (f"\n<dl>{listed}</dl>" if listed else "")


def _odds(odds: float | None, span: tuple[float, float] | None) -> str:
    """The probability of growth, in words and as a bar."""
    if odds is None or math.isnan(odds):
        return ""
    if not 0.0 <= odds <= 1.0:
        msg = f"odds: expected a probability from 0 to 1, got {odds!r}"
        raise ValueError(msg)
    share = f"{100 * odds:.0f} %" if 0.005 <= odds <= 0.995 else "under 1 %" if odds < 0.5 else "over 99 %"
    between = "" if span is None else f" (four in five: {100 * span[0]:.0f} to {100 * span[1]:.0f} %)"
    return (
        f'<div class="odds">Odds of growth: <strong>{share}</strong>{between}'
        f'<div class="bar"><span style="width:{100 * odds:.1f}%"></span></div></div>'
    )


def _table(amounts: Sequence[tuple[str, float]]) -> str:
    """Ingredients by group, the largest amount first, and their sum."""
    lines = [
        '<table><thead><tr><th class="tick">✓</th><th>Ingredient</th>'
        '<th class="number">g/L</th><th class="number">for 1 L</th></tr></thead><tbody>'
    ]
    for title in GROUPS:
        own = sorted((one for one in amounts if group(one[0]) == title), key=lambda one: -one[1])
        if own:
            lines.append(f'<tr class="group"><th colspan="4" scope="rowgroup">{title.capitalize()}</th></tr>')
        lines += [
            f'<tr><td class="tick"><i></i></td><td>{_text(name)}</td>'
            f'<td class="number">{_three(g)}</td><td class="number">{weighed(g)}</td></tr>'
            for name, g in own
        ]
    total = sum(g for _, g in amounts)
    lines.append(
        f'<tr class="sum"><td></td><td>{len(amounts)} ingredient{"" if len(amounts) == 1 else "s"}</td>'
        f'<td class="number">{_three(total)}</td><td class="number">{weighed(total)}</td></tr></tbody></table>'
    )
    return "\n".join(lines)


def _list(title: str, items: Sequence[str]) -> str:
    """A section with a list of ready HTML; nothing where it is empty."""
    if not items:
        return ""
    return f"<section><h2>{title}</h2><ul>{''.join(f'<li>{item}</li>' for item in items)}</ul></section>"


def _near(name: str, likeness: float) -> str:
    """A known medium and how like it the recipe is."""
    shown = f' <span class="quiet">likeness {likeness:.2f}</span>' if math.isfinite(likeness) else ""
    return _text(name) + shown


def _amount(name: str, g_per_l: float) -> float:
    """An amount; ValueError, naming the ingredient, where it is negative or not finite."""
    if not (math.isfinite(g_per_l) and g_per_l >= 0):
        msg = f"{name}: expected a finite number of g/L >= 0, got {g_per_l!r}"
        raise ValueError(msg)
    return float(g_per_l)


def _three(value: float) -> str:
    """Three digits, never with an exponent: 0.00002, 0.125, 12.5, 1250."""
    if value <= 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(value)))
    text = f"{float(f'{value:.3g}'):.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _is_known(value: object) -> bool:
    """Whether a fact is worth a line."""
    return value is not None and str(value).strip() not in ("", "nan", "<NA>", "None")


def _text(value: object) -> str:
    """Text from anywhere as HTML: escaped, and without characters that a page may not hold."""
    plain = "".join(c if c.isprintable() else " " for c in str(value))
    return html.escape(plain, quote=True)
