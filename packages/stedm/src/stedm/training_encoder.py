"""Stage A, trained: expression of reference sections -> a frozen encoder. Sections stay whole, batches mix them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.utils.data import Dataset

from cytosol.trainer import adamw, fit, step_generator
from stedm.encoder import ExpressionEncoder, contrast_loss, neighbour_targets
from stedm.structure import fresh_weights

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd

    from cytosol.options import TrainerOptions
    from stedm.options import EncoderOptions

SAMPLED = 512  # cells that the width of a neighbourhood is measured on
WARMUP = 50  # steps


class CellDataset(Dataset[dict[str, Tensor]]):
    """Cells of several sections by number: expression x (n, g), coordinates v (n, d), section (n,).

    Raises ValueError unless x and v are of the same cells, and of one section at least.
    """

    def __init__(self, x: Sequence[Tensor], v: Sequence[Tensor]) -> None:
        if not x or [len(part) for part in x] != [len(part) for part in v]:
            msg = f"expected as many cells in x as in v, got {[len(p) for p in x]} and {[len(p) for p in v]}"
            raise ValueError(msg)
        self.x, self.v = torch.cat(list(x)).float(), torch.cat(list(v)).float()
        self.section = torch.repeat_interleave(torch.arange(len(x)), torch.tensor([len(part) for part in x]))

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """One cell: x (g,), v (d,), section ()."""
        return {"x": self.x[index], "v": self.v[index], "section": self.section[index]}

    def width(self, batch: int, reach: int) -> float:
        """Typical distance of the reach-th nearest cell of the same section within a batch of cells [unit of v]."""
        random = np.random.default_rng(0)
        rows = torch.as_tensor(random.permutation(len(self))[: min(batch, SAMPLED, len(self))])
        apart = torch.cdist(self.v[rows], self.v[rows])
        other = self.section[rows][:, None] != self.section[rows][None, :]
        apart = apart.masked_fill(other, torch.inf).fill_diagonal_(torch.inf)
        nearest = apart.sort(1).values[:, min(reach, apart.shape[1] - 1) - 1]
        real = nearest[nearest.isfinite()]
        return max(float(real.median()), 1e-6) if len(real) else 1.0


class EncoderTraining(LightningModule):
    """Coordinates from an embedding, and neighbours alike: across sections too, where they share a frame.

    width: of a neighbourhood, size: standard deviation an axis of all coordinates [unit of v]. A batch: x (n, g),
    v (n, d), section (n,).
    """

    def __init__(
        self,
        encoder: ExpressionEncoder,
        options: EncoderOptions,
        *,
        width: float,
        size: float,
        seed: int,
        steps: int,
    ) -> None:
        super().__init__()
        self.encoder, self.options = encoder, options
        self.width, self.size, self.seed, self.steps = width, size, seed, steps

    def loss(self, batch: dict[str, Tensor], generator: torch.Generator | None) -> Tensor:
        """Squared error of the coordinates [size squared] and the contrast: a scalar. generator: None hides no gene."""
        x = batch["x"] if generator is None else self.encoder.hidden(batch["x"], generator)
        z = self.encoder(x)
        placed = (self.encoder.place(z) - batch["v"] / self.size).square().mean()
        if not self.options.contrast:
            return placed
        targets = neighbour_targets(batch["v"], batch["section"], self.width, across=self.options.across)
        contrast = contrast_loss(self.encoder.signature(z), targets, self.options.temperature)
        return placed + self.options.contrast * contrast

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        """The loss of one batch, a scalar, with some genes hidden."""
        return self.loss(batch, step_generator(self.seed, self.global_step, self.global_rank))

    def validation_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        """The same, a scalar, for held-out cells with all their genes."""
        return self.loss(batch, None)

    def configure_optimizers(self) -> Any:
        """AdamW with a warm-up and a cosine."""
        rates = {"lr": self.options.learning_rate, "weight_decay": self.options.weight_decay}
        return adamw(self.encoder.parameters(), steps=self.steps, warmup_steps=WARMUP, **rates)


def train_encoder(
    x: Sequence[Tensor],
    v: Sequence[Tensor],
    options: EncoderOptions,
    trainer: TrainerOptions,
    *,
    out: Path,
    seed: int,
    held: tuple[Sequence[Tensor], Sequence[Tensor]] | None = None,
    resume: bool = False,
    force: bool = False,
) -> tuple[ExpressionEncoder, pd.DataFrame]:
    """Train and freeze the expression encoder on sections: x (n, g) normalised and v (n, d) of each.

    v: one frame and unit for all sections where `options.across`; the coordinate head learns in it. held: x and v of
    held-out sections, to choose weights by (`trainer.patience`). Returns the encoder and the history. Raises ValueError
    where x and v do not fit together or all cells are at one place; and what `cytosol.trainer.fit` does.
    """
    data = CellDataset(x, v)
    size = float(data.v.std(0).square().mean().sqrt())
    if not size > 0:
        msg = "expected cells at different places, but all coordinates are the same: check obsm['spatial']"
        raise ValueError(msg)
    with fresh_weights(seed):
        encoder = ExpressionEncoder(data.x.shape[1], data.v.shape[1], options)
    module = EncoderTraining(
        encoder,
        options,
        width=data.width(trainer.batch_size, options.reach),
        size=size,
        seed=seed,
        steps=trainer.max_steps,
    )
    judged = CellDataset(*held) if held is not None else None
    history = fit(
        module,
        data,
        options=trainer,
        out=out,
        seed=seed,
        val_data=judged,
        resume=resume,
        force=force,
    )
    return encoder.requires_grad_(requires_grad=False).eval(), history
