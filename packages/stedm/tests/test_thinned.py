"""A second, shallower look at the training sections: what it is, and that it teaches nothing of its own section."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stedm import base, pairs, related
from stedm.normalise import depth
from stedm.tissue import thinned


def test_a_thinned_section_keeps_its_share_of_every_cell(tissue):
    section = tissue.sections[0]
    found = thinned(section, 0.3, np.random.default_rng(0))
    assert (found.counts - section.counts).max() <= 0
    assert found.counts.sum() == pytest.approx(0.3 * section.counts.sum(), rel=0.02)
    assert (found.counts.data == np.round(found.counts.data)).all()
    np.testing.assert_array_equal(found.cells, section.cells)


@pytest.mark.parametrize(
    ("kind", "share", "looks"), [("counts", 0.3, 2), ("counts", 1.0, 1), ("values", 0.3, 1)]
)
def test_counts_are_looked_at_twice_and_values_once(tissue, quick, kind, share, looks):
    one = replace(tissue.without(["S3"]), kind=kind)
    found = base.fit(one, replace(quick.base, thinned=share), 0)
    assert [h.section.label for h in found.held_out] == ["S1", "S2"] * looks
    assert all(np.isfinite(h.predicted).all() for h in found.held_out)


def test_one_section_alone_is_looked_at_twice_too(tissue, quick):
    found = base.fit(tissue.only(["S1"]), quick.base, 0)
    whole, thin = found.held_out
    assert thin.section.counts.sum() < whole.section.counts.sum()
    np.testing.assert_array_equal(whole.place, thin.place)
    errors = [np.linalg.norm(h.predicted - h.place, axis=1).mean() for h in (whole, thin)]
    assert errors[0] < errors[1] < np.linalg.norm(whole.place, axis=1).mean()


def test_pairs_of_a_section_are_judged_by_the_others_alone(tissue, quick, monkeypatch):
    """Neither look at a section teaches what is then asked about it."""
    held = base.fit(tissue, quick.base, 0).held_out
    views = [pairs.View(h.cells, h.predicted, depth(h.section)) for h in held]
    taught: list[list[int]] = []
    monkeypatch.setattr(pairs, "lesson", lambda found, place, config, rng: len(taught_by(found)))
    numbers: dict[int, int] = {}

    def taught_by(found):
        return range(numbers.setdefault(id(found), len(numbers)))

    monkeypatch.setattr(pairs, "fit", lambda lessons, config, seed: taught.append(list(lessons)))
    related.learn(views, [h.place for h in held], quick.pairs, 0.5, 0, sections=3)
    assert taught == [[0, 1, 2, 3, 4, 5], [1, 2, 4, 5], [0, 2, 3, 5], [0, 1, 3, 4]]


def test_the_networks_leave_a_shallow_section_alone_unless_asked(model, tissue):
    """What held-out cells said of the networks was said of sections as deep as those that taught them."""
    believed = replace(model, networks=replace(model.networks, believed=True))
    section = tissue.sections[2]
    thin = thinned(section, 0.3, np.random.default_rng(0))
    assert "mean" in believed.predict(section).stages
    assert "mean" not in believed.predict(thin).stages
    assert "mean" in believed.predict(thin, refine=True).stages
    assert not believed.shallow(thinned(section, 0.8, np.random.default_rng(0)))
