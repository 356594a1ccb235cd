"""The command line of `mediacvae`: from a genome to media."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from cytosol import cli
from mediacvae.verbs import database, genomes, models, reasons, recipes, uses, worlds

if TYPE_CHECKING:
    from typing import NoReturn

app = cli.app("mediacvae", "Growth media for a genome: which known ones to try, and new recipes.")
VERBS = {
    "embed": genomes.embed,
    "build": models.build,
    "train": models.train,
    "generate": recipes.generate,
    "rank": uses.rank,
    "predict-growth": uses.predict_growth,
    "suggest-experiments": uses.suggest_experiments,
    "interpolate": recipes.interpolate,
    "explain": reasons.explain,
    "evaluate": worlds.evaluate,
    "plot": worlds.plot,
    "simulate": worlds.simulate,
    "demo": worlds.demo,
}
for name, verb in VERBS.items():
    app.command(name)(verb)

db = typer.Typer(help="The database: genomes, media, growth.", rich_markup_mode=None)
for name, verb in database.VERBS.items():
    db.command(name)(verb)
app.add_typer(db, name="db")


@db.callback(invoke_without_command=True)
def _database_root(*, context: typer.Context) -> None:
    """The database: genomes, media, growth."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(cli.REFUSED)


def main() -> NoReturn:
    """Run it and leave with its exit code."""
    cli.main(app)
