"""The assembled network: what hides behind a curve, as quantiles of each cell and as joint draws of all.

Two passes. The encoder looks at a masked condition once: it gates simple fills (`features.EXPERTS`), corrects them
and says each hidden cell's quantiles. The denoiser, preconditioned as in Karras et al. 2022, then draws the normal
scores of all hidden cells together, conditioned on what the encoder saw.

Letters: b batch, t time cells, r replicates, c channels, g global numbers, k quantiles or experts, d width, e events.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from cytosol.edm import EDMScaling, Preconditioned
from cytosol.features import sinusoidal
from o2diffusion.config import MAX_REPLICATES
from o2diffusion.drugs import DrugEncoder
from o2diffusion.features import CHANNELS, EXPERTS, GLOBALS
from o2diffusion.marginals import SCORES, STEP, K
from o2diffusion.media import DrugAwareMediaChangeModule
from o2diffusion.replicates import ReplicateGenerator
from o2diffusion.unet import AdaptiveReplicateUNet

if TYPE_CHECKING:
    from o2diffusion.config import ModelConfig

# Shares of `features.EXPERTS` for a replicate that shows nothing: of the others by the process, and by the template.
UNSEEN_GATE = (0.7, 0.0, 0.0, 0.3)


@dataclass
class Batch:
    """Masked conditions as tensors; padded replicates are False in `replicate_mask` and may hold anything.

    channels (b, t, r, c), globals (b, g), experts (b, t, r, k), sd (b, t, r) [z], replicate_mask (b, r) bool,
    active (b, t, r) bool: cells to fill, target (b, t, r) [z] their truth (zeros when unknown), time (b, t) [h],
    event_time (b, e) [h], event_mask (b, e) bool, drug (b,) index or -1, concentration (b,) [uM] or NaN.
    """

    channels: Tensor
    globals: Tensor
    experts: Tensor
    sd: Tensor
    replicate_mask: Tensor
    active: Tensor
    target: Tensor
    time: Tensor
    event_time: Tensor
    event_mask: Tensor
    drug: Tensor
    concentration: Tensor

    def map(self, change: Any) -> Batch:
        """The same batch with `change(tensor)` applied to each tensor."""
        return Batch(**{f.name: change(getattr(self, f.name)) for f in fields(self)})


@dataclass
class Encoded:
    """What the encoder says: `quantiles` (b, t, r, k) [z], `seen` (b, r, d, n) as the denoiser's n tokens.

    `cond` (b, d_cond), `correlation` (b,) of the replicates' noise.
    """

    quantiles: Tensor
    seen: Tensor
    cond: Tensor
    correlation: Tensor

    def repeat(self, n: int) -> Encoded:
        """Each condition n times in a row: (b * n, ...) each."""
        return Encoded(*(getattr(self, f.name).repeat_interleave(n, dim=0) for f in fields(self)))


def common_part(x: Tensor, c_noise: Tensor, active: Tensor) -> Tensor:
    """Best guesses of what hidden cells have in common, from noisy scores: (b, t, r) -> (b, t, r, 3).

    If all cells of a group shared one score ~ N(0, 1), its posterior mean from n of them at level sigma would be
    mean * n / (n + sigma^2). The groups: a replicate's cells, a time's replicates, all. Convolutions would have to
    find these sums over a hundred cells of noise by themselves. x: scaled by c_in as the preconditioner does; c_noise
    (b,): ln(sigma) / 4; active (b, t, r) bool.
    """
    variance = torch.exp(8.0 * c_noise.double()).to(x.dtype).view(-1, 1, 1)  # c_noise = ln(sigma) / 4
    # NaN times zero, in a padded replicate, would be NaN
    x = torch.where(active, x, 0.0) * torch.sqrt(1.0 + variance)
    count = active.to(x.dtype)
    groups = ((1,), (2,), (1, 2))
    means = [x.sum(g, keepdim=True) / (count.sum(g, keepdim=True) + variance) for g in groups]
    return torch.stack([m.expand_as(x) for m in means], dim=-1) * count[..., None]


class _ScoreNet(nn.Module):
    """The net inside the preconditioner: noisy scores (b, t, r) and what the encoder saw -> (b, t, r)."""

    OWN = 5  # inputs a cell that change from step to step, before those that the encoder saw

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        d, d_cond = config.seen_width, config.cond_width
        self.level = nn.Sequential(nn.Linear(32, d_cond), nn.SiLU(), nn.Linear(d_cond, d_cond))
        self.unet = AdaptiveReplicateUNet(
            self.OWN + d, 1, d_cond, config.denoiser_levels, patch=config.denoiser_patch
        )

    def forward(
        self, x: Tensor, c_noise: Tensor, *, encoded: Encoded, active: Tensor, replicate_mask: Tensor
    ) -> Tensor:
        cond = encoded.cond + self.level(sinusoidal(c_noise * 100.0, 32).to(x.dtype))
        own = torch.stack([x * active, active.to(x.dtype)], dim=-1)
        inputs = torch.cat([own, common_part(x, c_noise, active)], dim=-1)
        return self.unet(inputs, replicate_mask, cond, encoded.seen)[..., 0]


def _may_correct(batch: Batch) -> Tensor:
    """Where fills may be chosen and corrected cell by cell: (b, 1, r, 1) of 0 and 1.

    Not in a replicate that shows nothing beside others that do: those say all there is to know of its course, and what
    training plates taught of such replicates does not carry over to others.
    """
    shown = (batch.channels[..., 1] > 0.5).any(dim=1) & batch.replicate_mask
    return (shown | ~shown.any(dim=1, keepdim=True)).to(batch.channels.dtype)[:, None, :, None]


class FlexibleReplicateDiffusionModel(nn.Module):
    """Fills, interpolates, forecasts and generates 1-4 oxygen curves of a condition.

    `encode(batch)` gives the quantiles, `denoise(...)` one denoising of the normal scores. Nothing here knows files,
    units or drug names: `OxygenModel` does.
    """

    def __init__(self, config: ModelConfig, *, n_drugs: int = 0) -> None:
        super().__init__()
        self.config = config
        d, d_cond = config.drug_width, config.cond_width
        self.drug_encoder = DrugEncoder(n_drugs, d, config.fingerprint_bits)
        self.media_dynamics = DrugAwareMediaChangeModule(d, config.dynamics_width)
        self.replicate_generator = ReplicateGenerator(d)
        self.replicate_count_encoder = nn.Embedding(MAX_REPLICATES + 1, d_cond)
        self.context = nn.Sequential(nn.Linear(GLOBALS + d, d_cond), nn.SiLU(), nn.Linear(d_cond, d_cond))
        self.encoder = AdaptiveReplicateUNet(
            CHANNELS + 1, config.encoder_levels[0], d_cond, config.encoder_levels, patch=config.patch
        )
        self.head = nn.Linear(config.encoder_levels[0], len(EXPERTS) + 2 + K - 1)
        self.seen = nn.Linear(config.encoder_levels[0] + CHANNELS + 1 + K, config.seen_width)
        self.denoiser = Preconditioned(_ScoreNet(config), EDMScaling(1.0))
        nn.init.normal_(self.head.weight, std=1e-3)
        nn.init.zeros_(self.head.bias)
        with torch.no_grad():
            self.head.bias[0] = 2.0  # start at the Gaussian process, where the best baseline ends
        self.register_buffer("scores", SCORES.clone(), persistent=False)

    def embed(self, batch: Batch) -> Tensor:
        """Embedding of drug and concentration: (b, d)."""
        return self.drug_encoder(batch.drug, batch.concentration)

    def encode(self, batch: Batch) -> Encoded:
        """One look at masked conditions: quantiles (b, t, r, k) of every cell and what the denoiser needs."""
        drug = self.embed(batch)
        count = self.replicate_count_encoder(batch.replicate_mask.sum(dim=1))
        cond = self.context(torch.cat([batch.globals, drug], dim=-1)) + count
        effect = self.media_dynamics(
            batch.time, batch.event_time, batch.event_mask, drug, batch.concentration
        )
        effect = effect / self.media_dynamics.oxygen_scale
        real = batch.replicate_mask[:, None, :, None]
        channels = torch.cat(
            [batch.channels, effect.detach()[:, :, None, None].expand(*batch.sd.shape, 1)], dim=-1
        )
        channels = channels.masked_fill(~real, 0.0)
        h = torch.nn.functional.silu(self.encoder(channels, batch.replicate_mask, cond))
        quantiles = self._quantiles(h, batch)
        centre = quantiles[..., K // 2, None]
        shape = ((quantiles - centre) / batch.sd[..., None]).masked_fill(~real, 0.0)
        seen = self.seen(torch.cat([h.detach(), channels, shape.detach()], dim=-1))
        scores = cast("_ScoreNet", self.denoiser.net)
        seen = scores.unet.enter(seen, batch.replicate_mask, before=scores.OWN)
        correlation = self.replicate_generator.correlation(drug, batch.concentration).detach()
        return Encoded(quantiles, seen, cond.detach(), correlation)

    def _quantiles(self, h: Tensor, batch: Batch) -> Tensor:
        """Gated experts plus a correction, and increasing quantiles around them: (b, t, r, k) [z]."""
        n = len(EXPERTS)
        gate, shift, spread, shape = self.head(h).split([n, 1, 1, K - 1], dim=-1)
        corrected = _may_correct(batch)
        shift = shift * corrected
        padded = ~batch.replicate_mask[
            :, None, :, None
        ]  # may hold NaN, which a gradient of zero would carry on
        experts, sd = batch.experts.masked_fill(padded, 0.0), batch.sd[..., None].masked_fill(padded, 1.0)
        gate = torch.softmax(gate, dim=-1)
        if (
            not self.training
        ):  # a learned gate is no better here, and strays on curves unlike those of training
            gate = torch.where(corrected > 0, gate, gate.new_tensor(UNSEEN_GATE))
        centre = (gate * experts).sum(-1, keepdim=True)
        unit = sd * torch.exp(spread.clamp(-5, 5))
        steps = STEP * torch.exp((shape * 2).clamp(-4, 4))
        ladder = torch.nn.functional.pad(steps.cumsum(-1), (1, 0))
        ladder = ladder - ladder[..., K // 2, None]
        return centre + sd * shift * 3 + unit * ladder

    def denoise(self, x: Tensor, sigma: Tensor, *, encoded: Encoded, batch: Batch) -> Tensor:
        """The estimate of the clean scores from noisy ones x (b, t, r) at level sigma (b,): (b, t, r)."""
        return self.denoiser(
            x, sigma, encoded=encoded, active=batch.active, replicate_mask=batch.replicate_mask
        )
