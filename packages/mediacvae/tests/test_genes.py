"""Codons and amino acids of predicted genes, on a genome that is written gene by gene."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from mediacvae import genes
from mediacvae.fasta import GenomeError, read

pytest.importorskip("pyrodigal", reason="pyrodigal is an extra (GPL-3)")

CODE = dict(
    zip(
        genes.CODONS,
        "KNKNTTTTRSRSIIMIQHQHPPPPRRRRLLLLEDEDAAAAGGGGVVVV*Y*YSSSS*CWCLFLF",
        strict=True,
    )
)
SENSE = [codon for codon in genes.CODONS if CODE[codon] != "*"]


def written(seed, *, tga=False, size=120, count=120):
    """A genome of genes with codons of uneven use, and how often each codon is in it; tga: W is TGA (table 4)."""
    rng = np.random.default_rng(seed)
    codons = [*SENSE, "TGA"] if tga else SENSE
    weights = rng.dirichlet(np.ones(len(codons)))
    if tga:
        weights = weights * 0.95
        weights[-1] = 0.05
    used = np.zeros(64)
    parts = []
    for _ in range(count):
        middle = rng.choice(codons, size, p=weights / weights.sum()).tolist()
        gene = ["ATG", *middle, "TAA"]
        for codon in gene:
            used[genes.CODONS.index(codon)] += 1
        gap = "".join(rng.choice(list("ACGT"), 30))
        parts += ["TAACTAGTTAG", gap[:12], "AGGAGG", gap[12:19], "".join(gene)]
    return "".join(parts), used / used.sum()


@pytest.fixture
def genome(tmp_path):
    def make(text, name="g.fa"):
        path = tmp_path / name
        path.write_text(f">a\n{text}\n")
        return read(path)

    return make


@pytest.mark.parametrize("count", [120, 400], ids=["meta", "own-model"])
def test_codons_are_those_that_genes_were_written_with(genome, count):
    text, used = written(1, count=count)
    found = genes.codon_usage(genome(text))
    assert found.shape == (64,)
    assert found.sum() == pytest.approx(1)
    assert np.corrcoef(found, used)[0, 1] > 0.95


def test_both_strands_are_read(genome):
    text, _ = written(2)
    back = text.translate(str.maketrans("ACGT", "TGCA"))[::-1]
    np.testing.assert_allclose(genes.codon_usage(genome(text)), genes.codon_usage(genome(back)), atol=0.02)


def test_amino_acids_are_the_codons_translated(genome):
    made = genome(written(3)[0])
    usage = genes.codon_usage(made)
    by_codon = [
        sum(usage[i] for i, c in enumerate(genes.CODONS) if CODE[c] == aa) for aa in genes.AMINO_ACIDS
    ]
    found = genes.amino_acid_composition(made)
    assert found.sum() == pytest.approx(1)
    # start codons GTG and TTG are M in a protein
    np.testing.assert_allclose(found, np.array(by_codon) / sum(by_codon), atol=0.01)


def test_the_code_of_mycoplasma_is_seen(genome):
    assert genes.predict(genome(written(4, tga=True, count=400)[0])).table == 4
    assert genes.predict(genome(written(4, count=400)[0])).table == 11


@pytest.mark.parametrize("text", ["ACGT", "N" * 200_000, "C" * 150_000, "ACGT--NN" * 10])
def test_a_genome_without_genes_has_no_codons(genome, text):
    for of in (genes.codon_usage, genes.amino_acid_composition):
        with pytest.raises(GenomeError, match=r"g.fa: expected genes"):
            of(genome(text))


def test_without_pyrodigal_it_is_said_how_to_get_it(genome, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyrodigal", None)
    with pytest.raises(ValueError, match=r"pip install mediacvae\[genes\].*GPL"):
        genes.codon_usage(genome("ACGT"))
    with pytest.raises(ValueError, match="not installed"):
        genes.require()
