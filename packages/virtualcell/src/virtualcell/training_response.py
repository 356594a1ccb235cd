"""Training a response network: on means of populations, on cells as a distribution, on counts by their likelihood."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lightning.pytorch import LightningModule

from cytosol.trainer import adamw, fit, step_generator
from virtualcell import checks
from virtualcell.response_data import Batch, ResponseData, drawn_tokens, predicted
from virtualcell.response_losses import (
    TINY,
    amount_scored,
    population_energy,
    population_likelihood,
    real_cells,
    squared_error,
)
from virtualcell.settling import settle

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    import torch
    from torch import Tensor

    from cytosol.options import TrainerOptions
    from virtualcell.response_net import ResponseNet
    from virtualcell.response_options import ResponseOptions


class ResponseTraining(LightningModule):
    """The sum of the losses that `options` give a weight, each of the rows' scored genes."""

    def __init__(self, net: ResponseNet, options: ResponseOptions, *, seed: int, steps: int) -> None:
        super().__init__()
        self.net, self.options, self.seed, self.steps = net.train(), options, seed, steps

    def loss(
        self,
        batch: Batch,
        generator: torch.Generator,
        noise: torch.Generator | None = None,
        *,
        joint: bool = False,
    ) -> Tensor:
        """The loss of a batch: a scalar. generator: which genes; noise: of the draws, the same one if there is none.

        joint: the batch is one of several, in as many processes, whose mean is that of all their rows together.
        """
        own = self.options
        batch = drawn_tokens(batch, own.tokens_per_step, generator)
        got = predicted(self.net, batch, draws=own.draws, generator=generator if noise is None else noise)
        total = got.values.new_zeros(())
        if own.squared_weight:
            weight = batch.get("weight")
            error = squared_error(got.values, batch["target"], got.real, weight)
            share = self._share(amount_scored(got.real, weight)) if joint else 1.0
            total = total + own.squared_weight * share * error
        if own.energy_weight:
            total = total + own.energy_weight * population_energy(got.values, batch["cells"], got.real)
        if own.likelihood_weight and got.log_dispersion is not None:
            told = population_likelihood(got.values, got.log_dispersion, batch["cells"], got.real)
            share = self._share(real_cells(batch["cells"], got.real).sum()) if joint else 1.0
            total = total - own.likelihood_weight * share * told
        return total

    def _share(self, amount: Tensor) -> Tensor:
        """What a mean over so much counts beside those of the other processes: 1 on average over them."""
        amount = amount.detach().float()
        whole: Any = self.trainer.strategy.reduce(amount.clone(), reduce_op="mean")
        return amount / whole.clamp_min(TINY)

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """The loss of one batch, a scalar, with the step's randomness: the same genes in all processes, other noise."""
        del index
        genes = step_generator(self.seed, self.global_step)
        if self.trainer.world_size == 1:
            return self.loss(batch, genes)
        noise = step_generator(self.seed, self.global_step, 1 + self.global_rank)
        return self.loss(batch, genes, noise, joint=True)

    def validation_step(self, batch: Batch, index: int) -> Tensor:
        """The loss of one held-out batch, a scalar, with the same randomness every time."""
        return self.loss(batch, step_generator(self.seed, index))

    def configure_optimizers(self) -> Any:
        """AdamW with a warm-up and a cosine; the gates of parts go faster and do not decay."""
        own = self.options
        gates = {id(p) for name, p in self.named_parameters() if ".gates." in name}
        trained = [p for p in self.parameters() if p.requires_grad]
        groups: list[dict[str, Any]] = [
            {"params": [p for p in trained if id(p) not in gates]},
            {
                "params": [p for p in trained if id(p) in gates],
                "weight_decay": 0.0,
                "lr": own.learning_rate * own.gate_rate,
            },
        ]
        rates = {"lr": own.learning_rate, "weight_decay": own.weight_decay}
        return adamw(groups, steps=self.steps, warmup_steps=own.warmup_steps, **rates)


def train_response(
    net: ResponseNet,
    data: ResponseData,
    options: ResponseOptions,
    trainer: TrainerOptions,
    *,
    out: Path,
    seed: int,
    held: ResponseData | None = None,
    resume: bool = False,
    force: bool = False,
) -> pd.DataFrame:
    """Train a network in place and return the history; held: rows that weights are chosen by (`trainer.patience`).

    Raises ValueError where the rows lack what a weighted loss needs.
    """
    for rows in (data, held):
        if rows is not None:
            _fits(net, rows, options)
    module = ResponseTraining(net, options, seed=seed, steps=trainer.max_steps)
    reached = {name for name, p in module.named_parameters() if p.requires_grad}
    settle(module, lambda: module.loss(next(data.batches(1)), step_generator(seed, 0)))
    history = fit(
        module, data, options=trainer, out=out, seed=seed, val_data=held, resume=resume, force=force
    )
    for name, p in module.named_parameters():
        p.requires_grad_(name in reached)
    net.eval()
    return history


def _fits(net: ResponseNet, data: ResponseData, options: ResponseOptions) -> None:
    """Refuse rows or a network that lack what a weighted loss reads."""
    needs = {"squared_weight": "target", "energy_weight": "cells", "likelihood_weight": "cells"}
    for weight, word in needs.items():
        if getattr(options, weight) and word not in data.tensors:
            checks.refuse(f"{weight}: the rows have no {word!r}")
    if options.likelihood_weight and net.head.out_features < 2:
        checks.refuse("likelihood_weight: build the network with dispersion=True")
    if options.draws > 1 and not net.draws:
        checks.refuse(
            f"draws: {type(net.cell).__name__} has no noise to draw, expected 1, got {options.draws}"
        )
