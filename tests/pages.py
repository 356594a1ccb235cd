"""Commands of README files and pages, run in this process: a program for each of them would load torch anew."""

from __future__ import annotations

import shlex
import tomllib
from importlib import import_module
from pathlib import Path

from cytosol import cli

ROOT = Path(__file__).parents[1]


def applications() -> dict[str, str]:
    """The console scripts of all members and the modules that hold their command line."""
    files = [ROOT / "shared/pyproject.toml", *ROOT.glob("packages/*/pyproject.toml")]
    scripts = [tomllib.loads(file.read_text(encoding="utf-8"))["project"]["scripts"] for file in files]
    return {name: home.partition(":")[0] for one in scripts for name, home in one.items()}


def commands(block: str) -> None:
    """Run the lines of a block of a shell that are commands of our own; others (`uv`, `pip`) are passed over.

    Raises AssertionError where one fails, or needs a shell.
    """
    homes = applications()
    for line in filter(str.strip, block.replace("\\\n", " ").splitlines()):
        name, *words = shlex.split(line, comments=True) or [""]
        if name in homes:
            assert not {"|", ">", "<", "&&", ";", "&"} & set(words), f"no shell here: {line}"
            assert cli.run(import_module(homes[name]).app, words) == 0, line
