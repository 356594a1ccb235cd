"""The whole database as tables, for those who build datasets; and what is in it, counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from sqlalchemy import func, select

from mediacvae.db.blobs import from_bytes
from mediacvae.db.engines import DEFAULT_URL, DatabaseError, shown
from mediacvae.db.schema import (
    VERSION,
    Base,
    Genome,
    GenomeEmbedding,
    Growth,
    Ingredient,
    Medium,
    MediumIngredient,
    Taxon,
)
from mediacvae.db.session import reading

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import Executable
    from sqlalchemy.engine import Connection


@dataclass(frozen=True)
class Tables:
    """Everything but embeddings, as frames whose rows are in the order of their keys.

    genomes: genome_id, organism_name, organism_type, genus, species, strain, taxid (Int64), lineage,
    gc_content [percent], sequence_length [bases] (Int64), has_sequence (bool)
    taxa: genus, lineage, gc [percent], genome_size [bases]
    media: medium_id, name, source, collection, category, medium_type, min_ph, max_ph, physical_state, link
    amounts: medium_id, ingredient, chebi, g_per_l [g/L] (NaN where not known), guessed (bool), raw_value, raw_unit
    growth: genome_id, medium_id, growth (bool), confidence, source, rank
    """

    genomes: pd.DataFrame
    taxa: pd.DataFrame
    media: pd.DataFrame
    amounts: pd.DataFrame
    growth: pd.DataFrame


class Organisms(NamedTuple):
    """The tables genomes and taxa, as in `Tables`."""

    genomes: pd.DataFrame
    taxa: pd.DataFrame


def read(url: str = DEFAULT_URL) -> Tables:
    """The tables as they are at one moment. DatabaseError for a database that is not there or not ready."""
    with reading(url) as connection:
        return Tables(
            genomes=_genomes(connection),
            taxa=_taxa(connection),
            media=_media(connection),
            amounts=_amounts(connection),
            growth=_growth(connection),
        )


def read_organisms(url: str = DEFAULT_URL) -> Organisms:
    """The tables of organisms alone. DatabaseError for a database that is not there or not ready."""
    with reading(url) as connection:
        return Organisms(_genomes(connection), _taxa(connection))


def _genomes(connection: Connection) -> pd.DataFrame:
    return _frame(
        connection,
        select(
            Genome.genome_id, Genome.organism_name, Genome.organism_type, Genome.genus, Genome.species, Genome.strain,
            Genome.taxid, Genome.lineage, Genome.gc_content, Genome.sequence_length,
            Genome.fasta_path.is_not(None).label("has_sequence"),
        ),
        taxid="Int64",
        gc_content=float,
        sequence_length="Int64",
        has_sequence=bool,
    )  # fmt: skip


def _taxa(connection: Connection) -> pd.DataFrame:
    query = select(Taxon.genus, Taxon.lineage, Taxon.gc, Taxon.genome_size)
    return _frame(connection, query, gc=float, genome_size=float)


def _media(connection: Connection) -> pd.DataFrame:
    query = select(
        Medium.medium_id, Medium.name, Medium.source, Medium.collection, Medium.category, Medium.medium_type,
        Medium.min_ph, Medium.max_ph, Medium.physical_state, Medium.link,
    )  # fmt: skip
    return _frame(connection, query, min_ph=float, max_ph=float)


def _amounts(connection: Connection) -> pd.DataFrame:
    query = (
        select(
            MediumIngredient.medium_id, MediumIngredient.position, MediumIngredient.ingredient, Ingredient.chebi,
            MediumIngredient.g_per_l, MediumIngredient.guessed, MediumIngredient.raw_value, MediumIngredient.raw_unit,
        )
        .join(Ingredient, Ingredient.name == MediumIngredient.ingredient)
    )  # fmt: skip
    found = _frame(connection, query, 2, g_per_l=float, guessed=bool, raw_value=float)
    return found.drop(columns="position")


def _growth(connection: Connection) -> pd.DataFrame:
    query = select(
        Growth.genome_id, Growth.media_id.label("medium_id"), Growth.growth, Growth.confidence, Growth.source,
        Growth.rank,
    )  # fmt: skip
    found = _frame(connection, query, 0, growth=bool, confidence=float)
    return found.sort_values(["genome_id", "medium_id", "source"], ignore_index=True)


def _frame(connection: Connection, query: Executable, keys: int = 1, **kinds: Any) -> pd.DataFrame:
    """The answer to a query: text as objects (None where there is nothing), other columns as `kinds` says.

    keys: leading columns that the rows are sorted by, here and not by a server, whose alphabet is its own.
    """
    answer = connection.execute(query)
    names = list(answer.keys())
    rows = sorted(answer.all(), key=lambda row: tuple(row)[:keys])
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    made: dict[str, Any] = {}
    for name, cells in zip(names, columns, strict=True):
        kind = kinds.get(name, object)
        if kind == "Int64":
            made[name] = pd.array(list(cells), dtype="Int64")
        elif kind is float:
            made[name] = np.array([np.nan if cell is None else cell for cell in cells], dtype=np.float64)
        elif kind is bool:
            made[name] = np.array(cells, dtype=bool)
        else:
            made[name] = pd.Series(list(cells), dtype=object)
    return pd.DataFrame(made, columns=pd.Index(names))


def read_embeddings(
    url: str, method: str, among: Collection[str] | None = None
) -> tuple[list[str], np.ndarray]:
    """The genomes that have an embedding by a method, in the order of their ids, and float32 (n, d).

    among: of these genomes only, of which none needs to have one. Raises DatabaseError: none at all, a damaged one,
    unequal lengths, one of a sequence that has changed since.
    """
    query = _stored(method)
    if among is not None:
        query = query.where(GenomeEmbedding.genome_id.in_(among))
    with reading(url) as connection:
        rows = sorted(connection.execute(query).all(), key=lambda row: row.genome_id)
    if not rows and among is not None:
        return [], np.empty((0, 0), dtype=np.float32)
    if not rows:
        msg = f"{shown(url)}: no genome has an embedding by {method!r}: `mediacvae embed --method {method}`"
        raise DatabaseError(msg)
    width = rows[0].embedding_dim
    made = np.empty((len(rows), width), dtype=np.float32)
    for at, row in enumerate(rows):
        made[at] = _vector(row, method, width)
    return [row.genome_id for row in rows], made


def stored_methods(url: str) -> set[str]:
    """The methods by which any genome has an embedding. DatabaseError for a database that is not there or not ready."""
    with reading(url) as connection:
        return set(connection.execute(select(GenomeEmbedding.embedding_model).distinct()).scalars())


def read_embedding(url: str, genome_id: str, method: str) -> np.ndarray:
    """The embedding of one genome, float32 (d,). DatabaseError: not there, damaged, of another sequence."""
    from mediacvae.db.store import refuse_unknown

    with reading(url) as connection:
        row = connection.execute(_stored(method).where(GenomeEmbedding.genome_id == genome_id)).one_or_none()
        if row is None:
            refuse_unknown(connection, Genome.genome_id, {genome_id: ""})
            msg = f"genome {genome_id!r} has no embedding by {method!r}: `mediacvae embed --method {method}`"
            raise DatabaseError(msg)
    return _vector(row, method, row.embedding_dim)


def _stored(method: str) -> Any:
    return (
        select(
            GenomeEmbedding.genome_id, GenomeEmbedding.embedding, GenomeEmbedding.embedding_dim,
            GenomeEmbedding.fasta_hash, Genome.fasta_hash.label("now"),
        )
        .join(Genome, Genome.genome_id == GenomeEmbedding.genome_id)
        .where(GenomeEmbedding.embedding_model == method)
    )  # fmt: skip


def _vector(row: Any, method: str, width: int) -> np.ndarray:
    what = f"embedding {method!r} of genome {row.genome_id!r}"
    if row.fasta_hash is not None and row.fasta_hash != row.now:
        msg = f"{what}: its sequence has changed since: `mediacvae embed --method {method}` computes it anew"
        raise DatabaseError(msg)
    return from_bytes(row.embedding, width, what)


def info(url: str = DEFAULT_URL) -> dict[str, Any]:
    """What is in a database: rows of every table, genomes and growth by organism type, embeddings by method.

    Raises DatabaseError for a database that is not there or not ready.
    """
    with reading(url) as connection:
        rows = {
            name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for name, table in sorted(Base.metadata.tables.items())
        }
        sequenced = Genome.fasta_path.is_not(None)
        by_type = connection.execute(
            select(Genome.organism_type, func.count(), func.count(Genome.fasta_path)).group_by(
                Genome.organism_type
            )
        ).all()
        grew = connection.execute(
            select(Genome.organism_type, Growth.growth, func.count())
            .join(Genome, Genome.genome_id == Growth.genome_id)
            .group_by(Genome.organism_type, Growth.growth)
        ).all()
        methods = connection.execute(
            select(
                GenomeEmbedding.embedding_model, func.count(), func.max(GenomeEmbedding.embedding_dim)
            ).group_by(GenomeEmbedding.embedding_model)
        ).all()
        guessed = connection.execute(select(func.count()).where(MediumIngredient.guessed)).scalar_one()
        unknown = connection.execute(
            select(func.count()).where(MediumIngredient.g_per_l.is_(None))
        ).scalar_one()
        with_sequence = connection.execute(select(func.count()).where(sequenced)).scalar_one()
    types = {
        kind: {"genomes": n, "with_sequence": s, "growth": 0, "no_growth": 0}
        for kind, n, s in sorted(by_type)
    }
    for kind, growth, n in grew:
        types[kind]["growth" if growth else "no_growth"] = n
    return {
        "database": shown(url),
        "schema": VERSION,
        "rows": rows,
        "genomes_with_sequence": with_sequence,
        "amounts_guessed": guessed,
        "amounts_unknown": unknown,
        "types": types,
        "embeddings": {method: {"genomes": n, "dimension": d} for method, n, d in sorted(methods)},
    }
