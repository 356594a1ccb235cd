"""The lineage that a genome suggests."""

from __future__ import annotations

import numpy as np

from mediacvae.conditions import LINEAGE, Block, Conditioner
from mediacvae.kernels import Kernel
from mediacvae.placing import place

BLOCKS = (
    Block(LINEAGE, "tokens", ("Archaea", "Bacteria", "Firmicutes")),
    Block("kmer4", "numbers", tuple(f"k{at}" for at in range(30))),
)
WORDS = np.array([[1.0, 0, 0], [0, 1, 1], [0, 1, 0]])


def world() -> tuple[Kernel, np.ndarray, np.ndarray]:
    """Three clades of ten, the middles of their k-mers far apart."""
    rng = np.random.default_rng(0)
    middles = rng.normal(size=(3, 30)) * 3
    clade = np.repeat(np.arange(3), 10)
    known = np.concatenate([WORDS[clade], middles[clade] + rng.normal(size=(30, 30))], axis=1)
    return Kernel.fit(Conditioner(BLOCKS), known), known, middles


def of(kmers: np.ndarray) -> np.ndarray:
    return np.concatenate([np.full(3, np.nan), kmers])[None]


def test_a_genome_has_the_lineage_of_those_like_it():
    kernel, known, middles = world()
    for middle, words in zip(middles, WORDS, strict=True):
        made = place(kernel, of(middle), known)
        assert made is not None
        np.testing.assert_allclose(made, words, atol=0.1)
        assert made.min() >= 0
        assert made.max() <= 1 + 1e-9


def test_a_lineage_that_is_known_stays_and_without_a_genome_nobody_is_near():
    kernel, known, middles = world()
    assert place(kernel, known[:1], known) is None
    assert place(kernel, of(np.full(30, np.nan)), known) is None
    nobody = known.copy()
    nobody[:, 3:] = np.nan
    assert place(kernel, of(middles[0]), nobody) is None
    unplaced = known.copy()
    unplaced[:, :3] = np.nan
    assert place(kernel, of(middles[0]), unplaced) is None
    part = known.copy()
    part[10:, :3] = np.nan
    np.testing.assert_allclose(place(kernel, of(middles[1] + middles[0]), part), WORDS[0])


def test_a_model_without_genomes_or_lineage_places_nobody():
    _, known, _ = world()
    for own, columns in ((BLOCKS[:1], slice(0, 3)), (BLOCKS[1:], slice(3, None))):
        part = Kernel.fit(Conditioner(own), known[:, columns])
        assert place(part, np.full((1, part.conditioner.width), np.nan), known[:, columns]) is None
