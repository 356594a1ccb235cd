"""The demos of the installed packages.

Each package registers `name = "package.demo:run"` in the group `cytosol.demos`; `run(out: Path) -> Story`
writes what it likes below `out` and returns what there is to tell of it.
"""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from cytosol.story import Story

if TYPE_CHECKING:
    from pathlib import Path

GROUP = "cytosol.demos"
THREADS = "OMP_NUM_THREADS"  # read by torch and the like when they are loaded


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What came of a demo: its story, or without one the line (`fault`) that says why.

    name: of the package. seconds: how long it took [s].
    """

    name: str
    story: Story | None
    fault: str = ""
    seconds: float

    @property
    def version(self) -> str:
        """Of the package."""
        return metadata.version(self.name)

    @property
    def summary(self) -> str:
        """What the package says it is, in a line."""
        return metadata.metadata(self.name)["Summary"]


def packages() -> list[str]:
    """The installed distributions that build on cytosol, by name."""
    ours: set[str] = set()
    for distribution in metadata.distributions():
        needs = (re.match(r"[\w.-]+", need) for need in distribution.requires or ())
        if any(need and need[0] == "cytosol" for need in needs):
            ours.add(distribution.name)
    return sorted(ours)


def available() -> list[str]:
    """The names of the demos, in order."""
    return sorted(metadata.entry_points(group=GROUP).names)


def silent() -> list[str]:
    """The packages that are installed and have no demo."""
    return [name for name in packages() if name not in available()]


def choose(name: str | None) -> list[str]:
    """The demo of that name, or all of them; raises ValueError for a name that is not there."""
    names = available()
    if name is None or name in names:
        return names if name is None else [name]
    if name in silent():
        message = f"{name} has nothing to show yet"
        raise ValueError(message)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names) or 'none'}"
    message = f"no demo is called {name!r}; {hint}"
    raise ValueError(message)


def run(name: str, out: Path) -> Story:
    """Run a demo, one of `available`, in `out`, which is made; what it has to tell.

    In one thread, where the environment does not say how many: its steps are so small that threads spend their time
    waiting for each other, several times that of the work where the machine does something else too.
    """
    os.environ.setdefault(THREADS, "1")
    (entry,) = metadata.entry_points(group=GROUP, name=name)
    out.mkdir(parents=True, exist_ok=True)
    return entry.load()(out)
