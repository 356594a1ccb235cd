"""Results as AnnData: embeddings beside the cells they are of, predicted cells with the genes of the data."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from virtualcell.faults import few, refuse
from virtualcell.names import COUNTS, EMBEDDING, HOW, PERTURBATION

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from anndata import AnnData

PER = 1e4  # counts a cell is brought to before the logarithm


def with_embedding(data: AnnData, embedding: np.ndarray, *, how: Mapping[str, Any] | None = None) -> AnnData:
    """A copy of cells with `obsm['X_virtualcell']` (n, d). DataError for another number of cells, or NaN."""
    found = np.asarray(embedding, dtype=np.float32)
    if found.ndim != 2 or len(found) != data.n_obs:
        refuse(f"embedding: expected ({data.n_obs}, d), one row a cell, got {found.shape}")
    if not np.isfinite(found).all():
        cell = data.obs_names[int((~np.isfinite(found).all(axis=1)).argmax())]
        refuse(f"embedding: cell {cell}: expected finite numbers")
    made = data.to_memory() if data.isbacked else data.copy()
    made.obsm[EMBEDDING] = found
    if how is not None:
        made.uns[HOW] = dict(how)
    return made


def predicted_cells(
    values: np.ndarray | sparse.csr_matrix,
    genes: Sequence[str],
    perturbation: str | Sequence[str],
    *,
    counts: bool = True,
    obs: pd.DataFrame | None = None,
    var: pd.DataFrame | None = None,
    how: Mapping[str, Any] | None = None,
) -> AnnData:
    """Predicted cells, genes in the order given: X = log1p of counts per 10,000, `obs['perturbation']`.

    values: (n, g) whole counts, kept in `layers['counts']`; with counts=False, values of X themselves. perturbation:
    of all cells, or of each. obs: further columns; its index names the cells, else they are numbered. var: the rows of
    the genes; more may be there. Raises DataError: other shapes, a gene without a row, NaN, negative values, counts
    that are not whole.
    """
    matrix = sparse.csr_matrix(values, dtype=np.float32)
    n, g = matrix.shape
    if g != len(genes):
        refuse(f"predicted cells: expected {len(genes)} genes, got {g} columns")
    bad = ~((matrix.data >= 0) & np.isfinite(matrix.data))
    if bad.any():
        refuse(f"predicted cells: expected numbers of 0 and more, got {matrix.data[int(bad.argmax())]:g}")
    if counts and (matrix.data != np.rint(matrix.data)).any():
        refuse(
            "predicted cells: expected whole counts; values that are log1p already are given with counts=False"
        )
    words = [perturbation] * n if isinstance(perturbation, str) else list(perturbation)
    for name, count in (("perturbations", len(words)), ("rows of obs", n if obs is None else len(obs))):
        if count != n:
            refuse(f"predicted cells: expected {n} {name}, one a cell, got {count}")
    lost = [] if var is None else [gene for gene in genes if gene not in var.index]
    if lost:
        refuse(f"predicted cells: var: expected a row of each gene, {few(lost)} have none")
    index = pd.Index([f"predicted_{i}" for i in range(n)]) if obs is None else obs.index.astype(str)
    columns = pd.DataFrame(index=index) if obs is None else obs.set_axis(index).copy()
    columns[PERTURBATION] = pd.Categorical(words)
    rows = pd.DataFrame(index=pd.Index(list(genes))) if var is None else var.loc[list(genes)]
    made = anndata.AnnData(X=log_per(matrix) if counts else matrix, obs=columns, var=rows)
    if counts:
        made.layers[COUNTS] = matrix
    if how is not None:
        made.uns[HOW] = dict(how)
    return made


def log_per(counts: sparse.csr_matrix, per: float = PER) -> sparse.csr_matrix:
    """log1p of counts per `per`, (n, g) float32; cells without any count stay 0."""
    totals = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    made = sparse.csr_matrix(
        counts.multiply((per / np.where(totals > 0, totals, 1.0))[:, None]), dtype=np.float32
    )
    made.data = np.log1p(made.data)
    return made


def write_cells(data: AnnData, path: str | os.PathLike[str], *, force: bool = False) -> Path:
    """Write cells as .h5ad or .zarr, wholly or not at all. DataError: another name, or a file there and not `force`."""
    path = Path(path)
    if path.suffix not in (".h5ad", ".zarr"):
        refuse(f"{path}: expected a name ending in .h5ad or .zarr")
    if path.exists() and not force:
        refuse(f"{path}: is there already; pass force to replace it, or choose another name")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        made = Path(folder) / path.name
        if path.suffix == ".h5ad":
            data.write_h5ad(made)
        else:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Writing zarr v2 data")  # anndata's next default
                data.write_zarr(made)
            if path.is_dir():
                shutil.rmtree(path)
        made.replace(path)
    return path
