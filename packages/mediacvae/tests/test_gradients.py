"""Closed-form gradients of kernel regression against finite differences."""

import numpy as np
import pytest

from mediacvae.base import KernelBase, Settings
from mediacvae.conditions import Conditioner, Organism
from mediacvae.gradients import mean_slopes

FEATURES = tuple(f"f{i}" for i in range(6))
CONDITIONS = [("lineage",), ("stats",), ("vec",), ("names", "vec"), ("lineage", "stats", "names", "vec")]


def organisms(rng: np.random.Generator, n: int = 14) -> list[Organism]:
    made = []
    for i in range(n):
        lineage = f"Bacteria;Phylum{i % 3};Class{i % 5}" if i % 7 else None
        vectors = {"vec": rng.normal(size=6)} if i % 5 else {}
        name = ("Halobacter", "Thermococcus", "Halococcus", "Zygospora")[i % 4]
        made.append(Organism(f"G{i}", name, "bacteria", lineage, 40.0 + 2 * i, 2e6 + 1e5 * i, vectors))
    return made


def world(condition: tuple[str, ...], seed: int) -> tuple[KernelBase, np.ndarray]:
    rng = np.random.default_rng(seed)
    known = organisms(rng)
    conditioner = Conditioner.of(known, condition, {"vec": FEATURES})
    conditions = conditioner(known)
    media = rng.lognormal(size=(14, 4)) * (rng.random((14, 4)) < 0.6)
    base = KernelBase.fit(
        conditioner, conditions, np.arange(14), media, np.arange(14), settings=Settings(0.3, 0.3, 8.0, 2.0)
    )
    return base, conditions.astype(np.float64)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_slopes_are_those_of_the_regression(condition: tuple[str, ...]) -> None:
    base, conditions = world(condition, 0)
    columns = np.array([2, 0, 3])
    rng = np.random.default_rng(1)
    whole = conditions[np.isfinite(conditions).all(axis=1)]
    path = whole[:3] + 0.05 * rng.normal(size=(3, conditions.shape[1]))
    slopes = mean_slopes(base, path, columns)
    numeric = np.zeros((2, conditions.shape[1], 3))
    for j in range(conditions.shape[1]):
        h = 1e-6 * max(abs(path[0, j]), 1.0)
        up, down = path.copy(), path.copy()
        up[:, j] += h
        down[:, j] -= h
        above, below = base(up), base(down)
        numeric[0, j] = ((above.amount - below.amount)[:, columns] / (2 * h)).mean(axis=0)
        numeric[1, j] = ((above.there - below.there)[:, columns] / (2 * h)).mean(axis=0)
    for own, other in zip(slopes, numeric, strict=True):
        assert np.abs(own - other).max() <= 1e-5 * max(np.abs(other).max(), 1e-3)
        assert np.abs(other).max() > 0


def test_what_is_not_known_has_no_slope_and_does_not_disturb() -> None:
    base, conditions = world(("lineage", "stats", "names", "vec"), 2)
    own = base.kernel.conditioner.columns["vec"]
    path = conditions[[1, 2]].copy()
    path[:, own] = np.nan
    slopes = mean_slopes(base, path, np.arange(4))
    for slope in slopes:
        assert np.isfinite(slope).all()
        assert not slope[own].any()
        assert slope.any()


def test_what_is_clipped_does_not_move() -> None:
    base, conditions = world(("stats",), 3)
    base.mean[:] = -50.0
    assert not base(conditions[:2]).amount.any()
    for slope in mean_slopes(base, conditions[:2], np.arange(4)):
        assert not slope.any()
