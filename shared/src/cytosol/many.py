"""One verb of an installed package over many files, each process taking its share: what `cytosol each` does.

In this process, one file after the other: a library is loaded once and not once a file.
"""

from __future__ import annotations

import glob
import importlib
import re
from collections import Counter
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cytosol import ranks

if TYPE_CHECKING:
    from collections.abc import Sequence

    import typer

DATA, OUT = "{data}", "{out}"


class Job(NamedTuple):
    """A file, and where what is made of it goes."""

    data: Path
    out: Path


def jobs(patterns: Sequence[str], out: Path, suffix: str | None) -> list[Job]:
    """A job a file that matches, by name: `out/NAME`, or with `suffix` in place of its last one.

    Raises ValueError where nothing matches, and where two files would be written to one.
    """
    # pathlib's own takes no absolute pattern
    found = (path for pattern in patterns for path in glob.glob(pattern, recursive=True))  # noqa: PTH207
    files = sorted({Path(path) for path in found})
    if not files:
        message = f"--data {' '.join(patterns)}: no file is called so"
        raise ValueError(message)
    names = [file.name if suffix is None else f"{file.stem}{suffix}" for file in files]
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        message = f"{out / name}: {count} files would be written there; give names that differ"
        raise ValueError(message)
    return [Job(file, out / name) for file, name in zip(files, names, strict=True)]


def share(text: str | None) -> tuple[int, int]:
    """The share K of N that this process does: `K/N`, or `auto` as torchrun or srun say; without a word, all.

    Raises ValueError for another word, and where several processes were started and none was told its share.
    """
    place = ranks.place()
    if text == "auto":
        return place.rank, place.world
    if text is None:
        if place.world > 1:
            message = (
                f"{place.starter} started {place.world} processes: give --share auto, each its own files"
            )
            raise ValueError(message)
        return 0, 1
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if not found or int(found[1]) >= int(found[2]):
        message = f"--share {text}: expected K/N with K from 0 to N - 1, or auto"
        raise ValueError(message)
    return int(found[1]), int(found[2])


def command_line(name: str) -> typer.Typer:
    """The `app` of an installed package's console script. Raises ValueError for a package that is not there."""
    for entry in metadata.entry_points(group="console_scripts", name=name):
        app = getattr(importlib.import_module(entry.module), "app", None)
        if app is not None:
            return app
    message = f"{name}: expected the name of an installed package with verbs, as `cytosol info` lists them"
    raise ValueError(message)


def filled(words: Sequence[str], job: Job) -> list[str]:
    """The words of the verb for one file."""
    return [word.replace(DATA, str(job.data)).replace(OUT, str(job.out)) for word in words]


def check_words(words: Sequence[str]) -> None:
    """Raise ValueError unless both places are among the words."""
    for place in (DATA, OUT):
        if not any(place in word for word in words):
            message = f"{' '.join(words)}: expected {place} where each file's own is to stand"
            raise ValueError(message)
