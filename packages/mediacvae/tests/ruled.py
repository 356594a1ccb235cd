"""A small simulated world and models trained on it, for the tests of reasons: made once for each process."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import torch

from mediacvae import embeddings, fasta
from mediacvae.building import BuildOptions, build
from mediacvae.config import TrainConfig
from mediacvae.db import Tables
from mediacvae.kin import Vectors, known_organisms
from mediacvae.options import SimulationConfig
from mediacvae.simulation import Truth, simulate
from mediacvae.training import fit

if TYPE_CHECKING:
    from mediacvae.conditions import Organism
    from mediacvae.dataset import Dataset
    from mediacvae.predictor import MediaModel

METHODS = ("kmer4", "kmer6c")


class World(NamedTuple):
    """The truth, the tables as a database would give them, and what is known of each organism."""

    truth: Truth
    tables: Tables
    vectors: dict[str, Vectors]
    organisms: dict[str, Organism]
    genomes: dict[str, fasta.Genome]


@cache
def world(genera: int = 30, length: int = 20_000) -> World:
    """Two species a genus, of bacteria and archaea."""
    config = SimulationConfig(
        genera=genera, length=length, contigs=3, media=150, weak=0.0, types=("bacteria", "archaea"), drift=0.2
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        truth = simulate(config, 1, folder)
        listed = pd.read_csv(folder / "genomes.tsv", sep="\t")
        genomes = {key: fasta.read(folder / "genomes" / f"{key}.fna.gz") for key in listed["genome_id"]}
        tables = _tables(folder, listed)
    vectors = {}
    for method in METHODS:
        rows = np.array([embeddings.of_genome(genome, method) for genome in genomes.values()])
        vectors[method] = Vectors(list(genomes), rows, embeddings.names(method))
    known, _ = known_organisms(tables.genomes, tables.taxa, vectors)
    return World(truth, tables, vectors, {one.genome_id: one for one in known}, genomes)


def _tables(folder: Path, listed: pd.DataFrame) -> Tables:
    media, amounts, growth, taxa = (
        pd.read_parquet(folder / f"{name}.parquet")
        for name in ("media", "media_ingredients", "growth", "taxa")
    )
    genomes = listed.rename(columns={"gc": "gc_content", "length": "sequence_length"})
    genomes["organism_name"] = genomes["species"]
    genomes = genomes.assign(strain="", has_sequence=True)
    grown = growth.rename(columns={"assembly": "genome_id"}).assign(confidence=1.0)
    return Tables(
        genomes=genomes,
        taxa=taxa,
        media=media,
        amounts=amounts.assign(guessed=False),
        growth=grown[["genome_id", "medium_id", "growth", "confidence", "source", "rank"]],
    )


@cache
def dataset(*condition: str) -> Dataset:
    """A fifth of the pairs is held out, by genus."""
    own = world()
    return build(own.tables, BuildOptions(condition=condition, test_size=0.2, val_size=0.0), own.vectors)


@cache
def model(kind: str, *condition: str) -> MediaModel:
    """A trained model of a type, in a moment."""
    torch.set_num_threads(1)
    config = TrainConfig(
        model_type=kind, epochs=12, latent_dim=6, genus_dim=2, hidden_dims=(32,), draws=8, device="cpu"
    )  # pyright: ignore[reportArgumentType]
    return fit(dataset(*condition), config)[0]


def held(condition: tuple[str, ...]) -> list[str]:
    """Ids of the organisms that were not learned from."""
    organisms = dataset(*condition).organisms
    return organisms["genome_id"][organisms["split"] == "test"].tolist()
