"""Bad input 14: the same well in training and in the table that is scored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from o2diffusion.conditions import Condition
from o2diffusion.corpus import Facts, facts
from o2diffusion.events import Events


def _condition(series: str, seed: int, start: float = 0.0) -> Condition:
    rng = np.random.default_rng(seed)
    oxygen = rng.normal(size=(30, 2))
    oxygen[3, 1] = np.nan
    time = start + np.arange(30.0)
    return Condition("plate", series, None, None, None, ("1", "2"), time, oxygen, np.isnan(oxygen), Events())


def test_a_well_is_known_by_its_curve_not_by_its_name() -> None:
    known = facts([_condition("a", 0), _condition("b", 1)], use_drugs=False)
    renamed = _condition("another name", 1, start=5.0)
    assert known.met([renamed, _condition("a", 2)]) == ["another name"]


def test_one_known_replicate_is_enough() -> None:
    known = facts([_condition("a", 0)], use_drugs=False)
    mixed = _condition("m", 3)
    mixed = replace(mixed, oxygen=np.column_stack([mixed.oxygen[:, 0], _condition("a", 0).oxygen[:, 1]]))
    assert known.met([mixed]) == ["m"]


def test_wells_survive_saving_and_older_models_know_none() -> None:
    known = facts([_condition("a", 0)], use_drugs=False)
    plain = known.as_dict()
    assert Facts.from_dict(plain) == known
    del plain["wells"]
    assert Facts.from_dict(plain).met([_condition("a", 0)]) == []
