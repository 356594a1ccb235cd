"""How alike perturbations are: by regulation, pathways and vectors."""

from __future__ import annotations

import numpy as np
import pytest

from virtualcell.doses import between, dose_of, with_dose
from virtualcell.faults import DataError
from virtualcell.known import Known, known_of
from virtualcell.network import Network
from virtualcell.pathways import GeneSets

NETWORK = Network(
    {("A", "X"): (1.0, 1.0), ("A", "Y"): (1.0, 1.0), ("B", "X"): (-1.0, 1.0), ("C", "Z"): (1.0, 1.0)}
)
SETS = GeneSets({"P": ("A", "B"), "Q": ("C", "D"), "R": ("A", "B", "C", "D")})


def test_a_name_is_most_alike_to_itself_and_what_is_not_known_to_nothing():
    known = known_of([NETWORK], [SETS])
    names = ["A", "B", "C", "D", "nobody"]
    alike = known.alike(names, names)
    np.testing.assert_allclose(alike, alike.T, atol=1e-6)
    assert (alike >= 0).all()
    assert (alike <= 1).all()
    assert alike[0, 1] > alike[0, 2]  # A and B share a target and a rare set
    assert (alike[4] == 0).all()
    assert known.knows("a")
    assert not known.knows("nobody")


def test_case_and_versions_do_not_matter():
    known = known_of([], [GeneSets({"P": ("ENSG00000111111.2", "b")})])
    assert known.alike(["ENSG00000111111.7"], ["B"])[0, 0] == pytest.approx(1.0)


def test_vectors_of_drugs():
    known = known_of(
        vectors={"x": np.array([1.0, 0.0]), "y": np.array([2.0, 0.0]), "z": np.array([0.0, 1.0])}
    )
    np.testing.assert_allclose(known.alike(["x"], ["x", "y", "z"]), [[1, 1, 0]], atol=1e-6)
    with pytest.raises(DataError, match="one length"):
        known_of(vectors={"x": np.ones(2), "y": np.ones(3)})
    with pytest.raises(DataError, match="x: expected finite"):
        known_of(vectors={"x": np.array([np.nan])})


def test_without_tables_nothing_is_alike():
    assert Known().alike(["A"], ["A", "B"]).tolist() == [[0.0, 0.0]]


def test_doses_are_written_and_read_again():
    assert with_dose("drug", 2.5) == "drug@2.5"
    assert dose_of("drug@2.5") == ("drug", 2.5)
    assert dose_of("drug@home") == ("drug@home", None)
    assert with_dose("drug", None) == "drug"
    for dose in (1e6, 1234567.0, 0.12345678, 1e-7):
        assert "+" not in with_dose("drug", dose)
        assert dose_of(with_dose("drug", dose)) == ("drug", dose)
    for name, dose in (("drug", -1.0), ("A+B", 1.0)):
        with pytest.raises(DataError, match="dose"):
            with_dose(name, dose)


def test_a_dose_between_is_of_both_neighbours():
    seen = ["drug@1", "drug@10", "other@5", "plain"]
    (low, a), (high, b) = between("drug@3", seen)
    assert (low, high) == ("drug@1", "drug@10")
    assert a + b == pytest.approx(1)
    assert 0 < a < 1
    (none, a), (first, b) = between("drug@0.5", seen)
    assert none is None
    assert first == "drug@1"
    assert b == pytest.approx(np.log(1.5) / np.log(2))
    assert between("drug@99", seen) == [("drug@10", 1.0)]
    assert between("nobody@3", seen) == []
    assert between("drug", seen) == []
