"""Whole curves of a condition nobody ran: the network with everything hidden, in the units of its training table.

Letters: t time cells, r replicates, n draws.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from o2diffusion.conditions import Condition
from o2diffusion.config import MAX_REPLICATES
from o2diffusion.events import Events
from o2diffusion.grid import Grid
from o2diffusion.media import MediaChangeSchedule
from o2diffusion.pool import Item, item
from o2diffusion.sampling import fill

if TYPE_CHECKING:
    from collections.abc import Sequence

    from o2diffusion.corpus import Facts
    from o2diffusion.model import FlexibleReplicateDiffusionModel


def blank_condition(
    hours: float, replicates: int, schedule: MediaChangeSchedule, *, unit: str | None = None
) -> Condition:
    """A condition without a single sample, `hours` [h] long, with its media changes.

    Raises ValueError for other than 1 to 4 replicates, a length that is not positive, a change outside it.
    """
    if not 1 <= replicates <= MAX_REPLICATES:
        msg = f"replicates: expected 1 to {MAX_REPLICATES}, got {replicates!r}"
        raise ValueError(msg)
    if not 0 < hours < float("inf"):
        msg = f"hours: expected a duration [h] above 0, got {hours!r}"
        raise ValueError(msg)
    late = [t for t in schedule.times_h if not 0 <= t <= hours]
    if late:
        msg = f"media_changes: expected times [h] between 0 and {hours:g}, got {late[0]:g}"
        raise ValueError(msg)
    nothing = np.full((2, replicates), np.nan)
    return Condition(
        experiment_id="generated",
        series_id="generated",
        drug=None,
        concentration_um=None,
        unit=unit,
        replicates=tuple(str(k + 1) for k in range(replicates)),
        time_h=np.array([0.0, hours]),
        oxygen=nothing,
        wanted=~np.isfinite(nothing),
        events=Events(
            np.asarray(schedule.times_h, dtype=float),
            ("media_change",) * len(schedule),
            np.asarray(schedule.drug_containing, dtype=bool),
        ),
    )


def blank_grid(hours: float, replicates: int, schedule: MediaChangeSchedule, *, cells: int) -> Grid:
    """A grid of `cells` cells over `hours` [h] on which nothing is visible; ValueError as `blank_condition`."""
    condition = blank_condition(hours, replicates, schedule)
    edges = np.linspace(0.0, hours, cells + 1)
    centre = np.repeat(0.5 * (edges[1:] + edges[:-1])[:, None], replicates, axis=1)
    return Grid(condition, edges, centre, np.full_like(centre, np.nan))


def generate_curves(
    net: FlexibleReplicateDiffusionModel,
    who: tuple[int, float],
    schedule: MediaChangeSchedule,
    *,
    scale: tuple[float, float],
    n_replicates: int = 4,
    hours: float = 400.0,
    draws: int = 1,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Times (t,) [h] and curves (n, t, r) of a condition, in the unit of `scale` = (level, scale).

    who: drug index (-1 = the learned average) and concentration [uM, NaN = not given]. hours: duration [h]. Raises
    ValueError as `blank_condition` does.
    """
    grid = blank_grid(hours, n_replicates, schedule, cells=net.config.cells)
    hidden = np.ones(grid.value.shape, dtype=bool)
    one = item(grid, hidden, fallback=scale, drug=who[0], concentration=who[1])
    return grid.centre, draw_whole(net, [one], draws, generator=torch.Generator().manual_seed(seed))[0]


@torch.no_grad()
def draw_whole(
    net: FlexibleReplicateDiffusionModel, items: Sequence[Item], draws: int, *, generator: torch.Generator
) -> list[np.ndarray]:
    """Curves (n, t, r), in its unit, of each item that shows nothing: drawn, then made as unlike as replicates are."""
    device, out = next(net.parameters()).device, []
    for one, filled in zip(items, fill(net, items, draws, generator=generator), strict=True):
        drug = torch.tensor([one.drug], device=device)
        dose = torch.tensor([one.concentration], dtype=torch.float32, device=device)
        curves = torch.as_tensor(filled.draws, dtype=torch.float32, device=device)
        n = len(curves)
        apart = net.replicate_generator.set_apart(
            curves, net.drug_encoder(drug, dose).expand(n, -1), dose.expand(n), generator=generator
        )
        out.append(apart.double().cpu().numpy())
    return out


def generate_table(
    net: FlexibleReplicateDiffusionModel,
    known: Facts,
    who: tuple[int, float],
    *,
    replicates: int,
    media_changes: Sequence[float] | MediaChangeSchedule,
    hours: float,
    draws: int,
    unit: str | None,
    seed: int,
) -> pd.DataFrame:
    """`generate_curves` as a long table: draw and replicate (from 1), time_h, oxygen, unit.

    media_changes: times [h]. unit: one of `known`, its first where None. Raises ValueError for any other, for fewer
    than one draw, and as `blank_condition` does.
    """
    if draws < 1:
        msg = f"draws: expected at least 1, got {draws!r}"
        raise ValueError(msg)
    unit = next(iter(known.scales)) if unit is None else unit
    scale = known.scale(unit)
    if scale is None:
        units = ", ".join(known.units) or "none was stated"
        msg = f"unit: expected one the model was trained on ({units}), got {unit!r}"
        raise ValueError(msg)
    schedule = (
        media_changes
        if isinstance(media_changes, MediaChangeSchedule)
        else MediaChangeSchedule(media_changes)
    )
    time, curves = generate_curves(
        net,
        who,
        schedule,
        scale=scale,
        n_replicates=replicates,
        hours=hours,
        draws=draws,
        seed=seed,
    )
    n, t, r = curves.shape
    return pd.DataFrame(
        {
            "draw": np.repeat(np.arange(1, n + 1), t * r),
            "replicate": np.tile(np.repeat(np.arange(1, r + 1), t), n),
            "time_h": np.tile(time, n * r),
            "oxygen": curves.transpose(0, 2, 1).ravel(),
            "unit": unit,
        }
    )
