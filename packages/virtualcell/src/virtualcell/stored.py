"""Rows of an expression matrix, in memory or on disk (h5ad, zarr), a stretch at a time and always as csr float32.

A file is opened anew in each process: handles do not survive a fork.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from scipy import sparse

from virtualcell.faults import refuse

if TYPE_CHECKING:
    from collections.abc import Sequence

CLAIM = 2**30  # bytes a matrix may claim before what is stored for it is looked at
SWELL = 2000  # times its stored size a matrix may have in memory


class Rows(Protocol):
    """A matrix (n, g) that gives stretches of its rows."""

    @property
    def shape(self) -> tuple[int, int]:
        """Cells and genes."""
        ...

    def read(self, start: int, stop: int) -> sparse.csr_matrix:
        """Rows start..stop, (stop - start, g) float32."""
        ...


class HeldRows:
    """Rows in memory."""

    def __init__(self, matrix: sparse.csr_matrix) -> None:
        self.matrix = matrix
        self.shape: tuple[int, int] = (int(matrix.shape[0]), int(matrix.shape[1]))

    def read(self, start: int, stop: int) -> sparse.csr_matrix:
        """Rows start..stop, (stop - start, g) float32."""
        return self.matrix[start:stop]


def as_csr(matrix: Any, where: str) -> sparse.csr_matrix:
    """A dense or sparse matrix (n, g) of any number type as csr float32; DataError for one that holds no numbers."""
    if sparse.issparse(matrix):
        try:
            matrix.check_format(
                full_check=True
            )  # scipy trusts indices, and reads beyond its memory by false ones
        except (ValueError, AttributeError) as fault:
            refuse(f"{where}: expected a sparse matrix whose indices are within it ({fault})")
    if np.dtype(getattr(matrix, "dtype", object)).kind not in "buif":
        refuse(f"{where}: expected numbers, got {getattr(matrix, 'dtype', type(matrix).__name__)}")
    with np.errstate(over="ignore"):  # what does not fit is infinite, and refused as such
        made = sparse.csr_matrix(matrix, dtype=np.float32)
    if not made.has_canonical_format:
        made.sum_duplicates()
    made.eliminate_zeros()
    return made


class StoredRows:
    """Rows of a matrix on disk, csr or dense, of an h5ad file or a zarr folder.

    path: the file; key: where in it (`X`, `layers/counts`). Raises DataError for a matrix stored by genes (csc).
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path, self.key = path, key
        self._pid, self._group = -1, None
        found = self.group()
        self.encoding = str(dict(found.attrs).get("encoding-type", "array"))
        if self.encoding == "csc_matrix":
            refuse(
                f"{path}: {key}: is stored by genes (csc): cells cannot be read one by one; write it as csr"
            )
        if self.encoding == "csr_matrix":
            n, g = (int(size) for size in found.attrs["shape"])
            self._starts = np.asarray(found["indptr"][:], dtype=np.int64)
            if len(self._starts) != n + 1 or self._starts[0] != 0 or (np.diff(self._starts) < 0).any():
                refuse(f"{path}: {key}: expected {n + 1} rising row starts: the file is damaged")
            if self._starts[-1] > min(found["data"].shape[0], found["indices"].shape[0]):
                refuse(
                    f"{path}: {key}: expected {self._starts[-1]} values, got {found['data'].shape[0]}: it is damaged"
                )
        elif len(getattr(found, "shape", ())) == 2:
            n, g = (int(size) for size in found.shape)
        else:
            refuse(f"{path}: {key}: expected a matrix of cells and genes, got {self.encoding}")
        self.shape: tuple[int, int] = (n, g)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_pid": -1, "_group": None}

    def group(self) -> Any:
        """The opened matrix of this process."""
        if self._pid != os.getpid():
            self._pid, self._group = os.getpid(), open_group(self.path)[self.key]
        return self._group

    def read(self, start: int, stop: int) -> sparse.csr_matrix:
        """Rows start..stop, (stop - start, g) float32, as they are stored."""
        found: Any = self.group()
        if self.encoding != "csr_matrix":
            return sparse.csr_matrix(np.asarray(found[start:stop], dtype=np.float32))
        first, last = int(self._starts[start]), int(self._starts[stop])
        data = np.asarray(found["data"][first:last], dtype=np.float32)
        indices = np.asarray(found["indices"][first:last], dtype=np.int32)
        made = sparse.csr_matrix((stop - start, self.shape[1]), dtype=np.float32)
        starts = (self._starts[start : stop + 1] - first).astype(np.int32)  # scipy wants both of one type
        made.data, made.indices, made.indptr = data, indices, starts
        return made


def open_group(path: Path) -> Any:
    """The root of an h5ad file or a zarr folder, to be read."""
    if path.suffix == ".zarr":
        import zarr

        return zarr.open_group(str(path), mode="r")
    import h5py

    return h5py.File(path, "r")


def refuse_swollen(path: Path, found: Any) -> None:
    """Refuse a matrix that would fill the memory though little is stored for it."""
    parts = (
        [found] if hasattr(found, "dtype") else [found[name] for name in ("data", "indices") if name in found]
    )
    for part in parts:
        claimed = int(np.prod(part.shape, dtype=object)) * part.dtype.itemsize
        if claimed > CLAIM and claimed > SWELL * (stored := _stored(part)):
            refuse(f"{path}: the matrix claims {claimed / 2**30:.1f} GiB, {stored} bytes are stored")


def _stored(part: Any) -> int:
    if hasattr(part, "id"):
        return int(part.id.get_storage_size())
    return int(part.nbytes_stored() if callable(part.nbytes_stored) else part.nbytes_stored)


def stacked(blocks: Sequence[sparse.csr_matrix]) -> sparse.csr_matrix:
    """Rows of several blocks (b, g), one below the other."""
    return blocks[0] if len(blocks) == 1 else sparse.csr_matrix(sparse.vstack(blocks, format="csr"))
