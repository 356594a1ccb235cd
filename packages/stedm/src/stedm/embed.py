"""From probable partners to coordinates: smoothing over their graph, then a neighbour embedding anchored to it.

The embedding is t-SNE's (van der Maaten and Hinton 2008) on a given graph, with a pull towards the smoothed
coordinates; above `DENSE` cells, repulsion is felt from a random sample of others. Letters: n cells, k partners, d.
"""

from __future__ import annotations

import numpy as np
import torch

from stedm.graph import averaged

DENSE = 1000  # cells; the sample is as large


def smooth(
    coordinates: np.ndarray, partners: np.ndarray, chance: np.ndarray, *, rounds: int, share: float
) -> np.ndarray:
    """Coordinates (n, d) drawn `rounds` times towards the mean of their partners (n, k), weighted by chance (n, k)."""
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
    y = first.clone().requires_grad_()
    optimizer = torch.optim.Adam([y], lr=0.1)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 0.1 * (1 - step / steps) + 0.005
        optimizer.zero_grad()
        loss = _cost(y, rows, columns, p, generator, gaussian=gaussian)
        pull = ((y - first) ** 2).sum(dim=1).mean() * (unit / error) ** 2 / 2
        (loss + anchor * pull).backward()
        optimizer.step()
    return y.detach().numpy() * unit


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
    far = torch.cdist(y[some], y[others], compute_mode="donot_use_mm_for_euclid_dist") ** 2
    far = far.masked_fill(some[:, None] == others[None], float("inf"))
    if gaussian:
        return (p * near).sum() + torch.logsumexp(-far.flatten(), 0)
    return (p * torch.log1p(near)).sum() + torch.log((1.0 / (1.0 + far)).sum())
