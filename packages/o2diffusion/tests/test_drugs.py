"""The control is one point, an unknown drug is the average, no dose is too large."""

import pytest
import torch

from o2diffusion.drugs import DoseScale, DrugEncoder, match_drug, set_dose_reference


@pytest.fixture
def encoder() -> DrugEncoder:
    torch.manual_seed(0)
    encoder = DrugEncoder(4, 8, c_ref=0.3)
    torch.nn.init.normal_(encoder.control)
    torch.nn.init.normal_(encoder.not_given)
    return encoder


def test_at_concentration_zero_every_drug_is_the_control(encoder):
    drug = torch.tensor([-1, 0, 1, 2, 3])
    assert torch.equal(encoder(drug, torch.zeros(5)), encoder.control.expand(5, -1))


def test_drugs_differ_at_a_dose_and_leave_the_control_continuously(encoder):
    drug = torch.arange(4)
    far = encoder(drug, torch.full((4,), 3.0))
    assert torch.pdist(far).min() > 1e-2
    near = encoder(drug, torch.full((4,), 1e-6))
    assert (near - encoder.control).abs().max() < 1e-5


def test_unknown_drug_is_the_mean_of_drugs_with_opposite_offsets(encoder):
    with torch.no_grad():
        encoder.offset[1] = -encoder.offset[0]
    known = encoder(torch.tensor([0, 1]), torch.full((2,), 2.0))
    unknown = encoder(torch.tensor([-1]), torch.tensor([2.0]))
    torch.testing.assert_close(known.mean(0), unknown[0])


def test_a_missing_concentration_is_neither_zero_nor_nan(encoder):
    out = encoder(torch.tensor([0, 1]), torch.tensor([float("nan")] * 2))
    assert torch.isfinite(out).all()
    assert (out - encoder.control).abs().min(dim=1).values.max() > 0
    assert not torch.allclose(out[0], out[1])
    out.sum().backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in encoder.parameters())


@pytest.mark.parametrize("c", [1e6, 1e30, float("inf")])
def test_extreme_doses_are_bounded(encoder, c):
    out = encoder(torch.tensor([0]), torch.tensor([c]))
    assert torch.isfinite(out).all()
    assert (out - encoder(torch.tensor([0]), torch.tensor([1e5]))).abs().max() < 1.0


def test_dose_rises_with_concentration_and_knows_its_reference():
    dose = DoseScale(0.3)
    level = dose(torch.tensor([0.0, 0.1, 0.3, 1.0, 22.5, 1000.0]))[:, 0]
    assert level[0] == 0
    assert (level.diff() > 0).all()
    set_dose_reference(torch.nn.ModuleList([dose]), 3.0)
    torch.testing.assert_close(dose(torch.tensor([3.0]))[:, 0], level[2:3])


def test_negative_concentrations_and_wrong_indices_are_refused(encoder):
    with pytest.raises(ValueError, match="at least 0 uM, got -1"):
        encoder(torch.tensor([0]), torch.tensor([-1.0]))
    for wrong in (-2, 4):
        with pytest.raises(ValueError, match="indices from -1 to 3"):
            encoder(torch.tensor([wrong]), torch.tensor([1.0]))
    with pytest.raises(ValueError, match="positive reference"):
        DrugEncoder(1, 4, c_ref=0.0)


def test_no_drug_at_all_works():
    encoder = DrugEncoder(0, 4)
    assert encoder(torch.tensor([-1, -1]), torch.tensor([1.0, float("nan")])).shape == (2, 4)
    assert encoder.penalty() == 0


def test_penalty_pulls_offsets_to_the_average(encoder):
    optimiser = torch.optim.SGD(encoder.parameters(), lr=1.0)
    before = encoder.penalty()
    before.backward()
    optimiser.step()
    assert encoder.penalty() < before
    assert encoder.control.grad is None


def test_a_structure_moves_a_known_and_an_unseen_drug_by_the_projection():
    encoder = DrugEncoder(2, 6, n_bits=16)
    bits = (torch.rand(3, 16, generator=torch.Generator().manual_seed(1)) > 0.5).float()
    drug, c = torch.tensor([-1, 1]), torch.tensor([2.0, 2.0])
    plain = encoder(drug, c)
    encoder.describe(bits[:2])
    encoder.meet(bits[2:])
    level = encoder.dose(c)[:, :1]
    projected = level * encoder.structure(bits / bits.norm(dim=1, keepdim=True))[1:2]
    torch.testing.assert_close(encoder(drug, c)[1:] - plain[1:], projected[:1])
    average, by_structure, stranger = encoder(torch.tensor([-1, 3, 4]), c[:1].expand(3))
    torch.testing.assert_close(average, plain[0])
    torch.testing.assert_close(by_structure - average, projected[0])
    torch.testing.assert_close(
        stranger - average, level[0] * encoder.structure(bits[2] / bits[2].norm()), rtol=1e-4, atol=1e-6
    )
    assert torch.equal(encoder(drug, torch.zeros(2)), encoder.control.expand(2, -1))
    with pytest.raises(ValueError, match=r"\(2, 16\), got \(2, 8\)"):
        encoder.describe(bits[:2, :8])
    with pytest.raises(ValueError, match="from -1 to 4"):
        encoder(torch.tensor([5]), torch.tensor([1.0]))


NAMES = ["Aspirin", "5-FU", "None", "valproic acid"]


@pytest.mark.parametrize(
    ("name", "index"), [(" aspirin ", 0), ("5-fu", 1), ("none", 2), ("Valproic   Acid", 3)]
)
def test_names_match_whatever_their_case_and_spaces(name, index):
    assert match_drug(name, NAMES) == index


def test_an_unknown_name_gets_the_nearest_and_the_way_out():
    with pytest.raises(ValueError, match=r"unknown drug 'asprin': did you mean 'Aspirin'.*--unknown-drug"):
        match_drug("asprin", NAMES)
    with pytest.raises(ValueError, match=r"knows no drug.*--unknown-drug"):
        match_drug("x", [])


def test_names_that_differ_by_case_only_need_the_exact_one():
    assert match_drug("dmso", ["DMSO", "dmso"]) == 1
    with pytest.raises(ValueError, match="'DMSO', 'dmso'"):
        match_drug("Dmso", ["DMSO", "dmso"])
