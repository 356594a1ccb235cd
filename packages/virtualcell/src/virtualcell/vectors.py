"""Vectors of genes: given ones (protein embeddings) matched by name, or unit vectors made from the names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cytosol.stream import mix_seed
from virtualcell.faults import refuse
from virtualcell.genes import match_genes
from virtualcell.tables import read_npz

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

Vectors = Mapping[str, np.ndarray]


def name_vector(name: str, width: int) -> np.ndarray:
    """A unit vector (width,) that is always the same for a name."""
    drawn = np.random.default_rng(mix_seed("name", name)).normal(size=width)
    return drawn / np.linalg.norm(drawn)


def name_vectors(names: Sequence[str], width: int) -> np.ndarray:
    """Unit vectors (g, width) float32 made from names: nearly orthogonal, they tell genes apart and nothing else."""
    return np.stack([name_vector(name, width) for name in names]).astype(np.float32)


def read_vectors(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Vectors by gene from an npz with `ids` (g,) text and `vectors` (g, t), or one array (t,) a gene.

    Raises DataError, as `read_npz`, for ids and vectors that do not fit each other, and for an id that is given twice.
    """
    arrays = read_npz(path)
    if set(arrays) == {"ids", "vectors"}:
        ids, table = arrays["ids"], arrays["vectors"]
        if ids.ndim != 1 or ids.dtype.kind != "U" or table.ndim != 2 or len(ids) != len(table):
            shapes = f"{ids.dtype} {ids.shape} and {table.dtype} {table.shape}"
            refuse(f"{path}: expected ids (g,) of text and vectors (g, t), got {shapes}")
        twice = [name for name, count in Counter(ids.tolist()).items() if count > 1]
        if twice:
            refuse(f"{path}: ids: expected each once, {twice[0]!r} is there more than once")
        return dict(zip(ids.tolist(), table, strict=True))
    return arrays


def matched_vectors(
    genes: Sequence[str], given: Vectors | Path | str
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Vectors of genes (g, t) float32, which genes have one (g,) bool, and notes of those without.

    Raises DataError: vectors of different lengths, of anything but finite numbers, no gene with one.
    """
    vectors = given if isinstance(given, Mapping) else read_vectors(given)
    names = list(vectors)
    widths = {np.shape(vectors[name]) for name in names}
    if len(widths) != 1 or len(next(iter(widths))) != 1:
        refuse(f"gene vectors: expected vectors (t,) of one length, got shapes {sorted(widths)[:3]}")
    try:
        table = np.stack([np.asarray(vectors[name], dtype=np.float32) for name in names])
    except (TypeError, ValueError) as fault:
        refuse(f"gene vectors: expected numbers ({fault})")
    bad = ~np.isfinite(table).all(axis=1)
    if bad.any():
        refuse(f"gene vectors: gene {names[int(bad.argmax())]!r}: expected finite numbers")
    match = match_genes(genes, names, what="gene vectors")
    return np.where(match.found[:, None], table[match.index], 0.0), match.found, match.notes
