"""Genomes from files into the database and their features, one by one and after a kill."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from mediacvae import db, embeddings, fasta, features
from mediacvae.db import DatabaseError
from mediacvae.db.genomes import add_genomes, file_hash
from mediacvae.fasta import GenomeError

TABLE = (
    "genome_id\tspecies\tgenus\torganism_type\tlineage\ttaxid\n"
    "g1\tEscherichia coli\tEscherichia\tbacteria\tBacteria;Proteobacteria\t562.0\n"
    "g2\tHaloferax volcanii\tHaloferax\tarchea\tArchaea\t\n"
)


def sequence(seed, length=3000):
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), length))


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "genomes"
    folder.mkdir()
    (folder / "g1.fna").write_text(f">a\n{sequence(1)}\n>b\n{sequence(2).lower()}NNNN\n")
    (folder / "g2.fa.gz").write_bytes(gzip.compress(f">c\n{'GC' * 600}{'AT' * 400}\n".encode()))
    (folder / "readme.txt").write_text("not a genome")
    (tmp_path / "genomes.tsv").write_text(TABLE)
    return folder


def test_genomes_come_in_with_gc_length_and_hash(url, files):
    done = add_genomes(files, url, table=files.parent / "genomes.tsv")
    assert done.refused == done.notes == []
    found = db.read(url).genomes.set_index("genome_id")
    assert found["has_sequence"].all()
    assert found["organism_type"].to_dict() == {"g1": "bacteria", "g2": "archaea"}
    assert found["sequence_length"].to_dict() == {"g1": 6004, "g2": 2000}
    assert found.loc["g2", "gc_content"] == pytest.approx(60.0)
    letters = sequence(1) + sequence(2)
    assert found.loc["g1", "gc_content"] == pytest.approx(100 * sum(map(letters.count, "GC")) / 6000)
    assert found.loc["g1", ["taxid", "genus", "lineage"]].tolist() == [
        562,
        "Escherichia",
        "Bacteria;Proteobacteria",
    ]
    again = add_genomes(files, url, table=files.parent / "genomes.tsv")
    assert str(again.written[0]) == "genomes: 0 new, 0 changed, 2 as they were"


def test_gaps_are_no_bases_whether_a_genome_is_stored_or_asked_about(file_url, tmp_path):
    file = tmp_path / "g.fna"
    file.write_text(">a\nACGT----NN\n>b\nGG..\n")
    add_genomes(tmp_path, file_url, organism="bacteria")
    (stored,) = db.read(file_url).genomes.to_dict("records")
    assert (stored["sequence_length"], stored["gc_content"]) == (8, pytest.approx(100 * 4 / 6))
    asked = fasta.read(file)
    assert (stored["sequence_length"], stored["gc_content"]) == (asked.length, asked.gc)


def test_without_a_table_the_type_is_given(file_url, files):
    done = add_genomes(files, file_url)
    assert len(done.refused) == 2
    assert "give --organism TYPE" in done.refused[0]
    add_genomes(files, file_url, organism="archea")
    assert set(db.read(file_url).genomes["organism_type"]) == {"archaea"}
    with pytest.raises(ValueError, match="expected one of bacteria"):
        add_genomes(files, file_url, organism="plant")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.fna", b""), ("header.fna", b">a\n"), ("unknown.fna", b">a\nNNNNNN\n"),
        ("reads.fna", b"@r\nACGT\n+\nIIII\n"),
        ("cut.fna.gz", gzip.compress(b">a\n" + b"ACGT" * 5000, mtime=0)[:-20]), ("binary.fna", bytes(range(256))),
        ("sp ace.fna", b">a\nACGT\n"), ("..fna", b">a\nACGT\n"), ("it's.fna", b">a\nACGT\n"),
        ("protein.fa", b">p\nMKLVEEFQRPLMKLVEEFQRPL\n"),
    ],
)  # fmt: skip
def test_a_bad_genome_is_refused_by_name_and_the_others_stored(file_url, files, name, content):
    (files / name).write_bytes(content)
    done = add_genomes(files, file_url, organism="bacteria")
    (told,) = done.refused
    assert name in told
    assert "\n" not in told
    assert db.read(file_url).genomes["genome_id"].tolist() == ["g1", "g2"]


def test_two_files_of_one_genome_are_refused(file_url, files):
    (files / "g1.fasta.gz").write_bytes(gzip.compress(b">a\nACGT\n"))
    done = add_genomes(files, file_url, organism="bacteria")
    assert "expected one file a genome" in done.refused[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("bacteria", "plant"), "row 2: column 'organism_type'"),
        (("g2", "g1"), "row 3: expected each genome once, got 'g1' again"),
        (("562.0", "many"), "row 2: column 'taxid': expected a whole number"),
        (("g1", "../g1"), "row 2: column 'genome_id'"),
        (("\torganism_type", "\tkind"), "expected a column 'organism_type'"),
    ],
)
def test_a_bad_table_is_told_with_its_row(file_url, files, change, said):
    table = files.parent / "genomes.tsv"
    table.write_text(TABLE.replace(*change))
    with pytest.raises(DatabaseError, match=said):
        add_genomes(files, file_url, table=table)


def test_a_table_and_a_folder_that_differ_are_told(file_url, files):
    table = files.parent / "genomes.tsv"
    table.write_text(TABLE.replace("g2", "g3"))
    done = add_genomes(files, file_url, table=table)
    assert "genomes.tsv does not name it" in done.refused[0]
    assert any("1 genomes have no file" in note and "g3" in note for note in done.notes)


def test_a_folder_without_genomes_is_told(file_url, tmp_path):
    for path in (tmp_path, tmp_path / "no"):
        with pytest.raises(DatabaseError, match=r"expected (files ending in \.fna|a folder)"):
            add_genomes(path, file_url)


def test_growth_of_an_assembly_is_that_of_its_genome(file_url, files):
    db.store_genome_metadata("g1", "Escherichia coli IAI1", "bacteria", strain="IAI1", url=file_url)
    add_genomes(files, file_url, table=files.parent / "genomes.tsv")
    genome = db.read(file_url).genomes.set_index("genome_id").loc["g1"]
    assert (genome["strain"], genome["has_sequence"]) == ("IAI1", True)


@pytest.fixture
def stored(url, files):
    add_genomes(files, url, table=files.parent / "genomes.tsv")
    return url


def test_features_are_computed_once(stored, files):
    assert features.compute_all_genome_embeddings("kmer_64", url=stored, workers=1) == 2
    assert features.compute_all_genome_embeddings("kmer4", url=stored, workers=1) == 0
    found = features.load_genome_embedding("g1", "kmer_64", url=stored)
    assert (found.dtype, found.shape) == (np.float32, (256,))
    np.testing.assert_array_equal(found, embeddings.embed(files / "g1.fna", "kmer4"))
    ids, every = db.read_embeddings(stored, "kmer4")
    assert ids == ["g1", "g2"]
    assert every.shape == (2, 256)


def test_a_changed_genome_is_computed_anew(stored, files):
    features.compute_all_genome_embeddings("stats", url=stored, workers=1)
    before = features.load_genome_embedding("g1", "stats", url=stored)
    (files / "g1.fna").write_text(f">a\n{sequence(3)}\n")
    with pytest.raises(DatabaseError, match="has changed since it was added: `mediacvae db add-genomes`"):
        features.compute_all_genome_embeddings("kmer4", url=stored, workers=1)
    add_genomes(files, stored, table=files.parent / "genomes.tsv")
    with pytest.raises(DatabaseError, match="its sequence has changed since"):
        features.load_genome_embedding("g1", "stats", url=stored)
    assert features.compute_all_genome_embeddings("stats", url=stored, workers=1) == 1
    assert not np.array_equal(features.load_genome_embedding("g1", "stats", url=stored), before)


def test_one_bad_genome_does_not_hold_up_the_others(stored, files):
    (files / "g2.fa.gz").unlink()
    with pytest.raises(
        DatabaseError, match=r"1 of 2 genomes have no embedding by 'stats' \(1 computed\): .*g2"
    ):
        features.compute_all_genome_embeddings("stats", url=stored, workers=1)
    assert features.load_genome_embedding("g1", "stats", url=stored).shape == (4,)


def test_what_cannot_be_loaded_is_told(stored):
    features.compute_all_genome_embeddings("stats", url=stored, workers=1)
    with pytest.raises(DatabaseError, match="genome 'g3' is not in the database"):
        features.load_genome_embedding("g3", "stats", url=stored)
    with pytest.raises(DatabaseError, match="has no embedding by 'kmer6': `mediacvae embed --method kmer6`"):
        features.load_genome_embedding("g1", "kmer_128", url=stored)
    from mediacvae.db.session import writing
    from mediacvae.db.store import store_embedding

    with writing(stored) as connection:
        store_embedding(connection, "g1", "stats", np.ones(5), None)
    with pytest.raises(DatabaseError, match="expected 4 numbers, got 5"):
        features.load_genome_embedding("g1", "stats", url=stored)
    with pytest.raises(ValueError, match="embedding method: expected one of"):
        features.compute_all_genome_embeddings("kmer7", url=stored)


def test_without_sequences_there_is_nothing_to_compute(file_url):
    db.store_genome_metadata("g1", "G", "bacteria", url=file_url)
    with pytest.raises(DatabaseError, match="expected genomes with a sequence, there is none"):
        features.compute_all_genome_embeddings("stats", url=file_url)


def test_what_another_program_made_is_kept_by_its_name(stored, tmp_path):
    file = tmp_path / "esm.npz"
    np.savez(file, g1=np.arange(3.0), g2=np.ones(3))
    assert features.store_outside_embeddings(file, "esm2", url=stored) == 2
    assert features.load_genome_embedding("g1", "esm2", url=stored).tolist() == [0, 1, 2]
    with pytest.raises(DatabaseError, match="'kmer_128' is computed here"):
        features.store_outside_embeddings(file, "kmer_128", url=stored)
    np.savez(file, g1=np.arange(3.0), g9=np.ones(3))
    with pytest.raises(DatabaseError, match="genome 'g9' is not in the database"):
        features.store_outside_embeddings(file, "other", url=stored)
    file.write_bytes(b"PK")
    with pytest.raises(GenomeError, match=r"esm\.npz"):
        features.store_outside_embeddings(file, "other", url=stored)


EMBED = """
import sys, time
from mediacvae import embeddings, features
if __name__ == "__main__":
    slow = embeddings.embed_all
    def embed_all(*words, **more):
        for one in slow(*words, **more):
            yield one
            print(one[0], flush=True)
            time.sleep(0.05)
    embeddings.embed_all = embed_all
    features.compute_all_genome_embeddings("stats", url=sys.argv[1], workers=1)
"""


def test_a_kill_loses_nothing_that_was_computed(tmp_path):
    folder, url = tmp_path / "genomes", f"sqlite:///{tmp_path}/a.db"
    folder.mkdir()
    for n in range(30):
        (folder / f"g{n}.fna").write_text(f">a\n{sequence(n, 200)}\n")
    add_genomes(folder, url, organism="bacteria")
    process = subprocess.Popen([sys.executable, "-c", EMBED, url], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = [next(process.stdout).strip() for _ in range(5)]
    os.kill(process.pid, signal.SIGKILL)
    told += process.communicate()[0].split()
    ids, _ = db.read_embeddings(url, "stats")
    assert set(told) <= set(ids)
    assert len(ids) < 30
    assert features.compute_all_genome_embeddings("stats", url=url, workers=1) == 30 - len(ids)
    assert len(db.read_embeddings(url, "stats")[0]) == 30


def test_the_hash_is_that_of_the_file(tmp_path):
    import hashlib

    file = tmp_path / "x"
    file.write_bytes(b"abc" * 1000)
    assert file_hash(file) == hashlib.sha256(b"abc" * 1000).hexdigest()
