"""Embeddings as bytes: a .npy file in memory, never a pickle, checked on the way in and out."""

from __future__ import annotations

import io

import numpy as np

from mediacvae.db.engines import DatabaseError

LONGEST = 1_000_000  # numbers of an embedding


def to_bytes(vector: np.ndarray) -> bytes:
    """The bytes of a float32 (d,) vector. DatabaseError: other shapes, NaN, infinite, more than a million numbers."""
    with np.errstate(over="ignore"):  # what does not fit is infinite, and refused as such
        found = np.asarray(vector, dtype=np.float32)
    _check(found, "embedding")
    stream = io.BytesIO()
    np.save(stream, found, allow_pickle=False)
    return stream.getvalue()


def from_bytes(data: bytes, dim: int, what: str) -> np.ndarray:
    """The float32 (d,) vector of stored bytes. DatabaseError, naming `what`, for damaged ones or another length."""
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        if version != (1, 0):
            msg = f"format {version}"
            raise ValueError(msg)
        shape, _, kind = np.lib.format.read_array_header_1_0(stream)
        if kind != np.dtype("<f4") or len(shape) != 1:
            msg = f"{kind} {shape}"
            raise ValueError(msg)
        body = data[stream.tell() :]
        if len(body) != 4 * shape[0]:
            msg = f"{len(body)} bytes for {shape[0]} numbers"
            raise ValueError(msg)
    except (
        ValueError,
        EOFError,
        SyntaxError,
        TypeError,
        OverflowError,
        MemoryError,
        RecursionError,
    ) as fault:
        said = " ".join(str(fault).split())[:120]
        msg = f"{what}: damaged: expected the bytes of a float32 .npy file ({said}): compute it anew"
        raise DatabaseError(msg) from None
    vector = np.frombuffer(body, dtype="<f4").astype(np.float32)
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
