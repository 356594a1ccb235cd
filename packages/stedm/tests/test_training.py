"""Both runs on tiny sets: who learns what, gauges, degenerate sets, the curriculum's memory, and one fit that helps."""

from dataclasses import replace

import pytest
import torch

from cytosol.options import TrainerOptions
from stedm.diagnose import BINS, COLUMNS, diagnose
from stedm.fitting import Plan, batches, train_structure
from stedm.geometry import align, jaccard
from stedm.options import EncoderOptions, LearnOptions, NetOptions, PatchOptions, Walk
from stedm.patches import Cells, PatchDataset, collate
from stedm.sampling import Reconstruction
from stedm.structure import StructureNet, fresh_weights
from stedm.training import GeneratorTraining, RefinerTraining, measured_spread
from stedm.training_encoder import train_encoder

NET = NetOptions(width=16, heads=2, inducing=4, context_width=16, neighbours=3, score_blocks=1)
PATCHES = PatchOptions(least=16, most=24)
LEARN = LearnOptions(learning_rate=5e-3, warmup_steps=5)
TRAINER = TrainerOptions(
    max_steps=60, batch_size=8, val_every=30, checkpoint_every=100, patience=5, device="cpu", log_every=20
)
GAUGES = ["output", "generator", "frame", "distance"]


def section(n, seed):
    """Cells whose expression says where they sit, and a base that is off by a fifth."""
    generator = torch.Generator().manual_seed(seed)
    v = torch.rand(n, 2, generator=generator)
    z = torch.cat([v, v.square(), (3 * v).sin()], 1) * 2
    return Cells(z, v + 0.2 * torch.randn(n, 2, generator=generator), v)


@pytest.fixture
def batch():
    data = PatchDataset([section(60, 0)], PATCHES, count=8, seed=0)
    return collate([data[i] for i in range(4)])


@pytest.fixture
def net():
    torch.manual_seed(0)
    made = StructureNet(6, 2, NET, sigma_data=0.3, spread=0.4)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return made


def module(net, kind=RefinerTraining, **words):
    return kind(net, replace(LEARN, **words), seed=0, steps=10)


def gradients(made, batch):
    made.loss(batch, torch.Generator().manual_seed(1)).backward()
    return {n: p.grad for n, p in made.net.named_parameters() if p.grad is not None}


def test_each_run_learns_its_own_part(net, batch):
    first = {n for n, g in gradients(module(net, GeneratorTraining), batch).items() if g.any()}
    net.zero_grad(set_to_none=True)
    second = {n for n, g in gradients(module(net), batch).items() if g.any()}
    assert first == {n for n, _ in net.named_parameters() if not n.startswith("refiner.")}
    assert second == {n for n, _ in net.named_parameters() if n.startswith("refiner.")}


@pytest.mark.parametrize("gauge", GAUGES)
def test_padding_with_nan_in_it_changes_nothing(net, batch, gauge):
    made = module(net, gauge=gauge)
    spoilt = {
        k: x if k == "mask" else torch.where(batch["mask"][..., None], x, torch.nan) for k, x in batch.items()
    }
    for kind in (RefinerTraining, GeneratorTraining):
        made = module(net, kind, gauge=gauge)
        losses = [made.loss(b, torch.Generator().manual_seed(1)) for b in (batch, spoilt)]
        torch.testing.assert_close(*losses)
        losses[1].backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize("gauge", GAUGES)
@pytest.mark.parametrize("kind", ["coincident", "collinear", "alone"])
def test_degenerate_sets_give_finite_gradients(net, batch, gauge, kind):
    v = batch["v"].clone()
    if kind == "coincident":
        v[0] = 0.5
    elif kind == "collinear":
        v[0, :, 1] = 2 * v[0, :, 0]
    else:
        batch["mask"][0] = torch.arange(v.shape[1]) < 1
    for run in (GeneratorTraining, RefinerTraining):
        net.zero_grad(set_to_none=True)
        for name, grad in gradients(module(net, run, gauge=gauge), {**batch, "v": v}).items():
            assert grad.isfinite().all(), name


def test_the_curriculum_moves_on_validations_and_is_remembered(net, batch):
    made = module(net, stages=(2.0, 4.0), stall=1)
    assert made.curriculum.highest == 2.0
    for _ in range(3):
        made.validation_step(batch, 0)
        made.training_step(batch, 0)
    assert made.curriculum.done
    again = module(net, stages=(2.0, 4.0), stall=1)
    again.load_state_dict(made.state_dict())
    assert again.curriculum == made.curriculum


def test_the_generators_errors_are_inflated_in_training(net, batch):
    made, sigma = module(net, gauge="generator"), torch.ones(4)
    plain, large = (
        made.example(batch, sigma, torch.Generator().manual_seed(0), inflate=f)[1] for f in (1.0, 2.0)
    )
    size = lambda e: float((e.start - e.target)[e.mask].square().mean().sqrt())  # noqa: E731
    assert size(large) == pytest.approx(2 * size(plain), rel=0.02)


def test_a_refiner_without_a_generators_error_is_refused():
    with pytest.raises(ValueError, match="add_refiner"):
        module(StructureNet(6, 2, NET, sigma_data=0.3))


def test_the_same_step_has_the_same_loss(net, batch):
    made = module(net)
    made.eval()
    assert made.training_step(batch, 0) == made.training_step(batch, 0)
    assert made.validation_step(batch, 0) == made.validation_step(batch, 0)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    plan = Plan(net=NET, patches=PATCHES, learn=LEARN, trainer=TRAINER, refiner_steps=30)
    out = tmp_path_factory.mktemp("structure")
    return train_structure([section(150, 0), section(120, 1)], plan, out=out, seed=0, held=[section(80, 2)])


def test_a_short_training_beats_its_base(trained):
    net, history = trained
    assert set(history["run"]) == {"generator", "refiner"}
    cells = section(90, 3)
    made = Reconstruction(net, cells, PATCHES, gauge="generator", generator=torch.Generator().manual_seed(0))
    everyone = torch.ones(1, 90, dtype=torch.bool)

    def error(v):
        return float((align(v[None], cells.v[None], everyone)(v[None])[0] - cells.v).square().mean())

    assert error(made.generated) < 0.3 * error(cells.p)
    mean = made.mean(Walk(), 2)
    assert error(mean.v) < 1.3 * error(made.generated)
    assert mean.spread.shape == (90,)
    assert mean.draws.shape == (2, 90, 2)
    for v in (
        made.sample(Walk(steps=3)),
        made.open_loop(Walk(steps=2)),
        made.mean_of_samples(Walk(steps=2), 2).v,
    ):
        assert error(v) < error(cells.p)


def test_fresh_weights_depend_on_the_seed_only():
    made = []
    before = torch.get_rng_state()
    for seed in (0, 0, 1):
        with fresh_weights(seed):
            made.append(StructureNet(6, 2, NET, sigma_data=0.3).context.enter.weight)
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])
    assert torch.equal(torch.get_rng_state(), before)


def test_a_reconstruction_repeats_and_follows_its_cells(trained):
    net, _ = trained
    cells = section(20, 3)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    mixed = Cells(cells.z[order], cells.p[order], cells.v[order])
    words = {"gauge": "generator"}
    a, b, c = (
        Reconstruction(net, one, PATCHES, generator=torch.Generator().manual_seed(0), **words)
        for one in (cells, cells, mixed)
    )
    assert torch.equal(a.generated, b.generated)
    assert torch.equal(a.sample(Walk(steps=2)), b.sample(Walk(steps=2)))
    torch.testing.assert_close(c.generated, a.generated[order], atol=1e-5, rtol=1e-4)


def test_a_network_without_a_refiner_says_so(trained):
    net = StructureNet(6, 2, NET, sigma_data=0.3)
    made = Reconstruction(net, section(20, 3), PATCHES, gauge="frame", generator=torch.Generator())
    with pytest.raises(ValueError, match="without a refiner"):
        made.mean(Walk(), 1)


def test_the_table_of_diagnoses_is_tidy_and_complete(trained):
    net, _ = trained
    sets = batches(PatchDataset([section(80, 2)], PATCHES, count=8, seed=0))
    for gauge in GAUGES:
        table = diagnose(net, sets, gauge=gauge, generator=torch.Generator().manual_seed(0))
        assert tuple(table.columns) == COLUMNS
        assert table["value"].notna().all()
        assert set(table["probe"]) == {"generator_health", "by_sigma", "ablation", "open_loop"}
        bins = table[table["quantity"] == "fx_ratio"]
        assert list(bins["low"]) == list(BINS[:-1])
    skip = table[table["quantity"] == "scale_r_skip"]["value"].to_numpy()
    assert (skip[:-1] > skip[1:]).all()
    first = net.refiner
    net.refiner = None
    assert set(diagnose(net, sets, gauge="frame", generator=torch.Generator())["probe"]) == {
        "generator_health"
    }
    net.refiner = first


def test_the_generators_error_is_measured_in_units_of_sigma_data(net, batch):
    spread = measured_spread(net, [batch])
    with torch.no_grad():
        context, gen = net.look(batch["z"], batch["p"], batch["mask"])
    target = batch["v"] / 0.3
    moved = align(target, gen, batch["mask"])(target)
    error = (moved - gen)[batch["mask"]]
    assert spread == pytest.approx(float(error.square().mean().sqrt()), rel=0.05)
    assert context.shape[-1] == NET.context_width


def test_an_encoder_learns_places_and_is_frozen(tmp_path):
    generator = torch.Generator().manual_seed(0)
    v = [torch.rand(60, 2, generator=generator) for _ in range(3)]
    x = [
        torch.cat([(3 * one).sin(), (3 * one).cos(), torch.randn(60, 3, generator=generator)], 1) for one in v
    ]
    trainer = replace(TRAINER, batch_size=32, max_steps=80)
    encoder, history = train_encoder(
        x[:2], v[:2], EncoderOptions(width=32, features=8), trainer, out=tmp_path, seed=0, held=(x[2:], v[2:])
    )
    assert not any(p.requires_grad for p in encoder.parameters())
    losses = history["val_loss"].dropna()
    assert losses.iloc[-1] < 0.7 * losses.iloc[0]
    z = encoder(x[2])[None]
    everyone = torch.ones(1, 60, dtype=torch.bool)
    assert float(jaccard(encoder.place(z), v[2][None], everyone)) > 0.25
