"""From one condition with holes to joint draws at every missing time.

The network sees windows of t cells. A short gap in a long series is looked at through a narrow window, so that a
cell is never much wider than the gap; a long gap through a wide one. Letters: n times of the condition, r replicates,
m wanted samples, d draws.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from threadpoolctl import ThreadpoolController

from o2diffusion.conditions import Condition
from o2diffusion.grid import Grid, to_grid, usual_step
from o2diffusion.pool import Item, item
from o2diffusion.sampling import Fill, fill

if TYPE_CHECKING:
    from collections.abc import Sequence

    from o2diffusion.model import FlexibleReplicateDiffusionModel

WINDOW = 16  # a window is this many times as long as the gap it is made for
FEWEST = 8  # samples that must be seen off their cells' means before their noise is believed
MARGIN = 0.2  # of a window on each side that only gives context
_BLAS = ThreadpoolController().select(user_api="blas")


@dataclass(frozen=True)
class Filled:
    """Draws at the m filled samples of a condition: `row`, `column` (m,) in its arrays, `draws` (d, m) in its unit."""

    condition: Condition
    row: np.ndarray
    column: np.ndarray
    draws: np.ndarray


def add_times(condition: Condition, every: float) -> Condition:
    """The condition with samples wanted at multiples of `every` [h] from its first time on, in every replicate.

    A time at which a replicate was measured is not added to it. Raises ValueError for a step that is not positive and
    finite, or gives more than a million times.
    """
    time = condition.time_h
    start, end = time[0], time[-1]
    if not 0 < every < np.inf or (end - start) / every > 1e6:
        msg = (
            f"every: expected a step [h] above 0, at most a million times in {end - start:g} h, got {every!r}"
        )
        raise ValueError(msg)
    steps = start + every * np.arange(int(np.floor((end - start) / every * (1 + 1e-12))) + 1)
    right = np.clip(np.searchsorted(time, steps), 0, len(time) - 1)
    left = np.maximum(right - 1, 0)
    near = np.where(np.abs(time[left] - steps) < np.abs(time[right] - steps), left, right)
    there = np.abs(time[near] - steps) <= 1e-9 * max(1.0, abs(end))
    wanted = condition.wanted.copy()
    wanted[near[there]] |= np.isnan(
        condition.oxygen[near[there]]
    )  # a time of one replicate, asked of the others
    extra = steps[~there]
    blank = np.full((len(extra), condition.oxygen.shape[1]), np.nan)
    order = np.argsort(np.concatenate([time, extra]), kind="stable")
    return replace(
        condition,
        time_h=np.concatenate([time, extra])[order],
        oxygen=np.concatenate([condition.oxygen, blank])[order],
        wanted=np.concatenate([wanted, np.ones(blank.shape, dtype=bool)])[order],
    )


def gap_windows(condition: Condition, cells: int = 128) -> list[tuple[float, float, np.ndarray]]:
    """Windows of `cells` cells that cover every wanted sample once: start, end [h], samples (n, r) it answers for."""
    time = condition.time_h
    first, last = float(time[0]), float(time[-1])
    if not condition.wanted.any():
        return []
    if not last > first:
        return [(first, last, condition.wanted)]
    span = last - first
    # Powers of two of the whole, so that neighbouring gaps share a window; none whose cells are finer than the samples.
    wide = np.maximum(WINDOW * _clear_length(condition), max(cells * usual_step(condition), 1e-6 * span))
    level = np.floor(np.log2(np.maximum(span / wide, 1.0))).astype(int)
    windows = []
    for k in np.unique(level[condition.wanted]):
        mine = condition.wanted & (level == k)
        length = span / 2**k
        todo = np.flatnonzero(mine.any(axis=1))
        while todo.size:
            start = max(time[todo[0]] - MARGIN * length, first)
            end = start + length
            inside = todo[time[todo] <= end - MARGIN * length]
            if k == 0 or end >= last:  # the last of its level: nothing may stay behind, however sums round
                start, end, inside = (last - length if k else first), last, todo
            answered = np.zeros_like(mine)
            answered[inside] = mine[inside]
            windows.append((float(start), float(end), answered))
            todo = todo[len(inside) :]
    return windows


def _clear_length(condition: Condition) -> np.ndarray:
    """Length of the stretch without a sample around each time and replicate: (n, r) [h]; all where none is seen."""
    time, seen = condition.time_h, np.isfinite(condition.oxygen)
    n = len(time)
    index = np.arange(n)[:, None]
    before = np.maximum.accumulate(np.where(seen, index, 0), axis=0)
    after = np.minimum.accumulate(np.where(seen, index, n - 1)[::-1], axis=0)[::-1]
    return np.where(seen.any(axis=0), time[after] - time[before], time[-1] - time[0])


def items_of(
    conditions: Sequence[Condition],
    *,
    cells: int,
    fallbacks: Sequence[tuple[float, float]],
    who: Sequence[tuple[int, float]],
) -> list[tuple[int, Item, np.ndarray]]:
    """The windows of the conditions as items: whose it is, the item, the wanted samples (n, r) that it answers for.

    fallbacks: level and scale, who: drug index and concentration [uM], one a condition.
    """

    def look(k: int) -> list[tuple[int, Item, np.ndarray]]:
        """The windows of the k-th condition."""
        found, (drug, concentration) = [], who[k]
        # Hyper-parameters by length of the window: the next search begins there.
        last: dict[float, np.ndarray] = {}
        for start, end, answered in gap_windows(conditions[k], cells):
            grid, length = to_grid(conditions[k], cells, start=start, end=end), round(end - start, 9)
            one = item(
                grid,
                ~grid.observed,
                fallback=fallbacks[k],
                start=last.get(length),
                drug=drug,
                concentration=concentration,
            )
            if grid.observed.any():
                last[length] = one.features.theta
            found.append((k, one, answered))
        return found

    # Threads, since the linear algebra releases the interpreter. One limit around them all: their own, taken back in
    # another order than they were set, would leave any number behind.
    with ThreadPoolExecutor(torch.get_num_threads()) as executor, _BLAS.limit(limits=1):
        return [one for found in executor.map(look, range(len(conditions))) for one in found]


def _seen(condition: Condition, grid: Grid) -> np.ndarray:
    """Which samples (n, r) are visible in the grid's window."""
    inside = (condition.time_h >= grid.edges[0]) & (condition.time_h <= grid.edges[-1])
    return np.isfinite(condition.oxygen) & inside[:, None]


def sample_noise(condition: Condition, grid: Grid) -> list[np.ndarray]:
    """What single samples are off the line through their cells' means: r arrays (m,), empty where that is not known.

    Of cells of two samples and more, and as large as the noise of a sample is: a mean of m took a part 1 / m of its
    variance away. As measured, with the sensor's steps and outliers.
    """
    time, out = condition.time_h, []
    for r, seen in enumerate(_seen(condition, grid).T):
        cell, full = grid.cell(time[seen]), grid.observed[:, r]
        many = np.bincount(cell, minlength=len(full))[cell]
        line = np.interp(time[seen], grid.time[full, r], grid.value[full, r]) if full.any() else np.empty(0)
        rest = (condition.oxygen[seen, r] - line) * np.sqrt(many / np.maximum(many - 1, 1))
        out.append(rest[many > 1] if np.count_nonzero(many > 1) >= FEWEST else np.empty(0))
    return out


def _at_samples(
    condition: Condition, one: Item, answered: np.ndarray, filled: Fill, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draws at the answered samples, on lines between the cells' values at their true times.

    A cell is a mean; a filled sample is a measurement, so it gets back the noise that the mean took away: all but 1 / m
    of its variance in a hidden cell of m samples, and 1 / m more than all of it where a mean of m others stands for it.
    """
    row, column = np.nonzero(answered)
    draws = np.empty((len(filled.draws), len(row)))
    noise, count = sample_noise(condition, one.grid), len(one.grid.centre)
    seen = _seen(condition, one.grid)
    for r in np.unique(column):
        mine = column == r
        at, when = condition.time_h[row[mine]], one.grid.time[:, r]
        right = np.clip(np.searchsorted(when, at), 1, len(when) - 1)
        part = np.clip((at - when[right - 1]) / np.maximum(when[right] - when[right - 1], 1e-12), 0.0, 1.0)
        curve = filled.draws[:, :, r]
        draws[:, mine] = curve[:, right - 1] * (1 - part) + curve[:, right] * part
        if noise[r].size:
            cell = one.grid.cell(at)
            others = np.bincount(one.grid.cell(condition.time_h[seen[:, r]]), minlength=count)[cell]
            hidden = np.bincount(cell, minlength=count)[cell]
            share = np.where(one.grid.observed[cell, r], 1 + 1 / np.maximum(others, 1), 1 - 1 / hidden)
            draws[:, mine] += np.sqrt(share) * rng.choice(noise[r], draws[:, mine].shape)
    return row, column, draws


def impute_conditions(
    net: FlexibleReplicateDiffusionModel,
    conditions: Sequence[Condition],
    *,
    fallbacks: Sequence[tuple[float, float]],
    who: Sequence[tuple[int, float]],
    draws: int,
    seed: int,
) -> list[Filled]:
    """`draws` joint draws at every wanted sample of the conditions; those of one window belong together.

    fallbacks: level and scale where a condition shows nothing, who: drug index and concentration [uM], one a condition.
    """
    work = items_of(conditions, cells=net.config.cells, fallbacks=fallbacks, who=who)
    generator, rng = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    parts: list[list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = [[] for _ in conditions]
    # A window asked for one time only has nothing to draw together but the replicates: it needs no denoising.
    alone = [np.count_nonzero(answered.any(axis=1)) == 1 for _, _, answered in work]
    for joint in (True, False):
        chosen = [w for w, single in zip(work, alone, strict=True) if single != joint]
        filled = fill(net, [one for _, one, _ in chosen], draws, generator=generator, joint=joint)
        for (k, one, answered), f in zip(chosen, filled, strict=True):
            parts[k].append(_at_samples(conditions[k], one, answered, f, rng))
    return [_joined(c, p, draws) for c, p in zip(conditions, parts, strict=True)]


def _joined(
    condition: Condition, parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]], draws: int
) -> Filled:
    """The windows' answers of one condition, by replicate and time."""
    if not parts:
        none = np.empty(0, dtype=int)
        return Filled(condition, none, none, np.empty((draws, 0)))
    row, column = (np.concatenate([p[k] for p in parts]) for k in (0, 1))
    values = np.concatenate([p[2] for p in parts], axis=1)
    order = np.lexsort((row, column))
    return Filled(condition, row[order], column[order], values[:, order])
