"""Perturbation response from cells to cells: better than no change, the same when loaded, honest about the unknown."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import anndata
import numpy as np
import pandas as pd
import pytest

from cytosol.bundle import BundleError
from cytosol.options import TrainerOptions
from virtualcell import bases, learning
from virtualcell.experience import experience
from virtualcell.faults import DataError
from virtualcell.known import Known
from virtualcell.metrics import pearson
from virtualcell.populations import read_populations
from virtualcell.response import fit_responder
from virtualcell.response_config import ResponseConfig, RowNetOptions, TreeOptions
from virtualcell.response_files import load_responder, save_responder
from virtualcell.rows import lessons
from virtualcell.sources import open_cells

QUICK = ResponseConfig(
    trees=TreeOptions(trees=30, least_genes=10),
    network=RowNetOptions(members=1, genes=60, tokens=40, d_model=8, nhead=2, d_hid=16, nlayers=1),
    trainer=TrainerOptions(max_steps=15, batch_size=4, val_every=15, checkpoint_every=15, device="cpu"),
)
TYPES, GENES = ("B", "T", "NK", "mono"), 80  # T lies between the others


def planted(cells=60, seed=0):
    """Counts where `stim` raises what is already expressed of its genes, and `half` does half of it; A and B alike."""
    rng = np.random.default_rng(seed)
    base = rng.lognormal(0, 1.0, GENES)
    rows, done, types = [], [], []
    for t, _ in enumerate(TYPES):
        own = base * np.exp(rng.normal(0, 0.5, GENES))
        for name in ("control", "stim", "KO_A", "KO_B"):
            lift = np.ones(GENES)
            if name == "stim":
                lift[:15] = 1 + 3 * (t + 1) / len(TYPES)
            elif name.startswith("KO"):
                lift[20:30] = 0.3
            mean = own * lift
            size = rng.lognormal(np.log(800), 0.2, (cells, 1))
            rows.append(rng.poisson(size * mean / mean.sum()))
            done += [name.removeprefix("KO_")] * cells
            types += [TYPES[t]] * cells
    genes = ["A", "B", "C", *[f"g{i}" for i in range(GENES - 3)]]
    obs = pd.DataFrame({"perturbation": done, "cell_type": types})
    obs.index = [f"c{i}" for i in range(len(obs))]
    made = anndata.AnnData(np.concatenate(rows).astype(np.float32), obs=obs)
    made.var_names = genes
    return made


@pytest.fixture(scope="module")
def data():
    return planted()


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    file = tmp_path_factory.mktemp("sets") / "s.gmt"
    file.write_text("P\tx\tA\tB\tC\nQ\tx\tg5\tg6\n")
    return file


@pytest.fixture(scope="module")
def responder(data, sets, tmp_path_factory):
    keep = ~((data.obs["cell_type"] == "T") & (data.obs["perturbation"] == "stim"))
    return fit_responder(
        data[keep].copy(), replace(QUICK, model="HierarchicalGeneModel"), out=str(tmp_path_factory.mktemp("run")),
        context_key="cell_type", annotations={"pathways": sets},
    )  # fmt: skip


def mean_of(cells):
    return np.asarray(cells.X.mean(axis=0)).ravel()


def test_a_context_left_out_is_predicted_better_than_by_no_change(data, responder):
    made = responder.perturb(data, "stim", context="T", seed=1)
    truth = read_populations(data, context_key="cell_type")
    control, real = truth.control_of("T"), truth.mean[truth.where("T", "stim")]
    assert ((mean_of(made) - real) ** 2).mean() < 0.5 * ((control - real) ** 2).mean()
    assert pearson(mean_of(made) - control, real - control) > 0.7
    assert made.layers["counts"].dtype == np.float32
    assert set(made.obs["perturbation"]) == {"stim"}
    assert list(made.var_names) == list(data.var_names)


def test_loaded_in_a_new_process_it_says_the_same(data, responder, tmp_path):
    save_responder(responder, tmp_path / "m")
    data.write_h5ad(tmp_path / "d.h5ad")
    code = (
        "import sys; from virtualcell.response_files import load_responder as l;"
        "m = l(sys.argv[1]).perturb(sys.argv[2], 'stim', context='T', cells=9, seed=3); m.write_h5ad(sys.argv[3])"
    )
    words = [str(tmp_path / name) for name in ("m", "d.h5ad", "o.h5ad")]
    subprocess.run([sys.executable, "-c", code, *words], check=True)
    here = responder.perturb(data, "stim", context="T", cells=9, seed=3)
    assert (anndata.read_h5ad(words[2]).X != here.X).nnz == 0
    with pytest.raises(BundleError, match="already holds"):
        save_responder(responder, tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").write_bytes(b"x")
    with pytest.raises(BundleError):
        load_responder(tmp_path / "m")


def test_one_never_seen_is_answered_by_its_kin_and_loses_its_own_gene(data, responder):
    asked = responder.model.seen.profile("NK")
    change = responder.model.change("C", asked)
    like = responder.model.seen.populations.delta("NK", "A")
    assert pearson(change, like) > 0.5
    assert responder.model.question("C") == "new"
    (note,) = responder.model.notes("C")
    assert note.startswith("C: never seen in training: answered by what its kin do (")
    assert note.index("A ") < note.index("stim ")
    assert responder.model.notes("stim+C")[0] == "stim+C: never seen together: the sum of C and stim"
    assert responder.model.notes("stim") == ()
    assert responder.perturb(data, "C", context="NK").n_obs == 120


def test_several_at_once_are_the_sum_in_any_order(responder):
    asked = responder.model.seen.profile("NK")
    both = responder.model.change("stim+A", asked)
    single = [responder.model.change(name, asked) for name in ("stim", "A")]
    np.testing.assert_allclose(both, np.sum(single, axis=0))
    np.testing.assert_array_equal(both, responder.model.change("A+stim", asked))


def test_more_cells_than_given_and_fewer(data, responder):
    assert responder.perturb(data, "stim", context="T", cells=7).n_obs == 7
    assert responder.perturb(data, "stim", context="T", cells=200).n_obs == 200
    with pytest.raises(DataError, match="cells"):
        responder.perturb(data, "stim", context="T", cells=0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"perturbation": "stin", "context": "T"}, "did you mean 'stim'"),
        ({"perturbation": "control", "context": "T"}, "is the control"),
        ({"perturbation": "stim", "context": "Tx"}, "no untouched cells of context 'Tx'"),
        ({"perturbation": "stim"}, "--context says"),
    ],
)
def test_what_cannot_be_asked_is_said_in_one_line(data, responder, words, said):
    with pytest.raises(DataError, match=said) as fault:
        responder.perturb(data, **words)
    assert "\n" not in str(fault.value)


def test_missing_genes_are_said_and_count_as_unexpressed(data, responder):
    made = responder.perturb(data[:, 5:].copy(), "stim", context="T")
    assert any("missing" in note for note in made.uns["virtualcell"]["notes"])
    assert made.n_vars == GENES


def test_log_values_stay_log_values_and_have_the_predicted_mean(data, sets, tmp_path):
    logged = data.copy()
    logged.X = np.log1p(logged.X / logged.X.sum(axis=1, keepdims=True) * 1e4)
    bare = ResponseConfig(trees=TreeOptions(use=False), network=RowNetOptions(use=False))
    model = fit_responder(logged, bare, out=tmp_path, context_key="cell_type")
    made = model.perturb(logged, "stim", context="T", cells=60)
    assert "counts" not in made.layers
    after = model.model.mean("stim", model.model.seen.profile("T"))
    made = made.X.toarray()
    assert made.max() < 1.5 * np.asarray(logged.X).max()
    np.testing.assert_allclose(made.mean(axis=0), np.maximum(after, 0), atol=0.15)


def test_trials_are_not_repeated_by_resume_and_are_for_other_data(tmp_path, monkeypatch):
    asked, data = [], planted(8)
    monkeypatch.setattr(learning, "held_share", lambda *_: asked.append(1) or 0.01 * len(asked))
    config = replace(QUICK, network=RowNetOptions(use=False))

    def share(cells, **words):
        made = fit_responder(cells, config, out=tmp_path, context_key="cell_type", **words)
        return made.model.facts["held_out_share"]

    first = share(data)
    assert share(data, resume=True) == first
    assert len(asked) == 1
    other = data[np.arange(data.n_obs) % 7 != 0].copy()
    share(other, resume=True)
    assert len(asked) == 2
    (tmp_path / "held_out.json").write_text("{")
    share(data, resume=True)
    assert len(asked) == 3


def test_data_without_perturbed_cells_is_refused(data, tmp_path):
    with pytest.raises(DataError, match="there is none"):
        fit_responder(data[data.obs["perturbation"] == "control"].copy(), QUICK, out=tmp_path)


def test_doses_between_lie_between(tmp_path):
    data = planted(40)
    data.obs["dose"] = np.where(data.obs["perturbation"] == "stim", 10.0, 1.0)
    bare = ResponseConfig(trees=TreeOptions(use=False), network=RowNetOptions(use=False))
    model = fit_responder(data, bare, out=tmp_path, context_key="cell_type", dose_key="dose").model
    asked = model.seen.profile("T")
    high, low = model.change("stim@10", asked), model.change("stim@3", asked)
    np.testing.assert_allclose(low, high * np.log(4) / np.log(11))


# --- what lessons see


def seen_of(data):
    source = open_cells(data)
    populations = read_populations(source, context_key="cell_type")
    return experience(source, populations, source.about.labels("perturbation") == "control", Known())


def test_a_lesson_does_not_see_its_answer(data):
    changed = data.copy()
    hit = (changed.obs["cell_type"] == "B") & (changed.obs["perturbation"] == "stim")
    changed.X[hit.to_numpy(), :10] += 25
    first, second = (list(lessons(seen_of(x))) for x in (data, changed))
    moved = [not np.allclose(a.delta, b.delta) for a, b in zip(first, second, strict=True)]
    assert any(moved)
    for a, b, own in zip(first, second, moved, strict=True):
        if own:
            np.testing.assert_array_equal(a.rows.features, b.rows.features)


def test_weights_of_contexts_sum_to_one_and_a_context_seen_is_itself():
    known = np.array([[0.0, 0.0], [1.0, 0.0], [5.0, 5.0]])
    weight = bases.context_weights(known, np.array([0.2, 0.0]))
    assert weight.sum() == pytest.approx(1)
    assert weight.argmax() == 0
    assert bases.context_weights(known, known[1]).tolist() == [0, 1, 0]


def test_replicates_are_shrunk_by_what_genes_do_under_all_perturbations():
    rng = np.random.default_rng(0)
    data = planted(seed=3)
    data.obs["cell_type"] = rng.choice(
        ["rep_1", "rep_2"], len(data)
    )  # of all types alike: contexts differ by noise
    seen = seen_of(data)
    asked, rows = seen.profile("rep_1")._replace(context="rep_3"), seen.rows_of("A")
    told = bases.similar(seen, rows, asked)
    np.testing.assert_array_equal(bases.ridge(seen, rows, asked), told)
    sure = 1 / seen.noise[rows].mean(axis=1)
    weight = sure / sure.sum()
    signal = np.maximum((seen.deltas**2 - seen.noise).mean(axis=0), 1e-6)
    shrunk = signal / (signal + weight**2 @ seen.noise[rows])
    np.testing.assert_allclose(told, weight @ seen.deltas[rows] * shrunk)
    assert shrunk.max() < 1
    assert shrunk[:30].mean() > shrunk[30:].mean()


def test_kin_count_by_likeness_and_by_how_sure_they_are(data, responder):
    seen = responder.model.seen
    weight = bases.kin_weights(seen, "C")
    assert sum(weight.values()) == pytest.approx(1)
    assert weight["A"] + weight["B"] > 0.9  # of one set with C
    few = data[(data.obs["perturbation"] != "B") | (np.arange(len(data)) % 6 == 0)].copy()
    source = open_cells(few)
    populations = read_populations(source, context_key="cell_type")
    made = experience(source, populations, source.about.labels("perturbation") == "control", seen.known)
    assert bases.kin_weights(made, "C")["B"] < 0.5 * bases.kin_weights(made, "C")["A"]
    everyone = bases.kin_weights(seen, "unheard of")
    np.testing.assert_allclose(list(everyone.values()), 1 / len(everyone))


def test_controls_come_with_them_and_contexts_are_named(data, responder):
    made = responder.perturb(data, "stim", context="T", cells=5, controls=True)
    assert made.obs["perturbation"].tolist() == ["stim"] * 5 + ["control"] * 60
    assert set(made.obs["cell_type"]) == {"T"}
    rest = data[(data.obs["cell_type"] == "T") & (data.obs["perturbation"] == "control")]
    np.testing.assert_array_equal(made.layers["counts"][5:].toarray(), rest.X)


def test_what_the_file_does_not_tell_is_said(data, responder):
    rest = data[(data.obs["cell_type"] == "T") & (data.obs["perturbation"] == "control")].copy()
    del rest.obs["cell_type"]
    notes = responder.perturb(rest, "stim").uns["virtualcell"]["notes"]
    assert any("no obs['cell_type']: all 60 cells" in note for note in notes)


def test_a_combination_is_the_same_in_any_order_and_has_no_one_dose(data, responder):
    one, two = (responder.perturb(data, name, context="NK", cells=5) for name in ("stim+A", "A+stim+control"))
    assert set(one.obs["perturbation"]) == set(two.obs["perturbation"]) == {"A+stim"}
    with pytest.raises(DataError, match="no common dose"):
        responder.perturb(data, "A+stim", context="NK", dose=2.0)
