"""Genomes as vectors: the methods by name, one genome, or many over several processes.

| method | numbers | what they are |
|---|---|---|
| kmer4, kmer6, kmer8 | 256, 4,096, 65,536 | shares of the k-mers, AA.. to TT.. |
| kmer4c, kmer6c, kmer8c | 136, 2,080, 32,896 | the same with both strands as one |
| stats | 4 | GC and AT share of the known bases, log10 of the length, share of unknown letters (N and codes) |
| codons | 64 | share of each codon in predicted genes (pyrodigal, an extra) |
| amino_acids | 20 | share of each amino acid in their proteins |

`kmer_64`, `kmer_128` and `kmer_256` are other names of kmer4, kmer6 and kmer8.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING

import numpy as np

from mediacvae import fasta, genes, kmers
from mediacvae.fasta import GenomeError
from mediacvae.outside import read_outside

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from mediacvae.fasta import Genome

    Path = str | os.PathLike[str]
    Result = np.ndarray | GenomeError

__all__ = [
    "ALIASES",
    "METHODS",
    "dimension",
    "embed",
    "embed_all",
    "method",
    "names",
    "of_genome",
    "read_outside",
]

_KMERS = {f"kmer{k}{c}": (k, c == "c") for c in ("", "c") for k in (4, 6, 8)}
_STATS = ("gc_share", "at_share", "log10_length", "n_share")
ALIASES = {"kmer_64": "kmer4", "kmer_128": "kmer6", "kmer_256": "kmer8"}
METHODS = (*_KMERS, "stats", "codons", "amino_acids")
_BY_GENES = ("codons", "amino_acids")


def method(name: str) -> str:
    """The name of a method as it is stored; ValueError for one that is not known."""
    found = ALIASES.get(name, name)
    if found not in METHODS:
        msg = f"embedding method: expected one of {', '.join((*METHODS, *ALIASES))}, got {name!r}"
        raise ValueError(msg)
    return found


def dimension(name: str) -> int:
    """How many numbers a method makes; ValueError for one that is not known."""
    name = method(name)
    if name in _KMERS:
        k, canonical = _KMERS[name]
        palindromes = 4 ** (k // 2) if k % 2 == 0 else 0
        return (4**k + palindromes) // 2 if canonical else 4**k
    return len(names(name))


def names(name: str) -> list[str]:
    """What each number of a method is called, in order; ValueError for one that is not known."""
    name = method(name)
    if name in _KMERS:
        k, canonical = _KMERS[name]
        return kmers.names(k, canonical=canonical)
    return list({"stats": _STATS, "codons": genes.CODONS, "amino_acids": genes.AMINO_ACIDS}[name])


def of_genome(genome: Genome, name: str) -> np.ndarray:
    """The vector of a genome, float32 (dimension,).

    GenomeError where it has none: no k known bases in a row, no known base, no gene. ValueError for another method, or
    one by genes where pyrodigal is not installed.
    """
    name = method(name)
    if name in _KMERS:
        k, canonical = _KMERS[name]
        found = kmers.count_text(genome.text, genome.spans, k, canonical=canonical)
        if not found.any():
            msg = f"{genome.path}: expected {k} known bases (A, C, G, T) in a row, there are none: all N, or too short"
            raise GenomeError(msg)
        vector = kmers.shares(found)
    elif name == "stats":
        gc, letters = genome.gc / 100, genome.letters
        vector = np.array([gc, 1 - gc, np.log10(genome.length), letters[4] / genome.length])
    elif name == "codons":
        vector = genes.codon_usage(genome)
    else:
        vector = genes.amino_acid_composition(genome)
    return vector.astype(np.float32)


def embed(path: Path, name: str, *, max_bytes: int = fasta.LARGEST) -> np.ndarray:
    """The vector of a FASTA file, float32 (dimension,). Raises as `fasta.read` and `of_genome`."""
    name = method(name)
    return of_genome(fasta.read(path, max_bytes=max_bytes), name)


def embed_all(
    jobs: Mapping[str, Path], name: str, *, workers: int | None = None, max_bytes: int = fasta.LARGEST
) -> Iterator[tuple[str, Result]]:
    """The id and vector of each job (id -> path), as they are done; an error in one genome is given in its place.

    workers: processes (default: one a core; 1: none but this one). They are started anew ("spawn"), so a script that
    calls this needs `if __name__ == "__main__":`. max_bytes: as `fasta.read` takes it. Raises ValueError at once for
    what is wrong with all: the method, pyrodigal that is not installed, workers below 1.
    """
    name = method(name)
    if workers is not None and workers < 1:
        msg = f"workers: expected at least 1, got {workers}"
        raise ValueError(msg)
    if name in _BY_GENES:
        genes.require()
    count = min(workers or _cores(), len(jobs))
    if count <= 1:
        return ((key, _attempt(path, name, max_bytes)) for key, path in jobs.items())
    return _over_processes(dict(jobs), name, count, max_bytes)


def _attempt(path: Path, name: str, max_bytes: int) -> Result:
    """A vector, or what is wrong with this genome."""
    try:
        return embed(path, name, max_bytes=max_bytes)
    except GenomeError as fault:
        return fault
    except MemoryError:
        return GenomeError(f"{os.fspath(path)}: there is not enough memory for this genome")


def _over_processes(
    todo: dict[str, Path], name: str, count: int, max_bytes: int
) -> Iterator[tuple[str, Result]]:
    if name in _KMERS:
        kmers.count([b"A"], 1)  # compiled here once and kept on disk, not by every worker
    while todo:
        lost = yield from _pooled(todo, name, count, max_bytes)
        # one of these ended its process: each by itself, so that only that one fails
        for key, path in lost.items():
            alone = {key: path}
            again = yield from _pooled(alone, name, 1, max_bytes)
            if again:
                what = "the process that read this genome was ended (out of memory?)"
                yield key, GenomeError(f"{os.fspath(path)}: {what}")


def _pooled(
    todo: dict[str, Path], name: str, count: int, max_bytes: int
) -> Generator[tuple[str, Result], None, dict[str, Path]]:
    """Work through jobs, which are taken out of `todo`; returns those in work when a process ended."""
    running: dict[Future[Result], tuple[str, Path]] = {}
    lost: dict[str, Path] = {}
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=_end_with_parent)
    try:
        while running or (todo and not lost):
            while todo and not lost and len(running) < 2 * count:
                key = next(iter(todo))
                path = todo.pop(key)
                try:
                    running[pool.submit(_attempt, path, name, max_bytes)] = key, path
                except BrokenProcessPool:
                    lost[key] = path
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                key, path = running.pop(future)
                try:
                    result = future.result()
                except BrokenProcessPool:
                    lost[key] = path
                else:
                    yield key, result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return lost


def _end_with_parent() -> None:
    """Have this process end when the one that started it is killed: nobody else would tell it."""
    parent = multiprocessing.parent_process()

    def wait_for_its_end() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait_for_its_end, daemon=True).start()


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
