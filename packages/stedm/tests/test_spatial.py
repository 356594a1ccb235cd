"""SpatialData stores: what is read of a table and of what it annotates, every verb, and the faults.

Tests that build a store need the extra; those of faults that are met before it is needed do not.
"""

import json
import shutil
from importlib.util import find_spec

import anndata
import numpy as np
import pandas as pd
import pytest

from cytosol.cli import run
from stedm import h5ad, spatial
from stedm.cli import app
from stedm.tissue import DataError

needs = pytest.mark.skipif(find_spec("spatialdata") is None, reason="needs stedm[spatialdata]")
pytestmark = [
    pytest.mark.filterwarnings("ignore:zarr v3 autosharding"),  # spatialdata's own, where it writes
    pytest.mark.filterwarnings("ignore:Call to deprecated class Scaler"),  # ome-zarr's own, on import
    pytest.mark.filterwarnings("ignore:The table is annotating"),  # made so on purpose
]
QUICK = [
    "networks.use=false",
    "base.genes=60",
    "base.components=[5]",
    "base.penalties=[0.1]",
    "pairs.trees=20",
]


def sh(*words):
    return run(app, [str(word) for word in words])


def store(path, cells, *, systems=("global",), tables=("table",), obsm=None, absent=()):
    """Write cells as a store: circles of half the coordinates, in another order, in systems that double them."""
    import spatialdata
    from spatialdata.models import ShapesModel, TableModel
    from spatialdata.transformations import Scale

    made = anndata.AnnData(X=cells.X, obs=pd.DataFrame(index=cells.obs_names), var=cells.var[[]])
    made.obs["region"] = pd.Categorical(cells.obs["section"])
    made.obs["instance"] = np.arange(len(made)) + 7
    names = list(made.obs["region"].cat.categories)
    shapes = {}
    for name in names:
        rows = np.flatnonzero(made.obs["region"] == name)[::-1]
        shapes[name] = ShapesModel.parse(
            cells.obsm["spatial"][rows] / 2,
            geometry=0,
            radius=1.0,
            index=made.obs["instance"].to_numpy()[rows],
            transformations={one: Scale([2.0, 2.0], axes=("x", "y")) for one in systems},
        )
    made.obsm.update(obsm or {})
    for name in absent:
        del shapes[name]
    keys = {"region": names, "region_key": "region", "instance_key": "instance"}
    parsed = {name: TableModel.parse(made.copy(), **keys) for name in tables}
    spatialdata.SpatialData(shapes=shapes, tables=parsed).write(path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory, cells):
    made = tmp_path_factory.mktemp("spatial")
    if find_spec("spatialdata") is not None:
        store(made / "t.zarr", cells)
    h5ad.write(cells.copy(), made / "t.h5ad")
    return made


def refused(path, *words, key="spatial"):
    with pytest.raises(DataError) as caught:
        h5ad.tissue_of(spatial.read(path, key)[0], name=path.name)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


@needs
def test_elements_are_sections_and_centroids_in_the_global_system_coordinates(folder, tissue):
    data, notes = spatial.read(folder / "t.zarr")
    found = h5ad.tissue_of(data)
    assert found.labels == tissue.labels
    for one, other in zip(found.sections, tissue.sections, strict=True):
        np.testing.assert_allclose(one.coordinates, other.coordinates)
        np.testing.assert_array_equal(one.counts.toarray(), other.counts.toarray())
        np.testing.assert_array_equal(one.cells, other.cells)
    assert ["section" in note for note in notes] == [True, False]
    assert "centroids" in notes[1]


@needs
def test_what_the_table_says_itself_comes_first(tmp_path, cells):
    at = cells.obsm["spatial"] + 5.0
    path = store(tmp_path / "t.zarr", cells, obsm={"spatial": at}, absent=["S1"])
    data, _ = spatial.read(path)
    np.testing.assert_array_equal(data.obsm["spatial"], at)


@needs
def test_one_element_is_one_section_and_the_only_coordinate_system_serves(tmp_path, cells):
    one = cells[cells.obs["section"] == "S2"].copy()
    data, notes = spatial.read(store(tmp_path / "t.zarr", one, systems=["sample"]))
    assert "section" not in data.obs
    assert len(notes) == 1
    np.testing.assert_allclose(data.obsm["spatial"], one.obsm["spatial"])
    refused(store(tmp_path / "u.zarr", one, systems=["b", "c"]), "u.zarr: S2", "'global', there is b, c")


@needs
def test_labels_are_pixels_of_a_cell(tmp_path):
    import spatialdata
    from spatialdata.models import Labels2DModel, TableModel

    pixels = np.zeros((6, 8), dtype=np.int32)
    pixels[0:2, 0:2], pixels[2:6, 4:8] = 1, 2
    obs = pd.DataFrame({"region": pd.Categorical(["p", "p"]), "instance": [2, 1]}, index=["b", "a"])
    table = anndata.AnnData(X=np.ones((2, 3), np.float32), obs=obs)
    table = TableModel.parse(table, region="p", region_key="region", instance_key="instance")
    labels = {"p": Labels2DModel.parse(pixels, dims=("y", "x"))}
    spatialdata.SpatialData(labels=labels, tables={"t": table}).write(tmp_path / "t.zarr")
    data, _ = spatial.read(tmp_path / "t.zarr")
    np.testing.assert_allclose(data.obsm["spatial"], [[6.0, 4.0], [1.0, 1.0]])


@needs
def test_cells_that_annotate_nothing_are_placed_and_teach_nothing(tmp_path, cells):
    import spatialdata
    from spatialdata.models import TableModel

    bare = anndata.AnnData(X=cells.X, obs=pd.DataFrame(index=cells.obs_names), var=cells.var[[]])
    spatialdata.SpatialData(tables={"t": TableModel.parse(bare)}).write(tmp_path / "t.zarr")
    assert h5ad.tissue_of(spatial.read(tmp_path / "t.zarr")[0], coordinates=False).labels == ("all",)
    refused(tmp_path / "t.zarr", "obsm['spatial']: expected coordinates, there is nothing")


@needs
def test_verbs_read_stores_and_write_anndata(folder, tmp_path, cells, capsys):
    data, made, scores = folder / "t.zarr", tmp_path / "o.h5ad", tmp_path / "s.json"
    assert sh("train", "--data", data, "--out", tmp_path / "m", *QUICK) == 0
    err = capsys.readouterr().err
    assert "note: t.zarr: obsm['spatial'] is absent: coordinates are centroids" in err
    assert sh("reconstruct", tmp_path / "m", "--data", data / "tables" / "table", "--out", made) == 0
    placed = anndata.read_h5ad(made)
    assert list(placed.obs_names) == list(cells.obs_names)
    assert np.isfinite(placed.obsm["X_stedm"]).all()
    assert sh("evaluate", made, "--truth", data, "--json", scores) == 0
    assert json.loads(scores.read_text())["meta"]["files"]["t.zarr"] == spatial.fingerprint(data)
    assert sh("plot", made, "--truth", data, "--out", tmp_path / "p.png") == 0


@needs
def test_one_of_several_tables_is_named(tmp_path, cells):
    path = store(tmp_path / "t.zarr", cells, tables=("bins", "cells"))
    refused(path, "t.zarr: expected a SpatialData store with one table, there is bins, cells: name one, as")
    assert spatial.read(path / "tables" / "cells")[0].n_obs == cells.n_obs
    refused(path / "tables" / "spots", "there is bins, cells", "tables/bins")


@needs
def test_what_is_annotated_must_be_there(tmp_path, cells):
    path = store(tmp_path / "t.zarr", cells, absent=["S2"])
    refused(path, "t.zarr: obs['region']: expected shapes or labels, got 'S2', there is S1, S3")
    assert spatial.read(path, None)[0].n_obs == cells.n_obs
    path = store(tmp_path / "u.zarr", cells)
    assert spatial.read(path, "elsewhere")[0].obsm.keys() == set()


@needs
def test_an_instance_that_is_not_there_is_named_with_its_cell(folder, tmp_path):
    import zarr

    shutil.copytree(folder / "t.zarr", tmp_path / "t.zarr")
    zarr.open_group(tmp_path / "t.zarr/tables/table/obs")["instance"][3] = 9999
    refused(tmp_path / "t.zarr", "obs['instance']: cell S1_3: expected an instance of S1, got 9999")


@needs
@pytest.mark.parametrize(
    "spoil",
    ["tables/table/X/data/c/0", "tables/table/zarr.json", "tables/table/X/data/zarr.json", "shapes/S1"],
)
def test_a_damaged_store_is_one_line(folder, tmp_path, spoil):
    path = tmp_path / "t.zarr"
    shutil.copytree(folder / "t.zarr", path)
    spoiled = path / spoil
    if spoiled.is_dir():
        shutil.rmtree(spoiled)
    else:
        spoiled.write_bytes(spoiled.read_bytes()[:20])
    refused(path, str(path))


@needs
def test_a_matrix_that_claims_what_is_not_stored_is_refused(folder, tmp_path):
    path = tmp_path / "t.zarr"
    shutil.copytree(folder / "t.zarr", path)
    about = path / "tables/table/X/data/zarr.json"
    about.write_text(json.dumps(json.loads(about.read_text()) | {"shape": [10**11]}))
    refused(path, "X claims 372.5 GiB")


@needs
def test_a_fingerprint_is_of_what_is_read(folder, tmp_path):
    path = tmp_path / "t.zarr"
    shutil.copytree(folder / "t.zarr", path)
    before = spatial.fingerprint(path)
    (path / "images").mkdir(exist_ok=True)
    (path / "images" / "x").write_bytes(b"x")
    assert spatial.fingerprint(path) == spatial.fingerprint(path / "tables" / "table") == before
    (path / "shapes" / "x").write_bytes(b"x")
    assert spatial.fingerprint(path) != before


def test_without_the_extra_every_verb_says_what_to_install(tmp_path, monkeypatch, capsys, folder, model):
    from stedm.saving import save

    monkeypatch.setattr("stedm.spatial.find_spec", lambda _: None)
    path = tmp_path / "t.zarr"
    path.mkdir()
    save(model, tmp_path / "m")
    table, json_file = folder / "t.h5ad", tmp_path / "s.json"
    made = tmp_path / "o.h5ad"
    placed = anndata.read_h5ad(table)
    placed.obsm["X_stedm"] = placed.obsm["spatial"]
    h5ad.write(placed, made)
    for words in (
        ["train", "--data", path, "--out", tmp_path / "x"],
        ["reconstruct", tmp_path / "m", "--data", path, "--out", tmp_path / "y.h5ad"],
        ["refine", tmp_path / "m", "--data", path, "--out", tmp_path / "y.h5ad"],
        ["diagnose", tmp_path / "m", "--data", path, "--out", tmp_path / "x"],
        ["evaluate", path, "--truth", table, "--json", json_file],
        ["evaluate", "--baselines", "--train", path, "--data", table, "--json", json_file],
        ["plot", path, "--out", tmp_path / "p.png"],
        ["plot", made, "--truth", path, "--out", tmp_path / "p.png"],
    ):
        assert sh(*words) == 2
        err = capsys.readouterr().err
        assert "t.zarr: needs spatialdata, which is not installed: pip install 'stedm[spatialdata]'" in err
        assert err.count("\n") == 1


def test_what_is_no_store_is_one_line(tmp_path, monkeypatch):
    refused(tmp_path / "t.zarr", "t.zarr: expected a SpatialData store, which is a folder, there is none")
    (tmp_path / "t.zarr").write_bytes(b"hello")
    refused(tmp_path / "t.zarr", "there is a file")
    refused(tmp_path / "u.zarr" / "tables" / "t", "u.zarr: expected a SpatialData store")
    monkeypatch.setattr(spatial, "find_spec", lambda _: True)
    (tmp_path / "v.zarr").mkdir()
    refused(tmp_path / "v.zarr", "expected a SpatialData store with one table, there is none")


def test_results_are_not_written_as_stores(tmp_path, capsys):
    (tmp_path / "t.zarr").mkdir()
    (tmp_path / "t.zarr" / "x").touch()
    words = ["reconstruct", tmp_path / "m", "--data", tmp_path / "t.zarr", "--out", tmp_path / "t.zarr"]
    assert sh(*words) == 2
    err = capsys.readouterr().err
    assert "expected a file ending in .h5ad, got 't.zarr'; results are AnnData" in err
    assert err.count("\n") == 1
