"""Embeddings of other programs: both forms of the file, and what is refused."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediacvae.embeddings import read_outside
from mediacvae.fasta import GenomeError

VECTORS = {"GCF_1.1": np.arange(5.0), "b": np.ones(5, dtype=np.float16)}


def saved(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_one_array_a_genome(tmp_path):
    found = read_outside(saved(tmp_path / "e.npz", **VECTORS))
    assert list(found) == list(VECTORS)
    for key, vector in found.items():
        assert vector.dtype == np.float32
        np.testing.assert_array_equal(vector, VECTORS[key])


@pytest.mark.parametrize("order", ["C", "F"])
def test_one_table_of_all(tmp_path, order):
    ids, vectors = np.array(["a", "b", "c"]), np.asarray(np.arange(12).reshape(3, 4), order=order)
    path = tmp_path / "e.npz"
    np.savez_compressed(path, ids=ids, vectors=vectors)
    found = read_outside(path)
    np.testing.assert_array_equal(np.stack(list(found.values())), vectors)
    assert list(found) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({}, "at least one vector"),
        ({"a": np.zeros((2, 2))}, r"genome 'a': expected numbers \(d,\)"),
        ({"a": np.zeros(0)}, "expected numbers"),
        ({"a": np.array(["x"])}, "expected numbers"),
        ({"a": np.array([1 + 2j])}, "claims to be complex"),
        ({"a": np.array([True])}, "claims to be bool"),
        ({"a": np.array([1.0, np.nan])}, "genome 'a': number 1: expected a finite one .*got nan"),
        ({"a": np.array([1e300])}, "number 0: expected a finite one"),
        ({"a": np.zeros(3), "b": np.zeros(4)}, "genome 'b': expected 3 numbers as genome 'a' has, got 4"),
        ({"../../etc/passwd": np.zeros(3)}, "genome id: expected"),
        ({"ids": np.array(["a"]), "vectors": np.zeros((2, 3))}, r"expected ids \(n,\) of text"),
        ({"ids": np.array(["a", "a"]), "vectors": np.zeros((2, 3))}, "'a' is given twice"),
        ({"ids": np.array([1, 2]), "vectors": np.zeros((2, 3))}, "of text"),
    ],
)
def test_what_is_no_table_of_vectors_is_refused(tmp_path, arrays, says):
    with pytest.raises(GenomeError, match=says) as caught:
        read_outside(saved(tmp_path / "e.npz", **arrays))
    assert "e.npz: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_objects_are_not_unpickled(tmp_path):
    with pytest.raises(GenomeError, match=r"cannot be read .*claims to be object"):
        read_outside(saved(tmp_path / "e.npz", a=np.array([{"x": 1}], dtype=object)))


def test_a_claim_beyond_what_is_stored_is_refused(tmp_path):
    header = io.BytesIO()
    claim = {"descr": "<f8", "fortran_order": False, "shape": (10**12,)}
    np.lib.format.write_array_header_1_0(header, claim)
    path = tmp_path / "e.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", header.getvalue() + bytes(80))
    with pytest.raises(GenomeError, match="80 bytes are stored"):
        read_outside(path)
    np.savez_compressed(path, a=np.zeros(10_000))
    with pytest.raises(GenomeError, match="more than 1000 bytes unpacked"):
        read_outside(path, max_bytes=1000)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"not a zip"])
def test_no_npz(tmp_path, data):
    with pytest.raises(GenomeError, match="there is none"):
        read_outside(tmp_path / "absent.npz")
    path = tmp_path / "e.npz"
    path.write_bytes(data)
    with pytest.raises(GenomeError, match="cannot be read"):
        read_outside(path)


@given(st.data())
def test_damage_gives_vectors_or_a_genome_error(tmp_path_factory, data):
    path = saved(tmp_path_factory.mktemp("e") / "e.npz", **VECTORS)
    damaged = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    path.write_bytes(damaged)
    try:
        found = read_outside(path)
    except GenomeError as fault:
        said = str(fault)
    else:
        said = ""
        assert all(np.isfinite(vector).all() for vector in found.values())
    assert "\n" not in said
