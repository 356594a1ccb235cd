"""Cells in: the same from every kind of matrix and file, checked, recognised, and block-shuffled by seed."""

from __future__ import annotations

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from torch.utils.data import DataLoader

from virtualcell.blocks import ShuffledBlocks
from virtualcell.cells import joined
from virtualcell.faults import DataError
from virtualcell.sources import BLOCK, open_cells

# anndata's own: the format it writes will be another one some day; both are read
pytestmark = pytest.mark.filterwarnings("ignore:Writing zarr v2 data")


def made(n=300, g=20, seed=0, matrix=None):
    counts = np.random.default_rng(seed).poisson(1.0, (n, g)).astype(np.float32)
    counts[:, 0] += 1
    x = counts if matrix is None else matrix
    data = anndata.AnnData(
        X=sparse.csr_matrix(x) if not sparse.issparse(x) else x,
        obs=pd.DataFrame({"batch": ["a", "b"] * (len(counts) // 2)}, index=[f"c{i}" for i in range(n)]),
        var=pd.DataFrame(
            {"ensembl": [f"ENSG{i:011d}.2" for i in range(g)]}, index=[f"g{i}" for i in range(g)]
        ),
    )
    data.obsm["protein"] = np.ones((n, 3))
    return data


def refused(call, *words):
    with pytest.raises(DataError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csc_matrix, np.asarray, sparse.csr_array])
@pytest.mark.parametrize("dtype", [np.int32, np.uint16, np.float64, np.float32])
def test_every_kind_of_matrix_gives_the_same_cells(form, dtype):
    data = made()
    dense = data.X.toarray()
    data.X = form(dense.astype(dtype))
    source = open_cells(data)
    assert source.about.kind == "counts"
    assert (source[7].counts.toarray() == dense[7]).all()
    rows = np.array([299, 3, 130, 3])
    got = source.__getitems__(rows)
    assert (got.counts.toarray() == dense[rows]).all()
    assert got.rows.tolist() == rows.tolist()
    assert got.labels("batch").tolist() == ["b", "b", "a", "b"]


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
@pytest.mark.parametrize("form", [sparse.csr_matrix, np.asarray])
@pytest.mark.parametrize("backed", [True, False])
def test_files_give_the_cells_of_memory(tmp_path, suffix, form, backed):
    data = made()
    data.X = form(data.X.toarray())
    path = tmp_path / f"a.{suffix}"
    data.write_h5ad(path) if suffix == "h5ad" else data.write_zarr(path)
    source, held = open_cells(path, backed=backed), open_cells(data)
    assert len(source) == 300
    assert source.about.genes.tolist() == held.about.genes.tolist()
    assert source.about.others["ensembl"] == held.about.others["ensembl"]
    for one, two in zip(source.blocks(70), held.blocks(70), strict=True):
        assert (one.counts != two.counts).nnz == 0
        assert one.array("protein").shape == (len(one), 3)


@pytest.mark.parametrize("backed", [True, False])
def test_entries_stored_twice_or_as_zero_are_one_or_none(tmp_path, backed):
    data = made()
    whole = data.X.toarray()
    data.write_h5ad(tmp_path / "a.h5ad")
    with h5py.File(tmp_path / "a.h5ad", "r+") as file:
        group = file["X"]
        first = group["indices"][0]
        more = {
            "data": [group["data"][0] - 1, 1, 0],
            "indices": [first, first, np.flatnonzero(whole[0] == 0)[0]],
        }
        for name, begin in more.items():  # the first value as two, and a zero
            values = np.concatenate([begin, group[name][1:]]).astype(group[name].dtype)
            del group[name]
            group[name] = values
        group["indptr"][1:] = group["indptr"][1:] + 2
    found = open_cells(tmp_path / "a.h5ad", backed=backed).__getitems__(np.arange(300)).counts
    assert found.nnz == np.count_nonzero(whole)
    np.testing.assert_array_equal(found.toarray(), whole)


def test_csc_on_disk_is_read_into_memory_or_refused(tmp_path):
    data = made()
    dense = data.X.toarray()
    data.X = sparse.csc_matrix(data.X)
    data.write_h5ad(tmp_path / "a.h5ad")
    assert (open_cells(tmp_path / "a.h5ad")[5].counts.toarray() == dense[5]).all()
    refused(lambda: open_cells(tmp_path / "a.h5ad", backed=True), "csc", "csr")


def test_views_backed_objects_and_layers(tmp_path):
    data = made()
    data.layers["counts"] = data.X.copy()
    data.X = sparse.csr_matrix(np.log1p(data.X.toarray()))
    view = data[10:20]
    assert len(open_cells(view)) == 10
    data.write_h5ad(tmp_path / "a.h5ad")
    opened = anndata.read_h5ad(tmp_path / "a.h5ad", backed="r")
    assert len(open_cells(opened, backed=True)) == len(open_cells(opened)) == 300
    assert open_cells(tmp_path / "a.h5ad", layer="counts").about.kind == "counts"
    assert open_cells(tmp_path / "a.h5ad").about.kind == "log"
    refused(lambda: open_cells(tmp_path / "a.h5ad", layer="count"), "layers/counts")
    refused(lambda: open_cells(data, layer="count"), "did you mean 'counts'")


def test_raw_log_and_normalised_are_recognised_and_said():
    data = made()
    counts = data.X.toarray()
    shares = counts / counts.sum(axis=1, keepdims=True)
    for kind, x in {"counts": counts, "log": np.log1p(1e4 * shares), "linear": 1e4 * shares}.items():
        source = open_cells(made(matrix=x.astype(np.float32)))
        assert source.about.kind == kind
    source = open_cells(made(matrix=np.log1p(1e4 * shares).astype(np.float32)))
    assert source.notes[0].endswith("(log1p of counts per 10,000)")
    raw = open_cells(made(matrix=np.log1p(counts).astype(np.float32)))
    assert "they look like log1p of raw counts: give the counts" in raw.notes[0]
    refused(
        lambda: open_cells(made(matrix=np.log1p(counts)), kind="counts"),
        "cell c",
        "kind='counts'",
        "log values",
    )
    refused(lambda: open_cells(made(matrix=counts * 100), kind="log"), "kind='log'")


def test_what_no_cell_can_have_is_refused_with_the_cell():
    for value, word in ((np.nan, "nan"), (np.inf, "inf"), (-2.0, "scaled")):
        data = made()
        data.X[4, 2] = value
        refused(lambda data=data: open_cells(data), "cell c4", "gene g2", word)
    data = made()
    data.X = sparse.csr_matrix(data.X.toarray() * (np.arange(300) != 280)[:, None])
    refused(lambda: open_cells(data), "cell c280", "no count")
    refused(lambda: open_cells(made()[:0].copy()), "at least one cell")
    assert len(open_cells(made()[:1].copy())) == 1


def test_genes_given_twice_are_refused_or_summed():
    data = made()
    data.var_names = ["a", "b", "a", *data.var_names[3:]]
    data.var_names_make_unique  # noqa: B018 - not called: that is what users forget
    refused(lambda: open_cells(data), "'a'", "columns 1 and 3")
    source = open_cells(data, duplicates="sum")
    dense = data.X.toarray()
    assert source.about.genes[:2].tolist() == ["a", "b"]
    assert (source[3].counts.toarray()[0, 0] == dense[3, 0] + dense[3, 2]).all()
    assert source[3].counts.sum() == dense[3].sum()
    assert "summed" in source.notes[1]


def test_columns_that_are_not_complete_are_refused():
    data = made()
    data.obs["time"] = ["1.5"] * 299 + ["x"]
    data.obs["type"] = pd.Categorical(["T"] * 299 + [None])
    source = open_cells(data)
    refused(lambda: source[0].numbers("time"), "cell c299", "'x'")
    refused(lambda: source[0].labels("type"), "cell c299", "NaN")
    refused(lambda: source[0].labels("batches"), "did you mean 'batch'")
    refused(lambda: source[0].array("proteins"), "did you mean 'protein'")


def test_damaged_files_are_refused(tmp_path):
    made().write_h5ad(tmp_path / "a.h5ad")
    data = (tmp_path / "a.h5ad").read_bytes()
    for name, content in {"b.h5ad": data[: len(data) // 2], "c.h5ad": b"", "d.h5ad": b"x" * 999}.items():
        (tmp_path / name).write_bytes(content)
        refused(lambda name=name: open_cells(tmp_path / name), name)
    refused(lambda: open_cells(tmp_path / "e.h5ad"), "no such file")
    refused(lambda: open_cells(tmp_path / "a.csv"), ".h5ad or .zarr")


@pytest.mark.parametrize(("n", "batch"), [(1, 4), (1000, 7), (5 * BLOCK, 64), (5 * BLOCK + 3, 64)])
def test_every_cell_once_an_epoch(n, batch):
    order = ShuffledBlocks(n, batch, seed=1, window=2, lanes=2, stop=10**6)
    for epoch in (0, 1):
        assert sorted(order.order(epoch)) == list(range(n))
    steps = 2 * n
    rows = np.concatenate([order.at(step) for step in range(steps)])
    assert (np.bincount(rows, minlength=n) == steps * batch / n).all()
    assert all(len(order.at(step)) == batch for step in range(5))


def test_order_is_of_the_seed_and_can_be_taken_up():
    one, two = (ShuffledBlocks(1000, 32, seed=3) for _ in range(2))
    assert list(one) == list(two)
    assert list(one) != list(ShuffledBlocks(1000, 32, seed=4))
    late = ShuffledBlocks(1000, 32, seed=3, start=20, stop=40)
    assert list(late) == [one.at(step) for step in range(20, 40)]
    halves = [ShuffledBlocks(1000, 32, seed=3, rank=rank, world=2).at(5) for rank in (0, 1)]
    assert halves[0] + halves[1] == one.at(5)


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_workers_read_what_one_process_reads(tmp_path, suffix):
    data = made(n=600)
    path = tmp_path / f"a.{suffix}"
    data.write_h5ad(path) if suffix == "h5ad" else data.write_zarr(path)
    source = open_cells(path, backed=True)

    def collate(cells):
        return np.c_[cells.rows, cells.counts.toarray()]

    seen = []
    for workers in (0, 2):
        order = ShuffledBlocks(len(source), 50, seed=1, window=2)
        loader = DataLoader(source, batch_sampler=order, collate_fn=collate, num_workers=workers)
        seen.append(np.concatenate(list(loader)))
    assert (seen[0] == seen[1]).all()
    assert (seen[0][np.argsort(seen[0][:, 0]), 1:] == data.X.toarray()).all()


def test_cells_of_two_sources_are_not_one_batch():
    one, two = open_cells(made()), open_cells(made())
    assert len(joined([one[0], one[5]])) == 2
    refused(lambda: joined([one[0], two[0]]), "one source")
    refused(lambda: joined([]), "at least one cell")


def test_collected_cells_are_read(real):
    kang = open_cells(real / "kang_ifnb.h5ad", backed=True)
    assert kang.about.kind == "counts"
    assert len(kang) == sum(len(cells) for cells in kang.blocks()) == 1633
    lung = open_cells(real / "treutlein_lung_timecourse.h5ad")
    assert lung.about.others["ensembl"][0].startswith("ENSMUSG")
    assert open_cells(real / "papalexi_crispr.h5ad").about.kind == "counts"
