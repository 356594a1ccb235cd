"""How alike organisms are: a likeness must be symmetric, positive semi-definite, and blind to what is not known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediacvae.conditions import Conditioner, Organism
from mediacvae.kernels import Kernel

BLOCKS = ("lineage", "names", "stats", "kmer4")


def organisms(n: int = 24, *, gaps: bool = True, seed: int = 0) -> list[Organism]:
    rng = np.random.default_rng(seed)
    phyla = ["A", "B", "C"]
    made = []
    for at in range(n):
        phylum = phyla[at % 3]
        known = rng.random(4) > (0.3 if gaps else -1)
        made.append(
            Organism(
                f"g{at}",
                rng.choice(["Halobium", "Halobacter", "Thermobium", "Lactobacter"]) + f" sp{at}"
                if known[0]
                else None,
                "bacteria",
                f"Bacteria;{phylum};{phylum}{at % 2}" if known[1] else None,
                *((40.0 + at, 1e6 * (1 + at)) if known[2] else (None, None)),
                {"kmer4": rng.random(5) + (at % 3)} if known[3] else {},
            )
        )
    return made


def fitted(*blocks: str, gaps: bool = True) -> tuple[Kernel, np.ndarray]:
    all_of_them = organisms(gaps=gaps)
    conditioner = Conditioner.of(all_of_them, blocks, {"kmer4": list("vwxyz")})
    conditions = conditioner(all_of_them)
    return Kernel.fit(conditioner, conditions), conditions


SOME = [("lineage",), ("names",), ("stats",), ("kmer4",), ("lineage", "stats"), ("lineage", "names"), BLOCKS]


@pytest.mark.parametrize("blocks", SOME)
def test_symmetric_and_positive_semi_definite(blocks):
    kernel, x = fitted(*blocks)
    k = kernel(x, x)
    assert np.isfinite(k).all()
    np.testing.assert_allclose(k, k.T, atol=1e-12)
    assert np.linalg.eigvalsh(k).min() > -1e-9


@pytest.mark.parametrize("blocks", SOME)
def test_everyone_known_is_wholly_like_itself(blocks):
    kernel, x = fitted(*blocks)
    like = kernel.cosine(x, x)
    known = kernel.own(x) > 0
    np.testing.assert_allclose(np.diag(like)[known], 1.0, atol=1e-9)
    assert ((like >= 0) & (like <= 1)).all()
    np.testing.assert_allclose(kernel.own(x), np.diag(kernel(x, x)))


def test_what_is_not_known_adds_nothing():
    kernel, x = fitted(*BLOCKS, gaps=False)
    whole = kernel(x, x)
    for name, own in kernel.conditioner.columns.items():
        less = x.copy()
        less[0, own] = np.nan
        some = kernel(less, x)
        assert kernel.own(less)[0] < kernel.own(x)[0], name
        np.testing.assert_array_equal(some[1:], whole[1:])
    assert not kernel(np.full_like(x[:1], np.nan), x).any()
    assert not kernel.cosine(np.full_like(x[:1], np.nan), x).any()
    # a block that nobody has is a block that is not there
    none = x.copy()
    none[:, kernel.conditioner.columns["kmer4"]] = np.nan
    small, same = fitted("lineage", "names", "stats", gaps=False)
    np.testing.assert_allclose(kernel(none, none), small(same, same))


def test_gaussian_of_numbers_is_the_formula():
    kernel, x = fitted("stats", gaps=False)
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    square = ((z[:, None] - z[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(kernel(x, x), np.exp(-square / 2), rtol=1e-4)


def test_genomes_are_alike_in_what_stands_out_in_both():
    kernel, x = fitted("kmer4", gaps=False)
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    for weight in kernel.weights:
        found = replace(kernel, genome=weight)(x, x)
        np.testing.assert_allclose(found, weight * z @ z.T / 5, rtol=1e-4, atol=1e-5)
    assert fitted("lineage", "stats")[0].weights == (1.0,)


def test_rare_words_weigh_more():
    kernel, x = fitted("lineage", gaps=False)
    names = kernel.conditioner.blocks[0].features
    scale = dict(zip(names, kernel.scale, strict=True))
    assert scale["A0"] > scale["A"] > scale["Bacteria"]
    like = kernel.cosine(x, x)
    assert like[0, 6] > like[0, 3] > like[0, 1]  # A0 with A0, A0 with A1, A with B


@given(st.permutations(range(24)))
def test_the_order_of_organisms_and_of_training_does_not_matter(order):
    kernel, x = fitted(*BLOCKS)
    other = Kernel.fit(kernel.conditioner, x[order])
    np.testing.assert_allclose(other.scale, kernel.scale, rtol=1e-6)
    np.testing.assert_allclose(other(x[order], x), kernel(x, x)[order], rtol=1e-5, atol=1e-8)


def test_a_block_that_no_training_organism_has_is_fitted_without_harm():
    conditioner = fitted(*BLOCKS)[0].conditioner
    x = np.full((3, conditioner.width), np.nan, dtype=np.float32)
    kernel = Kernel.fit(conditioner, x)
    assert np.isfinite(kernel.scale).all()
    assert not kernel(x, x).any()


def test_features_weigh_by_what_they_tell():
    kernel, x = fitted("stats", "kmer4", gaps=False)
    own = kernel.conditioner.columns["kmer4"]
    z = (x - kernel.shift)[:, own] / kernel.scale[own]
    targets = np.stack([2 * z[:, 1], z[:, 3]], axis=1)
    made = kernel.telling(x, targets, 1.0)
    weight = (kernel.scale[own] / made.scale[own]) ** 2
    assert weight.mean() == pytest.approx(1.0)
    said = np.array([[np.corrcoef(z[:, at], target)[0, 1] ** 2 for target in targets.T] for at in range(5)])
    said /= said.max(axis=0)
    np.testing.assert_allclose(weight, 0.9 * said.sum(axis=1) / said.sum(axis=1).mean() + 0.1)
    assert set(np.argsort(weight)[-2:]) == {1, 3}  # each marks a target, however large
    np.testing.assert_array_equal(made.scale[:2], kernel.scale[:2])  # GC and size stay as they are
    square = (kernel.scale / kernel.telling(x, targets, 2.0).scale)[own] ** 2
    np.testing.assert_allclose(square, 0.9 * (said**2).sum(axis=1) / (said**2).sum(axis=1).mean() + 0.1)
    product = (z * weight) @ z.T / 5
    np.testing.assert_allclose(made.part(made.conditioner.blocks[1], x, x), product)


def test_what_tells_nothing_changes_nothing():
    kernel, x = fitted(*BLOCKS)
    targets = np.random.default_rng(0).normal(size=(len(x), 3))
    np.testing.assert_array_equal(kernel.telling(x, targets, 0.0).scale, kernel.scale)
    constant = kernel.telling(x, np.ones_like(targets), 2.0)
    assert np.isfinite(constant.scale).all()
    nobody = kernel.telling(np.full_like(x, np.nan), targets, 2.0)
    np.testing.assert_array_equal(nobody.scale, kernel.scale)
