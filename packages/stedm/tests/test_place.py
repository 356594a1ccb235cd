"""The model from end to end on simulated tissue: it beats ridge, and what must not matter does not."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from stedm import baselines, saving
from stedm.learning import fit
from stedm.metrics import score
from stedm.tissue import thinned


def test_a_held_out_section_is_placed_better_than_by_ridge(model, tissue):
    query = tissue.sections[2]
    own = score(model.predict(query).coordinates, query.coordinates)
    ridge = score(baselines.run(tissue.without(["S3"]), query)["ridge"], query.coordinates)
    assert own.rmse < ridge.rmse
    assert own.jaccard10 > ridge.jaccard10


def test_the_order_of_the_cells_does_not_matter(model, tissue):
    query = tissue.sections[2]
    order = np.random.default_rng(0).permutation(len(query))
    a, b = model.predict(query), model.predict(query.take(order))
    np.testing.assert_allclose(a.coordinates[order], b.coordinates, atol=1e-6)
    np.testing.assert_allclose(a.sd[order], b.sd, rtol=1e-6)
    np.testing.assert_array_equal(order[b.partners], a.partners[order])


def test_the_coordinates_of_a_query_are_not_looked_at(model, tissue):
    query = tissue.sections[2]
    a, b = model.predict(query), model.predict(replace(query, coordinates=None))
    np.testing.assert_array_equal(a.coordinates, b.coordinates)


def test_turned_training_sections_give_the_same_shape(model, tissue, quick):
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    turned = tuple(replace(s, coordinates=3.0 * s.coordinates @ turn + 5.0) for s in tissue.sections[:2])
    other = fit(replace(tissue, sections=turned), quick)
    query = tissue.sections[2]
    a, b = model.predict(query).stages["regression"], other.predict(query).stages["regression"]
    assert score(a, b).rmse < 1e-4
    assert other.unit == pytest.approx(3.0 * model.unit)


def test_probable_partners_are_neighbours_more_often_than_chance(model, tissue):
    query = tissue.sections[2]
    found = model.predict(query)
    far = np.linalg.norm(query.coordinates[:, None] - query.coordinates[found.partners[:, :5]], axis=2)
    assert (
        far.mean() < 0.5 * np.linalg.norm(query.coordinates - query.coordinates.mean(axis=0), axis=1).mean()
    )
    assert (np.diff(found.chance, axis=1) <= 1e-12).all()


def test_a_fifth_of_the_counts_still_beats_ridge(model, tissue):
    query = tissue.sections[2]
    thin = thinned(query, 0.2, np.random.default_rng(0))
    own = score(model.predict(thin).coordinates, query.coordinates)
    ridge = score(baselines.run(tissue.without(["S3"]), thin)["ridge"], query.coordinates)
    assert own.jaccard10 > ridge.jaccard10


def test_a_saved_model_gives_the_same_places(model, tissue, tmp_path):
    saving.save(model, tmp_path / "m")
    again = saving.load(tmp_path / "m").predict(tissue.sections[2])
    here = model.predict(tissue.sections[2])
    np.testing.assert_allclose(again.coordinates, here.coordinates, atol=1e-9)
    np.testing.assert_allclose(again.sd, here.sd)


def test_one_section_alone_can_be_learned_from(tissue, quick):
    found = fit(tissue.only(["S1"]), quick).predict(tissue.sections[2])
    assert score(found.coordinates, tissue.sections[2].coordinates).rmse < 0.9


def test_what_the_model_cannot_place_is_refused(model, tissue):
    query = tissue.sections[2]
    wider = replace(query, counts=sparse.hstack([query.counts, query.counts]).tocsr())
    with pytest.raises(ValueError, match="S3: expected counts of the model's 80 genes, got 160"):
        model.predict(wider)
    for given in (np.zeros((len(query) + 1, 2)), np.zeros((len(query), 3)), np.full((len(query), 2), np.nan)):
        with pytest.raises(ValueError, match=r"S3: expected finite coordinates \(120, 2\), got shape"):
            model.refine(query, given)
    with pytest.raises(ValueError, match="draws: expected at least 1, got 0"):
        model.predict(query, refine=True, draws=0)


@pytest.mark.slow
def test_a_held_out_tumour_section_beats_ridge(sections_folder):
    from stedm import h5ad
    from stedm.config import Config

    tissue = h5ad.tissue_of(h5ad.read(sections_folder / "stahl_bc.h5ad"))
    train, query = tissue.without(["L4"]), tissue.only(["L4"]).sections[0]
    own = fit(train, Config()).predict(query)
    found = score(own.coordinates, query.coordinates, own.sd)
    ridge = score(baselines.run(train, query)["ridge"], query.coordinates)
    assert found.jaccard10 > 1.5 * ridge.jaccard10
    assert found.rmse < 0.95 * ridge.rmse
