"""Fingerprints: the error without RDKit always, the rest where RDKit is installed."""

import sys

import numpy as np
import pytest

from o2diffusion.chem import fingerprints

SMILES = {"aspirin": "CC(=O)Oc1ccccc1C(=O)O", "salicylic acid": "O=C(O)c1ccccc1O", "ethanol": "CCO"}


def test_absent_rdkit_is_one_clear_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "rdkit", None)
    monkeypatch.setitem(sys.modules, "rdkit.Chem", None)
    with pytest.raises(ImportError, match=r"need RDKit: install it with .*o2diffusion\[chem\]"):
        fingerprints(SMILES)


def test_no_bits_are_refused():
    with pytest.raises(ValueError, match="at least one fingerprint bit"):
        fingerprints(SMILES, 0)


def test_fingerprints_are_bits_that_do_not_depend_on_the_spelling():
    pytest.importorskip("rdkit")
    bits = fingerprints(SMILES | {"again": " OC(=O)c1ccccc1OC(C)=O "}, 256)
    assert list(bits) == [*SMILES, "again"]
    for value in bits.values():
        assert value.shape == (256,)
        assert value.dtype == np.float32
        assert set(np.unique(value)) == {0.0, 1.0}
    assert np.array_equal(bits["aspirin"], bits["again"])


def test_alike_structures_have_alike_bits():
    pytest.importorskip("rdkit")
    bits = fingerprints(SMILES)

    def shared(a, b):
        return (bits[a] * bits[b]).sum() / np.maximum(bits[a], bits[b]).sum()

    assert shared("aspirin", "salicylic acid") > shared("aspirin", "ethanol")


def test_invalid_structures_are_all_named(capfd):
    pytest.importorskip("rdkit")
    with pytest.raises(ValueError, match=r"could not read bad \('C\(C'\), empty \(''\)"):
        fingerprints(SMILES | {"bad": "C(C", "empty": ""})
    assert capfd.readouterr().err == ""
