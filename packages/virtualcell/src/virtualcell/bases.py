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


def ridge(seen: Experience, rows: np.ndarray, asked: Profile) -> np.ndarray:
    """Ridge regression of changes on the control cells' place along the axes (g,): the mean, where one is seen."""
    deltas = seen.deltas[rows]
    known = np.array([seen.profile(seen.conditions[row][0]).mean for row in rows])
    x, at = (known - seen.centre) @ seen.axes.T, (asked.mean - seen.centre) @ seen.axes.T
    x0, y0 = x.mean(axis=0), deltas.mean(axis=0)
    penalty = RIDGE * np.eye(len(seen.axes))
    slope = np.linalg.solve((x - x0).T @ (x - x0) + penalty, (x - x0).T @ (deltas - y0))
    return y0 + (at - x0) @ slope


def similar(seen: Experience, rows: np.ndarray, asked: Profile) -> np.ndarray:
    """Changes in other contexts weighted by likeness, each gene shrunk by how much of it is noise (g,).

    Where contexts differ by less than their noise, as replicates do, they weigh by how sure each is. Shrinking is
    empirical Bayes: signal over signal and noise, the signal being what squared changes have beyond their errors.
    """
    deltas, noise = seen.deltas[rows], seen.noise[rows]
    if len(rows) > 1 and _differ(deltas, noise) < DIFFER:
        weight = 1 / np.maximum(noise.mean(axis=1), 1e-12)
        weight = weight / weight.sum()
    else:
        known = np.array([seen.profile(seen.conditions[row][0]).mean for row in rows])
        weight = context_weights(known, asked.mean)
    signal = np.maximum((deltas**2).mean(axis=0) - noise.mean(axis=0), 1e-6)
    return (weight @ deltas) * signal / (signal + (weight**2) @ noise)


def _differ(deltas: np.ndarray, noise: np.ndarray) -> float:
    """The share of the variance between contexts (y, g) that is not noise, 0 to 1."""
    total = float(deltas.var(axis=0, ddof=1).mean())
    return max(1 - float(noise.mean()) / total, 0.0) if total > 0 else 0.0


def by_perturbation(seen: Experience) -> dict[str, np.ndarray]:
    """The change of each single perturbation (g,), contexts weighted by their cells."""
    pops = seen.populations
    found: dict[str, np.ndarray] = {}
    for name in dict.fromkeys(p for _, p in seen.conditions):
        if len(pops.parts(name)) > 1:
            continue
        rows = seen.rows_of(name)
        cells = np.array([pops.cells[pops.where(*seen.conditions[row])] for row in rows], dtype=np.float64)
        found[name] = (cells / cells.sum()) @ seen.deltas[rows]
    return found


def kin(seen: Experience, name: str, asked: Profile) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What others of its kind do, for a perturbation never seen (g,): the guess, the kin's mean, the mean of all.

    Kin count by the square of their likeness (`known`), and as a whole by how near the nearest one is; the rest is the
    mean of all. The perturbed gene itself loses what perturbed genes lose of their expression.
    """
    others = by_perturbation(seen)
    names, deltas = list(others), np.array(list(others.values()))
    mean = deltas.mean(axis=0)
    alike = seen.known.alike([name], names)[0]
    near = float(min(1.0, CLOSENESS * alike.max()))
    own = (alike**2) @ deltas / (alike**2).sum() if near > 0 else mean
    guess = near * own + (1 - near) * mean
    place = gene_places(seen)
    lost = [
        delta[place[key_of(other)]] / max(asked.mean[place[key_of(other)]], LEAST)
        for other, delta in others.items()
        if key_of(other) in place
    ]
    if key_of(name) in place and lost:
        at = place[key_of(name)]
        guess = guess.copy()
        guess[at] = max(float(np.mean(lost)), -1.0) * asked.mean[at]
    return guess, own, mean


def gene_places(seen: Experience) -> dict[str, int]:
    """Where each gene is, by its key."""
    return {key_of(str(gene)): i for i, gene in enumerate(seen.populations.genes)}
