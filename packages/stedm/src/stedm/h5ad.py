"""Cells on disk: AnnData (.h5ad) to a `Tissue`, and a reconstruction back into the AnnData it belongs to.

Everything a file can be wrong in is met here with one line: file, key, cell or gene, value, what is allowed.
"""

from __future__ import annotations

import tempfile
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anndata
import h5py
import numpy as np
from scipy import sparse

from stedm.names import MADE, SD
from stedm.tissue import DataError, Kind, Section, Tissue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from anndata import AnnData

SPATIAL, SECTION = "spatial", "section"
CLAIM = 2**30  # bytes a matrix may claim before what is stored for it is looked at
SWELL = 2000  # times its stored size a matrix may have in memory
LARGEST = 1e12  # of a count or coordinate: sums of squares of such still are finite in every step


def read(path: Path | str) -> AnnData:
    """The AnnData of a file. DataError for a file that is none, is damaged, or claims to be far larger than it is."""
    path = Path(path)
    if path.suffix != ".h5ad":
        msg = f"{path}: expected a file ending in .h5ad, got {path.name!r}"
        raise DataError(msg)
    if not path.is_file():
        msg = f"{path}: expected a file, there is none"
        raise DataError(msg)
    with readable(path, "an AnnData file"):
        with h5py.File(path, "r") as file:
            refuse_swollen(path, file, lambda part: part.id.get_storage_size())
        return anndata.read_h5ad(path)


@contextmanager
def readable(path: Path, what: str) -> Iterator[None]:
    """Whatever a reader raises for what is damaged, as one line of DataError. what: the file ought to be."""
    try:
        with warnings.catch_warnings():
            # refused by `tissue_of`, with the name
            warnings.filterwarnings("ignore", message=".*names are not unique")
            yield
    except DataError:
        raise
    except Exception as fault:  # noqa: BLE001 - anndata, h5py and zarr raise a dozen kinds for a damaged file
        msg = f"{path}: expected {what}, it cannot be read ({type(fault).__name__}: {fault})"
        raise DataError(" ".join(msg.split())[:400]) from None


def refuse_swollen(path: Path, group: Any, stored: Callable[[Any], int]) -> None:
    """Refuse an AnnData (group of h5py or zarr) without X, or whose X would fill the memory though little is stored.

    stored: bytes that an array takes on disk. Raises DataError.
    """
    found: Any = group.get("X")
    if found is None:
        groups: dict[str, Any] = {where: group.get(where, {}) for where in ("layers", "raw")}
        names = [f"{where}/{key}" for where, members in groups.items() for key in members]
        there = [name for name in names if name.startswith("layers/") or name == "raw/X"]
        hint = f"; there is {', '.join(there)}: copy the counts to X" if there else ""
        msg = f"{path}: X: expected a matrix of counts, got none{hint}"
        raise DataError(msg)
    parts = [found] if hasattr(found, "dtype") else [found.get(k) for k in ("data", "indices")]
    for part in parts:
        if not hasattr(part, "dtype"):
            continue
        claimed = part.size * part.dtype.itemsize
        if claimed > CLAIM and claimed > SWELL * stored(part):
            msg = f"{path}: X claims {claimed / 2**30:.1f} GiB, {stored(part)} bytes are stored"
            raise DataError(msg)


def tissue_of(
    data: AnnData,
    *,
    name: str = "data",
    spatial_key: str = SPATIAL,
    dim: int = 2,
    coordinates: bool = True,
) -> Tissue:
    """Sections of an AnnData by `obs['section']` (one section without it), each in the order of the file.

    coordinates: read `obsm[spatial_key]`, which must then be there with `dim` columns; else places are not looked at.
    Raises DataError: no cells or genes, names given twice, NaN, infinite or negative values, missing coordinates.
    """
    counts = _matrix(data, name)
    _unique(data.var_names.astype(str).to_numpy(), name, "gene")
    labels = _labels(data, name)
    cells = data.obs_names.astype(str).to_numpy()
    place = places_of(data, name, spatial_key, dim) if coordinates else None
    order = list(dict.fromkeys(labels.tolist()))
    kind = kind_of(counts)
    sections = []
    for label in order:
        rows = np.flatnonzero(labels == label)
        _unique(cells[rows], name, f"section {label}: cell")
        at = None if place is None else place[rows]
        sections.append(Section(label, counts[rows], cells[rows], at))
    notes = [f"{len(cells)} cells of {len(order)} sections x {counts.shape[1]} genes, {_SAYS[kind]}"]
    if SECTION not in data.obs:
        notes.append("obs['section'] is absent: all cells are one section")
    empty = int((np.diff(counts.indptr) == 0).sum())
    if empty:
        notes.append(f"{empty} cells have no count at all: they are placed by the average cell")
    return Tissue(tuple(sections), data.var_names.astype(str).to_numpy(), kind, name, tuple(notes))


def rows_by_section(data: AnnData, tissue: Tissue) -> list[np.ndarray]:
    """The rows of the AnnData that each section of its tissue holds, (n,) each, in the section's order."""
    labels = _labels(data, tissue.name)
    return [np.flatnonzero(labels == section.label) for section in tissue.sections]


_SAYS: dict[Kind, str] = {
    "counts": "whole numbers: taken as counts",
    "values": "not whole numbers: taken as log or otherwise normalised values",
}


def kind_of(counts: sparse.csr_matrix) -> Kind:
    """Whether values (n, g) are whole counts, judged by up to a million of them."""
    seen = counts.data[:1_000_000]
    return "counts" if bool((seen == np.rint(seen)).all()) else "values"


def _matrix(data: AnnData, name: str) -> sparse.csr_matrix:
    """X as csr float32, checked."""
    if data.n_obs == 0 or data.n_vars == 0 or data.X is None:
        msg = f"{name}: X: expected at least one cell and one gene, got {data.n_obs} x {data.n_vars}"
        raise DataError(msg)
    found: Any = data.to_memory().X if data.isbacked else data.X
    if sparse.issparse(found) and hasattr(found, "check_format"):
        try:
            found.check_format(
                full_check=True
            )  # scipy trusts indices, and reads beyond its memory by false ones
        except ValueError as fault:
            msg = f"{name}: X: expected a sparse matrix whose indices are within it ({fault})"
            raise DataError(msg) from None
    try:
        if np.dtype(found.dtype).kind not in "buif":
            raise TypeError
        with np.errstate(over="ignore"):  # what does not fit is infinite, and refused as such
            matrix = sparse.csr_matrix(found, dtype=np.float32)
    except (TypeError, ValueError):
        msg = f"{name}: X: expected numbers, got {getattr(found, 'dtype', type(found).__name__)}"
        raise DataError(msg) from None
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    bad = ~((matrix.data >= 0) & (matrix.data <= LARGEST))  # NaN is neither
    if bad.any():
        at = int(bad.argmax())
        row = int(np.searchsorted(matrix.indptr, at, side="right")) - 1
        cell, gene = data.obs_names[row], data.var_names[matrix.indices[at]]
        hint = "; scaled data has lost its counts, give counts or log1p" if matrix.data[at] < 0 else ""
        found = f"cell {cell}, gene {gene}: expected a number from 0 to {LARGEST:g}, got {matrix.data[at]:g}"
        msg = f"{name}: X: {found}{hint}"
        raise DataError(msg)
    return matrix


def _unique(names: np.ndarray, name: str, what: str) -> None:
    """Refuse names given twice."""
    _, first, counts = np.unique(names, return_index=True, return_counts=True)
    if (counts > 1).any():
        at = int(first[counts > 1].min())
        twice = names[at]
        rows = np.flatnonzero(names == twice)[:2] + 1
        msg = f"{name}: {what} name {twice!r} is in rows {rows[0]} and {rows[1]}: expected each name once"
        raise DataError(msg)


def _labels(data: AnnData, name: str) -> np.ndarray:
    """The section of each cell, (n,) text."""
    if SECTION not in data.obs:
        return np.full(data.n_obs, "all", dtype=object).astype(str)
    column = data.obs[SECTION]
    if column.isna().any():
        cell = data.obs_names[int(column.isna().to_numpy().argmax())]
        msg = f"{name}: obs['section']: cell {cell}: expected a label, got NaN"
        raise DataError(msg)
    return column.astype(str).to_numpy(dtype=str)


def places_of(data: AnnData, name: str, key: str, dim: int) -> np.ndarray:
    """Coordinates (n, dim) of `obsm[key]`. Raises DataError: none, not numbers, another shape, not finite or too large.

    name: of the file, for the error.
    """
    if key not in data.obsm:
        known = ", ".join(map(str, data.obsm.keys())) or "nothing"
        hint = "`stedm reconstruct` writes it" if key == MADE else "--spatial-key (refine: --key) says where"
        msg = f"{name}: obsm[{key!r}]: expected coordinates, there is {known}; {hint}"
        raise DataError(msg)
    try:
        place = np.asarray(data.obsm[key], dtype=float)
    except (TypeError, ValueError):
        msg = f"{name}: obsm[{key!r}]: expected numbers"
        raise DataError(msg) from None
    found = place.shape[1] if place.ndim == 2 else place.ndim
    if place.ndim != 2 or found != dim:
        hint = "; --dim 3 takes three" if found == 3 else ""
        msg = f"{name}: obsm[{key!r}]: expected {dim} columns, got shape {place.shape}{hint}"
        raise DataError(msg)
    bad = ~(np.abs(place) <= LARGEST).all(axis=1)
    if bad.any():
        row = int(bad.argmax())
        found = f"cell {data.obs_names[row]}: expected numbers up to {LARGEST:g}, got {place[row].tolist()}"
        msg = f"{name}: obsm[{key!r}]: {found}"
        raise DataError(msg)
    return place


def expected_error(data: AnnData, name: str, key: str = SD) -> np.ndarray | None:
    """The expected error of each cell (n,), or None where there is none. DataError for one that is not above 0."""
    if key not in data.obs:
        return None
    try:
        found = data.obs[key].to_numpy(dtype=float)
    except (TypeError, ValueError):
        msg = f"{name}: obs[{key!r}]: expected numbers, got {data.obs[key].dtype}"
        raise DataError(msg) from None
    bad = ~((found > 0) & (found <= LARGEST))  # NaN is neither
    if bad.any():
        row = int(bad.argmax())
        msg = f"{name}: obs[{key!r}]: cell {data.obs_names[row]}: expected a number > 0, got {found[row]:g}"
        raise DataError(msg)
    return found


def write(data: AnnData, path: Path | str) -> None:
    """Write an AnnData wholly or not at all; raises OSError where that cannot be."""
    path = Path(path)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        made = Path(folder) / "out.h5ad"
        data.write_h5ad(made)
        made.replace(path)
