"""The command line of `mediacvae`, which has no verbs yet."""

from __future__ import annotations

from typing import NoReturn

from cytosol import cli

app = cli.nothing_yet("mediacvae", "Growth media generated for a genome")


def main() -> NoReturn:
    """Say so, and leave with exit code 1."""
    cli.main(app)
