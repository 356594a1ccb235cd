"""Noise levels follow the data; a curriculum advances when the net has learned, and never stands still."""

import math

import pytest
import torch

from stedm.curriculum import Curriculum, p_mean, training_levels


def test_the_median_level_moves_with_sigma_data():
    assert p_mean(0.5) == pytest.approx(-1.2)
    assert math.exp(p_mean(0.157)) / 0.157 == pytest.approx(math.exp(-1.2) / 0.5)
    with pytest.raises(ValueError, match="constant"):
        p_mean(0.0)


def test_levels_are_log_normal_where_the_bounds_are_far():
    draw = training_levels(
        20_000,
        lowest=1e-6,
        highest=1e6,
        p_std=1.2,
        generator=torch.Generator().manual_seed(0),
        sigma_data=0.157,
    ).log()
    assert float(draw.mean()) == pytest.approx(p_mean(0.157), abs=0.03)
    assert float(draw.std()) == pytest.approx(1.2, abs=0.03)


def test_levels_stay_within_their_bounds_without_piling_up():
    level = training_levels(
        5000, lowest=0.1, highest=2.0, p_std=1.2, generator=torch.Generator().manual_seed(0)
    )
    assert level.min() >= 0.1
    assert level.max() <= 2.0
    assert len(level.unique()) > 4900


def test_a_stage_ends_when_its_highest_levels_are_learned():
    start = Curriculum((2.0, 4.0, 8.0), patience=3)
    assert start.highest == 2.0
    assert start.after(0.5).stage == 0
    assert start.after(0.95).highest == 4.0
    assert start.after(1.2).stage == 0


def test_a_stage_ends_when_nothing_comes_of_it():
    state = Curriculum((2.0, 4.0), patience=3)
    stages = []
    for _ in range(6):
        state = state.after(0.03)
        stages.append(state.stage)
    assert stages == [0, 0, 0, 1, 1, 1]
    assert state.done


def test_progress_takes_back_the_stall_count():
    state = Curriculum((2.0, 4.0), patience=2)
    for ratio in (0.1, 0.2, 0.3, 0.4, 0.5):
        state = state.after(ratio)
        assert (state.stage, state.stall) == (0, 0)
    assert state.after(math.nan).stall == 1
