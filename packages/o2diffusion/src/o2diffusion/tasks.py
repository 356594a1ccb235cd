"""The four ways to hide cells, and the random masks of training: all return bool (t, r), True = hidden.

a: 20 % of the cells at random; b: one block of 15 % of the time in all replicates; b1: the same block in one
replicate; c: one whole replicate. Only cells that hold a sample are ever hidden, so only they are scored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

TASKS = ("a", "b", "b1", "c")


def _block(t: int, length: int, rng: np.random.Generator) -> np.ndarray:
    """One run of `length` cells inside t, kept off the first and last cell where there is room."""
    length = min(length, t)
    low, high = (1, t - length - 1) if t - length > 2 else (0, t - length)
    start = int(rng.integers(low, high + 1))
    rows = np.zeros(t, dtype=bool)
    rows[start : start + length] = True
    return rows


def refuse_unknown(tasks: Iterable[str]) -> None:
    """Raise ValueError for the first that is not one of `TASKS`."""
    for task in tasks:
        if task not in TASKS:
            msg = f"tasks: expected tasks among {', '.join(TASKS)}, got {task!r}"
            raise ValueError(msg)


def hide(task: str, observed: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """Hidden cells (t, r) of one task; None where the task has no meaning (c with one replicate) or hides nothing.

    observed (t, r). A draw that would leave nothing visible, or hide no sample, is drawn again. Raises ValueError for
    another task than `TASKS`.
    """
    refuse_unknown([task])
    t, r = observed.shape
    present = np.flatnonzero(observed.any(axis=0))
    if len(present) < (2 if task == "c" else 1):
        return None
    for _ in range(20):
        hidden = np.zeros((t, r), dtype=bool)
        if task == "a":
            hidden = rng.random((t, r)) < 0.2
        elif task == "b":
            hidden |= _block(t, round(0.15 * t), rng)[:, None]
        elif task == "b1":
            hidden[:, rng.choice(present)] = _block(t, round(0.15 * t), rng)
        else:
            hidden[:, rng.choice(present)] = True
        hidden &= observed
        if hidden.any() and (observed & ~hidden).any():
            return hidden
    return None


def training_mask(observed: np.ndarray, rng: np.random.Generator, *, everything: float = 0.0) -> np.ndarray:
    """A random mask of training (t, r): points, a block in all or in one replicate, replicates, a tail, or everything.

    observed (t, r). `everything` is the share of masks that hide all (what generation needs); any other leaves
    something visible.
    """
    t, r = observed.shape
    hidden = np.zeros((t, r), dtype=bool)
    u = rng.random()
    if u < everything:
        return observed.copy()
    kind = rng.choice(["points", "block", "block_one", "replicate", "tail"], p=[0.28, 0.28, 0.19, 0.18, 0.07])
    present = np.flatnonzero(observed.any(axis=0))
    if not present.size:
        return hidden
    if kind == "replicate" and len(present) < 2:
        kind = "block"
    length = round(t * rng.choice([0.15, rng.uniform(0.03, 0.4)]))
    if kind == "points":
        hidden = rng.random((t, r)) < rng.choice([0.2, rng.uniform(0.05, 0.7)])
    elif kind == "block":
        hidden |= _block(t, max(length, 1), rng)[:, None]
    elif kind == "block_one":
        hidden[:, rng.choice(present)] = _block(t, max(length, 1), rng)
    elif kind == "replicate":
        some = rng.permutation(present)[: rng.integers(1, len(present))]
        hidden[:, some if rng.random() < 0.3 else some[:1]] = True
    else:
        hidden[t - max(length, 1) :] = True
    hidden &= observed
    if hidden.any() and (observed & ~hidden).any():
        return hidden
    cells = np.flatnonzero(observed)
    some = rng.choice(cells, max(len(cells) // 5, min(len(cells) - 1, 1)), replace=False)
    return np.isin(np.arange(t * r), some).reshape(t, r)
