"""What verbs share: options, what may be written, what is said.

Nothing heavy is imported before a verb runs.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

DATABASE = "sqlite:///mediacvae.db"  # as db.DEFAULT_URL, which a `--help` does not load
Db = Annotated[
    str, typer.Option("--db", metavar="URL", help="Database: sqlite:///FILE or postgresql://USER@HOST/NAME.")
]
Out = Annotated[Path, typer.Option("--out", metavar="F", help="File to write.")]
OutDir = Annotated[Path, typer.Option("--out", metavar="DIR", help="Directory to write.")]
Method = Annotated[
    str,
    typer.Option(
        "--method",
        metavar="NAME",
        help="kmer4, kmer6, kmer8 (with c: canonical), stats, codons, amino_acids.",
    ),
]
Workers = Annotated[int | None, typer.Option("--workers", min=1, help="Processes; without it, one a core.")]
Json = Annotated[bool, typer.Option("--json", help="As JSON.")]


def say(text: str) -> None:
    """One line to stderr: notes and progress, never results."""
    typer.echo(text, err=True)


def say_all(notes: Iterable[str]) -> None:
    """Notes, one a line."""
    for note in notes:
        say(f"note: {note}")


def ticker(what: str) -> Callable[[int, int], None]:
    """A function that is told (done, of) and shows it on stderr: a line written over, or one every tenth in a log."""
    began, shown = time.monotonic(), [0.0, 0]
    live = sys.stderr.isatty()

    def tick(done: int, of: int) -> None:
        now = time.monotonic()
        tenth = 10 * done // max(of, 1)
        if live and (now - shown[0] >= 0.2 or done == of):
            shown[0] = now
            sys.stderr.write(f"\r{what} {done}/{of}  {done / max(now - began, 1e-9):.1f} a second ")
            sys.stderr.write("\n" if done == of else "")
            sys.stderr.flush()
        elif not live and tenth > shown[1] and now - began > 2.0:
            shown[1] = tenth
            say(f"{what} {done}/{of}")

    return tick
