"""Embeddings as bytes: a .npy file in memory, never a pickle, checked on the way in and out."""

from __future__ import annotations

import io
import re

import numpy as np

from mediacvae.db.engines import DatabaseError

LONGEST = 1_000_000  # numbers of an embedding
# The head of a .npy file of version 1.0 as NumPy writes it for such a vector; NumPy's own reader evaluates it.
_START = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '<f4', 'fortran_order': False, 'shape': \((\d{1,7}),\), \} *\n",
    re.DOTALL,
)


def to_bytes(vector: np.ndarray) -> bytes:
    """The bytes of a vector (d,) as float32. DatabaseError: other shapes, not finite, more than a million numbers."""
    with np.errstate(over="ignore"):  # what does not fit is infinite, and refused as such
        found = np.asarray(vector, dtype=np.float32)
    _check(found, "embedding")
    stream = io.BytesIO()
    np.save(stream, found, allow_pickle=False)
    return stream.getvalue()


def from_bytes(data: bytes, dim: int, what: str) -> np.ndarray:
    """The float32 (d,) vector of stored bytes. DatabaseError, naming `what`, for damaged ones or another length."""
    start = _START.match(data)
    count = int(start[1]) if start else -1
    if (
        start is None
        or start.end() - 10 != int.from_bytes(data[8:10], "little")
        or len(data) - start.end() != 4 * count
    ):
        msg = f"{what}: damaged: expected the {4 * dim} bytes of a float32 .npy file and its head: compute it anew"
        raise DatabaseError(msg)
    vector = np.frombuffer(data, dtype="<f4", offset=start.end()).astype(np.float32)
    if len(vector) != dim:
        msg = f"{what}: expected {dim} numbers, got {len(vector)}: compute it anew"
        raise DatabaseError(msg)
    _check(vector, what)
    return vector


def _check(vector: np.ndarray, what: str) -> None:
    if vector.ndim != 1 or not 0 < len(vector) <= LONGEST:
        msg = f"{what}: expected one row of 1 to {LONGEST} numbers, got shape {vector.shape}"
        raise DatabaseError(msg)
    if not np.isfinite(vector).all():
        at = int(np.flatnonzero(~np.isfinite(vector))[0])
        msg = f"{what}: number {at}: expected a finite one, got {vector[at]}"
        raise DatabaseError(msg)
