"""The U-Net along time: any length, any number of replicates, no trace of padding."""

import pytest
import torch
from torch import nn

from cytosol import testing
from o2diffusion.unet import AdaptiveReplicateUNet

MASK = torch.tensor([[True, True, False], [True, False, False]])


class ByReplicate(nn.Module):
    """The net on curves (b, r, t, d), as the helpers want them: batch and replicates first."""

    def __init__(self, widths=(8, 12, 16), patch=1):
        super().__init__()
        torch.manual_seed(0)
        self.inner = AdaptiveReplicateUNet(3, 2, 5, widths, patch=patch)
        for name, parameter in self.inner.named_parameters():
            if "film" in name:  # it starts at zero, and would let no gradient through to the condition
                nn.init.normal_(parameter, std=0.1)

    def forward(self, x, mask, cond):
        return self.inner(x.transpose(1, 2), mask, cond).transpose(1, 2)


def inputs(t=24):
    generator = torch.Generator().manual_seed(1)
    return {
        "x": torch.randn(2, 3, t, 3, generator=generator),
        "mask": MASK,
        "cond": torch.randn(2, 5, generator=generator),
    }


@pytest.mark.parametrize("patch", [1, 4])
@pytest.mark.parametrize("garbage", [1e3, float("nan")])
def test_padded_replicates_change_nothing_and_come_out_zero(patch, garbage):
    module = ByReplicate(patch=patch)
    testing.assert_padding_invariant(module, inputs(), garbage=garbage)
    spoilt = inputs()
    spoilt["x"][~MASK] = garbage
    assert (module(**spoilt)[~MASK] == 0).all()


@pytest.mark.parametrize("patch", [1, 4])
def test_replicates_in_another_order_come_out_in_that_order(patch):
    testing.assert_permutation_equivariant(
        ByReplicate(patch=patch), inputs(), dims={"x": 1, "mask": 1}, out_dim=1
    )


@pytest.mark.parametrize("patch", [1, 4])
@pytest.mark.parametrize("t", [1, 5, 23, 24, 25, 127])
@pytest.mark.parametrize("widths", [(8,), (8, 12), (8, 12, 16)])
def test_every_length_comes_out_as_it_came_in(widths, t, patch):
    found = ByReplicate(widths, patch)(**inputs(t))
    assert found.shape == (2, 3, t, 2)
    assert found.isfinite().all()


def test_a_condition_does_not_depend_on_its_batch_nor_on_how_many_padded_replicates_there_are():
    module = ByReplicate()
    testing.assert_batch_independent(module, inputs())
    given = inputs()
    wide = {
        "x": torch.cat([given["x"], torch.full((2, 1, 24, 3), 7.0)], dim=1),
        "mask": torch.cat([MASK, torch.zeros(2, 1, dtype=torch.bool)], dim=1),
        "cond": given["cond"],
    }
    torch.testing.assert_close(module(**wide)[:, :3], module(**given), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("patch", [1, 4])
def test_every_parameter_trains(patch):
    testing.assert_every_parameter_trains(ByReplicate(patch=patch), inputs())


def test_the_number_of_parameters_does_not_depend_on_replicates_or_length():
    module = ByReplicate()
    for r, t in ((1, 16), (4, 64)):
        x, mask = torch.randn(2, r, t, 3), torch.ones(2, r, dtype=torch.bool)
        assert module(x, mask, torch.randn(2, 5)).shape == (2, r, t, 2)


@pytest.mark.parametrize("patch", [1, 4])
def test_inputs_may_be_entered_apart(patch):
    """The entry is linear: what stays the same from call to call can be entered once."""
    module, given = ByReplicate(patch=patch), inputs(t=23)
    x = given["x"].transpose(1, 2)
    entered = module.inner.enter(x[..., 1:], MASK, before=1)
    found = module.inner(x[..., :1], MASK, given["cond"], entered).transpose(1, 2)
    torch.testing.assert_close(found, module(**given))
