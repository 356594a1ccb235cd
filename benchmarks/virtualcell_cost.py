"""Time and memory of the networks of virtualcell, beside arc-state where it is installed in the same environment.

    uv venv peer && uv pip install --python peer/bin/python arc-state ./shared ./packages/virtualcell
    peer/bin/python benchmarks/virtualcell_cost.py [--rounds 15] [--threads 1] [--only beside|parts]

Without arc-state (`uv run python benchmarks/virtualcell_cost.py`) its rows are left out. What is compared runs in turns
in one process: A, B, C, A, B, C, ...; a ratio is the median over rounds of the ratios within a round. Seconds are the
processors' own (with one thread what other programs do disturbs them least). Memory is counted: weights with their
gradients and both of AdamW's moments, and what the backward pass keeps (each storage once, weights and inputs left
out). Writes virtualcell_cost.md.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import statistics
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from costing import (
    BATCHES,
    CELLS,
    FULL,
    SINGLE,
    SIZE,
    TOKENS,
    arc,
    batch,
    embedding,
    in_turns,
    judged,
    kept,
    made,
    ratio,
    read_by,
    step,
)
from torch import Tensor
from watch import processor

HERE = Path(__file__).parent
Row = tuple[str, str, str, str]


def beside(rounds: int) -> list[Row]:
    """The base beside arc-state: training steps, and embedding from a table of genes."""
    theirs, ours, given = arc(), made("base"), batch(TOKENS)
    if theirs is None:
        return []
    calls = {
        f"{who} {'bf16' if half else 'float32'}": step(net, given, half=half)
        for who, net in (("arc", theirs), ("base", ours))
        for half in (False, True)
    }
    found = in_turns(calls, rounds)
    rows = [seconds_row(f"training step, {name}", times) for name, times in found.items()]
    for name, to, bar in (
        ("base float32", "arc float32", 1.0),
        ("base bf16", "arc float32", 0.6),
        ("base bf16", "arc bf16", None),
    ):
        value, told = ratio(found, name, to)
        limit = ("", "") if bar is None else (f"<= {bar}", judged(value, bar))
        rows.append((f"training step, {name} / {to}", told, *limit))
    return rows + embedded(theirs.eval(), ours.eval(), given, rounds)


def embedded(theirs: Any, ours: Any, given: dict[str, Tensor], rounds: int) -> list[Row]:
    g = torch.Generator().manual_seed(3)
    at = torch.randint(0, 2000, (CELLS, TOKENS), generator=g)
    at[:, 0] = -1
    table = ours.gene_table(torch.randn(2000, SIZE["token_dim"], generator=g))

    def from_table() -> Tensor:
        return ours.embed(at, given["mask"], given["counts"], table=table)

    calls = {
        "arc float32": embedding(lambda: theirs(**given)),
        "arc bf16": embedding(lambda: theirs(**given), half=True),
        "table float32": embedding(from_table),
        "table bf16": embedding(from_table, half=True),
    }
    found = in_turns(calls, rounds)
    rows = [seconds_row(f"embedding {BATCHES} batches, {name}", times) for name, times in found.items()]
    for name, to, bar in (
        ("table float32", "arc float32", 1.6),
        ("table bf16", "arc float32", 3.0),
        ("table bf16", "arc bf16", None),
    ):
        value, told = ratio(found, to, name)
        limit = ("", "") if bar is None else (f">= {bar}", judged(value, bar, least=True))
        rows.append((f"embedding, {to} / {name}", told, *limit))
    return rows


def seconds_row(what: str, times: list[float]) -> Row:
    low, middle, high = statistics.quantiles(times, n=4)
    return what, f"{middle:.3f} s ({low:.3f}-{high:.3f})", "", ""


def of_parts(rounds: int) -> list[Row]:
    """Every part alone and all of them, beside the base: time and memory of a training step."""
    rows: list[Row] = []
    base = made("base")
    plain = sum(kept(base, batch(TOKENS)))
    for name in (*SINGLE, FULL):
        net = made(name)
        given = read_by(net, TOKENS)
        found = in_turns({"base": step(base, batch(TOKENS)), name: step(net, given)}, rounds)
        value, told = ratio(found, name, "base")
        most, room = (2.5, 3.0) if name == FULL else (1.3, 1.5)
        rows.append((f"training step, {name} / base", told, f"<= {most}", judged(value, most)))
        weights, activations = kept(net, given)
        share = (weights + activations) / plain
        told = f"{share:.2f} ({weights:.0f} + {activations:.0f} MiB)"
        rows.append((f"memory, {name} / base", told, f"<= {room}", judged(share, room)))
    return rows


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--rounds", type=int, default=15)
    words.add_argument("--threads", type=int, default=1)
    words.add_argument(
        "--only", choices=("beside", "parts"), help="these rows alone; the others stay as they are"
    )
    given = words.parse_args()
    torch.set_num_threads(given.threads)
    rows = beside(given.rounds) if given.only != "parts" else []
    rows += of_parts(given.rounds) if given.only != "beside" else []
    page = HERE / "virtualcell_cost.md"
    page.write_text(told(rows, given, old_rows(page) if given.only else []))


def old_rows(page: Path) -> list[Row]:
    lines = page.read_text().splitlines() if page.exists() else []
    cells = [line.strip("|").split("|") for line in lines if line.startswith("| ")][1:]
    return [(a.strip(), b.strip(), c.strip(), d.strip()) for a, b, c, d in cells]


def told(rows: list[Row], given: argparse.Namespace, kept_rows: list[Row]) -> str:
    """The page."""
    peer = (
        f"arc-state {version('arc-state')}"
        if importlib.util.find_spec("state")
        else "arc-state not installed"
    )
    new = {row[0] for row in rows}
    rows = [*(row for row in kept_rows if row[0] not in new), *rows]
    lines = [
        "# Cost of the networks of virtualcell",
        "",
        f"`benchmarks/virtualcell_cost.py`: {', '.join(f'{k} {v}' for k, v in SIZE.items())}; batch {CELLS}, sequence "
        f"{TOKENS}; {processor()}, {given.threads} thread(s), load average {os.getloadavg()[0]:.1f} at the end; Python "
        f"{platform.python_version()}, torch {torch.__version__}, virtualcell {version('virtualcell')}, {peer}. "
        f"{given.rounds} rounds in turns; median (quarters). Seconds are of processors. Memory: weights with gradients "
        "and moments + what the backward pass keeps, counted. Embedding: "
        f"{BATCHES} batches under one autocast, so that weights are cast once."
        + (f" Run with --only {given.only}: the other rows are of the run before." if given.only else ""),
        "",
        "| what | measured | bar | |",
        "|---|---|---|---|",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
