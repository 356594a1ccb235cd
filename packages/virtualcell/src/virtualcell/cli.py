"""The command line of `virtualcell`, which has no verbs yet."""

from __future__ import annotations

from typing import NoReturn

from cytosol import cli

app = cli.nothing_yet("virtualcell", "Transformer cell models, twelve enhanced models, nine loaders")


def main() -> NoReturn:
    """Say so, and leave with exit code 1."""
    cli.main(app)
