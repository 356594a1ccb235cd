"""The bad inputs of cell files: each gives one clear line, or a defined answer that is said."""

from dataclasses import replace

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from stedm import h5ad
from stedm.learning import fit
from stedm.tissue import DataError, Tissue, check_teaches, shared_genes


def data(n=12, g=12, **changes):
    rng = np.random.default_rng(0)
    cells = changes.get("cells", [f"c{i}" for i in range(n)])
    genes = changes.get("genes", [f"g{i}" for i in range(g)])
    made = anndata.AnnData(
        X=changes.get("X", sparse.csr_matrix(rng.poisson(2.0, (n, g)).astype(np.float32))),
        obs=pd.DataFrame({"section": changes.get("section", ["a"] * n)}, index=cells),
        var=pd.DataFrame(index=genes),
    )
    made.obsm["spatial"] = changes.get("spatial", rng.normal(size=(n, 2)))
    return made


@pytest.fixture(scope="module")
def hasty(quick):
    """Every part of the model, each for a moment: what matters here is that it is defined, not that it is good."""
    return replace(
        quick,
        pairs=replace(quick.pairs, near=20, alike=10, trees=8, embed=10),
        patches=replace(quick.patches, least=20, most=40),
    )


def refused(made, *words, **options):
    with pytest.raises(DataError) as caught:
        check_teaches(h5ad.tissue_of(made, name="f.h5ad", **options), options.get("dim", 2))
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


@pytest.mark.parametrize("n", [1, 2])
def test_1_a_section_of_one_or_two_cells_teaches_nothing_and_is_placed(n, model, tissue):
    made = data(section=["a"] * (12 - n) + ["b"] * n)
    found = check_teaches(h5ad.tissue_of(made), 2)
    assert found.labels == ("a",)
    assert any(f"section b has {n} cells" in note for note in found.notes)
    few = tissue.sections[2].take(np.arange(n))
    at = model.predict(few)
    assert at.coordinates.shape == (n, 2)
    assert np.isfinite(at.coordinates).all()
    assert (at.sd > 0).all()


def test_1_no_cells_are_refused():
    refused(data()[:0].copy(), "at least one cell", "0 x 12")


def test_2_cells_at_one_place_are_refused_and_a_few_are_not(tissue, hasty):
    refused(data(spatial=np.ones((12, 2))), "different places", "section a")
    section = tissue.sections[0]
    at = section.coordinates.copy()
    at[:20] = at[0]
    changed = replace(tissue, sections=(replace(section, coordinates=at), tissue.sections[1]))
    assert np.isfinite(fit(changed, hasty).predict(tissue.sections[2]).coordinates).all()


def test_3_cells_on_a_line_are_learned_from(tissue, hasty):
    flat = tuple(replace(s, coordinates=s.coordinates * [1.0, 0.0]) for s in tissue.sections[:2])
    assert np.isfinite(
        fit(replace(tissue, sections=flat), hasty).predict(tissue.sections[2]).coordinates
    ).all()


def test_4_coordinates_that_are_absent_not_finite_or_of_three_dimensions_are_refused():
    made = data()
    refused(made, "obsm['elsewhere']", "there is spatial", "--spatial-key", spatial_key="elsewhere")
    refused(data(spatial=np.zeros((12, 3))), "expected 2 columns", "(12, 3)", "--dim 3")
    bad = np.zeros((12, 2))
    bad[4, 1] = np.nan
    refused(data(spatial=bad), "cell c4", "nan")
    assert h5ad.tissue_of(data(spatial=np.zeros((12, 3))), dim=3).sections[0].coordinates.shape == (12, 3)


def test_5_sections_of_very_different_size_are_learned_from(tissue, hasty):
    small = tissue.sections[1].take(np.arange(6))
    both = replace(tissue, sections=(tissue.sections[0], small))
    assert np.isfinite(fit(both, hasty).predict(tissue.sections[2]).coordinates).all()


def test_6_fewer_cells_than_neighbours_are_placed(model, tissue):
    for n in (3, 5, 9):
        assert np.isfinite(model.predict(tissue.sections[2].take(np.arange(n))).coordinates).all()


def test_7_names_given_twice_are_refused():
    with pytest.warns(UserWarning, match="not unique"):
        twice = data(cells=["c0", *[f"c{i}" for i in range(11)]])
    refused(twice, "cell name 'c0'", "rows 1 and 2")
    with pytest.warns(UserWarning, match="not unique"):
        genes = data(genes=["g0", *[f"g{i}" for i in range(11)]])
    refused(genes, "gene name 'g0'", "rows 1 and 2")


def test_8_genes_in_another_order_case_or_set_are_matched_or_refused():
    a = h5ad.tissue_of(data(), name="a")
    other = data(genes=[f"G{i}" for i in range(11, 0, -1)] + ["x"])
    b = h5ad.tissue_of(other, name="b")
    here, there, note = shared_genes(a, b)
    assert list(here.genes) == list(there.genes) == [f"g{i}" for i in range(1, 12)]
    assert "11 genes shared" in note
    assert "1 only in a" in note
    with pytest.raises(DataError, match="shares 0 of 12 genes"):
        shared_genes(a, h5ad.tissue_of(data(genes=[f"ENSG{i}" for i in range(12)]), name="b"))


def test_9_genes_without_variance_and_cells_without_counts_are_defined(tissue, hasty):
    def spoiled(section):
        dense = section.counts.toarray()
        dense[:, :60] = 1.0
        dense[:3] = 0.0
        return replace(section, counts=sparse.csr_matrix(dense))

    changed = replace(tissue, sections=tuple(map(spoiled, tissue.sections)))
    assert np.isfinite(fit(changed.without(["S3"]), hasty).predict(changed.sections[2]).coordinates).all()


def test_12_a_mirrored_section_is_named(model):
    assert set(model.facts["mirrored"]) <= {"S1", "S2"}


def test_13_a_cell_far_from_all_others_is_placed(model, tissue):
    section = tissue.sections[2]
    dense = section.counts.toarray()
    dense[0] = dense[0][::-1] * 100
    at = model.predict(replace(section, counts=sparse.csr_matrix(dense)))
    assert np.isfinite(at.coordinates).all()
    assert np.isfinite(at.sd).all()


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_values_that_are_no_counts_are_refused_with_cell_and_gene(value):
    x = np.ones((12, 12), dtype=np.float32)
    x[3, 5] = value
    refused(data(X=x), "cell c3", "gene g5")


@pytest.mark.parametrize("value", [1e13, 1e300])
def test_values_too_large_to_be_summed_are_refused(value):
    x = np.ones((12, 12))
    x[3, 5] = value
    refused(data(X=x), "cell c3", "gene g5", "from 0 to 1e+12")


def test_a_damaged_file_is_one_line(tmp_path):
    path = tmp_path / "x.h5ad"
    data().write_h5ad(path)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError, match="cannot be read"):
        h5ad.read(path)
    with pytest.raises(DataError, match="there is none"):
        h5ad.read(tmp_path / "y.h5ad")


def test_log_input_is_recognised():
    x = np.log1p(np.random.default_rng(0).poisson(2.0, (12, 12))).astype(np.float32)
    assert h5ad.tissue_of(data(X=x)).kind == "values"
    found = h5ad.tissue_of(data())
    assert isinstance(found, Tissue)
    assert found.kind == "counts"


@pytest.mark.parametrize("kind", ["csc", "int", "uint8", "bool", "float16", "float64", "array"])
def test_counts_of_any_type_are_the_same_counts(kind):
    x = np.random.default_rng(0).integers(0, 2, (12, 12))
    made = {
        "csc": sparse.csc_matrix(x.astype(np.float32)),
        "int": sparse.csr_matrix(x.astype(np.int64)),
        "uint8": x.astype(np.uint8),
        "bool": x.astype(bool),
        "float16": x.astype(np.float16),
        "float64": x.astype(np.float64),
        "array": sparse.csr_array(x.astype(np.float32)),
    }[kind]
    found = h5ad.tissue_of(data(X=made))
    np.testing.assert_array_equal(found.sections[0].counts.toarray(), x)
    assert found.sections[0].counts.dtype == np.float32
    assert found.kind == "counts"


@pytest.mark.parametrize("dense", [True, False])
def test_a_file_left_on_disk_is_read(tmp_path, dense):
    made = data()
    if dense:
        made.X = made.X.toarray()
    made.write_h5ad(tmp_path / "x.h5ad")
    backed = anndata.read_h5ad(tmp_path / "x.h5ad", backed="r")
    found = h5ad.tissue_of(backed).sections[0].counts
    backed.file.close()
    np.testing.assert_array_equal(found.toarray(), h5ad.tissue_of(data()).sections[0].counts.toarray())


def test_words_for_counts_are_refused():
    refused(data(X=np.full((12, 12), "a", dtype=object)), "f.h5ad: X", "expected numbers", "object")


@pytest.mark.parametrize(("where", "value"), [("indices", 10**6), ("indices", -5), ("indptr", 10**6)])
def test_a_sparse_matrix_that_points_beyond_itself_is_refused(tmp_path, where, value):
    path = tmp_path / "x.h5ad"
    data().write_h5ad(path)
    with h5py.File(path, "a") as file:
        file[f"X/{where}"][3] = value
    with pytest.raises(DataError) as caught:
        h5ad.tissue_of(h5ad.read(path), name="x.h5ad")
    assert "\n" not in str(caught.value)


def test_counts_that_are_elsewhere_are_pointed_at(tmp_path):
    made = data()
    made.layers["raw_counts"] = made.X.copy()
    made.X = None
    made.write_h5ad(tmp_path / "x.h5ad")
    with pytest.raises(DataError, match=r"X: expected a matrix .* layers/raw_counts: copy the counts to X"):
        h5ad.read(tmp_path / "x.h5ad")


def test_what_is_no_anndata_is_one_line(tmp_path):
    path = tmp_path / "x.h5ad"
    for content in (b"", b"hello"):
        path.write_bytes(content)
        with pytest.raises(DataError, match="cannot be read"):
            h5ad.read(path)
    with h5py.File(path, "w") as file:
        file["X"] = np.ones((3, 3))
    with pytest.raises(DataError):
        h5ad.tissue_of(h5ad.read(path))


def test_4_coordinates_out_of_all_measure_are_refused_and_far_or_tiny_ones_are_not(tissue, hasty):
    at = np.random.default_rng(0).normal(size=(12, 2))
    refused(data(spatial=at * 1e300), "cell c0", "up to 1e+12")
    refused(data(spatial=1e9 + at * 1e-6), "section a", "different places")
    refused(data(spatial=at * 1e-300), "section a", "different places")
    both = tissue.without(["S3"])
    moved = tuple(replace(s, coordinates=1e-6 * s.coordinates + 1.0) for s in both.sections)
    found = fit(replace(both, sections=moved), hasty)
    assert found.unit > 0
    assert np.isfinite(found.predict(tissue.sections[2]).coordinates).all()


def test_labels_of_sections_may_have_unused_levels_and_may_not_be_nan():
    labels = pd.Categorical(["a"] * 6 + ["b"] * 6, categories=["b", "c", "a"])
    assert h5ad.tissue_of(data(section=labels)).labels == ("a", "b")
    labels = pd.Categorical(["a"] * 5 + [None] + ["b"] * 6)
    refused(data(section=labels), "obs['section']", "cell c5", "NaN")


@pytest.mark.parametrize("spoil", ["no counts", "all the same", "most empty"])
def test_9_cells_that_cannot_be_told_apart_are_placed(model, tissue, hasty, spoil):
    def spoiled(section):
        dense = section.counts.toarray()
        if spoil == "no counts":
            dense[:] = 0.0
        elif spoil == "all the same":
            dense[:] = dense[0]
        else:
            dense[5:] = 0.0
        return replace(section, counts=sparse.csr_matrix(dense))

    sections = tuple(map(spoiled, tissue.sections))
    own = fit(replace(tissue, sections=sections[:2]), hasty)
    for learned in (model, own):
        made = learned.predict(sections[2])
        assert np.isfinite(made.coordinates).all()
        assert (np.isfinite(made.sd) & (made.sd > 0)).all()


@pytest.mark.parametrize(("value", "said"), [(np.nan, "nan"), (-1.0, "-1"), (0.0, "0"), (np.inf, "inf")])
def test_an_expected_error_that_is_none_is_refused(value, said):
    made = data()
    made.obs["stedm_sd"] = 1.0
    made.obs.loc["c4", "stedm_sd"] = value
    with pytest.raises(DataError, match=f"o.h5ad: obs.'stedm_sd'.: cell c4: .* got {said}$"):
        h5ad.expected_error(made, "o.h5ad")
    made.obs["stedm_sd"] = "wide"
    with pytest.raises(DataError, match="expected numbers"):
        h5ad.expected_error(made, "o.h5ad")
    assert h5ad.expected_error(data(), "o.h5ad") is None


def test_14_a_large_section_is_searched_once_and_never_whole(monkeypatch):
    from stedm import graph, pairs

    searched = []
    real = graph.alike
    monkeypatch.setattr(graph, "EXACT", 100)
    monkeypatch.setattr(pairs, "alike", lambda x, k: searched.append(k) or real(x, k))
    rng = np.random.default_rng(0)
    view = pairs.View(
        rng.normal(size=(2, 400, 3)).astype(np.float32), rng.normal(size=(400, 2)), np.zeros(400)
    )
    assert view.kin(5).shape == (400, 5)
    np.testing.assert_array_equal(view.kin(20)[:, :5], view.kin(5))
    assert searched == [pairs.KIN]
