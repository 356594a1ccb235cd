"""What simple methods make of a perturbation in a context: the mean expression of its cells. Every model stands beside.

A method sees `known`: populations without those that are asked for, but with the control cells of their context. Other
contexts are those that have the perturbation and control cells. Letters: g genes, c contexts, k components.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtualcell.populations import Populations

    Method = Callable[[Populations, str, str], np.ndarray | None]

NO_CHANGE, SAME, NEAREST, ADDITIVE = "no change", "mean delta", "nearest delta", "additive"
AVERAGE, RIDGE = "mean of perturbations", "ridge on control PCA"
COMPONENTS, ALPHAS = (4, 20), (0.1, 1.0, 10.0, 100.0)


def run(known: Populations, context: str, perturbation: str) -> dict[str, np.ndarray]:
    """The mean (g,) that each method predicts, by its name; methods that cannot answer are absent.

    Raises DataError for a context without control cells.
    """
    control = known.control_of(context)
    found = {name: method(known, context, perturbation) for name, method in METHODS.items()}
    return {name: control + delta for name, delta in found.items() if delta is not None}


def no_change(known: Populations, context: str, perturbation: str) -> np.ndarray:
    """Control cells as they are: a change (g,) of 0."""
    del context, perturbation
    return np.zeros(len(known.genes))


def mean_delta(known: Populations, context: str, perturbation: str) -> np.ndarray | None:
    """The mean change (g,) that the same perturbation makes in other contexts, each counted once; None without any."""
    others = _others(known, context, perturbation)
    return np.mean([known.delta(other, perturbation) for other in others], axis=0) if others else None


def nearest_delta(known: Populations, context: str, perturbation: str) -> np.ndarray | None:
    """The change (g,) in the other context whose mean of control cells is nearest (Euclidean); None without any."""
    others = _others(known, context, perturbation)
    if not others:
        return None
    own = known.control_of(context)
    near = min(others, key=lambda other: float(((known.control_of(other) - own) ** 2).sum()))
    return known.delta(near, perturbation)


def ridge(
    known: Populations, context: str, perturbation: str, *, components: int, alpha: float
) -> np.ndarray | None:
    """The change of each gene (g,) by ridge regression (Hoerl & Kennard 1970) on control cells' principal components.

    Components of the mean controls of all other contexts, not scaled, at most as many as there are; the intercept is
    free. None where fewer than two other contexts have the perturbation.
    """
    others = _others(known, context, perturbation)
    if len(others) < 2:
        return None
    controls = [c for c in known.context_names if c != context and known.has(c, known.control)]
    middle, axes = _principal(np.array([known.control_of(c) for c in controls]), components)
    z = np.array([axes @ (known.control_of(other) - middle) for other in others])
    deltas = np.array([known.delta(other, perturbation) for other in others])
    own = axes @ (known.control_of(context) - middle)
    centred = z - z.mean(axis=0)
    gram = centred.T @ centred + alpha * np.eye(len(axes))
    slope = np.linalg.solve(gram, centred.T @ (deltas - deltas.mean(axis=0)))
    return deltas.mean(axis=0) + (own - z.mean(axis=0)) @ slope


def mean_of_perturbations(known: Populations, context: str, perturbation: str) -> np.ndarray | None:
    """The mean change (g,) of all perturbations: of the same context where it has any, else of all others.

    None where this one is the only perturbation there is: it would be `mean_delta` by another name.
    """
    perturbed = (known.perturbations != known.control) & (known.perturbations != perturbation)
    here = perturbed & (known.contexts == context)
    if here.any():
        return known.mean[here].mean(axis=0) - known.control_of(context)
    able = [c for c in known.context_names if c != context and known.done_in(c)]
    if not (perturbed & np.isin(known.contexts, able)).any():
        return None
    every = [known.delta(c, p) for c in able for p in known.done_in(c)]
    return np.mean(every, axis=0)


def additive(known: Populations, context: str, perturbation: str) -> np.ndarray | None:
    """For a combination: the sum (g,) of the changes of its parts, each of the same context, else the mean of others.

    None for a single perturbation, and where a part was seen nowhere.
    """
    parts = known.parts(perturbation)
    if len(parts) < 2:
        return None
    deltas = [_single(known, context, part) for part in parts]
    found = [delta for delta in deltas if delta is not None]
    return np.sum(found, axis=0) if len(found) == len(deltas) else None


def ridge_name(components: int, alpha: float) -> str:
    """What a ridge of so many components and this penalty is called."""
    return f"{RIDGE}, {components} PCs, alpha {alpha:g}"


def _single(known: Populations, context: str, part: str) -> np.ndarray | None:
    here = known.has(context, part)
    return known.delta(context, part) if here else mean_delta(known, context, part)


def _others(known: Populations, context: str, perturbation: str) -> list[str]:
    return [other for other in known.seen_in(perturbation) if other != context]


def _principal(rows: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The mean (g,) of rows (c, g) and their first principal axes (k, g), those along which they differ."""
    middle = rows.mean(axis=0)
    _, size, axes = np.linalg.svd(rows - middle, full_matrices=False)
    most = min(count, int((size > 1e-9 * max(size[0], 1e-300)).sum()), max(len(rows) - 1, 1))
    return middle, axes[:most]


METHODS: dict[str, Method] = {
    NO_CHANGE: no_change,
    AVERAGE: mean_of_perturbations,
    SAME: mean_delta,
    NEAREST: nearest_delta,
    **{
        ridge_name(k, alpha): partial(ridge, components=k, alpha=alpha)
        for k in COMPONENTS
        for alpha in ALPHAS
    },
    ADDITIVE: additive,
}
