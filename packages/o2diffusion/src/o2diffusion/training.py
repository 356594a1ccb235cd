"""Training: one LightningModule that learns quantiles, joint draws, media responses and replicate agreement at once."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.utils.data import Dataset

from cytosol.schedules import lognormal_sigmas
from cytosol.trainer import cosine_warmup, fit, step_generator
from o2diffusion.drugs import set_dose_reference
from o2diffusion.losses import MaskedReplicateLoss, media_proximity
from o2diffusion.marginals import LEVELS, WEIGHTS, to_scores
from o2diffusion.media import media_effect
from o2diffusion.model import Batch, FlexibleReplicateDiffusionModel
from o2diffusion.replicates import generate_replicate_aware_noise

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from o2diffusion.config import Config
    from o2diffusion.corpus import Facts, Windows

EARLY_ITEMS = 2  # of a batch that the denoiser sees in the first part of training
EASE = 0.5  # [z] softens the weight of items that the process knows well already
TYPICAL = 0.8  # [z] brings the weighted score back to the size of a plain one
NEAR_CELLS = 4.0  # decay of the media proximity, in cells


class PoolDataset(Dataset[Batch]):
    """Items of a pool by number."""

    def __init__(self, pool: Batch) -> None:
        self.pool = pool

    def __len__(self) -> int:
        return len(self.pool.drug)

    def __getitem__(self, index: int) -> int:
        return index

    def collate(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """A batch of items, as a dict, which Lightning knows how to move."""
        rows = torch.as_tensor(indices)
        return {f.name: getattr(self.pool, f.name)[rows] for f in fields(Batch)}


class DiffusionTraining(LightningModule):
    """The losses of one step.

    Quantiles: CRPS by weighted pinball losses on hidden cells. Denoiser: EDM loss in F-space on their normal scores
    (Karras et al. 2022, eq. 8), by `MaskedReplicateLoss`. Media response: squared error on windows around changes.
    Replicates: the likelihood of their correlation and spread.
    """

    levels: Tensor
    weights: Tensor

    def __init__(
        self,
        net: FlexibleReplicateDiffusionModel,
        config: Config,
        *,
        seed: int,
        windows: Windows | None = None,
    ) -> None:
        super().__init__()
        self.net = net
        self.config = config
        self.seed = seed
        self.windows = windows
        self.replicate_loss = MaskedReplicateLoss()
        if config.train.denoiser_only:
            net.requires_grad_(requires_grad=False)
            net.denoiser.requires_grad_(requires_grad=True)
            net.seen.requires_grad_(requires_grad=True)
        self.register_buffer("levels", LEVELS, persistent=False)
        self.register_buffer("weights", WEIGHTS / WEIGHTS.sum(), persistent=False)

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        """The sum of the four losses for one batch."""
        generator = step_generator(self.seed, self.global_step, self.global_rank)
        return self.loss(Batch(**batch), generator)

    def validation_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        """What held-out conditions say of the part that learns: the quantiles' CRPS, or the denoiser's loss."""
        held = Batch(**batch)
        encoded = self.net.encode(held)
        if self.config.train.denoiser_only:
            return self._denoiser_loss(encoded, held, torch.Generator().manual_seed(index))
        return self._quantile_loss(encoded.quantiles, held)

    def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """The loss of a batch with the step's own randomness: a scalar."""
        encoded = self.net.encode(batch)
        if self.config.train.denoiser_only:
            return self._denoiser_loss(encoded, batch, generator)
        total = self._quantile_loss(encoded.quantiles, batch)
        if self.config.train.denoiser_weight:
            # Before the quantiles say something their scores teach little: a few items keep every parameter in play.
            early = self.global_step < self.config.train.denoiser_from * self.config.trainer.max_steps
            part = slice(0, EARLY_ITEMS if early else None)
            loss = self._denoiser_loss(encoded.part(part), batch.map(lambda x: x[part]), generator)
            total = total + self.config.train.denoiser_weight * loss
        known = batch.channels[..., 1] > 0.5
        curves = torch.where(known, batch.channels[..., 0], batch.target)
        drug = self.net.embed(batch)
        total = total + 0.01 * self.net.replicate_generator.nll(
            curves, known | batch.active, batch.replicate_mask, drug.detach(), batch.concentration
        )
        if self.windows is not None:
            total = total + 0.2 * self._window_loss(self.windows, generator)
        return total + 1e-3 * self.net.drug_encoder.penalty()

    def _quantile_loss(self, quantiles: Tensor, batch: Batch) -> Tensor:
        """CRPS of the hidden cells in units of what the process does not know, so that easy masks count too."""
        short = batch.target[..., None] - quantiles
        crps = 2 * torch.maximum(self.levels * short, (self.levels - 1) * short) @ self.weights
        mask = batch.active & batch.replicate_mask[:, None]
        count = mask.sum((1, 2)).clamp(min=1)
        each = torch.where(mask, crps, 0.0).sum((1, 2)) / count
        weight = 1.0 / (torch.where(mask, batch.sd, 0.0).sum((1, 2)) / count + EASE)
        return (each * weight).mean() * TYPICAL

    def _denoiser_loss(self, encoded: Any, batch: Batch, generator: torch.Generator) -> Tensor:
        """EDM loss of the hidden cells' normal scores."""
        score = to_scores(batch.target, encoded.quantiles.detach()) * batch.active
        b, t, r = score.shape
        config = self.config.train
        sigma = lognormal_sigmas((b,), p_mean=config.p_mean, p_std=config.p_std, generator=generator).to(
            score
        )
        real, correlation = batch.replicate_mask.cpu(), encoded.correlation.cpu()
        noise = generate_replicate_aware_noise((b, t, r), real, correlation, generator)
        noisy = (score + sigma[:, None, None] * noise.to(score)) * batch.active
        raw = self.net.denoiser.raw(
            noisy, sigma, encoded=encoded, active=batch.active, replicate_mask=batch.replicate_mask
        )
        target = self.net.denoiser.loss_target(score, noisy, sigma)
        width = (batch.time[:, 1] - batch.time[:, 0]).clamp_min(1e-6)
        near = media_proximity(batch.time, batch.event_time, batch.event_mask, NEAR_CELLS * width)
        return self.replicate_loss(raw, target, batch.replicate_mask, near, batch.active)

    def _window_loss(self, windows: Windows, generator: torch.Generator) -> Tensor:
        """Squared error of the media response on random windows, in units of the table's scale."""
        rows = torch.randint(len(windows), (self.config.train.windows,), generator=generator)
        pick = [getattr(windows, f.name)[rows].to(self.device) for f in fields(windows)]
        time, deviation, weight, drug, concentration = pick
        embedding = self.net.drug_encoder(drug, concentration)
        profile = self.net.media_dynamics.get_media_response_profile(embedding, concentration)
        effect = media_effect(time, profile) / self.net.media_dynamics.oxygen_scale
        error = torch.nn.functional.huber_loss(effect, deviation, reduction="none", delta=0.5)
        weight = weight * (time >= 0)
        return (error * weight).sum() / weight.sum().clamp(min=1.0)

    def configure_optimizers(self) -> Any:
        """AdamW with a warm-up and a cosine."""
        config, steps = self.config.train, self.config.trainer.max_steps
        optimizer = torch.optim.AdamW(
            [p for p in self.net.parameters() if p.requires_grad],
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            betas=(0.9, 0.98),
        )
        schedule = cosine_warmup(optimizer, min(config.warmup_steps, steps // 2), steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def build(config: Config, known: Facts) -> FlexibleReplicateDiffusionModel:
    """A fresh network that fits the table's drugs, doses and units."""
    net = FlexibleReplicateDiffusionModel(config.model, n_drugs=len(known.drugs))
    set_dose_reference(net, known.c_ref)
    if known.scales:
        net.media_dynamics.oxygen_scale.fill_(next(iter(known.scales.values()))[1])
    return net


def train_network(
    net: FlexibleReplicateDiffusionModel,
    pool: Batch,
    windows: Windows | None,
    config: Config,
    *,
    out: Path,
    seed: int,
    held: Batch | None = None,
    resume: bool = False,
    force: bool = False,
) -> pd.DataFrame:
    """Train a network in place; `out` gets checkpoints and history.csv. Returns the history.

    held: items to stop by and to choose the weights by (`trainer.patience`); without them the last weights are kept.
    """
    data = PoolDataset(pool)
    options = config.trainer if held is not None else replace(config.trainer, patience=None)
    module = DiffusionTraining(net, config, seed=seed, windows=windows)
    return fit(
        module,
        data,
        options=options,
        out=out,
        seed=seed,
        val_data=None if held is None else PoolDataset(held),
        resume=resume,
        force=force,
        collate=data.collate,
    )
