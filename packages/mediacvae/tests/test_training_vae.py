"""How the network learns: curriculum, resumption, a latent that is used, and more than the mean recipe."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from cytosol.trainer import TrainingInterrupted
from mediacvae import training_vae
from mediacvae.base import Expected
from mediacvae.conditions import Block, Conditioner
from mediacvae.config import TrainConfig
from mediacvae.expectation import expected
from mediacvae.losses import kl
from mediacvae.training_vae import Pairs, fresh_weights, learn, reconstruction


def arguments(data, rows=None):
    """Of `learn`, but for the configuration."""
    pairs = data.pairs[["organism", "medium"]].to_numpy(np.int64)
    own = pairs[data.rows("train") if rows is None else rows]
    alone = np.setdiff1d(np.arange(len(data.media)), pairs[:, 1])
    return data.conditioner, data.conditions, data.media, own, data.organisms, alone


def state_of(net):
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def same(a, b) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


# ---- what is drawn


def test_items_are_the_same_whoever_asks(dataset):
    _, conditions, media, own, organisms, _ = arguments(dataset)
    genus = np.arange(len(organisms))
    alone = np.array([5, 6])
    one, other = (Pairs(media, conditions, own, genus, alone, share=0.25, seed=3) for _ in range(2))
    assert len(one) == len(own) + round(len(own) / 3)
    for item in (0, 7, len(one) - 1, 7):
        for a, b in zip(one[item], other[item], strict=True):
            assert torch.equal(torch.nan_to_num(a.float(), -7), torch.nan_to_num(b.float(), -7))
    x, c, g = one[4]
    np.testing.assert_array_equal(x, media[own[4, 1]])
    np.testing.assert_array_equal(c, conditions[own[4, 0]])
    assert int(g) == own[4, 0]
    x, c, g = one[len(one) - 1]
    assert any(np.array_equal(x, media[at]) for at in alone)
    assert c.isnan().all()
    assert int(g) == -1
    assert len(Pairs(media, conditions, own, genus, alone[:0], share=0.5, seed=0)) == len(own)
    assert len(Pairs(media, conditions, own, genus, alone, share=0.0, seed=0)) == len(own)


def test_fresh_weights_come_from_the_seed_and_leave_torch_alone():
    state = torch.get_rng_state()
    made = []
    for seed in (1, 1, 2):
        with fresh_weights(seed):
            made.append(torch.randn(3))
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])
    assert torch.equal(state, torch.get_rng_state())


# ---- the curriculum


def test_phases_come_in_order_and_earlier_ones_are_seen_again(dataset, quick, monkeypatch):
    seen = []

    class Watched(Pairs):
        def __init__(self, media, conditions, rows, genus, alone, **more):
            super().__init__(media, conditions, rows, genus, alone, **more)
            kinds = dataset.organisms["organism_type"].to_numpy()[rows[:, 0]]
            seen.append(pd.Series(kinds).value_counts().to_dict())

    monkeypatch.setattr(training_vae, "Pairs", Watched)
    own = arguments(dataset)
    total = pd.Series(dataset.organisms["organism_type"].to_numpy()[own[3][:, 0]]).value_counts()
    config = replace(
        quick, epochs=1, curriculum_phases=("archaea", "virus", "bacteria", "fungi"), rehearsal=0.5
    )
    _, history = learn(*own, config)
    assert seen == [
        {"archaea": total["archaea"]},
        {"bacteria": total["bacteria"], "archaea": round(total["archaea"] * 0.5)},
        {
            "fungi": total["fungi"],
            **{name: seen[2][name] for name in ("archaea", "bacteria")},
        },
    ]
    assert seen[2]["archaea"] + seen[2]["bacteria"] == round(0.5 * (total["archaea"] + total["bacteria"]))
    assert list(dict.fromkeys(history["phase"])) == ["archaea", "bacteria", "fungi"]
    losses = history.filter(like="loss_").columns.drop(["train_loss", "val_loss"], errors="ignore")
    assert list(losses) == ["loss_archaea", "loss_bacteria", "loss_fungi"]
    assert np.isfinite(history[losses]).all(axis=None)


def test_rehearsal_keeps_what_was_learned_first(dataset, quick):
    own = arguments(dataset)
    config = replace(quick, curriculum_phases=("archaea", "bacteria"), library=0.0)
    lost = {}
    for rehearsal in (0.0, 1.0):
        history = learn(*own, replace(config, rehearsal=rehearsal))[1]
        lost[rehearsal] = history["loss_archaea"].iloc[-1] - history["loss_archaea"].iloc[0]
    assert lost[1.0] < lost[0.0]
    assert lost[1.0] < 0.5


def test_a_type_that_nothing_is_known_of_is_told(dataset, quick):
    with pytest.raises(ValueError, match=r"^curriculum_phases: no pair of virus to learn from$"):
        learn(*arguments(dataset), replace(quick, curriculum_phases=("virus",)))


@pytest.mark.parametrize("kind", ["cvae", "hierarchical", "spec"])
def test_one_pair_alone_can_be_learned_from(dataset, quick, kind):
    config = replace(quick, model_type=kind, genus_dim=2, epochs=2, library=0.0)
    net, _ = learn(*arguments(dataset, dataset.rows("train")[:1]), config)
    assert np.isfinite(net.generate(2, dataset.conditions[:1])).all()


def test_organisms_of_no_genus_share_nothing(dataset, quick, monkeypatch):
    given = []

    class Watched(Pairs):
        def __init__(self, media, conditions, rows, genus, alone, **more):
            super().__init__(media, conditions, rows, genus, alone, **more)
            given.append(genus)

    monkeypatch.setattr(training_vae, "Pairs", Watched)
    own = list(arguments(dataset))
    own[4] = own[4].assign(genus=[None, ""] + ["Bacillus"] * 4 + ["Vibrio"] * 50)
    learn(
        *own,
        replace(quick, epochs=1, model_type="hierarchical", genus_dim=2, curriculum_phases=("bacteria",)),
    )
    assert list(given[0][:7]) == [-1, -1, 0, 0, 0, 0, 1]


# ---- resumption


def test_the_loss_falls(dataset, quick):
    history = learn(*arguments(dataset), replace(quick, curriculum_phases=("bacteria",)))[1]
    loss = history["train_loss"].to_numpy()
    assert loss[-3:].mean() < 0.8 * loss[0]


def test_the_same_seed_gives_the_same_network(dataset, quick):
    config = replace(quick, epochs=3)
    one, other, third = (learn(*arguments(dataset), replace(config, seed=seed))[0] for seed in (1, 1, 2))
    assert same(state_of(one), state_of(other))
    assert not same(state_of(one), state_of(third))


@pytest.mark.parametrize("phase", [0, 1])
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(dataset, quick, tmp_path, monkeypatch, phase):
    own = arguments(dataset)
    config = replace(quick, epochs=12, batch_size=16, curriculum_phases=("archaea", "bacteria"))
    whole, _ = learn(*own, config)
    step = training_vae.VaeTraining.training_step

    def stop(self, batch, index):
        if self.begun == bool(phase) and self.global_step == 4:
            raise KeyboardInterrupt
        return step(self, batch, index)

    monkeypatch.setattr(training_vae.VaeTraining, "training_step", stop)
    with pytest.raises(TrainingInterrupted):
        learn(*own, config, out=tmp_path)
    monkeypatch.undo()
    resumed, history = learn(*own, config, out=tmp_path, resume=True)
    assert same(state_of(whole), state_of(resumed))
    assert list(dict.fromkeys(history["phase"])) == ["archaea", "bacteria"]
    again, _ = learn(*own, config, out=tmp_path, resume=True)  # nothing left to do
    assert same(state_of(whole), state_of(again))


def test_without_a_directory_there_is_nothing_to_resume(dataset, quick):
    with pytest.raises(ValueError, match=r"resume: expected the directory of the run \(out\)"):
        learn(*arguments(dataset), quick, resume=True)


# ---- what is learned


@pytest.fixture(scope="module")
def learned(toy):
    return learn(*toy, TOY)[0]


@pytest.fixture(scope="module")
def toy():
    """Media of two families that the condition says, and of many independent habits that it does not say."""
    rng = np.random.default_rng(0)
    n, m = 600, 128
    family = rng.integers(0, 2, n)
    conditions = np.stack([family, rng.standard_normal(n)], axis=1).astype(np.float32)
    habits = rng.random((n, 12)) < 0.5
    media = np.zeros((n, m), np.float32)
    media[:, :4] = np.where(family[:, None] == 0, 5.0, 0.0)
    media[:, 4:8] = np.where(family[:, None] == 1, 20.0, 0.0)
    media[:, 8:32] = np.repeat(habits, 2, axis=1) * np.array(
        [0.2, 0.5] * 12
    )  # little, as most that is in media
    media *= np.exp(0.1 * rng.standard_normal(media.shape)).astype(np.float32)
    conditioner = Conditioner((Block("stats", "numbers", ("a", "b")),))
    organisms = pd.DataFrame({"organism_type": "bacteria", "genus": [f"g{at % 50}" for at in range(n)]})
    pairs = np.stack([np.arange(n)] * 2, axis=1)
    return conditioner, conditions, media, pairs, organisms, pairs[:0, 0]


TOY = TrainConfig(
    epochs=20, curriculum_phases=("bacteria",), hidden_dims=(64,), library=0.0, device="cpu", dropout=0.0
)


def test_the_posterior_does_not_collapse_and_the_drawn_network_does(toy, learned):
    _, conditions, media, *_ = toy
    assert (learned.encode(media, conditions).var(axis=0) > 0.01).sum() >= 8
    spec, _ = learn(*toy, replace(TOY, model_type="spec", latent_dim=32, epochs=40))
    assert (spec.encode(media, conditions).var(axis=0) > 0.01).sum() <= 4
    mean, logvar = spec.posterior_of(torch.as_tensor(media), spec.given(torch.as_tensor(conditions)))
    nothing = torch.zeros_like(mean)
    assert kl(mean, logvar, nothing, nothing).mean() < 0.005


def test_conditions_are_heeded(toy, learned):
    _, conditions, media, *_ = toy
    own = expected(learned, conditions[:100], draws=8)
    shuffled = expected(learned, conditions[:100][np.random.default_rng(0).permutation(100)], draws=8)
    truth = np.log1p(media[:100])
    error = [float(np.square(found.amount - truth).mean()) for found in (own, shuffled)]
    assert error[0] < 0.6 * error[1]


@pytest.mark.parametrize("kind", ["cvae", "hierarchical"])
def test_it_beats_the_mean_recipe_on_genera_left_out(dataset, quick, kind):
    own = arguments(dataset)
    net, _ = learn(*own, replace(quick, model_type=kind, genus_dim=3))
    out = dataset.pairs.iloc[dataset.rows("test")]
    truth = np.log1p(dataset.media[out["medium"].to_numpy()])
    found = expected(net, dataset.conditions[out["organism"].to_numpy()], draws=32).amount
    constant = Expected.of(dataset.media[own[3][:, 1]]).amount.mean(axis=0)
    assert np.square(found - truth).mean() < 0.7 * np.square(constant - truth).mean()


def test_reconstruction_is_the_loss_without_dropout(dataset, quick, monkeypatch):
    _, conditions, media, own, *_ = arguments(dataset)
    net, _ = learn(*arguments(dataset), replace(quick, epochs=1))
    one = reconstruction(net, media, conditions, own)
    assert one == reconstruction(net, media, conditions, own)
    halves = [reconstruction(net, media, conditions, part) for part in np.array_split(own, 2)]
    assert one == pytest.approx(
        np.average(halves, weights=[len(p) for p in np.array_split(own, 2)]), rel=0.05
    )
    monkeypatch.setattr(training_vae, "BLOCK", 7)  # other draws, the same loss
    assert reconstruction(net, media, conditions, own) == pytest.approx(one, rel=0.05)
