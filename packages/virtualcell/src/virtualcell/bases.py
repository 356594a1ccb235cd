"""Simple predictions of a change, from other contexts or from other perturbations: what trees and networks build on.

Letters: y contexts that a perturbation was seen in, m perturbations, g genes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from virtualcell.genes import key_of

if TYPE_CHECKING:
    from virtualcell.experience import Experience, Profile

SHARPNESS = 2.0  # of the weights of contexts: exp(-SHARPNESS (d / d_nearest)^2)
RIDGE = 100.0  # penalty of the regression on control axes
DIFFER = 0.25  # share of what differs between contexts that is more than noise, from which on likeness weighs
CLOSENESS = 2.0  # half as alike as two names can be is as good as the same
LEAST = 0.05  # mean log expression below which the share that is lost of a gene means nothing


def context_weights(known: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Weights (y,) of contexts by how near their untouched cells `known: (y, g)` are to those asked for (g,)."""
    distance = np.linalg.norm(known - asked, axis=1)
    if distance.min() == 0:
        return (distance == 0) / (distance == 0).sum()
    weight = np.exp(-SHARPNESS * (distance / distance.min()) ** 2)
    return weight / weight.sum()


def untouched(seen: Experience, rows: np.ndarray) -> np.ndarray:
    """Mean of the control cells of each condition's context (y, g)."""
    return np.array([seen.profile(seen.conditions[row][0]).mean for row in rows])


def ridge(seen: Experience, rows: np.ndarray, asked: Profile) -> np.ndarray:
    """Ridge regression of changes on the control cells' place along the axes (g,): the mean, where one is seen.

    Where contexts differ by less than their noise there is no slope to learn, and the answer is that of `similar`.
    """
    if _replicates(seen.deltas[rows], seen.noise[rows]):
        return similar(seen, rows, asked)
    return ridge_weights(seen, rows, asked) @ seen.deltas[rows]


def ridge_weights(seen: Experience, rows: np.ndarray, asked: Profile) -> np.ndarray:
    """What the changes count in the regression (y,): sums to one, and may be negative, as the intercept is free.

    Where there is no slope to learn they are those of `similar`.
    """
    if _replicates(seen.deltas[rows], seen.noise[rows]):
        return similar_weights(seen, rows, asked)
    known = untouched(seen, rows)
    x, at = (known - seen.centre) @ seen.axes.T, (asked.mean - seen.centre) @ seen.axes.T
    x0 = x.mean(axis=0)
    penalty = RIDGE * np.eye(len(seen.axes))
    return 1 / len(rows) + (x - x0) @ np.linalg.solve((x - x0).T @ (x - x0) + penalty, at - x0)


def similar(seen: Experience, rows: np.ndarray, asked: Profile) -> np.ndarray:
    """Changes in other contexts weighted by likeness, each gene shrunk by how much of it is noise (g,).

    Where contexts differ by less than their noise, as replicates do, they weigh by how sure each is. Shrinking is
    empirical Bayes: signal over signal and noise, the signal being what squared changes of the gene have beyond their
    errors, over all that was seen: one perturbation alone tells little of how much a gene is ever moved.
    """
    weight = similar_weights(seen, rows, asked)
    return (weight @ seen.deltas[rows]) * kept(seen, rows, weight)


def similar_weights(seen: Experience, rows: np.ndarray, asked: Profile) -> np.ndarray:
    """What the changes count (y,), which sums to one: by likeness, or by how sure each is."""
    noise = seen.noise[rows]
    if _replicates(seen.deltas[rows], noise):
        weight = 1 / np.maximum(noise.mean(axis=1), 1e-12)
        return weight / weight.sum()
    return context_weights(untouched(seen, rows), asked.mean)


def kept(seen: Experience, rows: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The share of a gene's weighted change that noise leaves of it (g,), 0 to 1."""
    return seen.signal / (seen.signal + (weight**2) @ seen.noise[rows])


def _replicates(deltas: np.ndarray, noise: np.ndarray) -> bool:
    """Whether less than `DIFFER` of the variance between contexts (y, g) is more than noise; not so for one alone."""
    if len(deltas) < 2:
        return False
    total = float(deltas.var(axis=0, ddof=1).mean())
    return total <= 0 or 1 - float(noise.mean()) / total < DIFFER


def by_perturbation(seen: Experience) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The change of each single perturbation (g,) and its squared error (g,), contexts weighted by their cells."""
    pops = seen.populations
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name in dict.fromkeys(p for _, p in seen.conditions):
        if len(pops.parts(name)) > 1:
            continue
        rows = seen.rows_of(name)
        cells = np.array([pops.cells[pops.where(*seen.conditions[row])] for row in rows], dtype=np.float64)
        weight = cells / cells.sum()
        found[name] = weight @ seen.deltas[rows], weight**2 @ seen.noise[rows]
    return found


def kin_weights(seen: Experience, name: str) -> dict[str, float]:
    """What each perturbation that was seen counts, for one that never was; they sum to 1.

    Kin count by the square of their likeness (`known`) and by how sure their own change is, and as a whole by how near
    the nearest one is; the rest is shared by all.
    """
    others = by_perturbation(seen)
    alike = seen.known.alike([name], list(others))[0]
    sure = 1 / np.maximum([noise.mean() for _, noise in others.values()], 1e-12)
    near = float(min(1.0, CLOSENESS * alike.max()))
    weight = np.full(len(others), (1 - near) / len(others))
    if near > 0:
        weight += near * alike**2 * sure / (alike**2 @ sure)
    return dict(zip(others, weight.tolist(), strict=True))


def kin(seen: Experience, name: str, asked: Profile) -> np.ndarray:
    """The change (g,) of a perturbation never seen: what others do, by `kin_weights`.

    The perturbed gene itself loses what perturbed genes lose of their expression.
    """
    deltas = {other: delta for other, (delta, _) in by_perturbation(seen).items()}
    guess = np.sum([weight * deltas[other] for other, weight in kin_weights(seen, name).items()], axis=0)
    place = {key_of(str(gene)): i for i, gene in enumerate(seen.populations.genes)}
    lost = [
        delta[place[key_of(other)]] / max(asked.mean[place[key_of(other)]], LEAST)
        for other, delta in deltas.items()
        if key_of(other) in place
    ]
    if key_of(name) in place and lost:
        at = place[key_of(name)]
        guess[at] = max(float(np.mean(lost)), -1.0) * asked.mean[at]
    return guess
