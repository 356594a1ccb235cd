"""From simulated sections to places: a held-out section, its order, its rest, and the model on disk."""

from dataclasses import replace

import numpy as np
import pytest

from stedm import Config, fit, load, save, score, simulate
from stedm.baselines import run
from stedm.config import SimulationConfig
from stedm.h5ad import tissue_of


@pytest.fixture(scope="module")
def tissue():
    return tissue_of(simulate(SimulationConfig(cells=250, genes=150), seed=1))


@pytest.fixture(scope="module")
def model(tissue):
    return fit(tissue.only(tissue.labels[:2]), Config(), seed=0)


@pytest.fixture(scope="module")
def held(tissue):
    return tissue.sections[2]


@pytest.fixture(scope="module")
def placed(model, held):
    return model.predict(held)


def test_a_held_out_section_is_placed_better_than_by_the_simple_methods(tissue, held, placed):
    ours = score(placed.coordinates, held.coordinates, placed.sd)
    simple = run(tissue.only(tissue.labels[:2]), held, seed=0)
    for name, places in simple.items():
        theirs = score(places, held.coordinates)
        assert ours.jaccard10 > theirs.jaccard10, name
        assert ours.rmse < theirs.rmse, name
    assert ours.jaccard10 > 2 * ours.floor
    assert np.isfinite(placed.sd).all()
    assert (placed.sd > 0).all()


def test_cells_get_the_same_places_in_whatever_order_and_without_their_truth(model, held, placed):
    order = np.random.default_rng(0).permutation(len(held))
    mixed = replace(held, counts=held.counts[order], cells=held.cells[order], coordinates=None)
    again = model.predict(mixed)
    np.testing.assert_allclose(again.coordinates, placed.coordinates[order], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(again.sd, placed.sd[order], rtol=1e-5, atol=1e-5)


def test_a_model_on_disk_places_as_before(model, held, placed, tmp_path):
    """Up to single precision, in which it is kept."""
    save(model, tmp_path / "model")
    again = load(tmp_path / "model").predict(held)
    radius = np.sqrt(np.square(placed.coordinates - placed.coordinates.mean(axis=0)).sum(axis=1).mean())
    np.testing.assert_allclose(again.coordinates, placed.coordinates, atol=0.01 * radius)
    np.testing.assert_allclose(again.sd, placed.sd, rtol=0.01)
