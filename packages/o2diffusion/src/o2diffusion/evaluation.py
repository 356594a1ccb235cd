"""The model beside what people do today, on the same hidden cells.

Four tasks (`tasks.py`) on grids of cells; an error is the mean over conditions of the mean over cells. Letters as in
`grid.py`; m hidden cells.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from o2diffusion import baselines
from o2diffusion.conditions import Condition
from o2diffusion.grid import to_grid
from o2diffusion.metrics import Prediction, score
from o2diffusion.pool import Item, item
from o2diffusion.sampling import fill
from o2diffusion.tasks import TASKS, hide, refuse_unknown

if TYPE_CHECKING:
    from o2diffusion.model import FlexibleReplicateDiffusionModel

NEAR_H = 12.0  # [h] after a media change
DRAWS = 100
Who = Callable[[Condition], tuple[int, float]]


@dataclass(frozen=True)
class Case:
    """One condition with cells hidden; `near` (t,) bool: cells within `NEAR_H` after a media change."""

    item: Item
    near: np.ndarray

    @property
    def source(self) -> str:
        """Where the condition comes from."""
        return self.item.grid.condition.source or "all"


def cases(
    conditions: Iterable[Condition], task: str, *, seed: int, cells: int = 128, who: Who | None = None
) -> Iterator[Case]:
    """Hide cells of each condition as the task says; conditions for which it has no meaning are left out.

    cells: of each grid. who: drug index and concentration [uM] of a condition; without it, none. Raises ValueError for
    another task than `TASKS`.
    """
    refuse_unknown([task])
    for condition in conditions:
        grid = to_grid(condition, cells)
        hidden = hide(task, grid.observed, _mask_rng(condition, task, seed))
        if hidden is None:
            continue
        events = condition.events
        change = np.array([kind == "media_change" for kind in events.kind], dtype=bool)
        lag = grid.centre[:, None] - events.time_h[change][None, :]
        near = np.any((lag >= -0.5 * grid.width) & (lag < NEAR_H), axis=1)
        drug, concentration = who(condition) if who else (-1, float("nan"))
        one = item(grid, hidden, fallback=(0.0, 1.0), drug=drug, concentration=concentration)
        yield Case(one, near)


def _mask_rng(condition: Condition, task: str, seed: int) -> np.random.Generator:
    """Randomness of a condition's own: its mask is the same whatever else the table holds."""
    name = "|".join((condition.experiment_id, condition.series_id, *condition.replicates))
    return np.random.default_rng((seed, TASKS.index(task), zlib.crc32(name.encode())))


def _gaussian(case: Case, *, shared: bool, template: bool) -> Prediction:
    """A Gaussian process' belief of the hidden cells, with or without the event template below it."""
    grid, features, hidden = case.item.grid, case.item.features, case.item.active
    z = (grid.value - features.level) / features.scale
    z = np.where(hidden, np.nan, z)
    events = grid.condition.events.time_h
    shape = baselines.template(z, grid.time, events) if template else np.zeros_like(z)
    belief = baselines.gaussian_process(z - shape, grid.time, shared=shared, joint=shared)
    rows = np.flatnonzero(hidden.ravel())
    replicate = np.nonzero(hidden)[1]
    area = None
    if belief.covariance is not None:
        block = belief.covariance[np.ix_(rows, rows)]
        own = [replicate == r for r in np.unique(replicate)]
        area = np.array([np.sqrt(block[np.ix_(o, o)].mean()) for o in own])
    return Prediction(belief.mean[rows] + shape.ravel()[rows], sd=belief.sd[rows], area_sd=area)


def baseline_predictions(case: Case) -> dict[str, Prediction]:
    """What each of the seven simple methods says of one case, by its name."""
    grid, features, hidden = case.item.grid, case.item.features, case.item.active
    z = np.where(hidden, np.nan, (grid.value - features.level) / features.scale)
    events = grid.condition.events.time_h
    out = {name: Prediction(f(z, grid.time, events)[hidden]) for name, f in baselines.POINT_FILLS.items()}
    out["gp_per_trace"] = _gaussian(case, shared=False, template=False)
    out["gp_shared"] = _gaussian(case, shared=True, template=False)
    out["gp_shared_template"] = _gaussian(case, shared=True, template=True)
    return out


def model_predictions(
    net: FlexibleReplicateDiffusionModel, found: Sequence[Case], *, draws: int, seed: int
) -> list[Prediction]:
    """The model's `draws` joint draws on the cases, one prediction a case.

    The centre is the limit of their median: the middle one of the network's quantiles.
    """
    filled = fill(net, [c.item for c in found], draws, generator=torch.Generator().manual_seed(seed))
    out = []
    for case, one in zip(found, filled, strict=True):
        hidden, f = case.item.active, case.item.features
        z = (one.draws[:, hidden] - f.level) / f.scale
        middle = (one.quantiles[hidden][:, one.quantiles.shape[-1] // 2] - f.level) / f.scale
        out.append(Prediction(middle, draws=z))
    return out


def evaluate(
    net: FlexibleReplicateDiffusionModel,
    conditions: Sequence[Condition],
    *,
    dataset: str,
    tasks: Sequence[str] = TASKS,
    seed: int = 0,
    draws: int = DRAWS,
    who: Who | None = None,
    simple: bool = True,
) -> pd.DataFrame:
    """Long table of scores: dataset, source, task, method, metric, value, n (conditions), seed.

    `source` is "all" for the mean over every condition. simple=False leaves the baselines out. who: as of `cases`.
    Raises ValueError for another task than `TASKS`, one that has a meaning for no condition, and fewer than two draws.
    """
    refuse_unknown(tasks)
    rows = []
    for task in tasks:
        found = list(cases(conditions, task, seed=seed, cells=net.config.cells, who=who))
        if not found:
            msg = f"task {task}: expected at least one condition that it can be asked of, got none of {len(conditions)}"
            raise ValueError(msg)
        own = model_predictions(net, found, draws=draws, seed=seed)
        for case, mine in zip(found, own, strict=True):
            methods = {"o2diffusion": mine} | (baseline_predictions(case) if simple else {})
            hidden = case.item.active
            truth, replicate = case.item.target[hidden].astype(float), np.nonzero(hidden)[1]
            near = np.broadcast_to(case.near[:, None], hidden.shape)[hidden]
            for method, prediction in methods.items():
                for metric, value in score(prediction, truth, replicate, near).items():
                    rows.append((case.source, task, method, metric, value))
    long = pd.DataFrame(rows, columns=["source", "task", "method", "metric", "value"])
    return _means(long, dataset, seed)


def _means(long: pd.DataFrame, dataset: str, seed: int) -> pd.DataFrame:
    """Means over conditions, for all and by source."""
    both = long if set(long["source"]) == {"all"} else pd.concat([long.assign(source="all"), long])
    keys = ["source", "task", "method", "metric"]
    groups = both.groupby(keys, sort=False)
    table = groups.agg(value=("value", "mean"), n=("value", "size")).reset_index()
    return table.assign(dataset=dataset, seed=seed).reindex(columns=["dataset", *keys, "value", "n", "seed"])


def against_best(table: pd.DataFrame, metric: str, *, method: str = "o2diffusion") -> pd.DataFrame:
    """The model's `metric` by task beside the best simple method's: task, value, best, best_method, ratio.

    metric: one where less is better. Raises ValueError where the table lacks it for `method` or for any other.
    """
    part = table[(table["metric"] == metric) & (table["source"] == "all")]
    if not {method} < set(part["method"]):
        msg = f"expected rows of {metric} for {method} and a simple method, got those of {sorted(set(part['method']))}"
        raise ValueError(msg)
    by_task: dict[str, dict[str, float]] = {}
    for task, name, value in zip(part["task"], part["method"], part["value"], strict=True):
        by_task.setdefault(str(task), {})[str(name)] = float(value)
    rows = []
    for task, values in by_task.items():
        mine = values.pop(method)
        best = min(values, key=lambda name: values[name])
        rows.append((task, mine, values[best], best, mine / values[best]))
    return pd.DataFrame(rows, columns=["task", "value", "best", "best_method", "ratio"])
