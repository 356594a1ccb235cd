"""Single records: what is stored comes back, what is not given stays, what may not be is refused with its name."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from mediacvae import db
from mediacvae.db import DatabaseError
from mediacvae.db.blobs import from_bytes, to_bytes
from mediacvae.db.schema import Medium
from mediacvae.db.session import writing
from mediacvae.db.store import names_of, store_embedding
from mediacvae.db.writing import put

COLI = {
    "genome_id": "GCF_000005845.2", "organism_name": "Escherichia coli str. K-12 substr. MG1655",
    "organism_type": "bacteria", "taxid": 511145, "gc_content": 50.8, "sequence_length": 4641652, "strain_id": 12345,
}  # fmt: skip
HARMFUL = [
    "../../etc/passwd", "a\0b", "a\nb", "it's", 'say "x"', "'; DROP TABLE genomes; --", "", " ", "a/b", "a\\b",
    "x" * 300, "a..b", " a", "a\ud800",
]  # fmt: skip


def media(url, *ids):
    with writing(url) as connection:
        put(connection, Medium, [{"medium_id": one, "name": f"medium {one}"} for one in ids])


def test_the_words_of_the_specification(url):
    media(url, "48")
    db.store_genome_metadata(**COLI, url=url)
    db.store_genome_growth_observation(
        genome_id="GCF_000005845.2", media_id="48", growth=True, confidence=0.95, source="literature", url=url
    )
    found = db.read(url)
    genome = found.genomes.iloc[0].to_dict()
    assert {name: genome[name] for name in COLI if name != "strain_id"} == {
        name: value for name, value in COLI.items() if name != "strain_id"
    }
    assert (genome["genus"], genome["species"]) == ("Escherichia", "Escherichia coli")
    assert not genome["has_sequence"]
    assert found.growth.to_dict("records") == [
        {
            "genome_id": "GCF_000005845.2", "medium_id": "48", "growth": True, "confidence": 0.95,
            "source": "literature", "rank": "",
        }
    ]  # fmt: skip


def test_what_is_not_given_stays(url):
    db.store_genome_metadata(**COLI, lineage="Bacteria;Proteobacteria", url=url)
    db.store_genome_metadata(
        COLI["genome_id"], "Escherichia coli K-12", "Bacteria", gc_content=50.79, url=url
    )
    genome = db.read(url).genomes.iloc[0]
    assert (genome["organism_name"], genome["gc_content"]) == ("Escherichia coli K-12", 50.79)
    assert (genome["taxid"], genome["sequence_length"]) == (511145, 4641652)
    assert genome["lineage"] == "Bacteria;Proteobacteria"


def test_numbers_of_any_size_come_back(url):
    db.store_genome_metadata("g", "G", "fungi", taxid=2_506_210_025, sequence_length=30_000_000_000, url=url)
    genome = db.read(url).genomes.iloc[0]
    assert (genome["taxid"], genome["sequence_length"]) == (2_506_210_025, 30_000_000_000)
    assert math.isnan(genome["gc_content"])


@pytest.mark.parametrize("word", ["archea", "Archaea", "ARCHEA"])
def test_archaea_have_one_spelling(file_url, word):
    db.store_genome_metadata("g", "G", word, url=file_url)
    assert db.read(file_url).genomes["organism_type"].tolist() == ["archaea"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Escherichia coli str. K-12", ("Escherichia", "Escherichia coli")),
        ("Candidatus Blochmannia floridanus", ("Blochmannia", "Blochmannia floridanus")),
        ("[Clostridium] leptum", ("Clostridium", "Clostridium leptum")),
        ("Acidilobus sp. CIS", ("Acidilobus", "Acidilobus sp.")),
        ("Pseudomonas", ("Pseudomonas", "")),
        ("uncultured bacterium", ("", "")),
        ("x", ("", "")),
    ],
)
def test_genus_and_species_are_read_from_a_name(name, expected):
    assert names_of(name) == expected


@pytest.mark.parametrize("bad", HARMFUL)
def test_ids_that_would_do_harm_are_refused(url, bad):
    media(url, "m1")
    db.store_genome_metadata("g1", "G", "bacteria", url=url)
    with pytest.raises(DatabaseError, match="genome_id"):
        db.store_genome_metadata(bad, "G", "bacteria", url=url)
    with pytest.raises(DatabaseError, match="genome_id"):
        db.store_genome_growth_observation(bad, "m1", True, url=url)
    with pytest.raises(DatabaseError, match="media_id"):
        db.store_genome_growth_observation("g1", bad, True, url=url)
    assert len(db.read(url).genomes) == 1


def test_text_that_looks_like_sql_is_text(url):
    media(url, "m1")
    name = "Robert'); DROP TABLE genomes;-- %s :x {y} \\"
    db.store_genome_metadata("g1", name, "bacteria", lineage=name, url=url)
    db.store_genome_growth_observation("g1", "m1", True, source=name, url=url)
    assert db.read(url).genomes["organism_name"].tolist() == [name]
    assert db.read(url).growth["source"].tolist() == [name]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("organism_type", "plant"), ("organism_type", None), ("organism_name", ""), ("organism_name", None),
        ("gc_content", 101.0), ("gc_content", -0.1), ("gc_content", math.inf), ("gc_content", "half"),
        ("sequence_length", 0), ("sequence_length", 1.5), ("taxid", -1), ("taxid", "x"), ("lineage", "a\nb"),
        ("organism_name", "x\0"), ("sequence_length", True), ("sequence_length", 2**80),
    ],
)  # fmt: skip
def test_a_bad_value_is_refused_with_genome_and_field(file_url, field, value):
    with pytest.raises(DatabaseError, match=f"GCF_000005845.2': {field}"):
        db.store_genome_metadata(**(COLI | {field: value}), url=file_url)
    assert db.read(file_url).genomes.empty


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("confidence", 1.01), ("confidence", -0.1), ("confidence", math.nan), ("growth", 2), ("growth", "maybe"),
        ("growth", None), ("source", ""), ("max_od", -1), ("confidence", "sure"),
    ],
)  # fmt: skip
def test_a_bad_observation_is_refused_with_its_field(file_url, field, value):
    media(file_url, "m1")
    db.store_genome_metadata("g1", "G", "bacteria", url=file_url)
    given = {"genome_id": "g1", "media_id": "m1", "growth": True} | {field: value}
    with pytest.raises(DatabaseError, match=f"genome 'g1' on medium 'm1': {field}"):
        db.store_genome_growth_observation(**given, url=file_url)
    assert db.read(file_url).growth.empty


def test_unknown_names_are_told_with_the_nearest(url):
    media(url, "mediadive.medium:104", "TOGO:M1794")
    db.store_genome_metadata("GCF_1.1", "G", "bacteria", url=url)
    with pytest.raises(
        DatabaseError, match=r"medium 'mediadive.medium:1O4' .* did you mean 'mediadive.medium:104'"
    ):
        db.store_genome_growth_observation("GCF_1.1", "mediadive.medium:1O4", True, url=url)
    with pytest.raises(DatabaseError, match=r"genome 'GCF_1.2' .* did you mean 'GCF_1.1'"):
        db.store_genome_growth_observation("GCF_1.2", "mediadive.medium:104", True, url=url)


def test_a_source_does_not_contradict_itself_and_others_may(url):
    media(url, "m1")
    db.store_genome_metadata("g1", "G", "bacteria", url=url)
    db.store_genome_growth_observation("g1", "m1", True, 0.5, "a", url=url)
    db.store_genome_growth_observation("g1", "m1", True, 0.9, "a", url=url)  # more certain
    db.store_genome_growth_observation("g1", "m1", False, 0.9, "b", url=url)
    with pytest.raises(
        DatabaseError, match="'g1' on medium 'm1' by source 'a': growth=True is stored, got growth=False"
    ):
        db.store_genome_growth_observation("g1", "m1", False, source="a", url=url)
    growth = db.read(url).growth
    assert growth[["growth", "confidence", "source"]].to_numpy().tolist() == [
        [True, 0.9, "a"],
        [False, 0.9, "b"],
    ]
    db.store_genome_growth_observation("g1", "m1", False, source="a", replace=True, url=url)
    assert db.read(url).growth["growth"].tolist() == [False, False]


def embedding(url, vector, genome="g1", method="kmer6", fasta_hash=None):
    with writing(url) as connection:
        store_embedding(connection, genome, method, np.asarray(vector), fasta_hash)


def test_embeddings_come_back_by_method(url):
    for name in ("g2", "g1", "G3"):
        db.store_genome_metadata(name, "G", "bacteria", url=url)
    embedding(url, [1, 2], "g2")
    embedding(url, [3, 4], "g1")
    embedding(url, [5, 6], "G3")
    embedding(url, [7.5], "g1", "stats")
    ids, found = db.read_embeddings(url, "kmer6")
    assert ids == ["G3", "g1", "g2"]
    assert found.dtype == np.float32
    assert found.tolist() == [[5, 6], [3, 4], [1, 2]]
    assert db.read_embeddings(url, "stats")[1].tolist() == [[7.5]]
    assert db.info(url)["embeddings"] == {
        "kmer6": {"genomes": 3, "dimension": 2}, "stats": {"genomes": 1, "dimension": 1},
    }  # fmt: skip
    embedding(url, [8, 9], "g1")
    assert db.read_embedding(url, "g1", "kmer6").tolist() == [8, 9]


def test_embeddings_that_are_not_there_are_told(url):
    with pytest.raises(DatabaseError, match=r"no genome has an embedding by 'kmer6': `mediacvae embed"):
        db.read_embeddings(url, "kmer6")
    db.store_genome_metadata("g1", "G", "bacteria", url=url)
    with pytest.raises(DatabaseError, match=r"genome 'g1' has no embedding by 'kmer6'"):
        db.read_embedding(url, "g1", "kmer6")
    with pytest.raises(DatabaseError, match=r"genome 'g2' is not in the database"):
        db.read_embedding(url, "g2", "kmer6")


def test_embeddings_of_unequal_length_are_told(url):
    for name, vector in (("g1", [1, 2]), ("g2", [1, 2, 3])):
        db.store_genome_metadata(name, "G", "bacteria", url=url)
        embedding(url, vector, name)
    with pytest.raises(DatabaseError, match="genome 'g2': expected 2 numbers, got 3"):
        db.read_embeddings(url, "kmer6")


def test_an_embedding_of_another_sequence_is_told(url):
    db.store_genome_metadata("g1", "G", "bacteria", fasta_path="/x.fna", fasta_hash="a" * 64, url=url)
    embedding(url, [1, 2], fasta_hash="a" * 64)
    assert db.read_embeddings(url, "kmer6")[1].tolist() == [[1, 2]]
    db.store_genome_metadata("g1", "G", "bacteria", fasta_path="/x.fna", fasta_hash="b" * 64, url=url)
    with pytest.raises(DatabaseError, match="its sequence has changed since"):
        db.read_embeddings(url, "kmer6")


def test_a_damaged_embedding_is_told(url):
    db.store_genome_metadata("g1", "G", "bacteria", url=url)
    embedding(url, np.arange(16))
    for cut in (b"", b"\x80\x04]\x94.", to_bytes(np.arange(16.0))[:-3]):
        with writing(url) as connection:
            connection.execute(text("UPDATE genome_embeddings SET embedding = :cut"), {"cut": cut})
        with pytest.raises(DatabaseError, match="embedding 'kmer6' of genome 'g1': damaged"):
            db.read_embeddings(url, "kmer6")


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=50))
def test_vectors_survive_their_bytes(values):
    vector = np.array(values, dtype=np.float32)
    np.testing.assert_array_equal(from_bytes(to_bytes(vector), len(vector), "x"), vector)


@pytest.mark.parametrize("bad", [[], [[1.0]], [math.nan], [1.0, math.inf], [1e300]])
def test_vectors_that_may_not_be_stored(bad):
    with pytest.raises(DatabaseError, match="embedding"):
        to_bytes(np.array(bad))


GOOD = to_bytes(np.arange(8.0))


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_a_changed_byte_is_refused_or_another_number(place, value):
    data = bytearray(GOOD)
    data[place] = value
    try:
        found = from_bytes(bytes(data), 8, "x")
    except DatabaseError:
        return
    assert np.isfinite(found).all()
    assert bytes(data) == GOOD or place >= len(GOOD) - 32


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(data):
    with pytest.raises(DatabaseError, match="damaged"):
        from_bytes(data, 4, "x")


def test_nothing_is_unpickled():
    import io

    stream = io.BytesIO()
    np.save(stream, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    for data in (stream.getvalue(), to_bytes(np.arange(3.0)).replace(b"<f4", b"|O4")):
        with pytest.raises(DatabaseError, match="damaged"):
            from_bytes(data, 1, "x")


def test_an_empty_database_reads_as_empty_tables(url):
    found = db.read(url)
    assert list(found.genomes) == [
        "genome_id", "organism_name", "organism_type", "genus", "species", "strain", "taxid", "lineage", "gc_content",
        "sequence_length", "has_sequence",
    ]  # fmt: skip
    assert list(found.taxa) == ["genus", "lineage", "gc", "genome_size"]
    assert list(found.media) == [
        "medium_id", "name", "source", "collection", "category", "medium_type", "min_ph", "max_ph", "physical_state",
        "link",
    ]  # fmt: skip
    assert list(found.amounts) == [
        "medium_id", "ingredient", "chebi", "g_per_l", "guessed", "raw_value", "raw_unit",
    ]  # fmt: skip
    assert list(found.growth) == ["genome_id", "medium_id", "growth", "confidence", "source", "rank"]
    kinds = {name: found.amounts[name].dtype for name in ("g_per_l", "guessed", "raw_value")}
    assert kinds == {"g_per_l": np.float64, "guessed": np.bool_, "raw_value": np.float64}
    assert found.growth["growth"].dtype == np.bool_
    assert all(frame.empty for frame in vars(found).values())
