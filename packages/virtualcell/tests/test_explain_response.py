"""Why a perturbation is predicted so: tables add up to the answer, weights reproduce what they are said of."""

from __future__ import annotations

import dataclasses

import anndata
import numpy as np
import pandas as pd
import pytest
import torch

from cytosol.cli import run
from cytosol.options import TrainerOptions
from virtualcell import bases, learning
from virtualcell.base import BaseEnhancedModel
from virtualcell.cli import app
from virtualcell.explain_response import explain_response
from virtualcell.explain_response_plots import plot_response
from virtualcell.faults import DataError
from virtualcell.response import fit_responder
from virtualcell.response_config import ResponseConfig, RowNetOptions, TreeOptions
from virtualcell.response_files import load_responder, save_responder
from virtualcell.rows import seen_rows

SMALL = ResponseConfig(
    model="HierarchicalGeneModel",
    trees=TreeOptions(trees=5, least_genes=10),
    network=RowNetOptions(members=2, genes=30, tokens=20, d_model=8, nhead=2, d_hid=8, nlayers=1),
    trainer=TrainerOptions(max_steps=3, batch_size=4, val_every=3, checkpoint_every=3, device="cpu"),
)
TYPES, GENES = ("B", "T", "NK", "mono"), 40


def planted(cells=30):
    """Counts where `stim` raises ten genes, more in each type than in the one before; A and B lower ten others."""
    rng = np.random.default_rng(0)
    base = rng.lognormal(0, 1.0, GENES)
    rows, done, types = [], [], []
    for t, kind in enumerate(TYPES):
        own = base * np.exp(rng.normal(0, 0.5, GENES))
        for name in ("control", "stim@10", "A", "B", "D"):
            lift = np.ones(GENES)
            lift[:10] = 1 + 3 * (t + 1) / len(TYPES) if name == "stim@10" else 1.0
            lift[20:30] = 0.3 if name in ("A", "B") else 1.0
            mean = own * lift
            rows.append(rng.poisson(600 * mean / mean.sum() * np.ones((cells, 1))))
            done += [name] * cells
            types += [kind] * cells
    obs = pd.DataFrame({"perturbation": done, "cell_type": types}, index=[f"c{i}" for i in range(len(done))])
    made = anndata.AnnData(np.concatenate(rows).astype(np.float32), obs=obs)
    made.var_names = ["A", "B", "C", "D", *[f"g{i}" for i in range(GENES - 4)]]
    return made


@pytest.fixture(scope="module")
def data():
    return planted()


@pytest.fixture(scope="module")
def folder(data, tmp_path_factory):
    made = tmp_path_factory.mktemp("why")
    (made / "s.gmt").write_text("P\tx\tA\tB\tC\tg17\nQ\tx\tg5\tg6\tD\n")
    edges = (("A", "g1"), ("C", "g1"), ("C", "g2"), ("D", "g3"))
    (made / "n.tsv").write_text("tf\ttarget\tmode\n" + "".join(f"{a}\t{b}\tActivation\n" for a, b in edges))
    data.write_h5ad(made / "d.h5ad")
    return made


@pytest.fixture(scope="module")
def responder(data, folder):
    """A trained one whose gates are open; it always corrects, whatever so short a training is worth."""
    keep = ~((data.obs["cell_type"] == "T") & (data.obs["perturbation"] == "stim@10"))
    files = {"pathways": folder / "s.gmt", "network": folder / "n.tsv"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learning, "BELIEVED", 0.0)
        made = fit_responder(
            data[keep].copy(), SMALL, out=folder / "run", context_key="cell_type",
            annotations=files,
        )  # fmt: skip
    for net in made.model.correction.nets:
        for gate in net.net.cell.gates.values():
            gate.data.add_(0.2)
    return made


@pytest.mark.parametrize("name", ["stim@10", "C", "A", "A+stim@10", "C+A", "stim@3", "stim@0"])
def test_stages_and_terms_end_in_the_predictors_answer(data, responder, name):
    found = explain_response(responder, data, name, context="T").tables
    asked, words, _ = responder.asked(data, "T")
    genes = [str(gene) for gene in responder.model.genes]
    changes = found["changes"].loc[genes]
    answer = responder.model.change(name, asked, words)
    np.testing.assert_allclose(changes["answer"], answer, atol=1e-12)
    np.testing.assert_allclose(changes["after"], responder.model.mean(name, asked, words), atol=1e-12)
    np.testing.assert_allclose(changes["control"], asked.mean)
    size = found["changes"]["answer"].abs().to_numpy()
    assert (np.diff(size) <= 0).all()
    terms = found["terms"]["weight"]
    if "+" in name or name in ("stim@3", "stim@0"):
        np.testing.assert_allclose(changes[list(terms.index)].sum(axis=1), answer, atol=1e-12)
    else:
        assert terms.to_dict() == {name: 1.0}
        stages = responder.model.stages(name, asked, words)
        for stage in stages.keys() & changes.columns:
            np.testing.assert_allclose(changes[stage], stages[stage])


def test_a_dose_between_is_a_share_of_the_dose_seen_and_a_sum_has_its_parts(data, responder):
    terms = explain_response(responder, data, "stim", dose=3, context="T").tables["terms"]
    assert terms["weight"].to_dict() == pytest.approx({"stim@10": np.log(4) / np.log(11)})
    several = explain_response(responder, data, "C+stim@3+A", context="T")
    assert several.tables["terms"]["question"].to_dict() == {"A": "seen", "C": "new", "stim@10": "seen"}
    assert set(several.tables["contexts"]["term"]) == {"A", "stim@10"}
    assert set(several.tables["kin"]["term"]) == {"C"}
    assert any("one term" in note for note in several.notes)


@pytest.mark.parametrize("name", ["stim@10", "A", "D"])
def test_weights_of_contexts_sum_to_one_and_reproduce_the_simple_predictions(data, responder, name):
    found = explain_response(responder, data, name, context="T").tables
    contexts, changes = found["contexts"], found["changes"]
    pops, genes = responder.model.seen.populations, [str(gene) for gene in responder.model.genes]
    deltas = np.array([pops.delta(context, name) for context in contexts["context"]])
    kept = changes.loc[genes, "kept"]
    seen, rows = responder.model.seen, responder.model.seen.rows_of(name)
    alike = bases._replicates(seen.deltas[rows], seen.noise[rows])
    for word, shrunk in (("ridge", kept if alike else 1.0), ("similar", kept)):
        assert contexts[word].sum() == pytest.approx(1.0)
        np.testing.assert_allclose(
            (contexts[word].to_numpy() @ deltas) * shrunk, changes.loc[genes, word], atol=1e-10
        )
    assert ((changes["kept"] >= 0) & (changes["kept"] <= 1)).all()
    both = (changes["ridge"] + changes["similar"]) / 2
    np.testing.assert_allclose(changes["simple"], both)
    if name != "stim@10":  # the context that is asked for has it too: nothing is nearer
        assert contexts["context"].iloc[int(contexts["distance"].argmin())] == "T"
        assert contexts["distance"].min() == pytest.approx(0, abs=1e-4)


def test_weights_by_ridge_are_the_solution_of_its_equations(responder):
    """Against the slope that least squares with a penalty gives, solved as one system of rows."""
    seen = responder.model.seen
    rows, asked = seen.rows_of("stim@10"), seen.profile("T")
    x = (bases.untouched(seen, rows) - seen.centre) @ seen.axes.T
    y, k = seen.deltas[rows], len(seen.axes)
    inner = np.vstack([x - x.mean(axis=0), np.sqrt(bases.RIDGE) * np.eye(k)])
    outer = np.vstack([y - y.mean(axis=0), np.zeros((k, y.shape[1]))])
    slope = np.linalg.lstsq(inner, outer, rcond=None)[0]
    at = (asked.mean - seen.centre) @ seen.axes.T
    expected = y.mean(axis=0) + (at - x.mean(axis=0)) @ slope
    np.testing.assert_allclose(bases.ridge(seen, rows, asked), expected, atol=1e-9)


def test_kin_weights_sum_to_one_and_reproduce_kin_but_for_the_gene_itself(data, responder):
    found = explain_response(responder, data, "C", context="T").tables
    kin, changes = found["kin"], found["changes"]
    assert kin["weight"].sum() == pytest.approx(1.0)
    deltas = bases.by_perturbation(responder.model.seen)
    guess = kin["weight"].to_numpy() @ np.array([deltas[name][0] for name in kin["perturbation"]])
    genes = [str(gene) for gene in responder.model.genes]
    here = np.array([gene != "C" for gene in genes])
    np.testing.assert_allclose(guess[here], changes.loc[genes, "kin"][here], atol=1e-12)
    tables = list(responder.model.seen.known.tables)
    assert tables == ["regulates", "regulated_by", "pathways"]
    np.testing.assert_allclose(kin[tables].mean(axis=1), kin["likeness"], atol=1e-6)
    own = kin.set_index("perturbation")
    assert own["weight"].idxmax() == "A"  # a set and a target in common; B shares the set alone
    assert own.loc["A", "regulates"] > 0 == own.loc["B", "regulates"]
    assert own.loc["B", "pathways"] > 0 == own.loc["stim@10", "likeness"]


def test_an_effect_is_what_shutting_the_gate_moves_and_gates_stay(data, responder):
    told = explain_response(responder, data, "stim@10", context="T")
    (net, other) = responder.model.correction.nets
    assert isinstance(net.net.cell, BaseEnhancedModel)
    asked, words, _ = responder.asked(data, "T")
    rows = seen_rows(responder.model.seen, "stim@10", asked)
    moved = []
    for one in (net, other):
        whole, gate = one(rows, words), one.net.cell.gates["hierarchy"]
        before = gate.detach().clone()
        assert float(before.abs().mean()) > 0
        gate.data.zero_()
        moved.append(np.sqrt(((one(rows, words) - whole)[one.genes] ** 2).mean()))
        gate.data.copy_(before)
    assert min(moved) > 0
    effect = told.tables["parts"].loc["hierarchy", "effect"]
    assert effect == pytest.approx(np.mean(moved), rel=1e-6)
    again = explain_response(responder, data, "stim@10", context="T").tables["changes"]
    pd.testing.assert_frame_equal(again, told.tables["changes"])
    with net.net.cell.detailed(), other.net.cell.detailed():
        infos = [info for one in (net, other) for _, info in one.told(rows, words)]
    shares = torch.cat([info["hierarchy"]["pathway_attention"][:, 0] for info in infos]).mean(0)
    (step,) = (one for one in responder.loader.fitted if one.name == "pathway")
    names = list(step.words["genes_in"])
    np.testing.assert_allclose(told.tables["pathways"].loc[names, "attention"], shares, rtol=1e-5)
    assert not net.net.cell.part["hierarchy"].detail


def test_where_no_part_corrects_a_note_says_so(data, responder, folder):
    bare = dataclasses.replace(
        SMALL, model="StateEmbeddingModel", trees=TreeOptions(use=False), network=RowNetOptions(use=False)
    )
    simple = fit_responder(data, bare, out=folder / "bare", context_key="cell_type")
    told = explain_response(simple, data, "A", context="T")
    assert told.tables["terms"].loc["A", "corrected_by"] == "nothing"
    assert set(told.tables) == {"changes", "terms", "contexts"}
    assert [note for note in told.notes if "no network corrects" in note]
    np.testing.assert_array_equal(told.tables["changes"]["answer"], told.tables["changes"]["simple"])
    model = dataclasses.replace(
        responder.model, biology=dataclasses.replace(responder.model.biology, model="StateEmbeddingModel")
    )
    plain = explain_response(
        dataclasses.replace(responder, model=model, loader=None), data, "stim@10", context="T"
    )
    assert "parts" not in plain.tables
    assert [note for note in plain.notes if "has no parts" in note]


@pytest.mark.parametrize("name", ["stim@10", "C", "A+stim@10", "stim@3", "stim@0"])
def test_every_prediction_can_be_drawn(data, responder, name):
    tables = explain_response(responder, data, name, context="T").tables
    figure = plot_response(tables, title=name)
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles[0] == ("Change by stage" if name in ("stim@10", "C") else "Change by term")
    top = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert top == list(tables["changes"].index[: len(top)])
    assert any("leans on" in title for title in titles) == (name != "stim@0")


def test_the_verb_writes_what_the_loaded_model_says(data, responder, folder, capsys):
    save_responder(responder, folder / "m")
    words = ["explain", folder / "m", "--data", folder / "d.h5ad", "--context", "T"]
    assert run(app, [str(w) for w in (*words, "--perturbation", "stim@10", "--out", folder / "x")]) == 0
    made = {path.name for path in (folder / "x").iterdir()}
    assert {"changes.csv", "terms.csv", "contexts.csv", "parts.csv", "pathways.csv", "explained.png"} <= made
    told = explain_response(load_responder(folder / "m"), data, "stim@10", context="T").tables["changes"]
    written = pd.read_csv(folder / "x" / "changes.csv", index_col="gene")
    pd.testing.assert_frame_equal(written, told, check_names=False)
    capsys.readouterr()
    for more, said in (
        (["--perturbation", "stim@10", "--out", folder / "x"], "exists already"),
        (["--out", folder / "y"], "--perturbation says which to explain; seen are A, B, D, stim@10"),
        (["--perturbation", "stim@1O", "--out", folder / "y"], "did you mean 'stim@10'"),
        (["--perturbation", "control", "--out", folder / "y"], "is the control"),
        (["--perturbation", "A", "--by", "cell_type", "--out", folder / "y"], "--by belongs to models that"),
        (["--perturbation", "A", "--seed", "1", "--out", folder / "y"], "--seed belongs to models that"),
        (["--perturbation", "A", "--context", "Tx", "--out", folder / "y"], "context 'Tx'"),
    ):
        assert run(app, [str(word) for word in (*words, *more)]) == 2, more
        assert said in capsys.readouterr().err.strip().splitlines()[-1]
    assert not (folder / "y").exists()


def test_what_cannot_be_asked_is_refused_as_by_perturb(data, responder):
    for words in ({"perturbation": "stin"}, {"perturbation": "A", "context": "Tx"}, {"perturbation": "A"}):
        faults = []
        for ask in (responder.perturb, lambda *a, **b: explain_response(responder, *a, **b)):
            with pytest.raises(DataError) as fault:
                ask(data, **words)
            faults.append(str(fault.value))
        assert faults[0] == faults[1]
        assert "\n" not in faults[0]
