"""Defaults, presets and ranges of the configuration, as a recipe sees them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cytosol.config import load, show, to_dict
from o2diffusion.config import PRESETS, AdaptConfig, Config, ModelConfig, TrainConfig


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_named_on_the_command_line_sets_the_widths(preset: str) -> None:
    model = load(Config, overrides=[f"model.preset={preset}"]).model
    assert (model.encoder_levels, model.denoiser_levels) == PRESETS[preset]
    given = load(Config, overrides=[f"model.preset={preset}", "model.widths=[8,16]"]).model
    assert (given.encoder_levels, given.denoiser_levels) == ((8, 16), PRESETS[preset][1])


def test_a_resolved_model_names_its_widths_and_stays_the_same() -> None:
    model = ModelConfig(preset="paper").resolved()
    assert (model.widths, model.denoiser_widths) == PRESETS["paper"]
    assert model.resolved() == model
    assert replace(model, preset="small").encoder_levels == PRESETS["paper"][0]


def test_what_is_shown_is_read_back(tmp_path) -> None:
    config = load(Config, overrides=["seed=4", "simulation.drugs=3", "trainer.max_minutes=2.5"])
    (tmp_path / "a.yaml").write_text(show(config))
    assert load(Config, file=tmp_path / "a.yaml") == config


def test_adapting_is_shorter_and_gentler_and_otherwise_the_same() -> None:
    plain, adapt = Config(), AdaptConfig()
    assert adapt.trainer.max_steps < plain.trainer.max_steps
    assert adapt.train.learning_rate < plain.train.learning_rate
    assert to_dict(adapt).keys() == to_dict(plain).keys()
    assert adapt.model == plain.model


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("seed=-1", "seed"),
        ("model.widths=[6]", "multiples of 4"),
        ("model.cells=8", "cells"),
        ("model.max_replicates=3", "takes no more"),
        ("train.everything=2", "share"),
        ("train.warmup_steps=-1", "warmup_steps"),
        ("sampling.draws=1", "draws"),
        ("simulation.replicate_share=[.5,.6]", "sum to 1"),
        ("simulation.change_times_h=[900]", "change_times_h"),
        ("model.preset=large", "'small', 'paper'"),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_key(word: str, said: str) -> None:
    with pytest.raises(ValueError, match="command line") as caught:
        load(Config, overrides=[word])
    assert word.partition("=")[0] in str(caught.value)
    assert said in str(caught.value)


def test_a_bound_holds_against_what_is_no_number() -> None:
    with pytest.raises(ValueError, match="weight_decay: expected a number >= 0, got nan"):
        TrainConfig(weight_decay=float("nan"))
