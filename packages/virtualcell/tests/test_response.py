"""The response network: untrained it is the baseline, it keeps the invariants of its cell model, and it learns."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from cytosol.options import TrainerOptions
from cytosol.testing import (
    assert_batch_independent,
    assert_every_parameter_trains,
    assert_padding_invariant,
    assert_state_round_trip,
)
from virtualcell.faults import DataError
from virtualcell.models import MODELS
from virtualcell.response_data import ResponseData, drawn_tokens, predicted, respond
from virtualcell.response_losses import amount_scored, population_energy, population_likelihood, squared_error
from virtualcell.response_net import ResponseNet
from virtualcell.response_options import ResponseOptions
from virtualcell.state import StateEmbeddingModel
from virtualcell.training_response import ResponseTraining, train_response

SHAPE = {"token_dim": 5, "d_model": 16, "nhead": 4, "d_hid": 24, "nlayers": 2, "output_dim": 8}
B, N, G = 3, 9, 8
WORDS = {
    "num_pathways": 6,
    "num_compartments": 3,
    "pathway_dim": 8,
    "temporal_dim": 6,
    "memory_size": 7,
    "memory_dim": 10,
    "noise_dim": 6,
    "resource_dim": 5,
    "num_resource_types": 3,
    "molecular_scale_dim": 8,
    "pathway_scale_dim": 10,
    "cellular_scale_dim": 12,
    "num_pathway_groups": 4,
}
EVERY = pytest.mark.parametrize("name", ["StateEmbeddingModel", *MODELS])


def made(name="StateEmbeddingModel", *, dispersion=False, opened=0.0) -> ResponseNet:
    """A net of tiny width; opened: what is added to its gates and to its head."""
    torch.manual_seed(0)
    if name == "StateEmbeddingModel":
        cell = StateEmbeddingModel(**SHAPE)
    else:
        model = MODELS[name]
        known = {word for part in model.parts for word in part.Options.__dataclass_fields__}
        words = {word: value for word, value in WORDS.items() if word in known}
        if "gene_interaction_matrix" in known:
            words["gene_interaction_matrix"] = torch.randn(G, G).sign()
        cell = model(**SHAPE, **words)
    net = ResponseNet(cell, dispersion=dispersion).eval()
    if opened:
        with torch.no_grad():
            for key, weight in net.named_parameters():
                if ".gates." in key or key.startswith("head"):
                    weight.add_(opened * torch.randn(weight.shape) + opened)
    return net


def inputs(net: ResponseNet, rows=B, *, padded=True) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    mask = torch.ones(rows, N, dtype=torch.bool)
    if padded:
        mask[-1, -2:] = False
    ids = torch.arange(-1, G).expand(rows, N).clone()
    every = {
        "src": torch.randn(rows, N, SHAPE["token_dim"], generator=generator),
        "mask": mask,
        "counts": torch.randint(0, 9, (rows, N), generator=generator).float(),
        "gene_ids": ids,
        "pathway_ids": torch.randint(-1, 6, (rows, N, 2), generator=generator),
        "compartment_ids": torch.randint(-1, 3, (rows, N), generator=generator),
        "time_steps": torch.rand(rows, generator=generator) * 24,
        "previous_states": torch.randn(rows, 10, generator=generator),
        "gene_types": torch.randint(-1, 4, (rows, N), generator=generator),
        "previous_energy_state": torch.rand(rows, 1, generator=generator),
        "previous_resource_state": torch.rand(rows, 3, generator=generator),
        "pathway_groups": torch.randint(-1, 4, (rows, N), generator=generator),
    }
    return {word: x for word, x in every.items() if word in ("src", "mask", "counts", *net.reads)}


@EVERY
def test_untrained_it_is_the_baseline(name) -> None:
    net = made(name, dispersion=True)
    given = inputs(net) | {"baseline": torch.randn(B, N)}
    got = respond(net, ResponseData(**given))
    real = given["mask"].clone()
    real[:, 0] = False
    assert torch.equal(got.real, real)
    assert torch.equal(got.values[:, 0][real], given["baseline"][real])
    assert not got.values[:, 0][~real].any()
    assert got.log_dispersion is not None
    assert got.log_dispersion[:, 0][real].unique().tolist() == pytest.approx([math.log(0.1)])


@EVERY
def test_it_keeps_the_invariants_of_its_cell_model(name) -> None:
    net = made(name, dispersion=True, opened=0.5)
    given = inputs(net)
    assert_padding_invariant(net, given, padded=("src", "counts"), garbage=float("nan"))
    assert_batch_independent(net, given)
    assert_state_round_trip(net, lambda: made(name, dispersion=True), given)
    assert_every_parameter_trains(net, inputs(net, padded=False))


@EVERY
def test_shut_gates_and_a_head_of_zeros_are_not_dead(name) -> None:
    net = made(name).train()
    rows = ResponseData(**inputs(net), target=torch.randn(B, N))
    module = ResponseTraining(net, ResponseOptions(warmup_steps=0), seed=0, steps=9)
    optimizer = module.configure_optimizers()["optimizer"]
    before = {word: p.detach().clone() for word, p in net.named_parameters()}
    for step in range(3):
        optimizer.zero_grad()
        module.loss(next(rows.batches(B)), torch.Generator().manual_seed(step)).backward()
        optimizer.step()
    still = [word for word, p in net.named_parameters() if p.grad is None or torch.equal(p, before[word])]
    # what memory writes is read by the next call
    assert not [word for word in still if "memory.write" not in word]


@EVERY
def test_deltas_are_of_real_genes_only(name) -> None:
    net = made(name, opened=0.5)
    got = net(**inputs(net))
    assert not got.delta[:, 0].any()
    assert not got.delta[-1, -2:].any()
    assert bool(got.delta[0, 1:].any())
    assert set(got.info) == {part.name for part in getattr(type(net.cell), "parts", ())}


def test_noise_is_drawn_with_a_generator_only() -> None:
    net = made("StochasticCellularModel", dispersion=True, opened=0.5)
    given = inputs(net)

    def draw(seed):
        return predicted(net, given, draws=5, generator=torch.Generator().manual_seed(seed))

    assert draw(1).values.shape == draw(1).log_dispersion.shape == (B, 5, N)
    assert torch.equal(draw(1).values, draw(1).values)
    assert not torch.allclose(draw(1).values, draw(2).values)
    assert draw(1).values[0, :, 1].std() > 0
    assert predicted(net, given).values.shape == (B, 1, N)
    with pytest.raises(ValueError, match="draws: expected 1 without a generator, got 5"):
        predicted(net, given, draws=5)
    with pytest.raises(ValueError, match="StateEmbeddingModel has no noise to draw"):
        made().several(2, torch.Generator(), inputs(made()))


def test_a_set_of_cells_is_one_population() -> None:
    net = made("TemporalDynamicsModel", opened=0.5)
    flat = inputs(net, 6, padded=False) | {"baseline": torch.randn(6, N)}
    sets = {word: x.unflatten(0, (3, 2)) for word, x in flat.items()}
    alone, together = respond(net, ResponseData(**flat)), respond(net, ResponseData(**sets), batch_size=2)
    torch.testing.assert_close(together.values.flatten(0, 1), alone.values[:, 0])


def test_genes_of_a_step_are_drawn_from_all_words_alike() -> None:
    n = 30
    at = torch.arange(n).expand(2, n).float()
    batch = {"src": at[..., None], "mask": at >= 0, "baseline": at, "target": at, "cells": at[:, None],
             "pathway_ids": at.long()[..., None], "previous_states": at, "weight": at}  # fmt: skip
    got = drawn_tokens(batch, 10, torch.Generator().manual_seed(0))
    kept = got["target"][0]
    assert kept[0] == 0
    assert len(kept) == len(kept.unique()) == 11
    for word in ("baseline", "weight"):
        assert torch.equal(got[word][1], kept)
    for word in ("src", "cells", "pathway_ids"):
        assert torch.equal(got[word][1].flatten().float(), kept)
    assert got["previous_states"].shape == (2, n)
    assert drawn_tokens(batch, 29, torch.Generator()) is batch


def test_losses_leave_out_what_is_not_scored() -> None:
    generator = torch.Generator().manual_seed(0)
    values, target = torch.randn(2, 4, 6, generator=generator), torch.randn(2, 6, generator=generator)
    cells, real = torch.randn(2, 5, 6, generator=generator), torch.ones(2, 6, dtype=torch.bool)
    real[:, 0], real[1, 4:] = False, False
    whole = squared_error(values, target, real), population_energy(values, cells, real)
    spoilt = target.masked_fill(~real, torch.nan), cells.masked_fill(~real[:, None], torch.nan)
    assert squared_error(values, spoilt[0], real) == whole[0]
    assert population_energy(values, spoilt[1], real) == whole[1]
    weight = torch.tensor([1.0, 0.0])
    assert squared_error(values, target, real, weight) == pytest.approx(
        float(squared_error(values[:1], target[:1], real[:1]))
    )
    cells[1, 3:] = torch.nan
    fewer = [
        population_energy(values[i : i + 1], cells[i : i + 1, :m], real[i : i + 1])
        for i, m in ((0, 5), (1, 3))
    ]
    assert population_energy(values, cells, real) == pytest.approx(float(sum(fewer)) / 2, rel=1e-4)


def test_likelihood_of_a_population_is_that_of_a_mixture() -> None:
    rng = np.random.default_rng(0)
    values, counts = rng.normal(1, 1, (2, 4)), rng.poisson(3, (3, 4)).astype(float)
    a = np.array([0.1, 0.5, 1.0, 2.0])
    r, mean = 1 / a, np.exp(values)[None]
    by_gene = stats.nbinom.logpmf(counts[:, None], r, r / (r + mean))
    expected = np.log(np.exp(by_gene.sum(-1)).mean(1)).mean() / 4
    log_dispersion = torch.from_numpy(np.log(a)).expand(1, 2, 4)
    got = population_likelihood(
        torch.from_numpy(values)[None],
        log_dispersion,
        torch.from_numpy(counts)[None],
        torch.ones(1, 4, dtype=torch.bool),
    )
    assert float(got) == pytest.approx(expected)


def planted(rows: int, seed: int) -> ResponseData:
    """A gene answers by a product of two of its features; the baseline knows the first alone."""
    generator = torch.Generator().manual_seed(seed)
    src = torch.randn(rows, N, SHAPE["token_dim"], generator=generator)
    mask = torch.ones(rows, N, dtype=torch.bool)
    target = src[..., 0] + src[..., 1] * src[..., 2].sign()
    return ResponseData(src=src, mask=mask, baseline=src[..., 0], target=target)


def test_it_learns_what_the_baseline_does_not_know(tmp_path) -> None:
    net, held = made(), planted(32, seed=1)
    trainer = TrainerOptions(max_steps=100, batch_size=16, val_every=50, device="cpu")
    options = ResponseOptions(learning_rate=3e-3, tokens_per_step=6)
    history = train_response(
        net, planted(64, seed=0), options, trainer, out=tmp_path / "run", seed=0, held=held
    )
    got = respond(net, held)
    target, base = held.tensors["target"][got.real], held.tensors["baseline"][got.real]
    error = float((got.values[:, 0][got.real] - target).square().mean())
    assert error < 0.5 * float((base - target).square().mean())
    assert history["val_loss"].notna().any()


@pytest.mark.parametrize("ndim", [0, 1, 2])
def test_halves_of_a_batch_weighed_by_what_they_score_are_the_whole(ndim) -> None:
    random = torch.Generator().manual_seed(0)
    values, target = torch.randn(4, 2, 7, generator=random), torch.randn(4, 7, generator=random)
    real = torch.rand(4, 7, generator=random) > 0.3
    weight = [None, torch.tensor([0.1, 0.2, 5.0, 9.0]), 10 * torch.rand(4, 7, generator=random)][ndim]
    whole = squared_error(values, target, real, weight)
    halves = [slice(0, 2), slice(2, 4)]
    own = [None if weight is None else weight[half] for half in halves]
    errors = [squared_error(values[h], target[h], real[h], w) for h, w in zip(halves, own, strict=True)]
    amounts = torch.stack([amount_scored(real[h], w) for h, w in zip(halves, own, strict=True)]).float()
    torch.testing.assert_close((torch.stack(errors) * amounts / amounts.mean()).mean(), whole)
    assert (torch.stack(errors).mean() - whole).abs() > 1e-3


def test_noise_learns_the_spread_of_a_population(tmp_path) -> None:
    torch.manual_seed(0)
    net = made("StochasticCellularModel")
    generator = torch.Generator().manual_seed(3)
    rows, m = 8, 32
    shared = torch.randn(rows, m, 1, generator=generator)
    given = {"src": torch.ones(rows, N, 5), "mask": torch.ones(rows, N, dtype=torch.bool)}
    data = ResponseData(**given, cells=0.8 * shared + 0.2 * torch.randn(rows, m, N, generator=generator))
    options = ResponseOptions(squared_weight=0.0, energy_weight=1.0, draws=16, learning_rate=5e-3)
    trainer = TrainerOptions(max_steps=80, batch_size=4, device="cpu")
    train_response(net, data, options, trainer, out=tmp_path / "run", seed=0)
    drawn = respond(net, data, draws=200, generator=torch.Generator().manual_seed(0)).values[0, :, 1:]
    assert 0.5 < float(drawn.std(0).mean()) < 1.1
    together = np.corrcoef(drawn.numpy().T)[np.triu_indices(G, 1)]
    assert together.mean() > 0.5


def sequences(rows: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Features of a first and of a second stimulus, each of one half of the genes, and the answer to the second one:
    twice as large where the same half was stimulated before. What is stimulated now says nothing of the past."""
    generator = torch.Generator().manual_seed(seed)
    which = torch.randint(0, 2, (2, rows), generator=generator)
    half = torch.arange(G) % 2
    called = torch.nn.functional.pad((half == which[..., None]).float(), (1, 0))  # (2, rows, n)
    src = torch.stack([called, torch.nn.functional.pad(half.float(), (1, 0)).expand_as(called)], -1)
    answer = called[1] * (1 + (which[0] == which[1]).float()[:, None])
    return src[0], src[1], answer


@pytest.fixture(scope="module")
def remembering() -> tuple[ResponseNet, ResponseNet]:
    """Two nets alike, trained on the second answer: one is told the first stimulus by a call before, one is not."""
    first, second, answer = sequences(64, seed=0)
    mask = torch.ones(first.shape[:2], dtype=torch.bool)
    made = []
    for told in (True, False):
        torch.manual_seed(0)
        words = {"memory_size": 8, "memory_dim": 10, "num_memory_types": 2, "carry_memory": True}
        cell = MODELS["CellularMemoryModel"](**SHAPE | {"token_dim": 2}, **words)
        net = ResponseNet(cell)
        groups = ResponseTraining(
            net, ResponseOptions(learning_rate=5e-3), seed=0, steps=9
        ).configure_optimizers()
        for _ in range(150):
            cell.reset_memory()
            state = net(first, mask).info["memory"]["state"] if told else None
            cell.reset_memory()
            loss = (net(second, mask, previous_states=state).delta - answer).square().mean()
            groups["optimizer"].zero_grad()
            loss.backward()
            groups["optimizer"].step()
        made.append(net.eval())
    return made[0], made[1]


@torch.no_grad()
def test_a_model_told_the_sequence_beats_one_that_is_not(remembering) -> None:
    first, second, answer = sequences(200, seed=1)
    mask = torch.ones(first.shape[:2], dtype=torch.bool)
    errors = []
    for net, told in zip(remembering, (True, False), strict=True):
        net.cell.reset_memory()
        state = net(first, mask).info["memory"]["state"] if told else None
        net.cell.reset_memory()
        errors.append(float((net(second, mask, previous_states=state).delta - answer)[:, 1:].square().mean()))
    assert errors[1] > 0.1  # one that does not know the past can but halve the difference
    assert errors[0] < 0.3 * errors[1]


@torch.no_grad()
def test_what_is_carried_is_what_is_passed(remembering) -> None:
    first, second, _ = sequences(20, seed=2)
    mask = torch.ones(first.shape[:2], dtype=torch.bool)
    net = remembering[0]
    net.cell.reset_memory()
    state = net(first, mask).info["memory"]["state"]
    carried = net(second, mask).delta
    assert torch.equal(carried, net(second, mask, previous_states=state).delta)
    net.cell.reset_memory()
    assert not torch.allclose(net(second, mask).delta, carried, atol=1e-2)


def test_what_does_not_fit_is_refused(tmp_path) -> None:
    net, rows = made(), planted(4, seed=0).tensors
    for words, told in (
        ({"sr": rows["src"]}, "has no word 'sr'; did you mean 'src'"),
        ({"mask": rows["mask"]}, "src is needed"),
        ({**rows, "target": rows["target"][:, 1:]}, "target: got shape"),
        ({**rows, "target": rows["target"][1:]}, "target: expected 4 rows, got 3"),
        ({**rows, "src": rows["src"][..., 0]}, "src: expected"),
        ({**rows, "cells": rows["target"]}, "cells: got shape"),
    ):
        with pytest.raises(ValueError, match=told):
            ResponseData(**words)
    trainer = TrainerOptions(max_steps=1, batch_size=1)
    for words, told in (
        ({"energy_weight": 1.0}, "energy_weight: the rows have no 'cells'"),
        ({"draws": 2}, "StateEmbeddingModel has no noise to draw"),
    ):
        with pytest.raises(ValueError, match=told):
            train_response(
                net, ResponseData(**rows), ResponseOptions(**words), trainer, out=tmp_path / "x", seed=0
            )
    with pytest.raises(ValueError, match="has no input 'time_step'"):
        net(rows["src"], rows["mask"], time_step=torch.ones(4))
    for words, told in (
        ({"squared_weight": 0.0}, "expected at least one above 0"),
        ({"draws": 0}, "draws: expected a number >= 1"),
        ({"gate_rate": 0.0}, "gate_rate: expected a number > 0"),
    ):
        with pytest.raises(DataError, match=told):
            ResponseOptions(**words)
