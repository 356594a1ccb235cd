"""Joint draws of what is hidden: the encoder looks once, the denoiser draws, the quantiles set the marginals.

Letters: b batch, t time cells, r replicates, n draws, k quantiles.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from cytosol.samplers import dpm_solver_pp_2m
from cytosol.schedules import karras_sigmas
from o2diffusion.marginals import exact_scores, from_scores
from o2diffusion.pool import Item, collate
from o2diffusion.replicates import generate_replicate_aware_noise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from o2diffusion.model import Encoded, FlexibleReplicateDiffusionModel

# The mean of a hundred cells that move together is known at a tenth of a cell's noise: only far above it is it drawn.
SIGMA_MIN, SIGMA_MAX = 0.03, 80.0
STEPS = 10
FEWEST = 32  # draws made inside, so that ranks say something; fewer are handed out when fewer are asked for
CHUNK = 512  # curves the denoiser sees at once: more do not stay in a processor's cache
GPU_CHUNK = 8192  # the same elsewhere, where few curves leave most of it idle


@dataclass(frozen=True)
class Fill:
    """What is believed of one masked grid, in the input's unit: `quantiles` (t, r, k), `draws` (n, t, r)."""

    quantiles: np.ndarray
    draws: np.ndarray


@torch.no_grad()
def draw_scores(
    net: FlexibleReplicateDiffusionModel,
    encoded: Encoded,
    active: Tensor,
    replicate_mask: Tensor,
    n: int,
    *,
    generator: torch.Generator,
    steps: int = STEPS,
) -> Tensor:
    """Normal scores of the active cells, drawn together: active (b, t, r), replicate_mask (b, r) -> (n, b, t, r).

    DPM-Solver++(2M) (Lu et al. 2022) on the noise levels of Karras et al. 2022, eq. 5, from noise with the replicates'
    own correlation.
    """
    b, t, r = active.shape
    levels = karras_sigmas(steps, sigma_min=SIGMA_MIN, sigma_max=SIGMA_MAX)
    per_chunk = max(1, (CHUNK if active.device.type == "cpu" else GPU_CHUNK) // (b * r))
    real, correlation = replicate_mask.cpu(), encoded.correlation.cpu()
    parts = []
    for first in range(0, n, per_chunk):
        m = min(per_chunk, n - first)
        many, mask = encoded.repeat(m), replicate_mask.repeat_interleave(m, dim=0)
        cells = active.repeat_interleave(m, dim=0)
        # Draw by draw, so that the size of a chunk changes nothing.
        each = [generate_replicate_aware_noise((b, t, r), real, correlation, generator) for _ in range(m)]
        noise = torch.stack(each, dim=1).flatten(0, 1)

        def denoise(
            x: Tensor, sigma: Tensor, many: Encoded = many, cells: Tensor = cells, mask: Tensor = mask
        ) -> Tensor:
            return net.denoiser(x * cells, sigma, encoded=many, active=cells, replicate_mask=mask)

        x = dpm_solver_pp_2m(
            denoise, noise.to(active.device) * cells * float(levels[0]), levels, generator=generator
        )
        parts.append(x.view(b, m, t, r).transpose(0, 1))
    return torch.cat(parts) * active


def shared_scores(
    encoded: Encoded, active: Tensor, replicate_mask: Tensor, n: int, *, generator: torch.Generator
) -> Tensor:
    """Normal scores that are one number a replicate, correlated among them: (n, b, t, r), as `draw_scores`."""
    b, t, r = active.shape
    real, correlation = replicate_mask.cpu(), encoded.correlation.cpu()
    each = [generate_replicate_aware_noise((b, 1, r), real, correlation, generator) for _ in range(n)]
    return torch.stack(each).to(active.device).expand(n, b, t, r) * active


@torch.no_grad()
def fill(
    net: FlexibleReplicateDiffusionModel,
    items: Sequence[Item],
    n: int,
    *,
    generator: torch.Generator,
    batch_size: int = 32,
    steps: int = STEPS,
    joint: bool = True,
) -> list[Fill]:
    """Quantiles and n joint draws of each item's active cells, in the input's unit; the network is put to eval.

    Cells that are not active hold the observed value, or NaN. n = 0 gives quantiles only. joint=False: replicates are
    drawn together, times are not (every cell of a replicate has the same score).
    """
    net.eval()
    device = next(net.parameters()).device
    filled = []
    for first in range(0, len(items), batch_size):
        part = items[first : first + batch_size]
        batch = collate(part, max(one.active.shape[1] for one in part)).map(lambda x: x.to(device))
        encoded = net.encode(batch)
        values = encoded.quantiles.new_zeros(0, *batch.active.shape)
        if n:
            draw = partial(draw_scores, net, steps=steps) if joint else shared_scores
            scores = draw(encoded, batch.active, batch.replicate_mask, max(n, FEWEST), generator=generator)
            values = from_scores(exact_scores(scores)[:n], encoded.quantiles)
        for j, one in enumerate(part):
            filled.append(_in_units(one, encoded.quantiles[j], values[:, j]))
    return filled


def _in_units(one: Item, quantiles: Tensor, draws: Tensor) -> Fill:
    """Back to the input's unit, replicates unpadded, what was seen put back."""
    r = one.active.shape[1]
    level, scale = one.features.level, one.features.scale
    seen = np.where(one.active, np.nan, one.grid.value)
    q = quantiles[:, :r].double().cpu().numpy() * scale + level
    d = draws[:, :, :r].double().cpu().numpy() * scale + level
    return Fill(np.where(one.active[..., None], q, seen[..., None]), np.where(one.active, d, seen))
