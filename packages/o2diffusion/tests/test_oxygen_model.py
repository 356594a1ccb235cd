"""The model as a user holds it: tables in and out, saving, seeds, drugs, and a small training that helps."""

import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from cytosol.bundle import BundleError
from cytosol.options import TrainerOptions
from o2diffusion import chem
from o2diffusion.conditions import read_conditions
from o2diffusion.config import Config, ModelConfig, SimulationConfig, TrainConfig
from o2diffusion.corpus import Facts
from o2diffusion.evaluation import evaluate
from o2diffusion.fitting import train
from o2diffusion.oxygen_model import OxygenModel, load
from o2diffusion.simulation import simulate
from o2diffusion.tables import DataWarning

COLUMNS = ["mean", "q05", "q25", "q50", "q75", "q95"]
DRUGS = ("A", "None")


def small(steps, *, masks=3, **model):
    """A recipe of a few steps of a small network."""
    known = {"widths": (8, 12), "denoiser_widths": (8, 12), "cond_width": 8, "seen_width": 4, "cells": 32}
    return Config(
        model=ModelConfig(**(known | model)),
        train=TrainConfig(masks=masks, windows=16, warmup_steps=10, draw_steps=steps),
        trainer=TrainerOptions(
            max_steps=steps, batch_size=16, precision="32-true", device="cpu", log_every=max(steps // 3, 1)
        ),
    )


def table(seed=0, *, drug="A", concentration=1.0, factor=1.0, unit="%air", pace=1.0, series="s", r=2):
    """A long table of one series with a hole in each replicate and one in both."""
    rng = np.random.default_rng(seed)
    time = np.sort(rng.uniform(0, 100, 80))
    rows = []
    for k in range(r):
        oxygen = 40 + 20 * np.sin(time / 12) + 3 * k + rng.normal(0, 0.5, 80)
        oxygen[10 + 5 * k : 20 + 5 * k] = np.nan
        oxygen[50:55] = np.nan
        rows.append(
            pd.DataFrame(
                {
                    "series_id": series,
                    "replicate": str(k),
                    "drug": drug,
                    "concentration_um": concentration,
                    "time_h": pace * time,
                    "oxygen": factor * oxygen,
                    "unit": unit,
                }
            )
        )
    return pd.concat(rows, ignore_index=True)


@pytest.fixture(scope="module")
def model(tiny_net):
    known = Facts(
        drugs=DRUGS, scales={"%air": (40.0, 20.0)}, concentrations=(0.0, 1.0), units=("%air",), hours=100.0
    )
    return OxygenModel(tiny_net, Config(model=tiny_net.config), known)


def values(frame):
    return frame[COLUMNS].to_numpy()


def test_every_missing_row_is_answered_in_the_tables_own_words(model):
    data = table()
    filled = model.impute(data, draws=20)
    missing = data[data["oxygen"].isna()]
    keys = ["series_id", "replicate", "time_h"]
    merged = missing.merge(filled, on=keys, how="outer", indicator=True)
    assert (merged["_merge"] == "both").all()
    assert {*keys, "drug", "concentration_um", "unit", *COLUMNS} <= set(filled.columns)
    assert np.isfinite(values(filled)).all()
    assert (np.diff(filled[COLUMNS[1:]].to_numpy(), axis=1) >= 0).all()
    assert set(filled["unit"]) == {"%air"}


def test_the_same_seed_gives_the_same_fills(model):
    a, b, c = (model.impute(table(), draws=5, seed=s) for s in (0, 0, 1))
    pd.testing.assert_frame_equal(a, b)
    assert (values(a) != values(c)).any()


def test_two_draws_are_enough_and_one_is_refused(model):
    filled = model.impute(table(), draws=2)
    np.testing.assert_allclose(filled["mean"], filled["q50"])
    with pytest.raises(ValueError, match="draws: expected at least 2, got 1"):
        model.impute(table(), draws=1)


@pytest.mark.parametrize(
    ("factor", "unit", "pace"), [(0.0417, "mg/L", 1.0), (7.0, "mmHg", 1.0), (1.0, "%air", 100.0)]
)
@pytest.mark.filterwarnings("ignore:1 series with more than 100 days")
def test_another_unit_and_another_duration_fill_the_same(model, factor, unit, pace):
    here = model.impute(table(), draws=8)
    there = model.impute(table(factor=factor, unit=unit, pace=pace), draws=8)
    np.testing.assert_allclose(values(there) / factor, values(here), atol=0.3)
    np.testing.assert_allclose(there["time_h"] / pace, here["time_h"])


def test_added_times_are_filled_too(model):
    filled = model.impute(table(), draws=2, every=10.0)
    start = table()["time_h"].min()
    for step in start + 10.0 * np.arange(1, 10):
        assert sorted(filled.loc[np.isclose(filled["time_h"], step), "replicate"]) == ["0", "1"]


def test_a_table_without_gaps_beside_one_with_them(model):
    full = table(series="full").dropna()
    both = pd.concat([full, table(1)], ignore_index=True)
    filled = model.impute(both, draws=2)
    assert set(filled["series_id"]) == {"s"}
    with pytest.warns(DataWarning, match="no oxygen is missing"):
        assert len(model.impute(full, draws=2)) == 0


def test_control_is_control_whatever_the_drug_is_called(model):
    control = model.impute(table(drug="A", concentration=0.0), draws=4)
    for drug in ("None", "never met"):
        found = model.impute(table(drug=drug, concentration=0.0), draws=4)
        np.testing.assert_array_equal(values(found), values(control))


def test_a_drug_may_be_called_none(model):
    a, none = (model.impute(table(drug=d), draws=4) for d in DRUGS)
    assert set(none["drug"]) == {"None"}
    assert (values(a) != values(none)).any()


def test_an_unknown_drug_is_refused_or_gets_the_average(model):
    with pytest.raises(ValueError, match=r"unknown drug 'Bx'.*--unknown-drug"):
        model.impute(table(drug="Bx"), draws=4)
    with pytest.raises(ValueError, match=r"unknown drug 'Bx'"):
        model.generate("Bx", 1.0, draws=1)
    with pytest.warns(DataWarning, match=r"average of those it knows: Bx$"):
        found = model.impute(table(drug="Bx"), draws=4, unknown_drug=True)
    assert np.isfinite(values(found)).all()
    assert len(model.generate("Bx", 1.0, draws=1, unknown_drug=True)) == 4 * model.net.config.cells
    with pytest.warns(DataWarning, match="also spelt"):
        spelt = model.impute(table(drug="  a "), draws=4)
    np.testing.assert_array_equal(values(spelt), values(model.impute(table(drug="A"), draws=4)))


def test_a_model_without_drugs_says_that_the_tables_are_unused(tiny_net):
    model = OxygenModel(tiny_net, Config(model=tiny_net.config), Facts(scales={"%air": (40.0, 20.0)}))
    found = []
    for drug, dose in (("A", 1.0), ("B", 9.0)):
        with pytest.warns(DataWarning, match="unused") as said:
            found.append(model.impute(table(drug=drug, concentration=dose), draws=3))
        assert [str(warning.message) for warning in said] == model.notes
        assert said[0].filename == __file__
    np.testing.assert_array_equal(values(found[0]), values(found[1]))
    assert any("unused" in note for note in model.notes)
    plain = model.generate(None, None)
    with pytest.warns(DataWarning, match="drug and concentration_um are unused"):
        pd.testing.assert_frame_equal(model.generate("A", 1.0), plain)


@pytest.mark.filterwarnings("ignore::o2diffusion.DataWarning")
@pytest.mark.parametrize("case", ["constant", "all missing", "one row", "one replicate missing"])
def test_strange_series_get_numbers(model, case):
    data = table()
    if case == "constant":
        data["oxygen"] = data["oxygen"].where(data["oxygen"].isna(), 12.5)
    if case == "all missing":
        data["oxygen"] = np.nan
    if case == "one row":
        data = data.iloc[[0]].assign(oxygen=np.nan)
    if case == "one replicate missing":
        data["oxygen"] = data["oxygen"].where(data["replicate"] == "0")
    found = model.impute(data, draws=4)
    assert len(found) == data["oxygen"].isna().sum()
    assert np.isfinite(values(found)).all()


def test_long_tables_come_in_batches_and_each_series_once(model):
    data = pd.concat([table(k, series=f"s{k}", r=1) for k in range(11)], ignore_index=True)
    found = list(model.impute_iter(data, draws=2))
    assert [f.condition.series_id for f in found] == [f"s{k}" for k in range(11)]
    assert sum(f.draws.shape[1] for f in found) == data["oxygen"].isna().sum()


def test_a_saved_model_answers_alike_in_another_process(model, tmp_path):
    model.save(tmp_path / "m")
    data, out = tmp_path / "data.csv", tmp_path / "out.npy"
    table().to_csv(data, index=False)
    here = values(model.impute(str(data), draws=6, seed=4))
    np.testing.assert_array_equal(values(load(tmp_path / "m").impute(str(data), draws=6, seed=4)), here)
    code = """
        import sys, numpy as np, torch
        from o2diffusion import load
        torch.set_num_threads(int(sys.argv[4]))
        filled = load(sys.argv[1]).impute(sys.argv[2], draws=6, seed=4)
        np.save(sys.argv[3], filled[["mean", "q05", "q25", "q50", "q75", "q95"]].to_numpy())
    """
    threads = str(torch.get_num_threads())
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "m"), str(data), str(out), threads]
    subprocess.run(command, check=True)
    np.testing.assert_array_equal(np.load(out), here)


def test_a_directory_is_not_overwritten_unless_asked(model, tmp_path):
    model.save(tmp_path / "m")
    with pytest.raises(BundleError):
        model.save(tmp_path / "m")
    with pytest.raises(BundleError, match="already holds a model"):
        train(table(), config=small(1), out=tmp_path / "m")
    model.save(tmp_path / "m", force=True)
    assert load(tmp_path / "m").facts == model.facts


def test_what_is_no_model_is_refused_in_one_line(tmp_path):
    with pytest.raises(BundleError) as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


def test_training_twice_with_one_seed_gives_one_model(tmp_path):
    data = pd.concat([table(k, series=f"s{k}") for k in range(3)], ignore_index=True)
    torch.manual_seed(1)
    a = train(data, config=small(3), seed=3, out=tmp_path / "a")
    torch.manual_seed(2)  # what ran before must not matter
    before = torch.random.get_rng_state()
    b = train(data, config=small(3), seed=3)
    assert torch.equal(before, torch.random.get_rng_state())
    c = train(data, config=small(3), seed=4)
    for name, value in a.net.state_dict().items():
        torch.testing.assert_close(b.net.state_dict()[name], value, rtol=0, atol=0)
    assert any((c.net.state_dict()[n] != v).any() for n, v in a.net.state_dict().items())
    again = load(tmp_path / "a")
    pd.testing.assert_frame_equal(values_of(again), values_of(a))
    assert len(again.history) == len(a.history) > 0


def values_of(model):
    return model.impute(table(9), draws=3)


def test_training_from_a_model_keeps_what_it_learnt_and_takes_other_drugs(model):
    data = pd.concat([table(k, series=f"s{k}", drug="new") for k in range(3)], ignore_index=True)
    config = Config(
        model=model.net.config,
        train=TrainConfig(masks=2, learning_rate=1e-9, warmup_steps=0, draw_steps=1),
        trainer=TrainerOptions(max_steps=1, batch_size=4, device="cpu", precision="32-true"),
    )
    adapted = train(data, config=config, start=model)
    assert adapted.facts.drugs == ("new",)
    own = adapted.net.state_dict()
    for name in ("head.weight", "encoder.first.weight", "drug_encoder.average"):
        torch.testing.assert_close(own[name], model.net.state_dict()[name], atol=1e-6, rtol=1e-5)
    with pytest.raises(ValueError, match="expected a model of the same shape to start from"):
        train(data, config=small(1), start=model)


def fake_fingerprints(smiles, n_bits):
    """Bits of a name's length: as good as any for what is tested here."""
    return {
        name: (np.arange(n_bits) % (2 + len(text)) == 0).astype(np.float32) for name, text in smiles.items()
    }


@pytest.fixture(scope="module")
def structured(tmp_path_factory):
    """A model of two drugs, trained with their structures, saved and read back."""
    data = pd.concat([table(i, drug=d, series=d) for i, d in enumerate(["A", "B"])])
    notes = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chem, "fingerprints", fake_fingerprints)
        smiles = {"a": "C", "B": "CC", "other": "CCC"}
        trained = train(data, config=small(4, fingerprint_bits=16), smiles=smiles, notes=notes)
    assert any("'other' is not a drug of the table" in note for note in notes)
    path = tmp_path_factory.mktemp("model") / "model"
    trained.save(path)
    return load(path)


def test_a_new_drug_is_introduced_by_its_structure(structured, monkeypatch, tmp_path):
    monkeypatch.setattr(chem, "fingerprints", fake_fingerprints)
    new = table(9, drug="New")
    with pytest.raises(ValueError, match="unknown drug 'New'"):
        structured.impute(new, draws=8)
    with pytest.warns(DataWarning, match="New"):
        average = structured.impute(new, draws=8, unknown_drug=True)
    structured.meet({"new ": "CCCCC", "A": "ignored: it was trained on"})
    assert structured.facts.strangers == ("new ",)
    met = structured.impute(new, draws=8)
    assert not np.array_equal(values(met), values(average))
    structured.save(tmp_path / "met")
    np.testing.assert_array_equal(values(load(tmp_path / "met").impute(new, draws=8)), values(met))


def test_structures_are_not_accepted_and_ignored(model, structured):
    with pytest.raises(ValueError, match="trained with its drugs' structures"):
        model.meet({"New": "C"})
    with pytest.raises(ValueError, match=r"fingerprint_bits = 16: needs the drugs' structures"):
        train(table(), config=small(2, fingerprint_bits=16))
    with pytest.raises(ValueError, match="expected a table with drugs"):
        train(table().drop(columns=["drug", "concentration_um"]), config=small(2), smiles={"A": "C"})


def test_the_weights_that_are_best_on_held_out_conditions_are_kept():
    data = pd.concat([table(i, series=f"s{i}") for i in range(8)])
    config = small(8, masks=2)
    config = replace(config, trainer=replace(config.trainer, val_every=4, patience=2))
    notes = []
    history = train(data, config=config, notes=notes).history
    assert (history.groupby("run")["val_loss"].count() >= 2).all()
    assert not notes
    few = train(data[data["series_id"].isin(["s0", "s1"])], config=config, notes=notes).history
    assert few["val_loss"].isna().all()
    assert any("too few to hold some out" in note for note in notes)


def test_the_seed_of_the_configuration_is_used_and_kept_and_another_wins():
    data = pd.concat([table(k, series=f"s{k}") for k in range(2)])
    own = train(data, config=replace(small(1), seed=3))
    assert own.config.seed == 3
    given, other = train(data, config=small(1), seed=3), train(data, config=replace(small(1), seed=3), seed=4)
    assert (given.config.seed, other.config.seed) == (3, 4)
    for name, value in own.net.state_dict().items():
        torch.testing.assert_close(given.net.state_dict()[name], value, rtol=0, atol=0)
    assert any((other.net.state_dict()[n] != v).any() for n, v in own.net.state_dict().items())


def test_events_beside_conditions_are_not_accepted_and_ignored():
    conditions = read_conditions(table(), notes=[])
    with pytest.raises(ValueError, match="events: expected none beside conditions"):
        train(conditions, pd.DataFrame({"time_h": [1.0], "kind": "flush"}), config=small(1))


def test_where_nothing_is_missing_the_columns_are_there_all_the_same(model):
    one = table(r=1).dropna(subset=["oxygen"])
    with pytest.warns(DataWarning, match="no oxygen is missing"):
        found = model.impute(one, draws=4)
    assert not len(found)
    both = model.impute(pd.concat([one.assign(series_id="a"), table(series="b")]), draws=4)
    assert list(found.columns) == list(both.columns)
    assert set(COLUMNS) <= set(both.columns)


def test_a_table_with_nothing_to_learn_from_is_refused():
    empty = table().assign(oxygen=np.nan)
    with pytest.raises(ValueError, match="learn from"):
        train(empty, config=small(1))


@pytest.fixture(scope="module")
def simulated():
    """Conditions of four small plates to learn from, and of two others with drugs of their own."""

    def conditions(seed, prefix, experiments, drugs):
        config = SimulationConfig(
            experiments=experiments,
            drugs=drugs,
            concentrations=4,
            hours=200.0,
            step_h=1.5,
            changes=4,
            drug_prefix=prefix,
            vary=experiments > 2,
        )
        made = simulate(config, seed=seed)
        return read_conditions(made.table, made.events, notes=[])

    return conditions(1, "train", 4, 2), conditions(2, "test", 2, 1)


def test_a_small_training_beats_linear_interpolation_on_new_plates_and_drugs(simulated):
    learning, unseen = simulated
    model = train(learning, config=small(39, masks=2, cells=128), seed=0)
    for run, losses in model.history.groupby("run")["train_loss"]:
        assert losses.iloc[-1] < losses.iloc[0], run
    scores = evaluate(
        model.net,
        unseen,
        dataset="simulated",
        tasks=["b"],
        draws=30,
        who=lambda c: model.facts.who(c, unknown=True),
    )
    found = scores[(scores["metric"].isin(["mae", "crps"])) & (scores["source"] == "all")]
    by = found.pivot_table(index="method", columns="metric", values="value")
    assert by.loc["o2diffusion", "mae"] < 0.7 * by.loc["linear", "mae"]
    assert by.loc["o2diffusion", "crps"] < 0.7 * by.loc["linear", "crps"]
    assert by.loc["o2diffusion", "crps"] < by.loc["gp_per_trace", "crps"]
    ours = scores[(scores["source"] == "all") & (scores["method"] == "o2diffusion")].set_index("metric")[
        "value"
    ]
    assert 0.75 < ours["coverage90"] < 0.99
