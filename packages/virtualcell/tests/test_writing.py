"""Results as AnnData: the same genes in the same order, logarithms of counts per 10,000, wholly written."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest

from virtualcell.faults import DataError
from virtualcell.sources import open_cells
from virtualcell.writing import predicted_cells, with_embedding, write_cells

GENES = ["b", "a", "c"]
COUNTS = np.array([[1, 0, 3], [0, 0, 0], [2, 2, 0]])


def test_predicted_cells_have_genes_counts_and_perturbation(tmp_path):
    made = predicted_cells(
        COUNTS, GENES, "IFNB+KO", obs=pd.DataFrame({"cell_type": ["T"] * 3}, index=["x", "y", "z"])
    )
    assert made.var_names.tolist() == GENES
    assert made.obs["perturbation"].tolist() == ["IFNB+KO"] * 3
    assert np.allclose(made.X.toarray()[0], np.log1p([2500, 0, 7500]))
    assert (made.X.toarray()[1] == 0).all()
    assert (made.layers["counts"].toarray() == COUNTS).all()
    path = write_cells(made[[0, 2]].copy(), tmp_path / "p.h5ad")
    assert open_cells(path).about.kind == "log"
    assert open_cells(path, layer="counts").about.kind == "counts"
    with pytest.raises(DataError, match="force"):
        write_cells(made, path)
    write_cells(made, path, force=True)
    write_cells(made, tmp_path / "p.zarr")
    write_cells(made, tmp_path / "p.zarr", force=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["p.h5ad", "p.zarr"]


def test_values_that_are_logarithms_are_kept():
    made = predicted_cells(np.log1p(COUNTS), GENES, ["A", "B", "A"], counts=False)
    assert np.allclose(made.X.toarray(), np.log1p(COUNTS))
    assert "counts" not in made.layers


def test_what_no_prediction_can_be_is_refused():
    for values, words in (
        (COUNTS + 0.5, "whole counts"),
        (-COUNTS, "0 and more"),
        (COUNTS * np.nan, "0 and more"),
        (COUNTS[:, :2], "3 genes"),
    ):
        with pytest.raises(DataError, match=words):
            predicted_cells(values, GENES, "A")
    with pytest.raises(DataError, match="3 perturbations, one a cell, got 1"):
        predicted_cells(COUNTS, GENES, ["A"])
    with pytest.raises(DataError, match="3 rows of obs, one a cell, got 2"):
        predicted_cells(COUNTS, GENES, "A", obs=pd.DataFrame(index=["x", "y"]))
    with pytest.raises(DataError, match="a row of each gene, c have none"):
        predicted_cells(COUNTS, GENES, "A", var=pd.DataFrame({"id": [0, 1, 2]}, index=["a", "b", "d"]))


def test_rows_of_genes_are_in_the_order_of_the_genes():
    var = pd.DataFrame({"id": [0, 1, 2, 3]}, index=["a", "b", "c", "d"])
    assert predicted_cells(COUNTS, GENES, "A", var=var).var["id"].tolist() == [1, 0, 2]


def test_embeddings_are_beside_their_cells():
    data = anndata.AnnData(COUNTS[[0, 2]].astype(np.float32))
    made = with_embedding(data, np.ones((2, 4)))
    assert made.obsm["X_virtualcell"].shape == (2, 4)
    assert "X_virtualcell" not in data.obsm
    with pytest.raises(DataError, match="one row a cell"):
        with_embedding(data, np.ones((3, 4)))
    with pytest.raises(DataError, match="cell 1"):
        with_embedding(data, np.array([[1.0], [np.nan]]))
