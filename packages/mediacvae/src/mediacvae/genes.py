"""What a genome's genes say: which codons they use and which amino acids their proteins are made of.

Genes are predicted by Prodigal (Hyatt 2010, BMC Bioinformatics 11:119) through pyrodigal (Larralde 2022, JOSS 7:4296).
pyrodigal is under the GPL, version 3, so it is an extra that is installed by whoever wants it: `mediacvae[genes]`; this
package is under the MIT licence and works without it. Prodigal is made for bacteria, archaea and their viruses: genes
with introns (fungi, protists) are found in pieces only.

A genome of at least 100,000 bases trains its own gene model; a shorter one uses Prodigal's prepared ones ("meta").
The genetic code is the bacterial one (table 11), or that of Mycoplasma and its kin (table 4, TGA is tryptophan) where
genes then cover 5 % more of the genome, and 70 % of it at least: CheckM's rule (Parks 2015, Genome Research 25:1043).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mediacvae.fasta import GenomeError
from mediacvae.kmers import codes, names, shares

if TYPE_CHECKING:
    from mediacvae.fasta import Genome

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
CODONS = tuple(names(3))
OWN_MODEL = 100_000  # known bases: what Prodigal asks for to learn from
DENSE = 0.85  # of a genome covered by genes: the other genetic code is not tried
GAIN, LEAST = 0.05, 0.70  # what the other code must cover more, and at least


@dataclass(frozen=True)
class Genes:
    """Coding sequences (in frame, stop codon and all), their proteins (`*` at the end), and the genetic code's number.

    table: 11 or 4. density: letters of genes for each letter of the genome (genes overlap).
    """

    coding: tuple[str, ...]
    proteins: tuple[str, ...]
    table: int
    density: float


def require() -> None:
    """ValueError that says how to install pyrodigal, where it is not."""
    _pyrodigal()


def predict(genome: Genome) -> Genes:
    """The genes of a genome. GenomeError where there is none, ValueError where pyrodigal is not installed."""
    if genome.letters[:4].sum() < OWN_MODEL:
        found = _with(_pyrodigal().GeneFinder(meta=True), genome)
    else:
        found = _trained(genome, 11)
        if found.density < DENSE:
            other = _trained(genome, 4)
            if other.density > found.density + GAIN and other.density > LEAST:
                found = other
    if not found.coding:
        msg = f"{genome.path}: expected genes, none is found in {genome.length} letters"
        raise GenomeError(msg)
    return found


def codon_usage(genome: Genome) -> np.ndarray:
    """The share of each codon in the genes, float64 (64,), AAA to TTT, stop codons too. Raises as `predict`."""
    joined = "---".join(predict(genome).coding).encode()  # gaps of one codon keep the frame
    found = codes(joined, 3)[::3]
    return _shares(genome, np.bincount(found[found >= 0], minlength=64))


def amino_acid_composition(genome: Genome) -> np.ndarray:
    """The share of each amino acid in the proteins, float64 (20,), in the order of AMINO_ACIDS. Raises as `predict`."""
    letters = np.frombuffer("".join(predict(genome).proteins).encode(), dtype=np.uint8)
    return _shares(genome, np.bincount(letters, minlength=128)[list(AMINO_ACIDS.encode())])


def _shares(genome: Genome, counts: np.ndarray) -> np.ndarray:
    """Counts as shares; Prodigal finds "genes" in unknown letters too."""
    if not counts.any():
        msg = f"{genome.path}: expected genes with known bases in them, there are none"
        raise GenomeError(msg)
    return shares(counts)


def _pyrodigal() -> Any:
    try:
        import pyrodigal
    except ImportError:
        hint = "`pip install mediacvae[genes]` (it is under the GPL, version 3)"
        msg = f"genes are predicted by pyrodigal, which is not installed: {hint}"
        raise ValueError(msg) from None
    return pyrodigal


def _trained(genome: Genome, table: int) -> Genes:
    """Genes by a model learnt from the genome itself."""
    finder = _pyrodigal().GeneFinder()
    finder.train(*genome.sequences, translation_table=table)
    return _with(finder, genome)


def _with(finder: Any, genome: Genome) -> Genes:
    genes = [gene for bases in genome.sequences for gene in finder.find_genes(bases)]
    letters = sum(gene.end - gene.begin + 1 for gene in genes)
    table = genes[0].translation_table if genes else 11
    coding = tuple(gene.sequence() for gene in genes)
    return Genes(coding, tuple(gene.translate() for gene in genes), table, letters / genome.length)
