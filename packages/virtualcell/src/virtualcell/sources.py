"""Cells from AnnData: an object, an .h5ad file or a .zarr folder, in memory or on disk, checked as they are read."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import sparse

from virtualcell.cells import About, Cells
from virtualcell.faults import DataError, few, nearest, refuse
from virtualcell.genes import check_unique
from virtualcell.kinds import Kind, check_values, recognised
from virtualcell.stored import HeldRows, Rows, StoredRows, as_csr, open_group, refuse_swollen, stacked

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    import pandas as pd
    from anndata import AnnData

KEPT = 256 * 2**20  # bytes of the last blocks that are kept
BLOCK = 128  # rows that are read at once
HELD = 512 * 2**20  # bytes of a matrix that is read into memory where nothing else is said
SAMPLED = 2048  # cells by which the kind of the numbers is judged
Duplicates = Literal["refuse", "sum"]


class CellSource:
    """Cells of one AnnData, read in blocks; a map-style dataset: a row number gives `Cells` of one cell.

    n cells, g genes. notes: what was recognised, summed or dropped. Every block is checked when it is read: DataError
    names the cell. The last blocks are kept, so that shuffled reading within a window costs one read a block.
    """

    def __init__(self, rows: Rows, about: About, notes: Sequence[str], *, fold: Any = None) -> None:
        self.matrix, self.about, self.notes = rows, about, tuple(notes)
        self._fold, self._size = fold, 0
        self._blocks: OrderedDict[int, sparse.csr_matrix] = OrderedDict()

    def __len__(self) -> int:
        return self.matrix.shape[0]

    def __getitem__(self, row: int) -> Cells:
        return self.__getitems__([row])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_blocks": OrderedDict(), "_size": 0}

    def __getitems__(self, rows: Sequence[int] | np.ndarray) -> Cells:
        """The cells of these rows, in this order: a DataLoader asks so for a whole batch."""
        places = np.asarray(rows, dtype=np.int64)
        if len(places) == 0 or places.min() < 0 or places.max() >= len(self):
            refuse(f"{self.about.name}: expected rows of 0..{len(self) - 1}, got {few(places.tolist()[:5])}")
        numbers = places // BLOCK
        needed = np.unique(numbers)
        parts = [self._block(int(number))[places[numbers == number] % BLOCK] for number in needed]
        order = np.concatenate([np.flatnonzero(numbers == number) for number in needed])
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        return Cells(stacked(parts)[back], places, self.about)

    def _block(self, number: int) -> sparse.csr_matrix:
        """A checked block, from those kept or from disk."""
        if number in self._blocks:
            self._blocks.move_to_end(number)
            return self._blocks[number]
        start = number * BLOCK
        block = self.matrix.read(start, min(start + BLOCK, len(self)))
        names = self.about.obs.index
        check_values(block, lambda row: str(names[start + row]), self._stored_genes, self.about.name)
        if self._fold is not None:
            block = sparse.csr_matrix(block @ self._fold)
        if not block.has_canonical_format:
            block.sum_duplicates()  # and sorted, as what is held in memory is
        block.eliminate_zeros()
        self._blocks[number] = block
        self._size += _held(block)
        while self._size > KEPT and len(self._blocks) > 1:
            self._size -= _held(self._blocks.popitem(last=False)[1])
        return block

    @property
    def _stored_genes(self) -> np.ndarray:
        """Genes of the columns as they are stored: before duplicates are summed."""
        if self._fold is None:
            return self.about.genes
        return self.about.genes[np.asarray(self._fold.argmax(axis=1)).ravel()]

    def blocks(self, size: int = 1024) -> Iterator[Cells]:
        """All cells in the order of the file, so many at a time."""
        for start in range(0, len(self), size):
            yield self.__getitems__(np.arange(start, min(start + size, len(self))))

    def sample(self, most: int, *, seed: int = 0) -> Cells:
        """At most so many cells, in blocks evenly over the file, in its order; all of them where there are no more."""
        n = len(self)
        if n <= most:
            return self.__getitems__(np.arange(n))
        blocks = max(most // BLOCK, 1)
        generator = np.random.default_rng(seed)
        picked = np.sort(generator.permutation((n + BLOCK - 1) // BLOCK)[: blocks + 1])
        rows = (picked[:, None] * BLOCK + np.arange(BLOCK)[None, :]).ravel()
        return self.__getitems__(rows[rows < n][:most])


def open_cells(
    data: AnnData | Path | str | os.PathLike[str],
    *,
    layer: str | None = None,
    kind: Kind | Literal["auto"] = "auto",
    backed: bool | None = None,
    duplicates: Duplicates = "refuse",
) -> CellSource:
    """Cells of an AnnData, an .h5ad file or a .zarr folder.

    layer: of `layers`, instead of X. kind: what the numbers are, else it is recognised and said in the notes. backed:
    read from disk as needed; without, whatever is above half a GiB. duplicates: a gene given twice is refused, or its
    columns are summed. Raises DataError: no such file, a damaged one, no cells, NaN, negative values, empty cells.
    """
    if isinstance(data, str | Path) or hasattr(data, "__fspath__"):
        rows, frames, name = _from_disk(Path(data), layer, backed=backed)
    else:
        rows, frames, name = _from_object(data, layer, backed=bool(backed))
    obs, var, obsm = frames
    if rows.shape != (len(obs), len(var)) or 0 in rows.shape:
        shape = f"{rows.shape[0]} x {rows.shape[1]} with {len(obs)} rows of obs and {len(var)} of var"
        refuse(f"{name}: expected at least one cell and one gene, got {shape}")
    genes = var.index.astype(str).to_numpy(dtype=str)
    fold, notes = None, []
    if duplicates == "sum" and len(set(genes.tolist())) < len(genes):
        genes, fold, first = _summed(genes)
        var = var.iloc[first]
        notes.append(f"{name}: {len(first)} genes after columns of the same name were summed")
    check_unique(genes.tolist(), name)
    others = {str(c): var[c].astype(str).tolist() for c in var.columns if var[c].dtype.kind not in "buif"}
    probe = CellSource(rows, About(name, "counts", obs, genes, others, obsm), (), fold=fold)
    sample = probe.sample(SAMPLED)
    found, per, note = recognised(sample.counts, kind, name, lambda row: str(obs.index[sample.rows[row]]))
    about = About(name, found, obs, genes, others, obsm, per)
    notes.insert(0, f"{name}: {len(obs)} cells x {len(genes)} genes; {note.partition(': ')[2]}")
    return CellSource(rows, about, notes, fold=fold)


def _summed(genes: np.ndarray) -> tuple[np.ndarray, sparse.csr_matrix, np.ndarray]:
    """Names once each in their first order, the matrix that sums columns of one name, and where each is first."""
    first: dict[str, int] = {}
    for gene in genes.tolist():
        first.setdefault(gene, len(first))
    columns = np.array([first[gene] for gene in genes.tolist()])
    ones = np.ones(len(genes), dtype=np.float32)
    fold = sparse.csr_matrix((ones, (np.arange(len(genes)), columns)), shape=(len(genes), len(first)))
    return np.array(list(first)), fold, np.unique(columns, return_index=True)[1]


Frames = tuple["pd.DataFrame", "pd.DataFrame", dict[str, np.ndarray]]


def _from_object(data: AnnData, layer: str | None, *, backed: bool) -> tuple[Rows, Frames, str]:
    if getattr(data, "isbacked", False):
        if backed and not data.is_view:
            return _from_disk(Path(str(data.filename)), layer, backed=True)
        data = data.to_memory()
    if layer is not None and layer not in data.layers:
        refuse(f"data: layers: expected {layer!r}, {nearest(layer, map(str, data.layers))}")
    matrix = data.X if layer is None else data.layers[layer]
    where = "data: X" if layer is None else f"data: layers[{layer!r}]"
    if matrix is None:
        refuse(f"{where}: expected a matrix, got none; layer= says where else counts are")
    obsm: dict[str, Any] = {str(key): data.obsm[key] for key in data.obsm}
    return HeldRows(as_csr(matrix, where)), (data.obs, data.var, obsm), "data"


def _from_disk(path: Path, layer: str | None, *, backed: bool | None) -> tuple[Rows, Frames, str]:
    if path.suffix not in (".h5ad", ".zarr"):
        refuse(f"{path}: expected a name ending in .h5ad or .zarr")
    if not path.exists():
        refuse(f"{path}: expected cells, there is no such file")
    key = "X" if layer is None else f"layers/{layer}"
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message=".*names are not unique"
            )  # refused or summed, with the name
            return _opened(path, key, backed=backed)
    except DataError:
        raise
    except Exception as fault:  # noqa: BLE001 - anndata, h5py and zarr raise a dozen kinds for a damaged file
        refuse(f"{path}: expected an AnnData file, it cannot be read ({type(fault).__name__}: {fault})")


def _opened(path: Path, key: str, *, backed: bool | None) -> tuple[Rows, Frames, str]:
    from anndata.io import read_elem

    root: Any = open_group(path)
    try:
        if key not in root:
            there = [f"layers/{name}" for name in root["layers"]] if "layers" in root else []
            refuse(f"{path}: {key}: expected a matrix, there is {few(there)}; layer= says where counts are")
        found = root[key]
        refuse_swollen(path, found)
        parts = [found[part] for part in ("data", "indices")] if hasattr(found, "keys") else [found]
        size = sum(_bytes(part) for part in parts)
        held = size <= HELD if backed is None else not backed
        matrix = as_csr(read_elem(found), f"{path}: {key}") if held else None
        obs, var = read_elem(root["obs"]), read_elem(root["var"])
        obsm: dict[str, Any] = dict(read_elem(root["obsm"])) if "obsm" in root else {}
    finally:
        if hasattr(root, "close"):
            root.close()
    rows: Rows = StoredRows(path, key) if matrix is None else HeldRows(matrix)
    return rows, (obs, var, obsm), path.name


def _held(block: sparse.csr_matrix) -> int:
    return block.data.nbytes + block.indices.nbytes + block.indptr.nbytes


def _bytes(part: Any) -> int:
    return int(np.prod(part.shape, dtype=object)) * part.dtype.itemsize
