"""Methods by name, vectors of files, many genomes over processes."""

from __future__ import annotations

import os
import pathlib

import numpy as np
import pytest

from mediacvae import embeddings, fasta, genes, kmers
from mediacvae.fasta import GenomeError

DATA = os.environ.get("MEDIACVAE_DATA")


def written(folder, name, text):
    path = folder / f"{name}.fna"
    path.write_text(f">c1 {name}\n{text}\n>c2\nACGGTACCATGGCA\n")
    return path


def random_text(seed, length=5000):
    return "".join(np.random.default_rng(seed).choice(list("ACGTN"), length, p=[0.3, 0.2, 0.2, 0.29, 0.01]))


@pytest.mark.parametrize(
    ("name", "size"),
    [
        *[
            ("kmer4", 256),
            ("kmer6", 4096),
            ("kmer8", 65536),
            ("kmer4c", 136),
            ("kmer6c", 2080),
            ("kmer8c", 32896),
        ],
        *[("stats", 4), ("codons", 64), ("amino_acids", 20)],
    ],
)
def test_dimensions_are_those_of_the_names_and_of_the_vectors(name, size, tmp_path):
    assert (
        embeddings.dimension(name) == size == len(embeddings.names(name)) == len(set(embeddings.names(name)))
    )
    if name not in ("codons", "amino_acids"):
        vector = embeddings.embed(written(tmp_path, "g", random_text(1)), name)
        assert vector.shape == (size,)
        assert vector.dtype == np.float32
        assert np.isfinite(vector).all()


def test_every_method_is_tested_above():
    assert len(embeddings.METHODS) == 9


@pytest.mark.parametrize(
    ("alias", "name"), [("kmer_64", "kmer4"), ("kmer_128", "kmer6"), ("kmer_256", "kmer8")]
)
def test_the_names_of_the_specification(alias, name):
    assert embeddings.method(alias) == name
    assert embeddings.dimension(alias) == embeddings.dimension(name)


@pytest.mark.parametrize("name", ["kmer5", "KMER4", "", "lineages"])
def test_another_method_is_refused(name):
    for of in (embeddings.method, embeddings.dimension, embeddings.names):
        with pytest.raises(ValueError, match="expected one of kmer4"):
            of(name)
    with pytest.raises(ValueError, match="expected one of kmer4"):
        embeddings.embed_all({}, name)


def test_a_vector_is_the_shares_of_the_kmers(tmp_path):
    path = written(tmp_path, "g", random_text(2))
    genome = fasta.read(path)
    for name, k, canonical in (("kmer4", 4, False), ("kmer6c", 6, True)):
        expected = kmers.frequencies(genome.sequences, k, canonical=canonical)
        np.testing.assert_allclose(embeddings.embed(path, name), expected, rtol=1e-6)


def test_both_strands_have_one_canonical_vector(tmp_path):
    text = random_text(3)
    back = text.translate(str.maketrans("ACGT", "TGCA"))[::-1]
    there = embeddings.embed(written(tmp_path, "a", text), "kmer4c")
    path = tmp_path / "b.fna"
    path.write_text(f">c2\nTGCCATGGTACCGT\n>c1\n{back}\n")
    np.testing.assert_array_equal(embeddings.embed(path, "kmer4c"), there)


def test_stats_are_shares_and_the_length(tmp_path):
    path = tmp_path / "g.fna"
    path.write_text(">a\nGGCA\n>b\nNNRTTT--\n")
    np.testing.assert_allclose(embeddings.embed(path, "stats"), [3 / 7, 4 / 7, 1.0, 0.3], rtol=1e-6)


@pytest.mark.parametrize("text", ["N" * 500, "ACGTNNACG", "AC\n>b\nGTT\n>c\nACG"])
def test_a_genome_without_a_kmer_has_no_vector(tmp_path, text):
    path = tmp_path / "g.fna"
    path.write_text(f">a\n{text}\n")
    with pytest.raises(GenomeError, match=r"g.fna: expected 6 known bases .* in a row, there are none"):
        embeddings.embed(path, "kmer6")


def test_unknown_letters_alone_have_no_stats(tmp_path):
    path = tmp_path / "g.fna"
    path.write_text(">a\nNNNN\n")
    with pytest.raises(GenomeError, match="all 4 letters are unknown"):
        embeddings.embed(path, "stats")


@pytest.mark.parametrize("workers", [1, 2])
def test_one_bad_genome_does_not_stop_the_others(tmp_path, workers):
    jobs = {f"g{i}": written(tmp_path, f"g{i}", random_text(i)) for i in range(6)}
    jobs["g2"].write_text("no header")
    jobs["gone"] = tmp_path / "gone.fna"
    found = dict(embeddings.embed_all(jobs, "kmer_64", workers=workers))
    assert found.keys() == jobs.keys()
    assert {key for key, value in found.items() if isinstance(value, GenomeError)} == {"g2", "gone"}
    for key in ("g0", "g5"):
        np.testing.assert_array_equal(found[key], embeddings.embed(jobs[key], "kmer4"))


DEADLY = """
import os

class Deadly(os.PathLike):  # a path that ends the process that opens it, if that is not the tests' own
    def __fspath__(self):
        if os.environ["MEDIACVAE_TEST_PARENT"] != str(os.getpid()):
            os._exit(9)
        return "deadly.fna"
"""


def test_a_process_that_is_ended_fails_its_own_genome_only(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDIACVAE_TEST_PARENT", str(os.getpid()))
    (tmp_path / "deadly_path.py").write_text(DEADLY)
    monkeypatch.syspath_prepend(str(tmp_path))
    import deadly_path

    jobs = {"a": written(tmp_path, "a", random_text(1)), "x": deadly_path.Deadly()}
    jobs |= {key: written(tmp_path, key, random_text(2)) for key in "bc"}
    found = dict(embeddings.embed_all(jobs, "stats", workers=2))
    assert found.keys() == jobs.keys()
    assert [key for key, value in found.items() if isinstance(value, GenomeError)] == ["x"]
    assert "was ended" in str(found["x"])


def test_faults_of_all_are_raised_at_once(monkeypatch):
    with pytest.raises(ValueError, match="workers: expected at least 1, got 0"):
        embeddings.embed_all({}, "kmer4", workers=0)

    def absent():
        msg = "not installed"
        raise ValueError(msg)

    monkeypatch.setattr(genes, "require", absent)
    with pytest.raises(ValueError, match="not installed"):
        embeddings.embed_all({}, "codons")
    assert list(embeddings.embed_all({}, "kmer4")) == []


@pytest.mark.skipif(not DATA, reason="MEDIACVAE_DATA: the folder of genomes.tsv and genomes/ is not set")
def test_real_genomes_are_as_their_table_says():
    import pandas as pd

    folder = pathlib.Path(str(DATA))
    table = pd.read_csv(folder / "genomes.tsv", sep="\t", dtype={"genome_id": str})
    for row in table.to_dict("records"):
        genome = fasta.read(folder / "genomes" / f"{row['genome_id']}.fna.gz")
        assert (len(genome.names), genome.length) == (row["n_contigs"], row["length"])
        assert genome.gc == pytest.approx(row["gc"], abs=0.01)
        assert np.isfinite(embeddings.of_genome(genome, "kmer4c")).all()
