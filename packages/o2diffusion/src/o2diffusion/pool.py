"""Masked conditions made ready once, as tensors: what training draws its batches from.

The Gaussian process is the dear part. It is fitted to each mask anew: one fitted to what another mask shows would know
more than it may, and training would learn to trust it too much.
Letters as in `model.py`; p items of the pool.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor

from o2diffusion.config import MAX_REPLICATES
from o2diffusion.features import Features, featurize
from o2diffusion.grid import Grid, to_grid, usual_step
from o2diffusion.model import Batch
from o2diffusion.tasks import training_mask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from o2diffusion.conditions import Condition

_BLAS = ThreadpoolController().select(user_api="blas")
MAX_EVENTS = 64  # media changes that the response module adds up: those before them have long decayed
WHOLE = 0.6  # share of conditions that are shown from end to end
NARROWEST = 0.03  # of a condition that is shown
FEWEST = 8  # observed cells: below, a condition teaches nothing


@dataclass(frozen=True)
class Item:
    """One masked grid: `features`, the cells to fill `active` (t, r) bool, their truth `target` (t, r) [z] or zeros.

    `grid` before it was masked; `drug` index (-1 = unknown), `concentration` [uM, NaN = not given].
    """

    features: Features
    active: np.ndarray
    target: np.ndarray
    grid: Grid
    drug: int = -1
    concentration: float = float("nan")


def item(
    grid: Grid,
    active: np.ndarray,
    *,
    fallback: tuple[float, float],
    start: np.ndarray | None = None,
    drug: int = -1,
    concentration: float = float("nan"),
) -> Item:
    """A grid with its `active` cells (t, r) hidden; their truth is kept where the grid holds it.

    fallback: level and scale where nothing else is visible; start (9,): as of `featurize`.
    """
    features = featurize(grid.hide(active), fallback=fallback, start=start)
    target = np.where(active & grid.observed, (grid.value - features.level) / features.scale, 0.0)
    return Item(features, active, target.astype(np.float32), grid, drug, concentration)


def collate(items: Sequence[Item], replicates: int = MAX_REPLICATES) -> Batch:
    """Items as a batch, padded to `replicates`, which none has more of."""

    def pad(x: np.ndarray, axis: int = 1) -> np.ndarray:
        width = [(0, 0)] * x.ndim
        width[axis] = (0, replicates - x.shape[axis])
        return np.pad(x, width)

    def stack(parts: list[np.ndarray], dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.as_tensor(np.stack(parts), dtype=dtype)

    times, masks = zip(*(_changes(i.grid) for i in items), strict=True)
    return Batch(
        channels=stack([pad(i.features.channels) for i in items]),
        globals=stack([i.features.globals for i in items]),
        experts=stack([pad(i.features.experts) for i in items]),
        sd=stack([np.where(pad(np.ones_like(i.features.sd)) > 0, pad(i.features.sd), 1.0) for i in items]),
        replicate_mask=stack([np.arange(replicates) < i.active.shape[1] for i in items], torch.bool),
        active=stack([pad(i.active) for i in items], torch.bool),
        target=stack([pad(i.target) for i in items]),
        time=stack([i.grid.centre for i in items]),
        event_time=stack(list(times)),
        event_mask=stack(list(masks), torch.bool),
        drug=torch.tensor([i.drug for i in items]),
        concentration=torch.tensor([i.concentration for i in items], dtype=torch.float32),
    )


def _changes(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Times of the media changes up to the window's end, padded, and which are real: (e,) each."""
    events = grid.condition.events
    change = np.array([kind == "media_change" for kind in events.kind], dtype=bool)
    at = (
        events.time_h[change & (events.time_h < grid.edges[-1])][-MAX_EVENTS:]
        if change.any()
        else np.empty(0)
    )
    return np.pad(at, (0, MAX_EVENTS - len(at))), np.arange(MAX_EVENTS) < len(at)


def _items(job: tuple[Any, ...]) -> Batch | None:
    """All masks of one condition."""
    condition, masks, everything, fallback, (drug, concentration), seed, cells = job
    rng = np.random.default_rng(seed)
    grid = to_grid(condition, cells, **_window(condition, cells, rng))
    if grid.observed.sum() < FEWEST:
        return None
    start, made = None, []
    for _ in range(masks):
        hidden = training_mask(grid.observed, rng, everything=everything)
        known = (grid.observed & ~hidden).any()
        made.append(
            item(
                grid,
                hidden,
                fallback=fallback,
                start=start if known else None,
                drug=drug,
                concentration=concentration,
            )
        )
        start = made[-1].features.theta if known else start
    return collate(made)


def _window(condition: Condition, cells: int, rng: np.random.Generator) -> dict[str, float]:
    """A random part of the condition now and then, down to where a cell is a sample, as short gaps are looked at."""
    if rng.random() < WHOLE:
        return {}
    start, end = condition.time_h[0], condition.time_h[-1]
    span = end - start
    finest = np.clip(cells * usual_step(condition), NARROWEST * span, span)
    length = span * np.exp(rng.uniform(np.log(finest / span), 0.0)) if span > 0 else 0.0
    first = start + rng.random() * (span - length)
    return {"start": float(first), "end": float(first + length)}


def make_pool(
    conditions: Sequence[Condition],
    *,
    masks: int,
    everything: float,
    fallbacks: Sequence[tuple[float, float]],
    who: Sequence[tuple[int, float]],
    seed: int,
    cells: int = 128,
    workers: int | None = None,
) -> Batch:
    """Every condition under `masks` random masks, as one big batch in main memory.

    everything: share of masks that hide all. fallbacks: level and scale for a fully hidden curve, one a condition. who:
    drug index (-1 = unknown) and concentration [uM, NaN = not given]. cells: of a grid. workers: threads, by default
    one a processor; the pool is the same with any number. Raises ValueError where no condition has enough samples.
    """
    jobs = [
        (c, masks, everything, f, w, (seed, k), cells)
        for k, (c, f, w) in enumerate(zip(conditions, fallbacks, who, strict=True))
    ]
    # Threads, since the linear algebra releases the interpreter. One limit around them all: their own, taken back in
    # another order than they were set, would leave any number behind.
    with ThreadPoolExecutor(workers or os.cpu_count()) as executor, _BLAS.limit(limits=1):
        parts = [part for part in executor.map(_items, jobs) if part is not None]
    if not parts:
        msg = (
            f"expected a series with at least {FEWEST} time cells that hold oxygen to learn from, "
            f"got none among {len(conditions)} series"
        )
        raise ValueError(msg)
    return Batch(**{f.name: torch.cat([getattr(p, f.name) for p in parts]) for f in fields(Batch)})
