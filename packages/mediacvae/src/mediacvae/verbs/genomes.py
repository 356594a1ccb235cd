"""`embed`: features of the genomes in the database."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mediacvae.verbs import common


def embed(
    *,
    method: common.Method = "kmer6",
    db: common.Db = common.DATABASE,
    workers: common.Workers = None,
    outside: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="F.npz",
            help="Vectors by genome id that another program made, kept as --method.",
        ),
    ] = None,
) -> None:
    """Compute what is missing; goes on where it was stopped, and anew for sequences that have changed."""
    from mediacvae import features

    if outside is not None:
        count = features.store_outside_embeddings(outside, method, url=db)
        typer.echo(f"{method}: {count} genomes from {outside}")
        return
    count = features.compute_all_genome_embeddings(
        method, url=db, workers=workers, on_step=common.ticker("genomes")
    )
    typer.echo(f"{method}: {count} genomes computed")
