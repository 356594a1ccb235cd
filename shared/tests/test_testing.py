"""Each invariant passes on a module that has it and fails, readably, on one that has not."""

import math

import pytest
import torch
from torch import nn

from cytosol import testing
from cytosol.masking import masked_mean


class Pointwise(nn.Module):
    """Has every invariant: each place alone, and a masked mean over places."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 4)
        self.norm = nn.BatchNorm1d(4)
        self.drop = nn.Dropout(0.5)

    def forward(self, x, mask):
        x = torch.where(mask[..., None], x, 0.0)
        h = self.drop(self.norm(self.layer(x).transpose(1, 2)).transpose(1, 2))
        return {"places": h, "pooled": masked_mean(h, mask[..., None], 1)}


class Wrong(nn.Module):
    """Has none: reads padding, its batch, its order, and leaves a parameter unused."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 4)
        self.unused = nn.Parameter(torch.zeros(2))

    def forward(self, x, mask):
        h = self.layer(x) + x.mean((0, 1)).sum() + torch.arange(x.shape[1])[:, None]
        return h, h.mean(1)


def inputs():
    generator = torch.Generator().manual_seed(0)
    mask = torch.ones(3, 5, dtype=torch.bool)
    mask[0, 3:] = mask[2, 1:] = False
    return {"x": torch.randn(3, 5, 3, generator=generator), "mask": mask}


ORDER = {"dims": {"x": 1, "mask": 1}}


def test_a_module_that_has_them_passes_all():
    torch.manual_seed(0)
    module = Pointwise().train()
    state = {key: value.clone() for key, value in module.state_dict().items()}
    testing.assert_padding_invariant(module, inputs(), garbage=math.nan)
    testing.assert_batch_independent(module, inputs())
    testing.assert_every_parameter_trains(module, inputs())
    testing.assert_state_round_trip(module, Pointwise, inputs())
    testing.assert_permutation_equivariant(Places(), inputs(), **ORDER, out_dim=1)
    testing.assert_permutation_equivariant(Pooled(), inputs(), **ORDER, out_dim=None)
    assert all(part.training for part in module.modules())
    assert all(torch.equal(state[key], value) for key, value in module.state_dict().items())
    assert all(p.grad is None for p in module.parameters())


class Places(nn.Module):
    def forward(self, x, mask):
        return x * mask[..., None]


class Pooled(nn.Module):
    def forward(self, x, mask):
        return masked_mean(x, mask[..., None], 1)


@pytest.mark.parametrize(
    ("check", "match"),
    [
        (
            lambda: testing.assert_padding_invariant(Wrong(), inputs()),
            r"padding leaks into output\[0\] of Wrong",
        ),
        (
            lambda: testing.assert_batch_independent(Wrong(), inputs()),
            r"row 0 of output\[0\] of Wrong depends",
        ),
        (
            lambda: testing.assert_permutation_equivariant(Wrong(), inputs(), **ORDER, out_dim=1),
            "depends on the order of x, mask",
        ),
        (
            lambda: testing.assert_every_parameter_trains(Wrong(), inputs()),
            r"parameters of Wrong without a usable gradient: unused \(none\)",
        ),
        (
            lambda: testing.assert_state_round_trip(Forgetful(), Forgetful, inputs()),
            "output of Forgetful changed by saving",
        ),
    ],
)
def test_a_module_that_has_not_fails_and_is_named(check, match):
    with pytest.raises(AssertionError, match=match):
        check()


class Forgetful(nn.Module):
    """Keeps what it drew outside its state."""

    def __init__(self):
        super().__init__()
        self.scale = torch.randn(())

    def forward(self, x, mask):
        return x * self.scale


def test_padded_places_of_the_output_are_not_compared():
    testing.assert_padding_invariant(Same(), inputs())


class Same(nn.Module):
    def forward(self, x, mask):
        return x


def test_a_mask_without_padding_tests_nothing_and_says_so():
    full = {**inputs(), "mask": torch.ones(3, 5, dtype=torch.bool)}
    with pytest.raises(AssertionError, match="give inputs with some padding"):
        testing.assert_padding_invariant(Pointwise(), full)


def test_a_gradient_that_is_not_finite_is_a_fault():
    class Root(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.zeros(1))

        def forward(self, x, mask):
            return (x * self.w).square().sum((1, 2)).sqrt()

    with pytest.raises(AssertionError, match=r"w \(not finite\)"):
        testing.assert_every_parameter_trains(Root(), inputs())


def test_named_and_frozen_parameters_are_left_out():
    module = Wrong()
    testing.assert_every_parameter_trains(module, inputs(), but=("unused",))
    module.unused.requires_grad_(False)
    testing.assert_every_parameter_trains(module, inputs())
