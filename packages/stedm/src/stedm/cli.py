"""The command line of `stedm`, which has no verbs yet."""

from __future__ import annotations

from typing import NoReturn

from cytosol import cli

app = cli.nothing_yet("stedm", "Tissue geometry from gene expression, by EDM diffusion of point sets")


def main() -> NoReturn:
    """Say so, and leave with exit code 1."""
    cli.main(app)
