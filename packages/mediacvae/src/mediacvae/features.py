"""Features of genomes, kept in the database, and the dataset that is built with them.

Features are computed once, and anew where a sequence has changed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, func, select

from mediacvae import embeddings
from mediacvae.db import blobs
from mediacvae.db.engines import DEFAULT_URL, DatabaseError
from mediacvae.db.genomes import file_hash
from mediacvae.db.reading import read_embedding, read_embeddings, stored_methods
from mediacvae.db.schema import Genome, GenomeEmbedding
from mediacvae.db.session import reading, writing
from mediacvae.db.store import refuse_unknown, store_embedding

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from mediacvae.building import BuildOptions, Group, Guessed
    from mediacvae.dataset import Dataset
    from mediacvae.kin import Vectors

_SHOWN = 3  # genomes that an error names


def compute_all_genome_embeddings(
    method: str = "kmer6",
    *,
    url: str = DEFAULT_URL,
    workers: int | None = None,
    on_step: Callable[[int, int], None] = lambda done, of: None,
) -> int:
    """Compute what is missing for every genome with a sequence; how many were computed.

    workers: processes, as `embeddings.embed_all` takes them. Each is committed as it comes: after a kill the next call
    goes on. on_step is told (genomes done, genomes to do). Raises DatabaseError at the end for genomes without an
    embedding (the others are stored): an unreadable file, or one that has changed since it was added; ValueError at
    once for an unknown method.
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

    All or nothing. Raises ValueError for a name that may not be one, DatabaseError for one that is a method here, an
    unknown genome or too long a vector, GenomeError for a bad file.
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


def build_genome_media_dataset(
    embedding_method: str | None = "kmer6",
    organism_type: str | None = None,
    test_size: float = 0.15,
    val_size: float = 0.15,
    seed: int = 42,
    save: bool = True,  # noqa: FBT001, FBT002 - the signature of the specification
    *,
    condition: Sequence[str] | None = None,
    group: Group = "genus",
    guessed: Guessed = "in",
    sources: Sequence[str] = (),
    ingredients: int = 256,
    url: str = DEFAULT_URL,
    out: Path | str = "dataset",
) -> dict[str, Any]:
    """The dataset of a database: X_ (media (n, m) [g/L]), C_ (conditions (n, d)), y_ (organism types (n,)) by split.

    Keys X_train, C_train, y_train and so on for val and test; samples (a DataFrame, a row a pair), ingredients (m
    names), features (d names), notes (what was left out), dataset (`mediacvae.dataset.Dataset`). condition: blocks side
    by side, of `lineage`, `names`, `stats` (GC and log10 length) and genome methods, that of `embedding_method` among
    them; without it, this method alone. sources: of media, `all` for all. save: write it to the folder `out`.
    Raises ValueError for what is out of range, DatabaseError for features that are not stored, DatasetError where
    nothing is left to learn from.
    """
    from mediacvae import dataset as datasets
    from mediacvae.building import BuildOptions

    options = BuildOptions(
        condition=blocks(embedding_method, condition), organism=organism_type, group=group, guessed=guessed,
        sources=tuple(sources), ingredients=ingredients, test_size=test_size, val_size=val_size, seed=seed,
    )  # fmt: skip
    data = _dataset(options, url)
    if save:
        datasets.write(data, Path(out))
    made: dict[str, Any] = {}
    for name in datasets.SPLITS:
        made |= {f"{kind}_{name}": array for kind, array in zip("XCy", data.arrays(name), strict=True)}
    return made | {
        "samples": data.samples(),
        "ingredients": list(data.ingredients),
        "features": data.conditioner.features,
        "notes": data.notes,
        "dataset": data,
    }


def blocks(method: str | None, condition: Sequence[str] | None) -> tuple[str, ...]:
    """The blocks of a condition, methods by the name they are stored under; ValueError where `method` is not used."""
    own = None if method is None else embeddings.ALIASES.get(method, method)
    if condition is None:
        if own is None:
            msg = "condition: expected some blocks, or an embedding method, got neither"
            raise ValueError(msg)
        return (own,)
    named = tuple(embeddings.ALIASES.get(name, name) for name in condition)
    if own is not None and own not in named:
        msg = f"condition: expected the embedding method {own} among it, got {', '.join(named)}"
        raise ValueError(msg)
    return named


def _dataset(options: BuildOptions, url: str) -> Dataset:
    """The dataset of a database, whose genome features are read for every method of the condition."""
    from mediacvae.building import build
    from mediacvae.conditions import LINEAGE, NAMES, STATS
    from mediacvae.db.reading import read

    own = (LINEAGE, NAMES, STATS)
    methods = [name for name in options.condition if name not in own]
    if odd := [name for name in methods if name not in embeddings.METHODS]:
        known = [*own, *embeddings.METHODS, *sorted(stored_methods(url) - set(embeddings.METHODS))]
        for name in odd:
            if name not in known:
                msg = f"condition: expected some of {', '.join(known)}, got {name!r}"
                raise ValueError(msg)
    vectors = {name: genome_vectors(name, url) for name in methods}  # first: the tables take longer
    return build(read(url), options, vectors)


def genome_vectors(method: str, url: str = DEFAULT_URL) -> Vectors:
    """The stored features of all genomes by a method, with the features' names.

    Raises DatabaseError: none stored, damaged, a length that is not the method's, a sequence that has changed since.
    """
    from mediacvae.kin import Vectors

    ids, values = read_embeddings(url, method)
    if method not in embeddings.METHODS:
        return Vectors(ids, values, [f"{method} {at}" for at in range(1, values.shape[1] + 1)])
    if values.shape[1] != embeddings.dimension(method):
        expected = embeddings.dimension(method)
        msg = f"embeddings {method!r}: expected {expected} numbers, got {values.shape[1]}: compute them anew"
        raise DatabaseError(msg)
    return Vectors(ids, values, embeddings.names(method))


def get_ingredient_names(dataset: Path | str = "dataset") -> list[str]:
    """What the columns of a dataset's media are, in order. DatasetError for a folder that is none."""
    from mediacvae import dataset as datasets

    return list(datasets.read(Path(dataset)).ingredients)
