"""From probable partners to coordinates: smoothing over their graph, then a neighbour embedding anchored to it.

The embedding is t-SNE's (van der Maaten and Hinton 2008) on a given graph, with a pull towards the smoothed
coordinates; above `DENSE` cells, repulsion is felt from a random sample of others. Letters: n cells, k partners, d.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from stedm.graph import averaged

DENSE = 1000  # cells; the sample is as large
FAR = 60.0  # squared distance beyond which exp(-d^2) is nothing; numbers below 1e-38 would cost ten times the time
MEAN, SQUARE = 0.9, 0.999  # how much of the slope and of its square Adam remembers


def smooth(
    coordinates: np.ndarray, partners: np.ndarray, chance: np.ndarray, *, rounds: int, share: float
) -> np.ndarray:
    """Coordinates (n, d) drawn `rounds` times towards the mean of their partners (n, k), weighted by chance (n, k).

    share: how much of the way, 0 to 1. A cell whose chances are all 0 stays.
    """
    made = coordinates
    alone = chance.sum(axis=1) <= 0
    for _ in range(rounds):
        mean = averaged(made, partners, chance)
        made = np.where(alone[:, None], made, (1 - share) * made + share * mean)
    return made


def embed(
    start: np.ndarray,
    partners: np.ndarray,
    chance: np.ndarray,
    *,
    steps: int,
    anchor: float,
    error: float,
    gaussian: bool,
    seed: int,
) -> np.ndarray:
    """Coordinates (n, d) whose neighbours are the probable partners, near `start` (n, d).

    chance: (n, k) probabilities; each cell's sum is normalised. error: expected RMS distance of start from the truth.
    anchor: weight of the Gaussian prior around start with that error. gaussian: instead of Student-t kernels.
    """
    n, k = partners.shape
    if steps == 0 or n < 4:
        return start
    weight = chance / np.maximum(chance.sum(axis=1, keepdims=True), 1e-12)
    rows = torch.arange(n).repeat_interleave(k)
    columns, p = torch.as_tensor(partners.ravel()), torch.as_tensor(weight.ravel()) / n
    generator = torch.Generator().manual_seed(seed)
    unit = _unit(start, partners)
    first = torch.as_tensor(start / unit)
    y = first.clone()
    mean, square = torch.zeros_like(y), torch.zeros_like(y)
    for step in range(steps):
        y.requires_grad_()
        loss = _cost(y, rows, columns, p, generator, gaussian=gaussian)
        pull = ((y - first) ** 2).sum(dim=1).mean() * (unit / error) ** 2 / 2
        (slope,) = torch.autograd.grad(loss + anchor * pull, y)
        # Adam (Kingma and Ba 2015, algorithm 1). torch's loads its compiler first, which takes longer than all of this.
        mean, square = MEAN * mean + (1 - MEAN) * slope, SQUARE * square + (1 - SQUARE) * slope**2
        size = (square / (1 - SQUARE ** (step + 1))).sqrt() + 1e-8
        rate = 0.1 * (1 - step / steps) + 0.005
        y = y.detach() - rate * mean / (1 - MEAN ** (step + 1)) / size
    return y.numpy() * unit


def _unit(start: np.ndarray, partners: np.ndarray) -> float:
    """Median distance of partners: the length in which the kernel has width one."""
    d = np.linalg.norm(start[:, None] - start[partners], axis=2)
    middle = float(np.median(d))
    return middle if middle > 0 else 1.0


def _cost(
    y: torch.Tensor,
    rows: torch.Tensor,
    columns: torch.Tensor,
    p: torch.Tensor,
    generator: torch.Generator,
    *,
    gaussian: bool,
) -> torch.Tensor:
    """Kullback-Leibler divergence from the graph to the kernel, up to a constant."""
    n = len(y)
    near = ((y[rows] - y[columns]) ** 2).sum(dim=1)
    others = torch.arange(n) if n <= DENSE else torch.randperm(n, generator=generator)[:DENSE]
    some = torch.arange(n) if n <= DENSE else torch.randperm(n, generator=generator)[:DENSE]
    # In single precision: it is most of the work, and its gradient is a sum over all.
    away = _LogRepulsion.apply(y[some].float(), y[others].float(), some[:, None] == others[None], gaussian)
    return (p * (near if gaussian else torch.log1p(near))).sum() + away


class _LogRepulsion(torch.autograd.Function):
    """log of the sum of a kernel over pairs, its gradient in closed form: the chain rule's takes longer.

    one: (a, d), other: (b, d), same: (a, b) pairs left out. Kernel 1 / (1 + d^2), or exp(-d^2) where `gaussian`.
    """

    @staticmethod
    def forward(ctx: Any, one: torch.Tensor, other: torch.Tensor, same: torch.Tensor, gaussian: bool) -> Any:  # noqa: FBT001 - `apply` takes no keywords
        far = torch.addmm(
            (one**2).sum(dim=1)[:, None] + (other**2).sum(dim=1)[None], one, other.T, alpha=-2.0
        )
        far.clamp_min_(0.0).masked_fill_(same, float("inf"))
        shift = far.min() if gaussian else far.new_zeros(())
        kernel = far.sub_(shift).clamp_max_(FAR).neg_().exp_() if gaussian else far.add_(1.0).reciprocal_()
        total = kernel.sum()
        slope = (
            kernel if gaussian else kernel.square_()
        )  # minus the kernel's derivative by the squared distance
        of_one = slope.sum(dim=1)[:, None] * one - slope @ other
        of_other = slope.sum(dim=0)[:, None] * other - slope.T @ one
        ctx.save_for_backward(of_one * (-2.0 / total), of_other * (-2.0 / total))
        return total.log() - shift

    @staticmethod
    def backward(ctx: Any, *grad: torch.Tensor) -> Any:
        of_one, of_other = ctx.saved_tensors
        return grad[0] * of_one, grad[0] * of_other, None, None
