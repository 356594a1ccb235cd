"""Genomes along a tree, and marker families in them: made codon by codon, gene by gene, contig by contig.

A type, a genus, a species and a strain each turn the usage of codons a little; a species redraws some codons of its
genus, a strain few of its species. A marker is a repeat protein that is the same in every genus: loci of a unit of six
codons in tandem, with point mutations, on either strand. Nothing of the model is used.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mediacvae.options import SimulationConfig

BASES = np.frombuffer(b"ACGT", dtype=np.uint8)
CODONS = np.array(
    [c for c in itertools.product(range(4), repeat=3) if c not in {(3, 0, 0), (3, 0, 2), (3, 2, 0)}]
)
START, STOP = (0, 3, 2), (3, 0, 0)  # ATG, TAA
UNIT = 6  # codons of a marker's unit
LOCUS = 30  # units of a typical locus
MUTATED = 0.02  # share of a marker's bases that differ from the family's
GC = {"bacteria": 0.05, "archaea": 0.15, "fungi": -0.05, "protist": -0.35}  # log odds of G and C, of a type
REDRAWN = {"species": 0.2, "strain": 0.005}  # share of the codons, and of the bases between genes
TURNED = {"type": 0.25, "genus": 0.25, "species": 0.08, "strain": 0.01}  # sd of a codon's log weight
BETWEEN = (60, 160)  # bases between two genes
GENE = (120, 520)  # codons of a gene


@dataclass(frozen=True)
class Region:
    """Where a marker lies: bases start to end (from 0, end not included) of a contig."""

    marker: str
    contig: str
    start: int
    end: int


@dataclass(frozen=True)
class Ancestor:
    """A genome of g genes, without markers."""

    usage: np.ndarray  # (61,) log weights of the codons
    gc: float  # log odds of G and C between genes
    codons: np.ndarray  # (c,) numbers in CODONS, of all genes in a row
    between: np.ndarray  # (b,) bases 0 to 3 between genes, in a row
    genes: np.ndarray  # (g,) codons of each gene
    gaps: np.ndarray  # (g,) bases before each gene
    strands: np.ndarray  # (g,) bool, True: on the other strand


def families(names: Sequence[str], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A unit (18,) of bases 0 to 3 for each marker: no stop, no word of four twice, none of six shared with another."""
    made: dict[str, np.ndarray] = {}
    used: set[tuple[int, ...]] = set()
    while len(made) < len(names):
        unit = CODONS[rng.integers(0, len(CODONS), UNIT)].ravel()
        fours, sixes = words(unit, 4), words(unit, 6)
        gc = int(np.isin(unit, (1, 2)).sum())
        if len(fours) < 2 * len(unit) or used & sixes or abs(gc - len(unit) // 2) > 1:
            continue
        used |= sixes
        made[names[len(made)]] = unit
    return made


def words(unit: np.ndarray, k: int) -> set[tuple[int, ...]]:
    """The words of k bases, 0 to 3 each, of a tandem repeat of a unit (18,), on both strands."""
    ring = np.concatenate([unit, unit[: k - 1]])
    return {tuple(map(int, ring[i : i + k])) for i in range(len(unit))} | {
        tuple(int(3 - b) for b in ring[i : i + k][::-1]) for i in range(len(unit))
    }


def root(rng: np.random.Generator) -> np.ndarray:
    """Log weights (61,) of the codons before any type went its own way."""
    return rng.normal(0.0, 0.4, len(CODONS))


def genus_of(usage: np.ndarray, organism_type: str, length: int, rng: np.random.Generator) -> Ancestor:
    """A genus of a type whose codon usage (61,) is given: usage turned, G and C shifted, every gene drawn anew.

    length: of a typical genome [bases].
    """
    gc = float(np.clip(GC[organism_type] + rng.normal(0.0, 0.3), -0.7, 0.7))
    return _drawn(usage + _turn("genus", rng), gc, int(length * rng.uniform(0.75, 1.3)), rng)


def of_type(usage: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The codon usage (61,) of a type, from that of the root (61,)."""
    return usage + _turn("type", rng)


def turned(above: Ancestor, rank: str, rng: np.random.Generator) -> Ancestor:
    """A species of a genus, or a strain of a species (rank): the same genes, some codons and bases redrawn."""
    usage = above.usage + _turn(rank, rng)
    again = rng.random(len(above.codons)) < REDRAWN[rank]
    codons = np.where(again, _codons(usage, above.gc, len(again), rng), above.codons)
    again = rng.random(len(above.between)) < REDRAWN[rank]
    between = np.where(again, _bases(above.gc, len(again), rng), above.between)
    return Ancestor(usage, above.gc, codons, between, above.genes, above.gaps, above.strands)


def assemble(
    ancestor: Ancestor,
    carried: Mapping[str, np.ndarray],
    config: SimulationConfig,
    name: str,
    rng: np.random.Generator,
) -> tuple[dict[str, bytes], tuple[Region, ...]]:
    """Contigs by name, in ACGT, of a strain that carries some families; and where these lie.

    carried: units (18,) of bases 0 to 3 by marker. name: of the strain, with which its contigs' names begin.
    """
    length = 3 * len(ancestor.codons) + len(ancestor.between)
    pieces: list[tuple[str, np.ndarray]] = []
    inner = np.split(CODONS[ancestor.codons], np.cumsum(ancestor.genes)[:-1])
    outer = np.split(ancestor.between, np.cumsum(ancestor.gaps)[:-1])
    slots = _loci(carried, length, len(inner), config.marker, rng)
    for i, (gap, gene) in enumerate(zip(outer, inner, strict=True)):
        pieces += [
            ("", gap),
            ("", _stranded(np.concatenate([START, gene.ravel(), STOP]), other=bool(ancestor.strands[i]))),
        ]
        for marker, locus in slots.get(i, []):
            pieces += [("", _bases(ancestor.gc, BETWEEN[0], rng)), (marker, locus)]
    count = min(1 + int(rng.poisson(config.contigs - 1)), max(1, len(inner) // 4))
    cuts = set(_cuts(pieces, count, rng))
    contigs: dict[str, list[np.ndarray]] = {}
    regions: list[Region] = []
    at, contig = 0, ""
    for i, (marker, bases) in enumerate(pieces):
        if i == 0 or i in cuts:
            at, contig = 0, f"{name}_c{len(contigs) + 1}"
            contigs[contig] = []
        if marker:
            regions.append(Region(marker, contig, at, at + len(bases)))
        contigs[contig].append(bases)
        at += len(bases)
    joined = {contig: BASES[np.concatenate(bases)].tobytes() for contig, bases in contigs.items()}
    return joined, tuple(regions)


def _loci(
    carried: Mapping[str, np.ndarray], length: int, genes: int, share: float, rng: np.random.Generator
) -> dict[int, list[tuple[str, np.ndarray]]]:
    """Loci of every carried family, by the gene they follow; together they take up their share of the genome."""
    slots: dict[int, list[tuple[str, np.ndarray]]] = {}
    for marker, unit in carried.items():
        left = max(1, round(share * length / (1 - share * len(carried)) / len(unit)))  # units
        while left > 0:
            units = min(left, max(8, int(rng.normal(LOCUS, LOCUS / 5))))
            units = left if left - units < 8 else units
            locus = np.concatenate([START, np.tile(unit, units), STOP])
            hit = rng.random(len(locus)) < MUTATED
            locus = np.where(hit, rng.integers(0, 4, len(locus)), locus)
            place = int(rng.integers(0, genes))
            slots.setdefault(place, []).append((marker, _stranded(locus, other=bool(rng.random() < 0.5))))
            left -= units
    return slots


def _cuts(pieces: Sequence[tuple[str, np.ndarray]], count: int, rng: np.random.Generator) -> list[int]:
    """Pieces that begin a contig besides the first: `count` contigs at most, each of some genes."""
    places = np.arange(6, len(pieces) - 6, 2)
    return (
        sorted(map(int, rng.choice(places, min(count - 1, len(places)), replace=False)))
        if len(places)
        else []
    )


def _drawn(usage: np.ndarray, gc: float, length: int, rng: np.random.Generator) -> Ancestor:
    """A genome of about `length` bases without any history."""
    count = max(4, round(length / (3 * np.mean(GENE) + np.mean(BETWEEN))))
    genes, gaps = rng.integers(*GENE, count), rng.integers(*BETWEEN, count)
    codons, between = (
        _codons(usage, gc, int(genes.sum()), rng),
        _bases(gc, int(gaps.sum()), rng),
    )
    return Ancestor(usage, gc, codons, between, genes, gaps, rng.random(count) < 0.5)


def _codons(usage: np.ndarray, gc: float, n: int, rng: np.random.Generator) -> np.ndarray:
    """Codons drawn by their usage, G and C favoured by `gc`."""
    weight = np.exp(usage + gc * np.isin(CODONS, (1, 2)).sum(axis=1))
    return np.searchsorted(np.cumsum(weight / weight.sum())[:-1], rng.random(n))


def _bases(gc: float, n: int, rng: np.random.Generator) -> np.ndarray:
    """Bases between genes, (n,) 0 to 3."""
    strong = rng.random(n) < 1.0 / (1.0 + np.exp(-gc))
    return np.where(strong, rng.integers(1, 3, n), 3 * rng.integers(0, 2, n))


def _stranded(bases: np.ndarray, *, other: bool) -> np.ndarray:
    """The bases, or their reverse complement."""
    return 3 - bases[::-1] if other else bases


def _turn(rank: str, rng: np.random.Generator) -> np.ndarray:
    """A change of the codons' log weights."""
    return rng.normal(0.0, TURNED[rank], len(CODONS))
