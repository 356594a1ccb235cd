"""Organisms as rows of numbers: words of lineages, pieces of names, what is not known."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediacvae.conditions import OTHERS, Block, Conditioner, Organism, lineage_words, pieces, stats

COLI = Organism(
    "a",
    "Escherichia coli K-12",
    "bacteria",
    "Bacteria;Proteobacteria",
    50.8,
    4.6e6,
    {"kmer4": np.arange(3.0)},
)
FERG = Organism(
    "b", "Escherichia fergusonii", "bacteria", "Bacteria;Proteobacteria", 49.9, 4.5e6, {"kmer4": np.ones(3)}
)
VOLC = Organism("c", "Haloferax volcanii", "archaea", "Archaea;Euryarchaeota", 65.0, 3e6)
VOLT = Organism("d", "Haloarcula volti", "archaea", "Archaea;Euryarchaeota", 66.0, 3e6)
NOTHING = Organism("e")
ALL = [COLI, FERG, VOLC, VOLT, NOTHING]


def conditioner(*blocks: str) -> Conditioner:
    return Conditioner.of(ALL, blocks, {"kmer4": ["x", "y", "z"]})


def test_the_genus_is_cut_into_pieces_with_marked_ends():
    assert pieces("Halo x") == {
        *("^h", "ha", "al", "lo", "o$"),
        *("^ha", "hal", "alo", "lo$"),
        *("^hal", "halo", "alo$"),
    }
    assert pieces("Candidatus Halo x") == pieces("halo") == pieces(" HALO sp. 2 ")
    assert pieces(None) == pieces("") == pieces("  ") == pieces("123 [x]") == set()


def test_lineage_words_hold_the_type_only_where_there_is_a_lineage():
    assert lineage_words(COLI) == {"Bacteria", "Proteobacteria", "bacteria"}
    assert lineage_words(replace(COLI, organism_type=None, lineage=" a ;; b;")) == {"a", "b"}
    assert lineage_words(replace(COLI, lineage=None)) == set()


def test_words_and_pieces_that_one_organism_has_alone_are_left_out():
    made = conditioner("lineage", "names")
    lineage, names = made.blocks
    assert lineage.features == (
        "Archaea",
        "Bacteria",
        "Euryarchaeota",
        "Proteobacteria",
        "archaea",
        "bacteria",
    )
    assert names.features[-1] == OTHERS
    assert "hal" in names.features
    assert "fera" not in names.features
    row = names.of(VOLC)
    assert row[-1] ** 2 == pytest.approx(len(pieces(VOLC.name) - set(names.features)))
    assert set(row[:-1]) <= {0.0, 1.0}


def test_what_is_not_known_is_nan_block_by_block():
    made = conditioner("lineage", "names", "stats", "kmer4")
    rows = made(ALL)
    assert rows.shape == (5, made.width)
    assert rows.dtype == np.float32
    assert np.isnan(rows[4]).all()
    known = {name: np.isfinite(rows[2, own]).all() for name, own in made.columns.items()}
    assert known == {"lineage": True, "names": True, "stats": True, "kmer4": False}
    for own in made.columns.values():  # as a whole or not at all
        assert (np.isfinite(rows[:, own]).all(axis=1) == np.isfinite(rows[:, own]).any(axis=1)).all()


@pytest.mark.parametrize(
    ("gc", "length"), [(None, 1e6), (50.0, None), (-1.0, 1e6), (101.0, 1e6), (50.0, 0.0), (np.nan, 1e6)]
)
def test_impossible_stats_are_not_known(gc, length):
    assert np.isnan(stats(Organism("a", gc=gc, length=length))).all()


def test_stats_are_percent_and_a_power_of_ten():
    np.testing.assert_allclose(stats(Organism("a", gc=50.0, length=1e6)), [50.0, 6.0])


def test_columns_are_side_by_side_in_the_order_asked_for():
    made = conditioner("kmer4", "stats", "lineage")
    assert list(made.columns) == ["kmer4", "stats", "lineage"]
    assert made.columns["stats"] == slice(3, 5)
    assert made.features[:4] == ["kmer4: x", "kmer4: y", "kmer4: z", "stats: GC [percent]"]
    np.testing.assert_array_equal(made([COLI])[0, :3], [0, 1, 2])
    assert made([]).shape == (0, made.width)


def test_it_comes_back_from_json():
    made = conditioner("lineage", "names", "stats", "kmer4")
    again = Conditioner.from_plain(json.loads(json.dumps(made.plain())))
    assert again == made
    np.testing.assert_array_equal(again(ALL), made(ALL))


@given(st.permutations(ALL))
def test_the_order_of_the_organisms_does_not_matter(order):
    made = Conditioner.of(order, ["lineage", "names", "stats"], {})
    assert made == conditioner("lineage", "names", "stats")


def test_faults_are_told_in_one_line():
    with pytest.raises(ValueError, match=r"^condition: 'stats' is said twice$"):
        conditioner("stats", "stats")
    with pytest.raises(ValueError, match=r"^condition: expected some of lineage, .*kmer4, got 'kmer9'$"):
        conditioner("kmer9")
    with pytest.raises(ValueError, match=r"^condition lineage: no two organisms share anything"):
        Conditioner.of([COLI, VOLC], ["lineage"], {})
    with pytest.raises(ValueError, match=r"^a: expected 4 features of kmer4, got \(3,\); embed the genome"):
        Block("kmer4", "numbers", tuple("wxyz")).of(COLI)
    with pytest.raises(ValueError, match=r"^a: kmer4: expected finite numbers, got nan"):
        Block("kmer4", "numbers", tuple("xyz")).of(
            replace(COLI, vectors={"kmer4": np.array([1.0, np.nan, 2.0])})
        )
