"""The command line of `stedm`: from expression to places."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cytosol import cli
from stedm.verbs import models, pictures, questions, scores, tables

if TYPE_CHECKING:
    from typing import NoReturn

app = cli.app("stedm", "Where dissociated cells sat, from their expression and sections of the same tissue.")
VERBS = (
    tables.simulate,
    models.train,
    models.reconstruct,
    models.refine,
    questions.diagnose,
    scores.evaluate,
    pictures.plot,
    pictures.demo,
)
for verb in VERBS:
    app.command(verb.__name__)(verb)


def main() -> NoReturn:
    """Run it and leave with its exit code."""
    cli.main(app)
