"""What a user gives of an organism, as what a model was taught to read: a FASTA file, a name, an id of the database.

What the model asks for and nobody gave is missing, and said; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mediacvae import embeddings, fasta
from mediacvae.conditions import LINEAGE, NAMES, STATS, Organism, parted
from mediacvae.db.engines import DEFAULT_URL, DatabaseError
from mediacvae.db.frames import Column, good_rows
from mediacvae.db.genomes import SUFFIXES
from mediacvae.db.reading import read_embeddings, read_organisms
from mediacvae.db.values import flag, medium_id
from mediacvae.kin import Vectors, known_organisms
from mediacvae.names import closest, folded, nearest
from mediacvae.names import organism_type as type_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from mediacvae.conditions import Conditioner

# The lineage of an organism of which the type is all that is known
TYPES = {
    "bacteria": "Bacteria",
    "archaea": "Archaea",
    "fungi": "Eukaryota;Fungi",
    "protist": "Eukaryota",
    "virus": "Viruses",
}
KNOWN = (Column("medium_id", medium_id, needed=True), Column("growth", flag, needed=True))
LIKE_WORD = 0.7  # likeness from which another word of a lineage may be what was meant
TOLD = ("rank", "name", "probability", "information")  # columns of what a verb suggested, filled in by hand


@dataclass(frozen=True, kw_only=True)
class Asked:
    """An organism as a user gives it. genome: a FASTA file. genome_id: of the database `url`; one of the two at most.

    vectors: files (.npz) of genome features that another program made, by method; '' is the only one that the model
    asks for. What is given by hand (name, lineage, organism_type) has the last word.
    """

    genome: Path | None = None
    genome_id: str | None = None
    url: str = DEFAULT_URL
    name: str | None = None
    lineage: str | None = None
    organism_type: str | None = None
    vectors: Mapping[str, Path] = field(default_factory=dict)


def organism(asked: Asked, conditioner: Conditioner) -> Organism:
    """The organism, with the genome features that the conditioner asks for.

    Raises ValueError where nothing is given, genome and id both, a lineage of which the model knows no word, another
    organism type, or a vector that the model does not read; GenomeError for a bad FASTA file or vector; DatabaseError
    for an unknown id.
    """
    if asked.genome is not None and asked.genome_id is not None:
        msg = f"expected a genome file or an id of the database, got both ({asked.genome} and {asked.genome_id!r})"
        raise ValueError(msg)
    _refuse_unknown(asked.lineage, conditioner)
    if asked.genome is not None:
        made = of_file(asked.genome, conditioner)
    elif asked.genome_id is not None:
        made = of_database(asked.genome_id, asked.url, conditioner)
    elif asked.name or asked.lineage or asked.organism_type or asked.vectors:
        made = Organism(asked.name or "the organism")
    else:
        msg = "expected a genome file (--genome), an id of the database (--id), or a --name or --lineage"
        raise ValueError(msg)
    kind = None if asked.organism_type is None else type_of(asked.organism_type)
    outside = {
        method: _outside(method, file, made, conditioner)
        for method, file in _methods_of(asked, conditioner).items()
    }
    made = replace(
        made,
        name=asked.name or made.name,
        lineage=asked.lineage or made.lineage,
        organism_type=kind or made.organism_type,
        vectors={**made.vectors, **outside},
    )
    return made if made.lineage or kind is None else replace(made, lineage=TYPES[kind])


def of_file(path: Path, conditioner: Conditioner) -> Organism:
    """The genome of a FASTA file, read once: GC, length, features; its id is the file's name without suffixes.

    Raises GenomeError for a bad file, ValueError for features by genes where pyrodigal is not installed.
    """
    genome = fasta.read(path)
    vectors = {
        method: embeddings.of_genome(genome, method)
        for method in genome_methods(conditioner)
        if method in embeddings.METHODS
    }
    return Organism(id_of(path), gc=genome.gc, length=float(genome.length), vectors=vectors)


def of_database(genome_id: str, url: str, conditioner: Conditioner) -> Organism:
    """An organism of the database as a dataset would have it: what it lacks is that of its species or its genus.

    Raises DatabaseError for an id that is not there (with the nearest), a database that is not ready, and features that
    are damaged or of another sequence.
    """
    tables = read_organisms(url)
    known = tables.genomes
    own = known[known["genome_id"] == genome_id]
    if own.empty:
        msg = f"genome {genome_id!r} is not in the database{nearest(genome_id, known['genome_id'])}"
        raise DatabaseError(msg)
    genus = own["genus"].iloc[0]
    kin = known[known["genus"] == genus] if genus else own
    vectors = {}
    for method in genome_methods(conditioner):
        ids, values = read_embeddings(url, method, kin["genome_id"].tolist())
        vectors[method] = Vectors(ids, values, ())
    (made,), _ = known_organisms(own, tables.taxa, vectors, kin)
    return made


def genome_methods(conditioner: Conditioner) -> list[str]:
    """The genome methods that a conditioner asks for."""
    return [block.name for block in conditioner.blocks if block.name not in (LINEAGE, NAMES, STATS)]


def id_of(path: Path) -> str:
    """The id that a genome's file name gives: without .gz and .fna, .fa or .fasta."""
    name = path.name[:-3] if path.name.lower().endswith(".gz") else path.name
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and stem and f".{suffix.lower()}" in SUFFIXES else name


def mean(conditions: np.ndarray) -> np.ndarray:
    """The mean (1, d) of conditions (n, d), of each feature over the organisms of which it is known."""
    known = np.isfinite(conditions)
    total = np.where(known, conditions, 0.0).sum(axis=0, keepdims=True, dtype=np.float64)
    count = known.sum(axis=0, keepdims=True)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(conditions.dtype)


def blend(a: np.ndarray, b: np.ndarray, alphas: np.ndarray) -> np.ndarray:
    """Conditions (s, d) on the way from a (1, d), alpha 0, to b (1, d), alpha 1; not known where one of them is not.

    alphas: (s,) from 0 to 1. Raises ValueError where nothing is known of both.
    """
    made = (1 - alphas[:, None]) * a + alphas[:, None] * b
    if not np.isfinite(made).any():
        msg = "interpolate: nothing of what the model reads is known of both organisms"
        raise ValueError(msg)
    return made.astype(a.dtype)


def read_known(file: Path, media: Collection[str]) -> list[tuple[str, bool]]:
    """Results of an organism: the rows `medium_id, growth` of a .csv or .tsv, each medium once.

    media: those that the model knows. Raises DatabaseError, with the row: an id or a result that is none, a medium that
    is not known, results that contradict each other.
    """
    _, rows = good_rows(file, KNOWN, unused=TOLD)
    found: dict[str, bool] = {}
    for row, record in rows:
        name, grew = record["medium_id"], record["growth"]
        if name not in media:
            msg = f"{file}: row {row}: medium {name!r} is not known to the model{nearest(name, media)}"
            raise DatabaseError(msg)
        if found.setdefault(name, grew) != grew:
            msg = f"{file}: row {row}: medium {name!r}: expected {found[name]} as above, got {grew}"
            raise DatabaseError(msg)
    return list(found.items())


def _refuse_unknown(lineage: str | None, conditioner: Conditioner) -> None:
    """Refuse a lineage given by hand of which a model that reads lineages knows no word: it would change nothing."""
    words = () if lineage is None else parted(lineage)
    for block in conditioner.blocks:
        if lineage and block.name == LINEAGE and not set(words) & set(block.features):
            names = [word for word in block.features if word not in TYPES]
            close = [closest(word, names, least=LIKE_WORD, as_read=folded) for word in words]
            meant = ";".join(word for word in close if word)
            hint = f"; did you mean {meant!r}?" if meant else ""
            msg = f"--lineage: expected names parted by ';', the model knows none of {lineage!r}{hint}"
            raise ValueError(msg)


def _methods_of(asked: Asked, conditioner: Conditioner) -> dict[str, Path]:
    """The files of outside features by method; '' stands for the only one that the model asks for."""
    outside = [name for name in genome_methods(conditioner) if name not in embeddings.METHODS]
    made: dict[str, Path] = {}
    for method, file in asked.vectors.items():
        name = outside[0] if not method and len(outside) == 1 else method
        if name not in outside:
            known = f"expected one of {', '.join(outside)}" if outside else "the model reads none"
            msg = f"vector {name or file}: {known}" + (f", got {name!r}" if outside else "")
            raise ValueError(msg)
        if name in made:
            msg = f"vector {name}: expected one file, got {made[name]} and {file}"
            raise ValueError(msg)
        made[name] = file
    return made


def _outside(method: str, file: Path, own: Organism, conditioner: Conditioner) -> np.ndarray:
    """The vector (d,) of an organism in an .npz: by its id, or the only one there."""
    found = embeddings.read_outside(file)
    if own.genome_id not in found and len(found) > 1:
        listed = ", ".join(sorted(found)[:5]) + (", ..." if len(found) > 5 else "")
        msg = f"{file}: expected a vector of {own.genome_id!r}, it holds {listed}"
        raise fasta.GenomeError(msg)
    vector = found.get(own.genome_id, next(iter(found.values())))
    (length,) = (len(block.features) for block in conditioner.blocks if block.name == method)
    if len(vector) != length:
        msg = (
            f"{file}: expected {length} numbers of {method}, as the model was trained with, got {len(vector)}"
        )
        raise fasta.GenomeError(msg)
    return vector
