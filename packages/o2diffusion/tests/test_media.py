"""Schedules, the three-phase response, its units and gradients, and the two numbers read off it."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from o2diffusion.media import (
    PROFILE,
    DrugAwareMediaChangeModule,
    MediaChangeSchedule,
    curve_metrics,
    media_effect,
    response_metrics,
    stack_schedules,
)


@pytest.fixture
def media() -> DrugAwareMediaChangeModule:
    torch.manual_seed(0)
    return DrugAwareMediaChangeModule(6, 16, c_ref=0.3)


def _inputs(b=3, dtype=torch.float32):
    g = torch.Generator().manual_seed(1)
    return torch.randn(b, 6, generator=g, dtype=dtype), torch.tensor([0.0, 1.0, float("nan")], dtype=dtype)[
        :b
    ]


def test_schedule_sorts_merges_and_refuses():
    schedule = MediaChangeSchedule().add_change(120, drug_containing=False).add_change(48)
    schedule.add_change(120.0, drug_containing=True).add_change(200, drug_containing=False)
    assert schedule.times_h == (48.0, 120.0, 200.0)
    assert schedule.drug_containing == (True, True, False)
    assert len(schedule) == 3
    for wrong in (math.nan, math.inf):
        with pytest.raises(ValueError, match="finite time"):
            schedule.add_change(wrong)


def test_schedules_become_padded_tensors():
    times, mask, drug = stack_schedules([MediaChangeSchedule([5, 2]), MediaChangeSchedule()], 3)
    assert times.tolist() == [[2, 5, 0], [0, 0, 0]]
    assert mask.tolist() == drug.tolist() == [[True, True, False], [False] * 3]
    assert MediaChangeSchedule().to_tensors()[0].shape == (1, 0)
    with pytest.raises(ValueError, match="at most 1 media changes, got a schedule of 2"):
        MediaChangeSchedule([1, 2]).to_tensors(1)


def test_profile_is_physical(media):
    profile = media.get_media_response_profile(*_inputs())
    assert tuple(profile) == PROFILE
    assert all(value.shape == (3,) for value in profile.values())
    assert ((profile["recovery_tau"] > 1) & (profile["recovery_tau"] < 9)).all()
    assert ((profile["adaptation_tau"] > 7) & (profile["adaptation_tau"] < 60)).all()
    media.oxygen_scale.fill_(30.0)
    media.time_scale_h.fill_(0.1)
    scaled = media.get_media_response_profile(*_inputs())
    for name, factor in zip(PROFILE, (30.0, 0.1, 0.1, 30.0), strict=True):
        torch.testing.assert_close(scaled[name], factor * profile[name])


def test_extreme_weights_stay_bounded(media):
    with torch.no_grad():
        for p in media.parameters():
            p.mul_(1e4)
    profile = media.get_media_response_profile(*_inputs())
    assert all(torch.isfinite(value).all() for value in profile.values())
    assert (profile["recovery_tau"] > 0.1).all()
    assert (profile["spike_magnitude"].abs() <= 10).all()


def test_control_keeps_the_sign_of_its_effect(media):
    # the first plan's factor 1 + log(c + 1e-6) / 10 is -0.38 at c = 0
    embedding = _inputs()[0]
    control = media.get_media_response_profile(embedding, torch.zeros(3))["spike_magnitude"]
    dosed = media.get_media_response_profile(embedding, torch.full((3,), 1e-6))["spike_magnitude"]
    torch.testing.assert_close(control, dosed, rtol=1e-3, atol=1e-4)


def test_effect_is_zero_before_the_spike_at_the_change_and_the_adaptation_at_last(media):
    time = torch.tensor([[-1e9, -0.001, 0.0, 1e6]]).expand(3, -1)
    effect, profile = media.compute_media_effect(time, *_inputs())
    assert (effect[:, :2] == 0).all()
    torch.testing.assert_close(effect[:, 2], profile["spike_magnitude"])
    torch.testing.assert_close(effect[:, 3], profile["secondary_magnitude"])
    any_shape, _ = media.compute_media_effect(time.reshape(3, 2, 2), *_inputs())
    assert torch.equal(any_shape.flatten(1), effect)


def test_effects_of_several_changes_add_up(media):
    embedding, c = _inputs()
    times = torch.linspace(0, 100, 51).expand(3, -1)
    change = torch.tensor([[10.0, 60.0]]).expand(3, -1)
    on = torch.ones(3, 2, dtype=torch.bool)
    total = media(times, change, on, embedding, c)
    each = [media.compute_media_effect(times - at, embedding, c)[0] for at in (10.0, 60.0)]
    torch.testing.assert_close(total, each[0] + each[1])
    assert (total[:, times[0] < 10] == 0).all()
    order = media(times, change.flip(1), on, embedding, c)
    torch.testing.assert_close(order, total)


def test_changes_that_are_padded_or_after_the_end_add_nothing_and_one_long_before_only_adapts(media):
    embedding, c = _inputs()
    times = torch.linspace(0, 100, 51).expand(3, -1)
    change = torch.tensor([[10.0, math.nan, 500.0]]).expand(3, -1)
    on = torch.tensor([[True, False, True]]).expand(3, -1)
    alone = media(times, change[:, :1], on[:, :1], embedding, c)
    torch.testing.assert_close(media(times, change, on, embedding, c), alone)
    none = torch.zeros(3, 0)
    assert (media(times, none, none.bool(), embedding, c) == 0).all()
    early = media(times, torch.full((3, 1), -1e5), on[:, :1], embedding, c)
    later = media.get_media_response_profile(embedding, c)["secondary_magnitude"]
    torch.testing.assert_close(early, later[:, None].expand_as(early))


def test_each_change_may_have_its_own_medium(media):
    embedding, c = _inputs()
    times = torch.linspace(0, 50, 26).expand(3, -1)
    change = torch.tensor([[5.0, 20.0]]).expand(3, -1)
    on = torch.ones(3, 2, dtype=torch.bool)
    same = media(times, change, on, embedding[:, None].expand(-1, 2, -1), c[:, None].expand(-1, 2))
    torch.testing.assert_close(same, media(times, change, on, embedding, c))
    dosed = torch.stack([torch.zeros(3), torch.full((3,), 5.0)], dim=1)
    mixed = media(times, change, on, embedding[:, None].expand(-1, 2, -1), dosed)
    first = media(times, change[:, :1], on[:, :1], embedding, torch.zeros(3))
    torch.testing.assert_close(mixed[:, :10], first[:, :10])


def test_gradients_are_finite_far_before_and_after(media):
    embedding, c = _inputs()
    times = torch.tensor([[-1e30, -5.0, 0.0, 3.0, 1e30]]).expand(3, -1)
    change = torch.tensor([[0.0, math.inf]]).expand(3, -1)
    media(times, change, torch.tensor([[True, False]]).expand(3, -1), embedding, c).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in media.parameters())
    assert all((p.grad != 0).any() for name, p in media.named_parameters() if "bias" in name)


def test_effect_has_exact_gradients():
    time = torch.tensor([[-1.0, 0.5, 4.0], [-100.0, 2.0, 90.0]], dtype=torch.float64)
    values = torch.tensor([[2.0, -1.0], [3.0, 0.3], [20.0, 8.0], [0.4, 0.0]], dtype=torch.float64)
    values.requires_grad_()
    assert gradcheck(lambda v: media_effect(time, dict(zip(PROFILE, v, strict=True))), (values,))


@settings(deadline=None, max_examples=30)
@given(st.floats(1, 50), st.floats(0.5, 12))
def test_metrics_of_a_pure_decay_are_known(size, tau):
    value = torch.tensor([size, tau, 20.0, 0.0], dtype=torch.float64)[:, None]
    height, decay = response_metrics(dict(zip(PROFILE, value, strict=True)))
    assert float(height) == pytest.approx(size)
    assert float(decay) == pytest.approx(tau * math.log(2), rel=0.01)


def test_metrics_of_a_curve_with_a_delayed_peak_and_of_one_that_never_falls():
    time = torch.linspace(0, 30, 301)
    rise = torch.exp(-((time - 4) ** 2) / 8)
    height, decay = curve_metrics(time, torch.stack([rise, time, -rise]))
    assert height[0] == pytest.approx(1.0)
    assert decay[0] == pytest.approx(math.sqrt(8 * math.log(2)), abs=0.02)
    assert torch.isnan(decay[1:]).all()
    assert height[1] == 15.0
    dip = torch.tensor([0.0, 2.0, 0.4, 2.0, 0.0])
    assert np.isclose(float(curve_metrics(torch.arange(5.0), dip)[1]), 1 / 1.6)
