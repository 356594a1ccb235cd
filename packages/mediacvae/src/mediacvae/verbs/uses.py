"""`rank`, `predict-growth` and `suggest-experiments`: known media for an organism."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mediacvae.verbs import common

if TYPE_CHECKING:
    import pandas as pd

    from mediacvae.predictor import MediaModel

Top = Annotated[int, typer.Option("--top", min=1, help="How many.")]


def rank(
    *,
    directory: common.Model,
    genome: common.Genome = None,
    top: Top = 10,
    out: common.Table = None,
    genome_id: common.Id = None,
    name: common.Name = None,
    lineage: common.Lineage = None,
    organism: common.Organism = None,
    vector: common.Vector = None,
    db: common.Db = common.DATABASE,
    force: common.Force = False,
) -> None:
    """Known media for a genome, the most promising first: rank, medium_id, name, probability of being on record."""
    from mediacvae import saving

    common.writable(out, ".csv", force=force)
    model = saving.load(directory)
    given = common.asked(genome, genome_id, db, name=name, lineage=lineage, organism=organism, vector=vector)
    found = model.rank(common.who(model, given)[1], top)
    common.put(found, out)
    if out is not None:
        first = found.iloc[0]
        typer.echo(
            f"{out}: {len(found)} media, first {first['medium_id']} {first['name']} ({first['probability']:.2g})"
        )


def predict_growth(
    *,
    directory: common.Model,
    genome: common.Genome = None,
    medium: Annotated[
        list[str], typer.Option("--medium", metavar="ID", help="A medium (may be said again).")
    ],
    known: common.Known = None,
    out: common.Table = None,
    genome_id: common.Id = None,
    name: common.Name = None,
    lineage: common.Lineage = None,
    organism: common.Organism = None,
    vector: common.Vector = None,
    db: common.Db = common.DATABASE,
    force: common.Force = False,
) -> None:
    """The probability that an organism grows on media: medium_id, name, probability."""
    from mediacvae import notes, saving

    common.writable(out, ".csv", force=force)
    model = saving.load(directory)
    results = common.known_results(model, known)
    given = common.asked(genome, genome_id, db, name=name, lineage=lineage, organism=organism, vector=vector)
    one, condition = common.who(model, given)
    common.say_all(notes.resting(model, condition))
    found = model.predict_growth(one, list(dict.fromkeys(medium)), results)
    found = _named(model, found)[["medium_id", "name", "probability"]]
    if out is not None:
        common.put(found, out)
    common.put(found, None)


def suggest_experiments(
    *,
    directory: common.Model,
    genome: common.Genome = None,
    known: common.Known = None,
    top: Top = 5,
    out: common.Table = None,
    genome_id: common.Id = None,
    name: common.Name = None,
    lineage: common.Lineage = None,
    organism: common.Organism = None,
    vector: common.Vector = None,
    db: common.Db = common.DATABASE,
    force: common.Force = False,
) -> None:
    """Which medium to try next: rank, medium_id, name, probability, information [nats] that trying it would give."""
    from mediacvae import notes, saving

    common.writable(out, ".csv", force=force)
    model = saving.load(directory)
    results = common.known_results(model, known)
    given = common.asked(genome, genome_id, db, name=name, lineage=lineage, organism=organism, vector=vector)
    one, condition = common.who(model, given)
    common.say_all(notes.resting(model, condition))
    found = model.tried(one, results)
    found = found[~found["medium_id"].isin([medium for medium, _ in results])]
    if found.empty:
        msg = "every medium that the model has odds for is known already: there is nothing to suggest"
        raise ValueError(msg)
    found = _named(model, found).sort_values(["information", "medium_id"], ascending=[False, True]).head(top)
    found.insert(0, "rank", range(1, len(found) + 1))
    common.put(found[["rank", "medium_id", "name", "probability", "information"]], out)
    if out is not None:
        first = found.iloc[0]
        typer.echo(f"{out}: {len(found)} media, first {first['medium_id']} ({first['information']:.3f} nats)")


def _named(model: MediaModel, found: pd.DataFrame) -> pd.DataFrame:
    """A table of media with their names, those of the dataset's database; empty where it had none."""
    return found.assign(name=[model.names.get(medium, "") for medium in found["medium_id"]])
