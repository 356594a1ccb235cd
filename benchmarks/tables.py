"""Reading committed tables: Markdown to headers and cells, cells to numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

NUMBER = re.compile(r"[-+]?\d[\d,]*\.?\d*(?:e[-+]?\d+)?")
SPREAD = re.compile(r"(?:±|\+-)\s*(\d+\.?\d*)")


@dataclass(frozen=True)
class Table:
    """above: the nearest line of text before it. rows: cells by column; a column said twice is the first one."""

    above: str
    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]


def tables(path: Path) -> list[Table]:
    """The tables of a Markdown file in order."""
    found, above, lines = [], "", path.read_text(encoding="utf-8").splitlines()
    i = 0
    while i < len(lines):
        if not lines[i].startswith("|"):
            above = lines[i].strip("# ") or above
            i += 1
            continue
        block = lines[i:]
        end = next((j for j, line in enumerate(block) if not line.startswith("|")), len(block))
        columns = cells(block[0])
        rows = [dict(reversed(list(zip(columns, cells(line), strict=True)))) for line in block[2:end]]
        found.append(Table(above, tuple(columns), tuple(rows)))
        i += end
    return found


def cells(line: str) -> list[str]:
    """The cells of a row, without marks of bold type and of code."""
    return [cell.strip().replace("**", "").replace("`", "") for cell in line.strip().strip("|").split("|")]


def number(cell: str) -> float:
    """The first number of a cell; NaN for none."""
    found = NUMBER.search(cell)
    return float(found[0].replace(",", "")) if found else float("nan")


def spread(cell: str) -> float:
    """The standard deviation of `mean +- sd`; 0 for none."""
    found = SPREAD.search(cell)
    return float(found[1]) if found else 0.0
