"""Training in two runs: what each hidden cell may be, then how the cells of a draw belong together.

The second keeps what the first has learned: its scores mean something only once the quantiles do.
"""

from __future__ import annotations

from dataclasses import fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.utils.data import Dataset

from cytosol import ranks
from cytosol.schedules import lognormal_sigmas
from cytosol.trainer import adamw, fit, step_generator
from o2diffusion.drugs import set_dose_reference
from o2diffusion.losses import MaskedReplicateLoss, media_proximity
from o2diffusion.marginals import LEVELS, WEIGHTS, to_scores
from o2diffusion.media import media_effect
from o2diffusion.model import Batch, FlexibleReplicateDiffusionModel
from o2diffusion.replicates import generate_replicate_aware_noise

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from o2diffusion.config import Config
    from o2diffusion.corpus import Facts, Windows

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
        """The items at `indices` (b,) as the fields of a `Batch`, each (b, ...): a dict, which Lightning can move."""
        rows = torch.as_tensor(indices)
        return {f.name: getattr(self.pool, f.name)[rows] for f in fields(Batch)}


class _Training(LightningModule):
    """What the two runs have in common; a subclass says the loss of a batch and how held-out ones are judged."""

    def __init__(
        self, net: FlexibleReplicateDiffusionModel, config: Config, *, seed: int, steps: int
    ) -> None:
        super().__init__()
        self.net = net
        self.config = config
        self.seed = seed
        self.steps = steps

    def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """The loss of a batch with the step's own randomness: a scalar."""
        raise NotImplementedError

    def judge(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """What a held-out batch says of the weights: a scalar."""
        return self.loss(batch, generator)

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        """The loss of one batch."""
        return self.loss(Batch(**batch), step_generator(self.seed, self.global_step, self.global_rank))

    def validation_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        """The same for one held-out batch, with the same randomness every time."""
        return self.judge(Batch(**batch), torch.Generator().manual_seed(index))

    def configure_optimizers(self) -> Any:
        """AdamW (Loshchilov & Hutter 2019) with a warm-up and a cosine."""
        config = self.config.train
        rates = {"lr": config.learning_rate, "weight_decay": config.weight_decay, "betas": (0.9, 0.98)}
        return adamw(self.net.parameters(), steps=self.steps, warmup_steps=config.warmup_steps, **rates)


class QuantileTraining(_Training):
    """Everything but the joint draws; a loss is a scalar.

    Quantiles: CRPS by weighted pinball losses on hidden cells. Media response: squared error on windows around changes.
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
        super().__init__(net, config, seed=seed, steps=config.trainer.max_steps)
        self.windows = windows
        net.requires_grad_(requires_grad=True)
        for part in (net.denoiser, net.seen):
            part.requires_grad_(requires_grad=False)
        self.register_buffer("levels", LEVELS, persistent=False)
        self.register_buffer("weights", WEIGHTS / WEIGHTS.sum(), persistent=False)

    def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """The sum of the three losses, and a little for large drug embeddings: a scalar."""
        total = self.judge(batch, generator)
        known = batch.channels[..., 1] > 0.5
        curves = torch.where(known, batch.channels[..., 0], batch.target)
        total = total + 0.01 * self.net.replicate_generator.nll(
            curves,
            known | batch.active,
            batch.replicate_mask,
            self.net.embed(batch).detach(),
            batch.concentration,
        )
        if self.windows is not None:
            total = total + 0.2 * self._window_loss(self.windows, generator)
        return total + 1e-3 * self.net.drug_encoder.penalty()

    def judge(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """The quantiles' CRPS: a scalar."""
        return self._quantile_loss(self.net.encode(batch).quantiles, batch)

    def _quantile_loss(self, quantiles: Tensor, batch: Batch) -> Tensor:
        """CRPS of the hidden cells in units of what the process does not know, so that easy masks count too."""
        short = batch.target[..., None] - quantiles
        crps = 2 * torch.maximum(self.levels * short, (self.levels - 1) * short) @ self.weights
        mask = batch.active & batch.replicate_mask[:, None]
        count = mask.sum((1, 2)).clamp(min=1)
        each = torch.where(mask, crps, 0.0).sum((1, 2)) / count
        weight = 1.0 / (torch.where(mask, batch.sd, 0.0).sum((1, 2)) / count + EASE)
        return (each * weight).mean() * TYPICAL

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


class DrawTraining(_Training):
    """The joint draws, with all that says the quantiles held; a loss is a scalar.

    EDM loss in F-space on the hidden cells' normal scores (Karras et al. 2022, eq. 8), by `MaskedReplicateLoss`.
    """

    def __init__(self, net: FlexibleReplicateDiffusionModel, config: Config, *, seed: int) -> None:
        super().__init__(net, config, seed=seed, steps=config.train.draw_steps)
        self.replicate_loss = MaskedReplicateLoss()
        net.requires_grad_(requires_grad=False)
        for part in (net.denoiser, net.seen):
            part.requires_grad_(requires_grad=True)

    def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """The denoiser's loss: a scalar."""
        self.net.eval()  # around the quantiles that are used, not those that are learned
        return self._denoiser_loss(self.net.encode(batch), batch, generator)

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
    """Train a network in place; `out/quantiles` and `out/draws` get checkpoints, `out` the history of both.

    pool: items to learn from, windows: media changes, or None. held: items to stop by and to choose the weights by
    (`trainer.patience`); without them the last weights are kept. Returns the history of both runs, told apart by `run`.
    """
    data, options = PoolDataset(pool), config.trainer
    if held is None:
        options = replace(options, patience=None)
    histories = {}
    for run, make, steps in (
        ("quantiles", partial(QuantileTraining, windows=windows), options.max_steps),
        ("draws", DrawTraining, config.train.draw_steps),
    ):
        if steps:
            histories[run] = fit(
                make(net, config, seed=seed),
                data,
                options=replace(options, max_steps=steps),
                out=out / run,
                seed=seed,
                val_data=None if held is None else PoolDataset(held),
                resume=resume,
                force=force,
                collate=data.collate,
            )
    history = pd.concat(histories, names=["run"]).reset_index("run").reset_index(drop=True)
    if ranks.first():
        history.to_csv(out / "history.csv", index=False)
    return history
