"""Single records, by the words of the specification: a genome's metadata, a growth observation, an embedding.

Storing is adding or changing: what is not given stays as it is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from mediacvae.db import values
from mediacvae.db.blobs import to_bytes
from mediacvae.db.engines import DEFAULT_URL, DatabaseError
from mediacvae.db.schema import Genome, GenomeEmbedding, Growth, Medium
from mediacvae.db.session import writing
from mediacvae.db.writing import put
from mediacvae.names import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy as np
    from sqlalchemy.engine import Connection
    from sqlalchemy.orm import InstrumentedAttribute

GENOME_CHECKS: dict[str, Callable[[Any], Any]] = {
    "genome_id": values.genome_id,
    "organism_name": values.text(),
    "organism_type": values.organism_type,
    "genus": values.text(128),
    "species": values.text(),
    "strain": values.text(),
    "strain_id": values.text(),
    "taxid": values.whole(1),
    "lineage": values.text(),
    "gc_content": values.number(0, 100),
    "sequence_length": values.whole(1),
    "fasta_path": values.text(4096),
    "fasta_hash": values.text(64),
}
KEPT = tuple(name for name in GENOME_CHECKS if name not in ("genome_id", "organism_name", "organism_type"))


def store_genome_metadata(
    genome_id: str,
    organism_name: str,
    organism_type: str,
    taxid: int | None = None,
    gc_content: float | None = None,
    sequence_length: int | None = None,
    strain_id: int | str | None = None,
    *,
    genus: str | None = None,
    species: str | None = None,
    strain: str | None = None,
    lineage: str | None = None,
    fasta_path: Path | str | None = None,
    fasta_hash: str | None = None,
    url: str = DEFAULT_URL,
) -> None:
    """Add a genome, or change what is given of one that is there; the tables are made where there are none.

    gc_content [percent], sequence_length [bases], lineage from domain down, parted by `;`. Without genus and species
    the first words of the name are taken. Raises DatabaseError, naming genome and field, for what may not be stored.
    """
    found_genus, found_species = names_of(organism_name)
    given = {
        "genome_id": genome_id, "organism_name": organism_name, "organism_type": organism_type, "taxid": taxid,
        "gc_content": gc_content, "sequence_length": sequence_length, "strain_id": strain_id,
        "genus": found_genus if genus is None else genus, "species": found_species if species is None else species,
        "strain": strain, "lineage": lineage, "fasta_path": None if fasta_path is None else str(fasta_path),
        "fasta_hash": fasta_hash,
    }  # fmt: skip
    row = checked_genome(given)
    with writing(url, create=True) as connection:
        put(connection, Genome, [row], keep=KEPT)


def checked_genome(given: dict[str, Any]) -> dict[str, Any]:
    """A row of `genomes`, checked.

    Raises DatabaseError (a ValueError), naming genome and field, for a value that may not be stored.
    """
    row: dict[str, Any] = {}
    for name, check in GENOME_CHECKS.items():
        value = given.get(name)
        if name in KEPT and values.empty(value):
            row[name] = "" if name in ("genus", "species", "strain", "lineage") else None
            continue
        try:
            if values.empty(value):
                msg = f"expected a value, got {value!r}"
                raise ValueError(msg)
            row[name] = check(value)
        except ValueError as fault:
            msg = f"genome {given.get('genome_id')!r}: {name}: {fault}"
            raise DatabaseError(msg) from None
    return row


def names_of(organism_name: str) -> tuple[str, str]:
    """Genus and species as the first words of a name have them; '' where they do not look like names."""
    words = re.sub(r"[\[\]'\"]", "", str(organism_name)).split()
    if words and words[0].lower() == "candidatus":
        words = words[1:]
    if not words or not re.fullmatch(r"[A-Z][a-z-]+", words[0]):
        return "", ""
    if len(words) < 2 or not re.fullmatch(r"[a-z-]+\.?", words[1]):
        return words[0], ""
    return words[0], f"{words[0]} {words[1]}"


def store_genome_growth_observation(
    genome_id: str,
    media_id: str,
    growth: bool,  # noqa: FBT001 - the specification's word, given by name
    confidence: float = 1.0,
    source: str = "own",
    *,
    max_od: float | None = None,
    rank: str = "",
    replace: bool = False,
    url: str = DEFAULT_URL,
) -> None:
    """Note that an organism grew, or did not, on a medium; a source speaks once of a genome and a medium.

    confidence from 0 to 1. Other sources may say otherwise: both are kept. Raises DatabaseError: an unknown genome or
    medium (with the nearest known), a value out of range, a source that contradicts itself unless `replace`.
    """
    given = {
        "genome_id": genome_id, "media_id": media_id, "growth": growth, "confidence": confidence, "source": source,
        "max_od": max_od, "rank": rank,
    }  # fmt: skip
    row = checked_growth(given)
    with writing(url, create=True) as connection:
        refuse_unknown(connection, Genome.genome_id, {row["genome_id"]: ""})
        refuse_unknown(connection, Medium.medium_id, {row["media_id"]: ""})
        if not replace:
            refuse_contradictions(connection, [row])
        put(connection, Growth, [row])


_GROWTH_CHECKS: dict[str, Callable[[Any], Any]] = {
    "genome_id": values.genome_id,
    "media_id": values.medium_id,
    "growth": values.flag,
    "confidence": values.number(0, 1),
    "source": values.text(255),
    "max_od": values.number(0),
    "rank": values.text(64),
}


def checked_growth(given: dict[str, Any]) -> dict[str, Any]:
    """A row of `genome_growth`, checked.

    Raises DatabaseError (a ValueError), naming genome, medium and field, for what may not be stored.
    """
    row: dict[str, Any] = {}
    for name, check in _GROWTH_CHECKS.items():
        value = given[name]
        if name in ("max_od", "rank") and values.empty(value):
            row[name] = None if name == "max_od" else ""
            continue
        try:
            if values.empty(value):
                msg = f"expected a value, got {value!r}"
                raise ValueError(msg)
            row[name] = check(value)
        except ValueError as fault:
            what = f"genome {given['genome_id']!r} on medium {given['media_id']!r}"
            msg = f"{what}: {name}: {fault}"
            raise DatabaseError(msg) from None
    return row


def refuse_unknown(
    connection: Connection, column: InstrumentedAttribute[str], ids: Mapping[str, str]
) -> None:
    """DatabaseError, with the nearest known, for an id that a table does not have; `ids`: id to where it is named."""
    query = select(column)
    if len(ids) == 1:
        query = query.where(column == next(iter(ids)))
    known = set(connection.execute(query).scalars())
    for one, where in ids.items():
        if one in known:
            continue
        known = set(connection.execute(select(column)).scalars())
        what, hint = ("genome", "db add-genomes") if column.key == "genome_id" else ("medium", "db import")
        near = (
            nearest(one, known, least=values.CLOSE)
            or f"; there are {len(known)} (`mediacvae {hint}` adds some)"
        )
        msg = f"{where}{what} {one!r} is not in the database{near}"
        raise DatabaseError(msg)


def refuse_contradictions(connection: Connection, rows: list[dict[str, Any]], where: str = "") -> None:
    """DatabaseError where a source has said the opposite of the same genome and medium."""
    stored = said_before(connection, rows)
    for row in rows:
        key = (row["genome_id"], row["media_id"], row["source"])
        if key in stored and stored[key] != row["growth"]:
            what = f"genome {key[0]!r} on medium {key[1]!r} by source {key[2]!r}"
            msg = (
                f"{where}{what}: growth={stored[key]} is stored, got growth={row['growth']}: "
                "give another source, or replace the record on purpose"
            )
            raise DatabaseError(msg)


def said_before(connection: Connection, rows: list[dict[str, Any]]) -> dict[tuple[str, str, str], bool]:
    """What is stored of the sources that speak in `rows`: (genome, medium, source) to growth."""
    known = select(Growth.genome_id, Growth.media_id, Growth.source, Growth.growth)
    if len(rows) == 1:
        known = known.where(Growth.genome_id == rows[0]["genome_id"], Growth.media_id == rows[0]["media_id"])
    found: dict[tuple[str, str, str], bool] = {}
    for source in sorted({row["source"] for row in rows}):
        for genome, medium, by, grew in connection.execute(known.where(Growth.source == source)):
            found[genome, medium, by] = grew
    return found


def store_embedding(
    connection: Connection, genome_id: str, method: str, vector: np.ndarray, fasta_hash: str | None
) -> None:
    """Keep the features (d,) of a genome, within a transaction; those of before are replaced.

    fasta_hash: of the sequence that they are of; None where another program made them. Raises DatabaseError for numbers
    that may not be stored, as `blobs.to_bytes`.
    """
    row = {
        "genome_id": genome_id, "embedding_model": method, "embedding": to_bytes(vector),
        "embedding_dim": len(vector), "fasta_hash": fasta_hash,
    }  # fmt: skip
    put(connection, GenomeEmbedding, [row])
