"""Stage A: the shared expression encoder, taught by neighbourhoods and coordinates, frozen afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from stedm.options import EncoderOptions


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.net(x)


class ExpressionEncoder(nn.Module):
    """Normalised expression of a cell -> its embedding Z: `(..., g) -> (..., h)`, cell by cell.

    `inputs` is g. `place` reads coordinates off an embedding, `signature` a unit vector in which neighbours are alike:
    both heads teach, and only the embedding is used afterwards.
    """

    def __init__(self, genes: int, dim: int, options: EncoderOptions) -> None:
        super().__init__()
        width, h = options.width, options.features
        self.inputs, self.hide = genes, options.hide
        self.body = nn.Sequential(
            nn.Linear(genes, width), *(_Residual(width) for _ in range(options.blocks)), nn.LayerNorm(width)
        )
        self.embed = nn.Sequential(nn.Linear(width, h), nn.LayerNorm(h, elementwise_affine=False))
        self.place = nn.Sequential(nn.Linear(h, width), nn.GELU(), nn.Linear(width, dim))
        self.contrast = nn.Sequential(nn.Linear(h, width), nn.GELU(), nn.Linear(width, h))

    def forward(self, x: Tensor) -> Tensor:
        """The embedding, `(..., h)`, each cell's of mean 0 and variance 1."""
        return self.embed(self.body(x))

    def signature(self, z: Tensor) -> Tensor:
        """The unit vector that the contrast compares: `(..., h) -> (..., h)`."""
        return F.normalize(self.contrast(z), dim=-1)

    def hidden(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Expression `(..., g)` with a share `hide` of it 0, the rest over 1 - hide."""
        keep = torch.rand(x.shape, generator=generator).to(x.device) >= self.hide
        return x * keep / (1 - self.hide)


def neighbour_targets(v: Tensor, section: Tensor, width: float | Tensor, *, across: bool) -> Tensor:
    """How much each cell is another's neighbour: rows sum to 1, or are 0 where nobody is near: (n, n).

    v: (n, d) in one frame for all sections; section: (n,) number; width: [unit of v] of a neighbourhood. Cells of
    other sections count where `across`, and each section's cells share the weight alike, so that sections mix.
    """
    near = torch.exp(-torch.cdist(v, v).square() / (2 * width**2))
    same = section[:, None] == section[None, :]
    own = torch.eye(len(v), dtype=torch.bool, device=v.device)
    inside = torch.where(same & ~own, near, 0.0)
    outside = torch.where(same, 0.0, near) if across else torch.zeros_like(near)
    rows = [part / part.sum(1, keepdim=True).clamp_min(1e-6) for part in (inside, outside)]
    weight = rows[0] + rows[1]
    total = weight.sum(1, keepdim=True)
    return weight / torch.where(total > 0, total, 1.0)


def contrast_loss(signature: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """Soft contrast: cross-entropy of the neighbours under a softmax of similarities, over the targets' own entropy.

    signature: (n, h) unit vectors, targets: (n, n) -> (). van den Oord et al. 2018, eq. 4, with many soft positives.
    """
    own = torch.eye(len(signature), dtype=torch.bool, device=signature.device)
    logits = (signature @ signature.T / temperature).masked_fill(own, -1e9)
    entropy = torch.special.entr(targets).sum(1)
    each = -(targets * torch.log_softmax(logits, -1)).sum(1) - entropy
    real = targets.sum(1) > 0
    return torch.where(real, each, 0.0).sum() / real.sum().clamp_min(1)
