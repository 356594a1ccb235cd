"""What careless hands do to a perturbation predictor: the right answer, or one line that says what is wrong."""

from __future__ import annotations

from dataclasses import replace

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from virtualcell.cells import About
from virtualcell.counting import overdispersion
from virtualcell.doses import between, dose_of
from virtualcell.explain_response import explain_response
from virtualcell.faults import DataError
from virtualcell.network import Network
from virtualcell.pathways import GeneSets
from virtualcell.populations import canonical
from virtualcell.response import fit_responder
from virtualcell.response_config import ResponseConfig, RowNetOptions, TreeOptions
from virtualcell.simulation_options import SimulationOptions
from virtualcell.verbs.common import writable

BARE = ResponseConfig(trees=TreeOptions(use=False), network=RowNetOptions(use=False))
G = 30


def cells(n=8, seed=0):
    """Counts of two contexts, T and B, at rest and after A, which halves the first ten genes."""
    rng = np.random.default_rng(seed)
    done, types = np.repeat(["control", "A"] * 2, n), np.repeat(["T", "B"], 2 * n)
    mean = np.where((done == "A")[:, None] & (np.arange(G) < 10), 10.0, 20.0)
    obs = pd.DataFrame({"perturbation": done, "cell_type": types}, index=[f"c{i}" for i in range(4 * n)])
    made = anndata.AnnData(rng.poisson(mean).astype(np.float32), obs=obs)
    made.var_names = [f"g{i}" for i in range(G)]
    return made


def fit(data, tmp_path, **words):
    return fit_responder(data, BARE, out=tmp_path, **{"context_key": "cell_type", **words})


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return fit(cells(), tmp_path_factory.mktemp("run"))


def refused(call, *words):
    with pytest.raises(DataError) as caught:
        call()
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("column", ["perturbation", "cell_type"])
def test_a_blank_label_is_refused(tmp_path, column):
    data = cells()
    data.obs.loc["c3", column] = " "
    refused(lambda: fit(data, tmp_path), f"obs['{column}']", "cell c3", "expected a name")


@pytest.mark.parametrize("word", [" control", "control+control"])
def test_control_written_otherwise_is_control(model, tmp_path, word):
    data = cells()
    data.obs["perturbation"] = data.obs["perturbation"].replace("control", word)
    other = fit(data, tmp_path)
    for asked in (cells(), data):
        one, two = (m.perturb(asked, "A", context="T") for m in (model, other))
        np.testing.assert_array_equal(one.X.toarray(), two.X.toarray())


def test_a_control_word_may_hold_the_sign_of_several():
    assert canonical("Ca2+ free", control="Ca2+ free") == "Ca2+ free"
    assert canonical("B+A", control="Ca2+ free") == "A+B"


def test_what_is_not_learned_from_is_said(tmp_path):
    data = cells()
    data = data[~((data.obs["cell_type"] == "B") & (data.obs["perturbation"] == "control"))].copy()
    (note,) = fit(data, tmp_path).model.seen.notes
    assert note.startswith("8 cells of B are not learned from")
    alone = fit(cells(1), tmp_path)
    assert "2 of 2 conditions are of one cell alone" in alone.model.seen.notes[0]
    assert np.isfinite(alone.perturb(cells(1), "A", context="T").X.toarray()).all()


@pytest.mark.parametrize(
    ("names", "said"),
    [(["A", "x+y"], True), (["x", "x+y"], False), (["A", "GFP+/-"], False), (["A", "CD4+"], False)],
)
def test_several_at_once_none_of_which_is_seen_alone_are_named(tmp_path, names, said):
    data = cells()
    data.obs["perturbation"] = [
        names[i % 2] if one == "A" else one for i, one in enumerate(data.obs["perturbation"])
    ]
    notes = [note for note in fit(data, tmp_path).model.seen.notes if "at once" in note]
    assert len(notes) == said
    assert all("x+y: read as several at once (x and y)" in note for note in notes)


def test_overdispersion_of_lone_cells_is_one_number_a_gene():
    assert overdispersion([sparse.csr_matrix(cells(1).X[:1])]).shape == (G,)


def test_genes_that_training_had_not_change_nothing(model):
    data = cells()
    more = anndata.AnnData(
        np.hstack([data.X, np.full((data.n_obs, 50), 9.0, np.float32)]), obs=data.obs.copy()
    )
    more.var_names = [*data.var_names, *[f"x{i}" for i in range(50)]]
    order = np.random.default_rng(0).permutation(more.n_vars)
    expected = model.perturb(data, "A", context="T").X.toarray()
    np.testing.assert_array_equal(
        model.perturb(more[:, order].copy(), "A", context="T").X.toarray(), expected
    )
    more.X[2, :G] = 0
    refused(lambda: model.perturb(more, "A", context="T"), "cell c2", "no count in the genes of training")


def test_logarithms_of_any_total_are_of_10_000(model):
    made = []
    for total in (1e4, 1e6):
        data = cells()
        data.X = np.log1p(data.X / data.X.sum(axis=1, keepdims=True) * total).astype(np.float32)
        made.append(model.perturb(data, "A", context="T").X.toarray())
    np.testing.assert_allclose(*made, atol=1e-3)
    assert np.expm1(made[0]).sum(axis=1).mean() == pytest.approx(1e4, rel=0.1)


def test_a_context_is_not_given_in_vain(tmp_path):
    plain = fit(cells(), tmp_path, context_key=None)
    refused(lambda: plain.perturb(cells(), "A", context="T"), "'T'", "trained without contexts")
    refused(lambda: explain_response(plain, cells(), "A", context="T"), "'T'", "trained without contexts")
    data = cells()
    data.obs["time"] = 6
    two = fit(data, tmp_path, context_key="cell_type,time")
    made = two.perturb(data, "A", context="T|6")
    assert (made.obs[["cell_type", "time"]] == ["T", "6"]).all(axis=None)
    del data.obs["time"]
    refused(lambda: two.perturb(data, "A", context="T"), "expected a label of each of cell_type, time")
    data.obs["time"] = "6|7"
    refused(lambda: fit(data, tmp_path, context_key="cell_type,time"), "obs['time']", "'6|7'")


@pytest.mark.parametrize("names", [["x"] * 32, [f"predicted_{i}" for i in range(32)]])
def test_cells_are_told_apart_whatever_they_are_called(model, names):
    data = cells()
    data.obs_names = names
    made = model.perturb(data, "A", context="T", controls=True)
    assert made.obs_names.is_unique
    assert set(made.obs["from"]) <= set(names)


# --- doses


def dosed(**words):
    data = cells()
    data.obs["dose"] = np.where(data.obs["perturbation"] == "A", 10.0, np.nan)
    return data, {"dose_key": "dose", **words}


def test_untouched_cells_need_no_dose_and_touched_ones_do(tmp_path):
    data, words = dosed()
    assert fit(data, tmp_path, **words).model.seen.names == ("A@10",)
    data.obs.loc["c9", "dose"] = np.nan
    refused(lambda: fit(data, tmp_path, **words), "obs['dose']", "cell c9", "finite number")


def test_doses_that_vary_from_cell_to_cell_are_refused(tmp_path):
    data, words = cells(16), {"dose_key": "dose"}
    data.obs["dose"] = np.random.default_rng(0).random(data.n_obs)
    refused(lambda: fit(data, tmp_path, **words), "obs['dose']", "32 of 32 cells", "round them")


def test_a_dose_is_asked_for_where_there_are_doses_and_a_higher_one_is_said(tmp_path):
    data, words = dosed()
    model = fit(data, tmp_path, **words)
    refused(lambda: model.perturb(data, "A", context="T"), "'A'", "seen with doses, 10")
    top, above = (model.perturb(data, "A", dose=dose, context="T") for dose in (10, 50))
    np.testing.assert_array_equal(top.X.toarray(), above.X.toarray())
    assert "dose 50 of A is above 10" in above.uns["virtualcell"]["notes"][-1]
    assert not any("above" in note for note in top.uns["virtualcell"]["notes"])
    still = model.perturb(data, "A", dose=0, context="T", cells=8, controls=True)
    order = [f"c{i}" for i in range(8)]
    rest = still[still.obs["perturbation"] == "control"]
    np.testing.assert_array_equal(
        still[:8].X.toarray(), rest[still.obs["from"].iloc[:8].map(order.index)].X.toarray()
    )


@pytest.mark.parametrize("word", ["nan", "inf", "-1", "ten"])
def test_what_is_no_dose_is_part_of_the_name(model, word):
    assert dose_of(f"A@{word}") == (f"A@{word}", None)
    assert between(f"A@{word}", ["A@1"]) == []
    refused(lambda: model.perturb(cells(), f"A@{word}", context="T"), "was not seen in training")


def test_a_dose_seen_without_control_cells_is_not_known(tmp_path):
    data, words = dosed()
    data.obs.loc[(data.obs["cell_type"] == "B") & (data.obs["perturbation"] == "A"), "dose"] = 3.0
    data = data[~((data.obs["cell_type"] == "B") & (data.obs["perturbation"] == "control"))].copy()
    model = fit(data, tmp_path, **words)
    asked = model.model.seen.profile("T")
    np.testing.assert_allclose(
        model.model.change("A@3", asked), model.model.change("A@10", asked) * np.log(4) / np.log(11)
    )


# --- tables


def test_tables_that_tell_nothing_are_refused(tmp_path):
    network = Network({("TF1", "X1"): (1.0, 1.0)}, "n.tsv")
    refused(
        lambda: fit(cells(), tmp_path, annotations={"network": network}), "n.tsv: none of its names (TF1, X1)"
    )
    sets = GeneSets({"P": ("X1", "X2")}, "p.gmt")
    refused(lambda: fit(cells(), tmp_path, annotations={"pathways": sets}), "p.gmt: none of its names")
    refused(lambda: fit(cells(), tmp_path, vectors={"X": np.ones(2)}), "vectors: none of its names (X)")
    refused(
        lambda: fit(cells(), tmp_path, annotations={"pathway": sets}),
        "annotations: expected pathways, network, compartments, got 'pathway'",
    )
    places = GeneSets({"nucleus": ("g1",)}, "c.tsv")
    refused(
        lambda: fit(cells(), tmp_path, annotations={"compartments": places}), "no part of StateEmbeddingModel"
    )


def test_what_is_said_of_tables_is_kept(tmp_path):
    sets = GeneSets({"P": ("g1", "g2")}, "p.gmt", ("p.gmt: 1 sets are given twice",))
    assert (
        "p.gmt: 1 sets are given twice"
        in fit(cells(), tmp_path, annotations={"pathways": sets}).model.seen.notes
    )


def test_numpy_numbers_are_numbers(model):
    assert type(replace(BARE, seed=np.int64(3)).seed) is int
    for number in (np.float32(0.5), np.float64(0.5)):
        rate = replace(BARE.trees, learning_rate=number).learning_rate
        assert (type(rate), rate) == (float, 0.5)
    hours = SimulationOptions(hours=(np.float64(6), np.int64(8))).hours
    assert (hours, [type(hour) for hour in hours]) == ((6.0, 8), [float, int])
    assert model.perturb(cells(), "A", context="T", cells=np.int64(3), seed=np.uint8(1)).n_obs == 3


@pytest.mark.parametrize("kind", ["string", "category", object])
def test_any_kind_of_text_is_text(model, kind):
    data = cells()
    data.obs = data.obs.astype(kind)
    made = model.perturb(data, "A", context="T")
    np.testing.assert_array_equal(made.X.toarray(), model.perturb(cells(), "A", context="T").X.toarray())


def test_numbers_of_some_cells():
    about = About(
        "f", "counts", pd.DataFrame({"x": ["1", "two", "3"]}, index=list("abc")), np.array(["g"]), {}, {}
    )
    assert about.numbers("x", np.array([True, False, True]))[[0, 2]].tolist() == [1, 3]
    refused(lambda: about.numbers("x"), "cell b", "'two'")


@pytest.mark.parametrize("name", ["o.h5ad", "o.zarr"])
def test_a_folder_is_no_file_to_replace(tmp_path, name):
    there = tmp_path / name
    if name == "o.h5ad":
        there.mkdir()
    else:
        there.write_text("x")
    with pytest.raises(ValueError, match=f"{name}: expected a f.*give another"):
        writable(there, ".h5ad", ".zarr")
