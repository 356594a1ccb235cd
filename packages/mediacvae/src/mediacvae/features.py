"""Features of genomes, kept in the database: computed once, computed anew where a sequence has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import and_, func, select

from mediacvae import embeddings
from mediacvae.db import blobs
from mediacvae.db.engines import DEFAULT_URL, DatabaseError
from mediacvae.db.genomes import file_hash
from mediacvae.db.reading import read_embedding
from mediacvae.db.schema import Genome, GenomeEmbedding
from mediacvae.db.session import reading, writing
from mediacvae.db.store import refuse_unknown, store_embedding

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np

_SHOWN = 3  # genomes that an error names


def compute_all_genome_embeddings(
    method: str = "kmer6",
    *,
    url: str = DEFAULT_URL,
    workers: int | None = None,
    on_step: Callable[[int, int], None] = lambda done, of: None,
) -> int:
    """Compute what is missing for every genome with a sequence; how many were computed.

    Each is committed as it comes: after a kill the next call goes on. on_step is told (genomes done, genomes to do).
    Raises DatabaseError at the end for genomes without an embedding (the others are stored): an unreadable file, or
    one that has changed since it was added; ValueError at once for an unknown method.
    """
    name = embeddings.method(method)
    todo = _missing(url, name)
    failed: list[str] = []
    jobs: dict[str, str] = {}
    for genome, (path, stored) in todo.items():
        try:
            _refuse_changed(genome, path, stored)
        except DatabaseError as fault:
            failed.append(str(fault))
        else:
            jobs[genome] = path
    done = 0
    for at, (genome, vector) in enumerate(embeddings.embed_all(jobs, name, workers=workers), start=1):
        if isinstance(vector, ValueError):
            failed.append(str(vector))
        else:
            with writing(url) as connection:
                store_embedding(connection, genome, name, vector, todo[genome][1])
            done += 1
        on_step(at, len(jobs))
    if failed:
        more = "; ..." if len(failed) > _SHOWN else ""
        said = "; ".join(sorted(failed)[:_SHOWN])
        msg = f"{len(failed)} of {len(todo)} genomes have no embedding by {name!r} ({done} computed): {said}{more}"
        raise DatabaseError(msg)
    return done


def _missing(url: str, method: str) -> dict[str, tuple[str, str | None]]:
    """Genomes with a sequence and without a fresh embedding: path and hash by id."""
    same = and_(GenomeEmbedding.genome_id == Genome.genome_id, GenomeEmbedding.embedding_model == method)
    stale = GenomeEmbedding.genome_id.is_(None) | GenomeEmbedding.fasta_hash.is_distinct_from(
        Genome.fasta_hash
    )
    query = (
        select(Genome.genome_id, Genome.fasta_path, Genome.fasta_hash)
        .outerjoin(GenomeEmbedding, same)
        .where(Genome.fasta_path.is_not(None), stale)
    )
    with reading(url) as connection:
        found = {genome: (str(path), stored) for genome, path, stored in connection.execute(query)}
        sequenced = connection.execute(select(func.count(Genome.fasta_path))).scalar_one()
    if not sequenced:
        msg = "expected genomes with a sequence, there is none: `mediacvae db add-genomes DIR` adds them"
        raise DatabaseError(msg)
    return dict(sorted(found.items()))


def _refuse_changed(genome: str, path: str, stored: str | None) -> None:
    """DatabaseError where a file is not what it was when it was added."""
    try:
        now = file_hash(path)
    except OSError as fault:
        msg = f"genome {genome!r}: {path}: {fault.strerror}"
        raise DatabaseError(msg) from None
    if stored is not None and now != stored:
        msg = f"genome {genome!r}: {path} has changed since it was added: `mediacvae db add-genomes` takes it anew"
        raise DatabaseError(msg)


def load_genome_embedding(genome_id: str, method: str = "kmer6", *, url: str = DEFAULT_URL) -> np.ndarray:
    """The features of a genome, float32 (d,).

    Raises DatabaseError: an unknown genome (with the nearest), no embedding by this method, damaged bytes, a length
    that is not the method's, a sequence that has changed since.
    """
    name = embeddings.ALIASES.get(method, method)
    vector = read_embedding(url, genome_id, name)
    if name in embeddings.METHODS and len(vector) != embeddings.dimension(name):
        expected = embeddings.dimension(name)
        what = f"embedding {name!r} of genome {genome_id!r}"
        msg = f"{what}: expected {expected} numbers, got {len(vector)}: compute it anew"
        raise DatabaseError(msg)
    return vector


def store_outside_embeddings(file: Path, method: str, *, url: str = DEFAULT_URL) -> int:
    """Keep what another program has made of genomes (.npz by genome id) under a name of its own; how many.

    Raises DatabaseError: a name that is a method here, an unknown genome; GenomeError for a bad file. All or nothing.
    """
    from mediacvae.names import checked_id

    checked_id(method, "embedding method")
    if method in embeddings.METHODS or method in embeddings.ALIASES:
        msg = (
            f"embedding method: {method!r} is computed here: give what another program made a name of its own"
        )
        raise DatabaseError(msg)
    vectors = embeddings.read_outside(file)
    for genome, vector in vectors.items():
        if len(vector) > blobs.LONGEST:
            msg = f"{file}: genome {genome!r}: expected at most {blobs.LONGEST} numbers, got {len(vector)}"
            raise DatabaseError(msg)
    with writing(url) as connection:
        refuse_unknown(connection, Genome.genome_id, dict.fromkeys(vectors, f"{file}: "))
        for genome, vector in vectors.items():
            store_embedding(connection, genome, method, vector, None)
    return len(vectors)
