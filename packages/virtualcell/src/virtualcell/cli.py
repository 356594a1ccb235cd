"""The command line of `virtualcell`: what state a cell is in, and what a perturbation makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cytosol import cli
from virtualcell.verbs import embedding, explaining, making, perturbing, pictures, scores, tables, training

if TYPE_CHECKING:
    from typing import NoReturn

app = cli.app("virtualcell", "What state a cell is in, and what a perturbation makes of it.")
VERBS = (
    tables.models,
    tables.loaders,
    making.simulate,
    making.annotate,
    training.train,
    embedding.embed,
    perturbing.perturb,
    scores.evaluate,
    pictures.plot,
    explaining.explain,
    pictures.demo,
)
for verb in VERBS:
    app.command(verb.__name__)(verb)


def main() -> NoReturn:
    """Run it and leave with its exit code."""
    cli.main(app)
