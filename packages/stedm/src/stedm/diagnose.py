"""The specification's questions, answered with numbers on held-out sets: a tidy table.

One row a number: `probe` (which question), `quantity`, `low` and `high` (noise levels in units of sigma_data; NaN where
there is none), `value`, `sets` (how many it is the mean of). Everything is measured on the sets that are given: give
held-out ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pandas as pd
import torch
from torch import Tensor

from cytosol.edm import EDMScaling
from cytosol.samplers import heun
from cytosol.schedules import karras_sigmas
from stedm.denoiser import skip_only
from stedm.frames import Example, in_frame, loss_target, make_example
from stedm.geometry import align, centre, jaccard, mean_square, rms_radius
from stedm.options import LOWEST

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stedm.denoiser import Refiner
    from stedm.options import Gauge
    from stedm.structure import StructureNet

# the specification's bins of sigma (section 8.1), made finer, over its sigma_data of 0.157
BINS = tuple(round(edge / 0.157, 2) for edge in (0.05, 0.1, 0.3, 0.5, 1.0, 2.5))
COLUMNS = ("probe", "quantity", "low", "high", "value", "sets")
OPEN_LOOP = 16.0  # noise level where open-loop sampling starts [sigma_data]
Rows = list[tuple[str, str, float, float, float, int]]


@dataclass(frozen=True)
class Held:
    """A held-out batch as the refiner meets it: context (b, n, c), v and start (b, n, d) [sigma_data], mask (b, n)."""

    context: Tensor
    v: Tensor
    start: Tensor
    mask: Tensor


@torch.no_grad()
def diagnose(
    net: StructureNet, batches: Sequence[dict[str, Tensor]], *, gauge: Gauge, generator: torch.Generator
) -> pd.DataFrame:
    """All probes on held-out batches, as one table. Without a refiner, the generator's alone.

    batches: z (b, n, h), p and v (b, n, d) [unit of the coordinates], mask (b, n). gauge: that of the training.
    """
    net.eval()
    held = [_held(net, batch) for batch in batches]
    rows = generator_health(held)
    if net.refiner is not None:
        rows += by_sigma(net.refiner, held, gauge, generator)
        rows += ablation(net.refiner, held, gauge, generator)
        rows += open_loop_probe(net.refiner, held, gauge, generator)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def generator_health(held: Sequence[Held]) -> Rows:
    """The generator's Jaccard@10, scale ratio and aligned error over the target's size."""
    found: dict[str, list[Tensor]] = {"jaccard10": [], "scale_r": [], "error": []}
    for one in held:
        target = centre(one.v, one.mask)
        moved = align(one.start, target, one.mask)(one.start)
        found["jaccard10"].append(jaccard(one.start, target, one.mask))
        found["scale_r"].append(rms_radius(one.start, one.mask) / rms_radius(target, one.mask))
        found["error"].append((mean_square(moved - target, one.mask) / mean_square(target, one.mask)).sqrt())
    return _rows("generator_health", found)


def by_sigma(refiner: Refiner, held: Sequence[Held], gauge: Gauge, generator: torch.Generator) -> Rows:
    """For each bin of noise levels: scale, size of F, and neighbours after one step, each beside what it must beat.

    `scale_r` RMS of the estimate over the target's; `scale_r_skip` that of c_skip V_t alone. `fx_ratio`
    RMS(F_pred) / RMS(F_target) with the data's sigma_data; `fx_ratio_own` the same of the net's own output, beyond the
    generator where the preconditioning is centred on it, with `gain_own` the share of that target's square that is
    explained. `jaccard10` after one step, `jaccard10_skip` of the noisy structure (its skip-only estimate has the same
    neighbours), `jaccard10_silent` of the refiner with F = 0.
    """
    rows: Rows = []
    for low, high in pairwise(BINS):
        found: dict[str, list[Tensor]] = {}
        squares = torch.zeros(5, dtype=torch.float64)
        for example, context in _examples(held, low, high, gauge, generator):
            hat = _estimate(refiner, context, example)
            target = loss_target(example, hat, gauge)
            skip = skip_only(example.noisy, example.sigma, example.mask)
            silent = refiner.silent(example.noisy, example.sigma, start=example.start, mask=example.mask)
            size = EDMScaling(1.0).c_out(example.sigma)
            own = refiner.core.scaling.c_out(example.sigma)
            parts = (
                (hat, skip, size),
                (target, skip, size),
                (hat, silent, own),
                (target, silent, own),
                (hat, target, own),
            )
            each = [(mean_square(a - b, example.mask) / c**2).sum() for a, b, c in parts]
            squares += torch.stack(each).double().cpu()
            for name, v in (("jaccard10", hat), ("jaccard10_skip", skip), ("jaccard10_silent", silent)):
                found.setdefault(name, []).append(jaccard(v, example.target, example.mask))
            for name, v in (("scale_r", hat), ("scale_r_skip", skip)):
                ratio = rms_radius(v, example.mask) / rms_radius(example.target, example.mask)
                found.setdefault(name, []).append(ratio)
        rows += _rows("by_sigma", found, low, high)
        sets = sum(len(one.mask) for one in held)
        pred, wanted, own_pred, own_wanted, missed = squares.clamp_min(1e-300).tolist()
        for name, value in (
            ("fx_ratio", math.sqrt(pred / wanted)),
            ("fx_ratio_own", math.sqrt(own_pred / own_wanted)),
            ("gain_own", 1 - missed / own_wanted),
        ):
            rows.append(("by_sigma", name, low, high, value, sets))
    return rows


def ablation(refiner: Refiner, held: Sequence[Held], gauge: Gauge, generator: torch.Generator) -> Rows:
    """Is the conditioning used? A: as it is; B: contexts of other cells of the set; C: no generator's structure either.

    `rel_diff`: change of the estimate over its size; `error_ratio`: squared error over A's. At high noise, where what
    is said can come from the conditioning alone.
    """
    found: dict[str, list[Tensor]] = {}
    for example, context in _examples(held, BINS[-2], BINS[-1], gauge, generator):
        base = _estimate(refiner, context, example)
        error = mean_square(base - loss_target(example, base, gauge), example.mask)
        order = _shuffled(example.mask, generator)
        other = torch.gather(context, 1, order[..., None].expand_as(context))
        for name, changed, start in (
            ("b", other, example.start),
            ("c", other, torch.zeros_like(example.start)),
        ):
            hat = _estimate(refiner, changed, replace(example, start=start))
            worse = mean_square(hat - loss_target(example, hat, gauge), example.mask)
            change = (mean_square(hat - base, example.mask) / mean_square(base, example.mask)).sqrt()
            found.setdefault(f"rel_diff_{name}", []).append(change)
            found.setdefault(f"error_ratio_{name}", []).append(worse / error.clamp_min(1e-12))
    return _rows("ablation", found, BINS[-2], BINS[-1])


def open_loop_probe(
    refiner: Refiner, held: Sequence[Held], gauge: Gauge, generator: torch.Generator, *, steps: int = 18
) -> Rows:
    """Structures drawn from pure noise in `steps`: Jaccard@10 and scale, and the Jaccard over the generator's."""
    found: dict[str, list[Tensor]] = {"jaccard10": [], "scale_r": [], "jaccard10_generator": []}
    levels = karras_sigmas(steps, sigma_min=LOWEST, sigma_max=OPEN_LOOP)
    for one in held:

        def denoise(x: Tensor, sigma: Tensor, one: Held = one) -> Tensor:
            shown = in_frame(one.start, x, one.mask, gauge)
            return refiner(x, sigma, context=one.context, start=shown, mask=one.mask)

        noise = torch.randn(one.v.shape, generator=generator).to(one.v)
        v = heun(denoise, OPEN_LOOP * centre(noise, one.mask), levels)
        found["jaccard10"].append(jaccard(v, one.v, one.mask))
        found["scale_r"].append(rms_radius(v, one.mask) / rms_radius(one.v, one.mask))
        found["jaccard10_generator"].append(jaccard(one.start, one.v, one.mask))
    rows = _rows("open_loop", found)
    value = {name: v for _, name, _, _, v, _ in rows}
    share = value["jaccard10"] / max(value["jaccard10_generator"], 1e-12)
    return [*rows, ("open_loop", "share_of_generator", math.nan, math.nan, share, rows[0][-1])]


def _held(net: StructureNet, batch: dict[str, Tensor]) -> Held:
    device = next(net.parameters()).device
    batch = {name: x.to(device) for name, x in batch.items()}
    context, start = net.look(batch["z"], batch["p"], batch["mask"])
    return Held(context, centre(batch["v"] / net.sigma_data, batch["mask"]), start, batch["mask"])


def _examples(
    held: Sequence[Held], low: float, high: float, gauge: Gauge, generator: torch.Generator
) -> Iterator[tuple[Example, Tensor]]:
    """Noisy held-out sets with levels drawn log-uniformly from a bin, and their contexts."""
    for one in held:
        u = torch.rand(len(one.mask), generator=generator)
        sigma = torch.exp(math.log(low) + u * (math.log(high) - math.log(low)))
        yield make_example(one.v, one.start, one.mask, sigma, gauge, generator), one.context


def _estimate(refiner: Refiner, context: Tensor, example: Example) -> Tensor:
    return refiner(example.noisy, example.sigma, context=context, start=example.start, mask=example.mask)


def _shuffled(mask: Tensor, generator: torch.Generator) -> Tensor:
    """For each cell the number of another real cell of its set: (b, n)."""
    random = torch.rand(mask.shape, generator=generator).to(mask.device).masked_fill(~mask, 2.0)
    order = random.argsort(1)
    own = torch.arange(mask.shape[1], device=mask.device).expand_as(order)
    rank = mask.cumsum(1) - 1
    return torch.where(mask, order.gather(1, rank.clamp_min(0)), own)


def _rows(probe: str, found: dict[str, list[Tensor]], low: float = math.nan, high: float = math.nan) -> Rows:
    made: Rows = []
    for name, parts in found.items():
        every = torch.cat(parts)
        made.append((probe, name, low, high, float(every.mean()), len(every)))
    return made
