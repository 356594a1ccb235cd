"""What a user gives becomes a condition: nothing is guessed, what is missing stays missing."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mediacvae import asking, embeddings, fasta, notes
from mediacvae.asking import Asked
from mediacvae.conditions import Conditioner, Organism

numbers = st.one_of(st.floats(-10, 10, width=32), st.just(np.nan))
tables = arrays.arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 6)), elements=numbers)


@pytest.fixture(scope="module")
def conditioner() -> Conditioner:
    told = [Organism(str(n), name="Bacillus subtilis", lineage="Bacteria;Firmicutes") for n in range(2)]
    return Conditioner.of(told, ["kmer4", "lineage", "names", "stats"], {"kmer4": embeddings.names("kmer4")})


@pytest.fixture
def genome(tmp_path: Path) -> Path:
    file = tmp_path / "GCF_1.2.fasta"
    file.write_text(">a\nACGTTGCAGGCC\n>b\nGGGGNACGT\n")
    return file


@given(tables)
def test_a_mean_is_that_of_those_of_whom_it_is_known(conditions: np.ndarray) -> None:
    made = asking.mean(conditions)
    assert made.shape == (1, conditions.shape[1])
    for j, column in enumerate(conditions.T):
        known = column[np.isfinite(column)].astype(float)
        np.testing.assert_allclose(made[0, j], known.mean() if len(known) else np.nan, rtol=1e-5, atol=1e-5)


@given(tables, st.integers(2, 7))
def test_a_way_begins_and_ends_where_it_should(conditions: np.ndarray, steps: int) -> None:
    a, b = conditions[:1], conditions[-1:]
    either = np.isnan(a[0]) | np.isnan(b[0])
    if either.all():
        with pytest.raises(ValueError, match="is known of both organisms"):
            asking.blend(a, b, np.linspace(0, 1, steps))
        return
    made = asking.blend(a, b, np.linspace(0, 1, steps))
    assert (np.isnan(made) == either).all()
    np.testing.assert_array_equal(made[0, ~either], a[0, ~either])
    np.testing.assert_array_equal(made[-1, ~either], b[0, ~either])
    moved = np.diff(made[:, ~either].astype(float), axis=0)
    np.testing.assert_allclose(moved, np.broadcast_to(moved.mean(axis=0), moved.shape), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("GCF_1.2.fna.gz", "GCF_1.2"),
        ("a.FASTA", "a"),
        ("x.fa.GZ", "x"),
        ("plain", "plain"),
        ("v1.2", "v1.2"),
        (".fna", ".fna"),
    ],
)
def test_an_id_is_the_files_name(name: str, own: str) -> None:
    assert asking.id_of(Path("folder.fna") / name) == own


def test_a_genome_gives_what_is_in_it(genome: Path, conditioner: Conditioner) -> None:
    made = asking.organism(Asked(genome=genome), conditioner)
    assert (made.genome_id, made.length) == ("GCF_1.2", 21.0)
    assert made.gc == pytest.approx(100 * 14 / 20)
    np.testing.assert_array_equal(made.vectors["kmer4"], embeddings.embed(genome, "kmer4"))
    assert notes.unknown(made, conditioner) == ["lineage, names not given: less certain"]
    columns = conditioner.columns
    row = conditioner([made])[0]
    assert np.isnan(row[columns["lineage"]]).all()
    assert np.isfinite(row[columns["stats"]]).all()


def test_what_a_model_does_not_read_is_said(genome: Path, conditioner: Conditioner) -> None:
    told = Asked(genome=genome, name="Bacillus", lineage="Bacteria", organism_type="bacteria")
    assert notes.unread(told, conditioner) == []
    blocks = {block.name: block for block in conditioner.blocks}

    def said(*read: str) -> list[str]:
        lines = notes.unread(told, Conditioner(tuple(blocks[name] for name in read)))
        assert all("\n" not in line and "the model was trained without" in line for line in lines)
        return [line.partition(":")[0] for line in lines]

    assert said("stats") == ["--name", "--lineage", "--organism"]
    assert said("kmer4", "names") == ["--lineage", "--organism"]
    assert said("lineage") == ["--name", "--genome"]
    assert notes.unread(Asked(genome=genome), Conditioner((blocks["kmer4"],))) == []


def test_a_type_is_the_lineage_of_whom_nothing_else_is_known(genome: Path, conditioner: Conditioner) -> None:
    made = asking.organism(Asked(genome=genome, organism_type="archea"), conditioner)
    assert (made.organism_type, made.lineage) == ("archaea", "Archaea")
    told = asking.organism(Asked(genome=genome, organism_type="bacteria", lineage="Bacteria;X"), conditioner)
    assert told.lineage == "Bacteria;X"


@pytest.mark.parametrize("text", ["", ">a\n", ">a\nMKVLEEF\n", "@r\nACGT\n+\nIIII\n"])
def test_no_genome_no_organism(tmp_path: Path, conditioner: Conditioner, text: str) -> None:
    file = tmp_path / "bad.fna"
    file.write_text(text)
    with pytest.raises(fasta.GenomeError, match=r"bad\.fna"):
        asking.organism(Asked(genome=file), conditioner)


def test_a_genome_of_unknown_letters_is_refused(tmp_path: Path, conditioner: Conditioner) -> None:
    file = tmp_path / "n.fna"
    file.write_text(">a\n" + "N" * 50 + "\n")
    with pytest.raises(fasta.GenomeError, match="none: all N"):
        asking.organism(Asked(genome=file), conditioner)


def test_a_vector_that_is_not_the_models_is_refused(conditioner: Conditioner) -> None:
    odd = Organism("x", vectors={"kmer4": np.ones(7, dtype=np.float32)})
    with pytest.raises(ValueError, match=r"expected 256 features of kmer4, got \(7,\)"):
        conditioner([odd])


def test_a_method_is_given_one_file_by_its_name_or_as_the_only_one(tmp_path: Path) -> None:
    told = [Organism("x", vectors={"esm": np.ones(3, dtype=np.float32)})]
    reads = Conditioner.of(told, ["esm"], {"esm": ["a", "b", "c"]})
    files = {"": tmp_path / "a.npz", "esm": tmp_path / "b.npz"}
    for file in files.values():
        np.savez(file, x=np.ones(3, dtype=np.float32))
    assert len(asking.organism(Asked(vectors={"": files[""]}), reads).vectors["esm"]) == 3
    with pytest.raises(ValueError, match=r"vector esm: expected one file, got .*a\.npz and .*b\.npz"):
        asking.organism(Asked(vectors=files), reads)


def test_where_a_genome_is_put_is_said(model: Any) -> None:
    known = Organism("new", "Halobacterium", "archaea", "Archaea;Euryarchaeota", 61.0, 3.9e6)
    assert not [note for note in notes.placed(model, known, model.condition(known)) if "lineage" in note]
    unplaced = Organism("new", gc=61.0, length=3.9e6)
    row = model.condition(unplaced)
    own = model.conditioner.columns["lineage"]
    words = next(block.features for block in model.conditioner.blocks if block.name == "lineage")
    for share, loud in ((notes.SURE - 0.01, True), (notes.SURE + 0.01, False)):
        row[0, own] = [share if word == "Archaea" else 0.0 for word in words]
        assert notes.guessed(model, unplaced, row)[0] == ("Archaea", pytest.approx(share))
        first = notes.placed(model, unplaced, row)[0]
        assert f"(Archaea {100 * share:.0f} %, " in first
        assert first.startswith("LINEAGE IS A GUESS") == loud
        assert ("--lineage" in first) == loud
    far = np.full_like(model.conditions[:1], np.nan)
    assert notes.resting(model, far)[0].startswith("ODDS OF GROWTH ARE OF STRANGERS: they rest on ")
    tried = model.growth.who.conditions[:1]
    assert notes.resting(model, tried)[0].endswith("(likeness 1.00)")
    assert notes.placed(model, known, far) == [
        f"nobody much like it was learned from (nearest: {model.relatives(far, 1)[0][0]}, likeness 0.00): expect little"
    ]
