"""The gauge: which frame a target is brought into, and a noisy training example made in it.

A structure known by its distances is fixed only up to a rigid motion. A refiner that learns by squared error from
targets in arbitrary frames answers with the mean over frames, which shrinks. The words:

- `frame`: the section's own frame, as given. Right where all sections share one and expression tells it.
- `generator`: the target is moved onto the generator's structure before noise is added.
- `output`: the target has a random frame, the generator's structure is moved onto the noisy one, and the loss is taken
  after moving the target onto the output (as AlphaFold 3, Abramson et al. 2024, algorithm 28).
- `distance`: as `output`, but the loss compares distances.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from stedm.geometry import align, centre, intrinsic, turned, zero_padding

if TYPE_CHECKING:
    from stedm.options import Gauge


@dataclass(frozen=True)
class Example:
    """Noisy sets: target, start (the generator's structure), noisy (b, n, d) in one frame; sigma (b,), mask (b, n)."""

    target: Tensor
    start: Tensor
    noisy: Tensor
    sigma: Tensor
    mask: Tensor


def make_example(
    v: Tensor, start: Tensor, mask: Tensor, sigma: Tensor, gauge: Gauge, generator: torch.Generator
) -> Example:
    """Bring target v and start (b, n, d) into the gauge's frame, add noise of level sigma (b,). All in sigma_data."""
    target, start = centre(v, mask), centre(start, mask)
    if gauge == "generator":
        target = centre(align(target, start, mask)(target), mask)
    elif gauge in ("output", "distance"):
        target = intrinsic(target, mask, v.shape[-1])
        target = target @ turned(target, generator)
    noise = torch.randn(v.shape, generator=generator).to(v)
    noisy = target + sigma.to(v)[:, None, None] * centre(noise, mask)
    return Example(target, in_frame(start, noisy, mask, gauge), noisy, sigma.to(v), mask)


def in_frame(start: Tensor, noisy: Tensor, mask: Tensor, gauge: Gauge) -> Tensor:
    """The generator's structure as the refiner is shown it beside a noisy one: (b, n, d)."""
    if gauge in ("output", "distance"):
        return centre(align(start, noisy, mask)(zero_padding(start, mask)), mask)
    return centre(start, mask)


def loss_target(example: Example, hat: Tensor, gauge: Gauge) -> Tensor:
    """The target that the score loss compares an estimate with: (b, n, d). Without gradient."""
    if gauge == "output":
        return centre(align(example.target, hat.detach(), example.mask)(example.target), example.mask)
    return example.target
