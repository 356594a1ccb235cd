"""Training a model that embeds cells: what is hidden is predicted from what is seen, through the embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from cytosol.trainer import adamw
from virtualcell.embedding_net import Seen
from virtualcell.hiding import Split, gathered, split, taken
from virtualcell.losses import energy_distance, negative_binomial

if TYPE_CHECKING:
    from virtualcell.config import ObjectiveConfig
    from virtualcell.embedding_net import EmbeddingNet

Batch = dict[str, Tensor]


class EmbeddingTraining(LightningModule):
    """Negative log likelihood of hidden counts by cell and gene, negative binomial, given the cell's total.

    reads: words of a batch that the model's parts understand; target_sum: counts that a cell is brought to.
    """

    def __init__(
        self,
        net: EmbeddingNet,
        options: ObjectiveConfig,
        *,
        reads: tuple[str, ...],
        target_sum: float,
        seed: int,
        steps: int,
    ) -> None:
        super().__init__()
        self.net, self.options, self.reads = net.train(), options, reads
        self.target_sum, self.seed, self.steps = target_sum, seed, steps

    def loss(self, batch: Batch, *, step: int, first: int = 0) -> Tensor:
        """The loss of a batch of which a part is hidden: a scalar. Randomness hangs on seed, step and place alone."""
        own, net = self.options, self.net
        genes = len(net.log_rate)
        found = split(batch, genes, own, target_sum=self.target_sum, seed=self.seed, step=step, first=first)
        ids = taken(batch["gene_ids"], found.order).masked_fill(~found.mask, -1)
        words = gathered(batch, found, self.reads)
        seen = Seen(ids, found.mask, found.counts, found.values, found.known, words)
        z, out = net.both(seen) if own.token_weight else (net.embedding(seen), None)
        total = batch["total_counts"][:, None]
        mean = net.log_rates(z, batch.get("dataset_nums")).exp() * total * found.share
        loss = -negative_binomial(found.rest, mean, net.log_dispersion).mean()
        if out is not None:
            loss = loss + own.token_weight * self._tokens(out, ids, found, total)
        if own.mixing_weight:
            loss = loss + own.mixing_weight * apart(z, batch["dataset_nums"])
        return loss

    def _tokens(self, out: Tensor, ids: Tensor, found: Split, total: Tensor) -> Tensor:
        """The same of tokens, from their own outputs."""
        real = found.mask & (ids >= 0)
        at = ids.clamp_min(0)
        mean = self.net.token_rates(out, ids).clamp_max(0).exp() * total * found.share.gather(1, at)
        told = negative_binomial(found.rest.gather(1, at), mean, self.net.log_dispersion[at])
        return -torch.where(real, told, 0).sum() / real.sum().clamp_min(1)

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """The loss of one batch, a scalar; what is hidden is the same for any number of processes."""
        del index
        return self.loss(batch, step=self.global_step, first=self.global_rank * len(batch["total_counts"]))

    def validation_step(self, batch: Batch, index: int) -> Tensor:
        """The loss of one held-out batch, a scalar; the same is hidden every time."""
        return self.loss(batch, step=index)

    def configure_optimizers(self) -> Any:
        """AdamW with a warm-up and a cosine; gates go faster, and neither they nor rates and biases decay."""
        own = self.options
        trained = {name: p for name, p in self.named_parameters() if p.requires_grad}
        kinds: dict[str, list[Tensor]] = {"gate": [], "still": [], "weight": []}
        for name, p in trained.items():
            still = p.ndim < 2 or "rate" in name
            kinds["gate" if "gate" in name else "still" if still else "weight"].append(p)
        groups = [
            {"params": kinds["weight"]},
            {"params": kinds["still"], "weight_decay": 0.0},
            {"params": kinds["gate"], "weight_decay": 0.0, "lr": own.learning_rate * own.gate_rate},
        ]
        rates = {"lr": own.learning_rate, "weight_decay": own.weight_decay}
        return adamw(groups, steps=self.steps, warmup_steps=own.warmup_steps, **rates)


def apart(z: Tensor, batch: Tensor) -> Tensor:
    """Mean energy distance, a scalar, between each batch's embeddings and all others', of batches of two cells or more.

    z: (b, o) embeddings; batch: (b,) its number. 0 where no batch has two cells with two others beside it.
    """
    found = []
    for one in batch.unique():
        inside = batch == one
        if 2 <= int(inside.sum()) <= len(batch) - 2:
            found.append(energy_distance(z[inside], z[~inside], unbiased=True))
    return torch.stack(found).mean() if found else z.new_zeros(())
