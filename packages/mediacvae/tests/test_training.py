"""A training from a folder to a model on disk: once, again, resumed, forced."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cytosol.bundle import BundleError
from cytosol.trainer import TrainingInterrupted
from mediacvae import dataset as datasets
from mediacvae import saving, training_vae
from mediacvae.config import TrainConfig, unread
from mediacvae.options import SimulationConfig
from mediacvae.training import fit, train


@pytest.fixture(scope="module")
def folder(dataset, tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("dataset")
    datasets.write(dataset, made)
    return made


@pytest.fixture(scope="module")
def short(quick):
    return replace(quick, epochs=4, curriculum_phases=("bacteria", "archaea"))


@pytest.fixture(scope="module")
def trained(folder, short, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained") / "model"
    return train(short, dataset=folder, out=out)


def same(one, other, conditions) -> bool:
    return all(
        np.array_equal(a, b)
        for a, b in (
            (one.consensus(conditions), other.consensus(conditions)),
            (one.scores(conditions), other.scores(conditions)),
            (
                one.generate(conditions[:1], 3, plausible=False),
                other.generate(conditions[:1], 3, plausible=False),
            ),
        )
    )


def test_what_comes_back(trained):
    assert set(trained) == {"elapsed_seconds", "save_path", "history"}
    assert trained["elapsed_seconds"] > 0
    history = trained["history"]
    assert list(dict.fromkeys(history["phase"])) == ["bacteria", "archaea"]
    assert {"step", "train_loss", "lr", "loss_bacteria", "loss_archaea"} <= set(history.columns)
    assert Path(trained["save_path"], "manifest.json").is_file()


def test_the_model_on_disk_is_the_one_that_was_fitted(trained, dataset, short):
    on_disk = saving.load(Path(trained["save_path"]))
    assert same(on_disk, fit(dataset, short)[0], dataset.conditions)
    assert on_disk.config == short


def test_only_the_train_split_is_learned_from(trained, dataset):
    model = saving.load(Path(trained["save_path"]))
    split = dict(zip(dataset.organisms["genome_id"], dataset.organisms["split"], strict=True))
    assert {split[name] for name in model.organisms["genome_id"]} == {"train"}
    assert {split[name] for name in model.growth.who.ids} == {"train"}
    assert model.facts["pairs"] == len(dataset.rows("train")) == len(model.pairs)
    assert sum(model.facts["by_type"].values()) == model.facts["pairs"]


def test_what_others_grow_on_changes_nothing(dataset, short):
    """Results of organisms that are not trained on: other ones, the same model."""
    own = dataset.records["organism"].to_numpy()
    out = (dataset.organisms["split"] != "train").to_numpy()[own]
    turned = dataset.records.assign(growth=dataset.records["growth"] ^ out)
    one, other = (
        fit(replace(dataset, records=told), replace(short, model_type="base"))[0]
        for told in (dataset.records, turned)
    )
    np.testing.assert_array_equal(one.growth.grew, other.growth.grew)
    np.testing.assert_array_equal(one.consensus(dataset.conditions), other.consensus(dataset.conditions))


def test_rows_and_records_that_are_chosen(dataset, short):
    rows = dataset.rows("train")[::2]
    model = fit(dataset, replace(short, model_type="base"), rows=rows, records=np.arange(40))[0]
    assert model.facts["pairs"] == len(rows)
    assert len(model.growth.grew) == 40
    assert fit(dataset, replace(short, model_type="base"), records=np.zeros(0, np.int64))[0].growth is None


def test_the_same_seed_gives_the_same_model(dataset, short):
    one, other = (fit(dataset, short)[0] for _ in range(2))
    assert same(one, other, dataset.conditions)
    assert not same(one, fit(dataset, replace(short, seed=5))[0], dataset.conditions)


def test_a_model_is_not_replaced_unasked_and_nothing_is_trained_before_that_is_told(
    trained, folder, short, monkeypatch
):
    monkeypatch.setattr(datasets, "read", lambda _: pytest.fail("it began"))
    with pytest.raises(BundleError, match="already holds a model; pass force to replace it"):
        train(short, dataset=folder, out=trained["save_path"])


def test_a_model_is_replaced_by_force(trained, folder, dataset, short, tmp_path):
    train(replace(short, seed=7), dataset=folder, out=tmp_path)
    train(short, dataset=folder, out=tmp_path, force=True)
    assert same(saving.load(tmp_path), saving.load(Path(trained["save_path"])), dataset.conditions)


def test_a_stopped_training_is_resumed_to_the_same_model(
    trained, folder, dataset, short, tmp_path, monkeypatch
):
    step = training_vae.VaeTraining.training_step

    def stop(self, batch, index):
        if self.begun and self.global_step == 2:
            raise KeyboardInterrupt
        return step(self, batch, index)

    monkeypatch.setattr(training_vae.VaeTraining, "training_step", stop)
    with pytest.raises(TrainingInterrupted, match="continue with resume"):
        train(short, dataset=folder, out=tmp_path)
    monkeypatch.undo()
    with pytest.raises(
        ValueError, match=r"runs holds an earlier run; resume it, force a new one, or choose another"
    ):
        train(short, dataset=folder, out=tmp_path)
    with pytest.raises(
        ValueError, match=r"begun with lr = 0.002, now it is 0.1; resume with 0.002, or force a new run"
    ):
        train(replace(short, lr=0.1), dataset=folder, out=tmp_path, resume=True)
    train(short, dataset=folder, out=tmp_path, resume=True)
    assert same(saving.load(tmp_path), saving.load(Path(trained["save_path"])), dataset.conditions)


def test_faults_of_datasets_are_told(dataset, short, tmp_path):
    with pytest.raises(ValueError, match="expected a dataset made by `mediacvae build`"):
        train(short, dataset=tmp_path, out=tmp_path / "out")
    none = dataset.organisms.assign(split="test")
    with pytest.raises(
        ValueError, match=r"^no pair to learn from in the train split; build the dataset with a"
    ):
        fit(replace(dataset, organisms=none), short)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"model_type": "gan"}, "model_type: expected one of cvae, hierarchical, spec, base, got 'gan'"),
        ({"epochs": 0}, "epochs: expected at least 1, got 0"),
        ({"beta": -1.0}, "beta: expected a finite number of at least 0, got -1.0"),
        ({"free_bits": float("nan")}, "free_bits: expected a finite number"),
        ({"lr": 0.0}, "lr: expected a finite number above 0, got 0.0"),
        ({"forget": 1.5}, "forget: expected a share from 0 to 1, got 1.5"),
        ({"library": 1.0}, "library: expected a share from 0 to below 1, got 1.0"),
        ({"curriculum_phases": ()}, "curriculum_phases: expected some of bacteria"),
        (
            {"curriculum_phases": ("bacteria", "Bacteria")},
            "curriculum_phases: expected some of .*, each once",
        ),
        ({"curriculum_phases": ("plants",)}, "organism type: expected one of"),
        (
            {"model_type": "hierarchical", "latent_dim": 8},
            "genus_dim: expected from 1 to less than latent_dim = 8",
        ),
        ({"dropout": 1.0}, "dropout: expected a share"),
    ],
)
def test_settings_outside_their_range_are_refused(told, message):
    with pytest.raises(ValueError, match=message) as caught:
        TrainConfig(**told)
    assert "\n" not in str(caught.value)


def test_archea_is_understood():
    assert TrainConfig(curriculum_phases=["bacteria", "archea"]).curriculum_phases == ("bacteria", "archaea")


def test_what_is_not_read_is_said():
    assert unread(TrainConfig()) == []
    assert unread(TrainConfig(model_type="hierarchical", genus_dim=4)) == []
    assert unread(TrainConfig(genus_dim=4)) == ["genus_dim: not read by train with model_type=cvae"]
    assert unread(TrainConfig(model_type="spec", anneal=0.5, epochs=7)) == [
        "anneal: not read by train with model_type=spec"
    ]
    assert unread(TrainConfig(model_type="base", epochs=7, simulation=SimulationConfig(genera=9))) == [
        "epochs, simulation: not read by train with model_type=base"
    ]
