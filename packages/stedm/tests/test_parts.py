"""Normalisation, genes, kernels, graph, alignment, embedding and simulation against what they are defined by."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import sparse

from stedm import embed, graph, kernels, normalise, pairs
from stedm.align import align
from stedm.config import SimulationConfig
from stedm.genes import morans_i, neighbour_weights
from stedm.metrics import fit_similarity, score
from stedm.normalise import depth
from stedm.simulation import simulate
from stedm.unfold import disagreement, unfold


def test_views_are_standard_within_the_section_and_follow_the_cells(tissue):
    section = tissue.sections[0]
    order = np.random.default_rng(0).permutation(len(section))
    columns = np.arange(30)
    a = normalise.views(section, "counts", columns)
    b = normalise.views(section.take(order), "counts", columns)
    for name in normalise.VIEWS["counts"]:
        np.testing.assert_allclose(a[name][order], b[name], atol=1e-5)
        np.testing.assert_allclose(a[name].mean(axis=0), 0.0, atol=0.05)
        assert np.abs(a[name]).max() <= normalise.CLIP


def test_morans_i_is_its_definition():
    rng = np.random.default_rng(0)
    at, x = rng.normal(size=(40, 2)), rng.normal(size=(40, 3))
    w = neighbour_weights(at).toarray()
    z = x - x.mean(axis=0)
    expected = [40 / w.sum() * (z[:, g] @ w @ z[:, g]) / (z[:, g] @ z[:, g]) for g in range(3)]
    np.testing.assert_allclose(morans_i(x, sparse.csr_matrix(w)), expected)
    assert morans_i(at, neighbour_weights(at)).min() > 0.5


def test_all_landmarks_are_exact_kernel_ridge():
    rng = np.random.default_rng(0)
    x, new, y = rng.normal(size=(2, 50, 3)), rng.normal(size=(2, 20, 3)), rng.normal(size=(50, 2))
    kernel = kernels.fit_kernel(x, landmarks=50, bandwidth=1.0, rng=rng)
    found = kernel(new) @ kernels.ridge(kernel(x), 0.3).solve(y)
    gram = kernels.similarity(x, x, kernel.widths)
    expected = kernels.similarity(new, x, kernel.widths) @ np.linalg.solve(gram + 0.3 * np.eye(50), y)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_expression_neighbours_are_exact_when_few_and_mostly_right_when_many(monkeypatch):
    x = np.random.default_rng(0).normal(size=(1200, 4)).astype(np.float32)
    exact = graph.alike(x, 8)
    np.testing.assert_array_equal(np.sort(exact), np.sort(graph.near(x.astype(float), 8)))
    monkeypatch.setattr(graph, "EXACT", 100)
    rough = graph.alike(x, 8)
    kept = np.mean([len({*a} & {*b}) / 8 for a, b in zip(exact, rough, strict=True)])
    assert kept > 0.8


def test_sections_turned_and_mirrored_are_brought_into_one_frame():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(50, 2)) * [2.0, 1.0]
    truth -= truth.mean(axis=0)
    turns = [np.eye(2), np.array([[0.0, 1.0], [-1.0, 0.0]]), np.array([[1.0, 0.0], [0.0, -1.0]])]
    made, found = align(
        [truth @ t for t in turns], lambda s, others: others.reshape(2, 50, 2).mean(axis=0), 8
    )
    for place in made:
        np.testing.assert_allclose(place, made[0], atol=1e-4)
    assert np.linalg.det(found[2]) * np.linalg.det(found[1]) < 0


def test_pair_features_are_free_of_the_frame_and_labels_are_the_ten_nearest(quick):
    rng = np.random.default_rng(0)
    cells, at, deep = (
        rng.normal(size=(2, 60, 4)).astype(np.float32),
        rng.normal(size=(60, 2)),
        rng.normal(size=60),
    )
    a = pairs.candidates(pairs.View(cells, at, deep), quick.pairs)
    turn = np.linalg.qr(rng.normal(size=(2, 2)))[0]
    b = pairs.candidates(pairs.View(cells, at @ turn, deep), quick.pairs)
    np.testing.assert_array_equal(a.i, b.i)
    np.testing.assert_allclose(a.features, b.features, atol=1e-4)
    d = np.linalg.norm(at[:, None] - at[None], axis=2) + 1e9 * np.eye(60)
    rank = d.argsort(axis=1).argsort(axis=1)
    expected = (rank[a.i, a.j] < 10) | (rank[a.j, a.i] < 10)
    np.testing.assert_array_equal(pairs.neighbours(at, a.i, a.j), expected)


@pytest.mark.parametrize("gaussian", [False, True])
def test_the_embedding_turns_with_its_start_and_finds_the_graph(gaussian):
    rng = np.random.default_rng(0)
    truth = rng.uniform(size=(150, 2))
    start = truth + 0.15 * rng.normal(size=(150, 2))
    listed = graph.near(truth, 10)
    options = {"steps": 100, "anchor": 0.3, "error": 0.2, "gaussian": gaussian, "seed": 0}
    made = embed.embed(start, listed, np.ones((150, 10)), **options)
    kept = [
        np.mean([len({*a} & {*b}) for a, b in zip(graph.near(x, 10), listed, strict=True)])
        for x in (start, made)
    ]
    assert kept[1] > kept[0] + 1
    mirrored = embed.embed(start * [-1.0, 1.0], listed, np.ones((150, 10)), **options)
    np.testing.assert_allclose(mirrored, made * [-1.0, 1.0], atol=1e-6)


@pytest.mark.parametrize("pattern", ["layers", "niches", "gradients"])
def test_simulated_spatial_genes_vary_over_space_and_the_others_do_not(pattern):
    config = SimulationConfig(pattern=pattern, sections=1, cells=300, genes=60, spatial=30, turned=False)
    cells = simulate(config, seed=0)
    x = np.log1p(cells.X.toarray())
    found = morans_i(x, neighbour_weights(cells.obsm["spatial"]))
    assert found[cells.var["spatial"]].mean() > found[~cells.var["spatial"]].mean() + 0.05


def test_a_similarity_of_one_place_only_moves_it():
    found = fit_similarity(np.zeros((5, 2)), np.ones((5, 2)))
    np.testing.assert_allclose(found(np.zeros((5, 2))), 1.0)


def test_a_graph_of_neighbours_unfolds_into_the_shape_they_came_from():
    rng = np.random.default_rng(0)
    place = rng.uniform(size=(400, 2)) * [3.0, 1.0]
    partners = graph.near(place, 12)
    made = unfold(partners, np.full(partners.shape, 0.5), 2, seed=0)
    assert score(made, place).rmse < 0.25  # steps are counted, not measured
    assert score(made, place).spearman > 0.95
    assert disagreement(made, place) == pytest.approx(score(made, place).rmse, rel=1e-6)
    assert disagreement(made, rng.permutation(place)) > 0.9
    lost = unfold(np.tile(np.arange(40)[:, None], (1, 3)), np.zeros((40, 3)), 2, seed=0)
    assert np.isfinite(lost).all()


def test_a_section_that_the_regression_does_not_know_is_placed_by_its_neighbours(model, tissue):
    stage, query = model.pair, tissue.sections[2]
    cells = model.regression.cells(query)
    view = pairs.View(cells, model.regression(cells), depth(query))
    known = stage(view, 0)
    assert not known.foreign
    lost = replace(view, coordinates=0.4 * np.random.default_rng(0).permutation(view.coordinates))
    found = pairs.candidates(view, stage.config)  # the graph is known, the coordinates are not
    made = stage(lost, 0, found)
    assert made.foreign
    assert score(made.coordinates, query.coordinates).spearman > 0.5


@pytest.mark.parametrize("gaussian", [True, False])
def test_the_repulsion_is_its_definition_and_so_is_its_gradient(gaussian):
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.randn(n, 2, generator=generator, dtype=torch.float64) for n in (5, 4))
    same = torch.zeros(5, 4, dtype=torch.bool)
    same[0, 0] = True
    words = (one.requires_grad_(), other.requires_grad_(), same, gaussian)
    far = torch.cdist(one, other) ** 2
    kernel = torch.exp(-far) if gaussian else 1 / (1 + far)
    found = embed._LogRepulsion.apply(*words)
    torch.testing.assert_close(found, kernel.masked_fill(same, 0.0).sum().log())
    assert torch.autograd.gradcheck(lambda a, b: embed._LogRepulsion.apply(a, b, same, gaussian), words[:2])
