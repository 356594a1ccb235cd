"""The command line of `o2diffusion`: from a plate's table to filled and generated curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cytosol import cli
from o2diffusion.verbs import curves, doses, models, pictures, responses, scores, tables

if TYPE_CHECKING:
    from typing import NoReturn

app = cli.app(
    "o2diffusion",
    "Oxygen curves with gaps: filled, generated, compared; 1-4 replicates, media changes, drugs.",
)
for verb in (
    tables.simulate,
    tables.prepare,
    tables.describe,
    models.train,
    curves.impute,
    curves.generate,
    responses.profile,
    doses.dose_response,
    scores.evaluate,
    pictures.plot,
    pictures.demo,
):
    app.command(verb.__name__.replace("_", "-"))(verb)


def main() -> NoReturn:
    """Run it and leave with its exit code."""
    cli.main(app)
