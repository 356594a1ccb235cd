"""What each part claims, beside what all keep: its own biology, against values known from elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from virtualcell.options import (
    HierarchyOptions,
    MemoryOptions,
    RegulationOptions,
    ScaleOptions,
    StochasticOptions,
    TemporalOptions,
)
from virtualcell.part import Part, Room, Stage
from virtualcell.parts import (
    Hierarchy,
    Memory,
    Regulation,
    Resources,
    Scales,
    Stochastic,
    Temporal,
    __all__,
)
from virtualcell.parts.regulation import SHARP

ROOM = Room(16, 4)
B, N = 2, 6


def made(part: type[Part], options=None) -> Part:
    torch.manual_seed(0)
    return part(ROOM, options or part.Options()).eval()


def cells(seed=0) -> tuple[torch.Tensor, torch.Tensor]:
    h = torch.randn(B, N, ROOM.d_model, generator=torch.Generator().manual_seed(seed))
    return h, torch.ones(B, N, dtype=torch.bool)


def changed(h: torch.Tensor, token: int) -> torch.Tensor:
    other = h.clone()
    other[:, token] += 1.0 * torch.arange(h.shape[-1]) % 3
    return other


def test_seven_parts_of_different_names() -> None:
    assert len(__all__) == 7
    assert (
        len({part.name for part in Part.__subclasses__() if part.__module__.startswith("virtualcell")}) == 7
    )


# pathways


def hierarchy(**words) -> Part:
    return made(Hierarchy, HierarchyOptions(num_pathways=4, num_compartments=2, pathway_dim=8, **words))


def test_genes_of_different_pathways_do_not_hear_each_other_without_crosstalk() -> None:
    part = hierarchy()
    with torch.no_grad():
        part.group_query.weight.zero_()
        part.hub_key_value.weight.zero_()
        part.hub_key_value.bias.zero_()
    ids = torch.tensor([[-1, 0, 0, 1, 1, -1]]).expand(B, N)
    h, mask = cells()
    before, after = (part(x, mask, pathway_ids=ids)[0] for x in (h, changed(h, 1)))
    moved = ~torch.isclose(before, after, atol=1e-6).all(-1)[0]
    assert moved.tolist() == [True, True, True, False, False, False]  # the cell token hears all


def test_pathways_speak_to_each_other_through_hubs() -> None:
    part, (h, mask) = hierarchy(), cells()
    ids = torch.tensor([[-1, 0, 0, 1, 1, -1]]).expand(B, N)
    before, after = (part(x, mask, pathway_ids=ids)[0] for x in (h, changed(h, 1)))
    assert not torch.allclose(before[:, 3], after[:, 3], atol=1e-6)
    assert not bool(before[:, 5].any())  # a gene without a pathway is left alone


def test_a_gene_may_be_in_many_pathways_in_any_order() -> None:
    part, (h, mask) = hierarchy(), cells()
    ids = torch.randint(-1, 4, (B, N, 3))
    a, b = (part(h, mask, pathway_ids=x)[0] for x in (ids, ids.flip(-1)))
    assert torch.equal(a, b)


def test_a_table_of_genes_says_what_ids_say() -> None:
    table = torch.tensor([[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0]]).float()
    genes = torch.tensor([[-1, 0, 1, 2, 0, 1]]).expand(B, N)
    ids = torch.tensor([[[-1, -1], [0, 3], [1, -1], [-1, -1], [0, 3], [1, -1]]]).expand(B, N, 2)
    h, mask = cells()
    by_table = hierarchy(pathway_info=table)(h, mask, gene_ids=genes)
    assert torch.equal(by_table[0], hierarchy()(h, mask, pathway_ids=ids)[0])
    sparse = hierarchy(pathway_info=table.to_sparse())(h, mask, gene_ids=genes)
    assert torch.equal(by_table[0], sparse[0])


def test_attention_by_pathway_adds_up_along_membership() -> None:
    part, (h, mask) = hierarchy(), cells()
    part.detail = True
    ids = torch.tensor([[-1, 0, 0, 1, 1, -1]]).expand(B, N)
    info = part(h, mask, pathway_ids=ids)[1]
    told = info["pathway_attention"]
    torch.testing.assert_close(told.sum(-1)[:, :5], torch.ones(B, 5))
    assert not bool(told[:, 3, 0].any())
    assert bool((info["pathway_activity"][:, :2] > 0).all())
    assert not bool(info["pathway_activity"][:, 2:].any())


# kinetics


def test_nothing_has_happened_at_time_zero() -> None:
    part, (h, mask) = made(Temporal), cells()
    assert not bool(part(h, mask, time_steps=torch.zeros(B))[0].any())


def test_responses_follow_the_equations() -> None:
    integrate = pytest.importorskip("scipy.integrate")
    part = made(Temporal, TemporalOptions(time_steps=200, temporal_dim=4))
    tau_fast, tau_slow = (tau.detach().numpy().astype(float) for tau in part.taus())
    c = np.log1p(np.exp(part.feedback.detach().numpy().astype(float)))
    drive = torch.tensor([[[1.0, -0.5, 0.3, 0.8]]])

    def slope(_, x):
        f, s = np.split(x, 2)
        return np.concatenate([(drive.numpy()[0, 0] - c * s - f) / tau_fast, (f - s) / tau_slow])

    exact = integrate.solve_ivp(slope, (0, 10.0), np.zeros(8), rtol=1e-8, atol=1e-10).y[:, -1]
    got = torch.cat(part.respond(drive, torch.tensor([10.0])), -1)[0, 0].detach().numpy()
    np.testing.assert_allclose(got, exact, atol=0.01)


@pytest.mark.parametrize("strength", [0.0, 3.0, 50.0])
def test_long_after_a_response_has_settled_whatever_the_feedback(strength) -> None:
    part = made(Temporal, TemporalOptions(temporal_dim=4))
    with torch.no_grad():
        part.feedback.fill_(strength)
    c = torch.nn.functional.softplus(part.feedback)
    fast, slow = part.respond(torch.ones(1, 1, 4), torch.tensor([1e7]))
    torch.testing.assert_close(fast[0, 0], 1 / (1 + c), atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(slow[0, 0], 1 / (1 + c), atol=1e-4, rtol=1e-3)


def test_fast_comes_before_slow_whatever_is_learned() -> None:
    part = made(Temporal)
    with torch.no_grad():
        part.ratio.add_(torch.randn_like(part.ratio) * 10)
        part.log_slow.add_(torch.randn_like(part.log_slow))
    tau_fast, tau_slow = part.taus()
    assert bool((tau_fast <= tau_slow).all())
    fast, slow = made(Temporal).respond(torch.ones(1, 1, 64), torch.tensor([0.5]))
    assert bool((fast > slow).all())


def test_no_time_means_the_horizon() -> None:
    part, (h, mask) = made(Temporal, TemporalOptions(horizon_hours=6.0)), cells()
    assert torch.equal(part(h, mask)[0], part(h, mask, time_steps=torch.full((B,), 6))[0])


# regulation


def test_the_bias_is_on_known_edges_from_target_to_regulator_by_sign() -> None:
    matrix = torch.zeros(5, 5)
    matrix[0, 1], matrix[2, 1] = 2.0, -0.5
    part = made(Regulation, RegulationOptions(gene_interaction_matrix=matrix))
    h, mask = cells()
    bias, info = part(h, mask)
    expected = torch.zeros(B, 4, N, N)  # gene g stands at token g + 1
    expected[:, :, 2, 1], expected[:, :, 2, 3] = 2.0 * SHARP * part.weight[0], 0.5 * SHARP * part.weight[1]
    torch.testing.assert_close(bias, expected)
    assert info["activators"][0].tolist() == [0, 0, 1, 0, 0, 0]
    assert info["repressors"][0].tolist() == [0, 0, 1, 0, 0, 0]
    assert info["targets"][0].tolist() == [0, 1, 0, 1, 0, 0]


def test_edges_follow_genes_to_where_they_stand() -> None:
    matrix = torch.zeros(50, 50)
    matrix[40, 7] = 1.0
    part = made(Regulation, RegulationOptions(gene_interaction_matrix=matrix))
    ids = torch.tensor([[-1, 7, 3, 40, -1, 9], [-1, 40, 3, 1, -1, 7]])
    h, mask = cells()
    bias = part(h, mask, gene_ids=ids)[0]
    assert bias[:, 0].nonzero().tolist() == [[0, 1, 3], [1, 5, 1]]
    mask = mask.clone()
    mask[1, 5] = False
    assert not bool(part(h, mask, gene_ids=ids)[0][1].any())


def test_roles_say_who_may_regulate_whom() -> None:
    matrix = torch.zeros(5, 5)
    matrix[0, 1], matrix[2, 1], matrix[0, 3] = 1.0, 1.0, 1.0
    part = made(Regulation, RegulationOptions(gene_interaction_matrix=matrix))
    h, mask = cells()
    tf, target = mask.clone(), mask.clone()
    tf[:, 3], target[:, 4] = False, False  # gene 2 regulates nothing, gene 3 is regulated by nothing
    bias = part(h, mask, tf_mask=tf, target_mask=target)[0]
    assert bias[0, 0].nonzero().tolist() == [[2, 1]]


def test_without_a_matrix_roles_alone_make_edges_of_unknown_sign() -> None:
    part, (h, mask) = made(Regulation), cells()
    tf, target = torch.zeros_like(mask), torch.zeros_like(mask)
    tf[:, 1], target[:, 3:5] = True, True
    bias = part(h, mask, tf_mask=tf, target_mask=target)[0]
    assert bias[0, 0].nonzero().tolist() == [[3, 1], [4, 1]]
    torch.testing.assert_close(bias[0, :, 3, 1], SHARP * part.weight[2])
    assert not bool(part(h, mask)[0].any())


def test_weak_edges_are_none_and_sparse_matrices_are_read() -> None:
    matrix = torch.zeros(5, 5)
    matrix[0, 1], matrix[2, 1] = 0.2, -0.7
    h, mask = cells()
    options = {"min_strength": 0.5}
    dense, sparse = (
        made(Regulation, RegulationOptions(gene_interaction_matrix=x, **options))(h, mask)[0]
        for x in (matrix, matrix.to_sparse())
    )
    assert torch.equal(dense, sparse)
    assert dense[0, 0].nonzero().tolist() == [[2, 3]]


# memory


def test_what_is_carried_changes_the_next_call_and_fades() -> None:
    part, (h, mask) = made(Memory, MemoryOptions(memory_dim=20, memory_size=9)), cells()
    blank, info = part(h, mask)
    after, _ = part(h, mask, previous_states=info["state"])
    assert not torch.allclose(blank, after, atol=1e-4)
    assert bool((info["state"].abs() <= 1).all())
    with torch.no_grad():
        part.write.weight.zero_()
        part.write.bias.zero_()
    state = torch.cat([torch.ones(B, 20), torch.full((B, 3), 1 / 3)], -1)
    kept = part(h, mask, previous_states=state)[1]["state"][0, :20].detach()
    torch.testing.assert_close(kept, part.decay)
    assert bool((kept.diff() >= 0).all())  # from short to long memory
    assert float(kept[0]) == pytest.approx(0.9)
    assert float(kept[-1]) == pytest.approx(0.9 ** (1 / 256))


def test_epigenetic_chances_stay_chances_and_change_slowly() -> None:
    part, (h, mask) = made(Memory, MemoryOptions(memory_dim=20, memory_size=9)), cells()
    state = torch.cat([torch.zeros(B, 20), torch.tensor([[1.0, 0, 0], [0, 1.0, 0]])], -1)
    chance = part(h, mask, previous_states=state)[1]["epigenetic"]
    torch.testing.assert_close(chance.sum(-1), torch.ones(B))
    assert chance.argmax(-1).tolist() == [0, 1]


def test_a_model_that_carries_goes_on_until_it_is_reset() -> None:
    part = made(Memory, MemoryOptions(memory_dim=20, memory_size=9, carry_memory=True))
    h, mask = cells()
    first, second = (part(h, mask)[0] for _ in range(2))
    assert not torch.allclose(first, second, atol=1e-5)
    with pytest.raises(ValueError, match="the last call left 2 cells, this one has 1"):
        part(h[:1], mask[:1])
    part.reset()
    assert torch.equal(part(h, mask)[0], first)


# noise


def test_noise_of_both_kinds_has_the_size_that_is_told() -> None:
    part, (h, mask) = made(Stochastic, StochasticOptions(noise_dim=8)), cells()
    generator = torch.Generator().manual_seed(0)
    mean = part(h, mask)[0]
    draws = torch.stack([part(h, mask, generator=generator)[0] - mean for _ in range(1000)]).detach()
    told = part(h, mask)[1]
    torch.testing.assert_close(draws.square().mean((0, -1)).sqrt(), told["uncertainty"], atol=0.0, rtol=0.1)
    torch.testing.assert_close(
        told["uncertainty"].square(), told["intrinsic"].square() + told["extrinsic"].square()
    )
    assert float(draws.mean().abs()) < 0.02


def test_genes_share_extrinsic_noise_and_no_other() -> None:
    part, (h, mask) = made(Stochastic, StochasticOptions(noise_dim=8)), cells()
    same = h[:, :1].expand(-1, N, -1).contiguous()
    with torch.no_grad():
        part.size.weight.zero_()
        part.size.bias[:4] = -30.0  # no intrinsic noise
    drawn = part(same, mask, generator=torch.Generator().manual_seed(0))[0]
    torch.testing.assert_close(drawn, drawn[:, :1].expand_as(drawn))
    assert not torch.allclose(drawn[0], drawn[1])  # cells are noisy apart
    with torch.no_grad():
        part.size.bias[:4], part.size.bias[4:] = 0.0, -30.0
    drawn = part(same, mask, generator=torch.Generator().manual_seed(0))[0]
    assert not torch.allclose(drawn[:, 1], drawn[:, 2], atol=1e-3)


def test_draws_of_a_cell_do_not_depend_on_those_behind_it() -> None:
    part, (h, mask) = made(Stochastic), cells()
    whole, first = (part(h[:k], mask[:k], generator=torch.Generator().manual_seed(3))[0] for k in (B, 1))
    torch.testing.assert_close(whole[:1], first)


def test_evaluation_is_the_mean_and_training_draws() -> None:
    part, (h, mask) = made(Stochastic), cells()
    assert torch.equal(part(h, mask)[0], part(h, mask)[0])
    part.train()
    assert not torch.equal(part(h, mask)[0], part(h, mask)[0])


# resources


def test_what_is_spent_is_taken_from_the_stores_and_nothing_is_lost() -> None:
    part, (h, mask) = made(Resources), cells()
    energy, resource = torch.rand(B, 1), torch.rand(B, 5)
    for _ in range(5):
        _, info = part(h, mask, previous_energy_state=energy, previous_resource_state=resource)
        before = energy.sum(-1) + resource.sum(-1)
        after = info["energy_state"].sum(-1) + info["resource_state"].sum(-1) + info["spent"].sum(-1)
        torch.testing.assert_close(after, before)
        assert bool((info["energy_state"] >= 0).all())
        assert bool((info["resource_state"] >= 0).all())
        energy, resource = info["energy_state"].detach(), info["resource_state"].detach()


def test_burning_turns_resources_into_energy() -> None:
    part, (h, mask) = made(Resources), cells()
    with torch.no_grad():
        part.demand.weight.zero_()
        part.demand.bias.fill_(-60.0)  # nobody asks for anything
    info = part(h, mask, previous_energy_state=torch.zeros(B, 1), previous_resource_state=torch.ones(B, 5))[1]
    torch.testing.assert_close(info["energy_state"][:, 0], info["burnt"])
    torch.testing.assert_close(info["resource_state"].sum(-1), 5 - info["burnt"])


def test_the_richer_a_cell_the_less_it_is_held_back() -> None:
    part, (h, mask) = made(Resources), cells()
    held = []
    for level in (0.0, 0.1, 1.0, 1e6):
        energy, resource = torch.full((B, 1), level), torch.full((B, 5), level)
        delta, info = part(h, mask, previous_energy_state=energy, previous_resource_state=resource)
        held.append((float(delta.detach().norm()), float(info["satisfied"].mean())))
    assert [x for x, _ in held] == sorted((x for x, _ in held), reverse=True)
    assert [x for _, x in held] == sorted(x for _, x in held)
    assert held[0][1] == 0.0
    assert held[-1][0] < 1e-3
    assert held[-1][1] == pytest.approx(1.0, abs=1e-4)


# scales


def test_a_group_hears_its_genes_and_the_cell_hears_all() -> None:
    part, (h, mask) = made(Scales, ScaleOptions(num_pathway_groups=4)), cells()
    groups = torch.tensor([[-1, 0, 0, 1, 1, -1]]).expand(B, N)
    before, after = (part(x, mask, pathway_groups=groups)[1] for x in (h, changed(h, 1)))
    told = ~torch.isclose(before["pathway"], after["pathway"], atol=1e-6)[0]
    assert told.tolist() == [True, False, False, False]
    assert not torch.allclose(before["cellular"], after["cellular"], atol=1e-6)
    assert bool(part(h, mask)[0].isfinite().all())  # molecules and the cell alone


def test_every_part_says_where_it_acts() -> None:
    stages = {part: part.stage for part in Part.__subclasses__()}
    assert stages[Regulation] is Stage.ATTENTION
    assert {stages[Stochastic], stages[Resources]} == {Stage.OUTPUT}
    assert {stages[Hierarchy], stages[Temporal], stages[Memory], stages[Scales]} == {Stage.HIDDEN}
