"""Training in three runs: the expression encoder (stage A), the generator with its context, then the refiner.

Each keeps what the one before has learned. What is held out here are sections (or a block of one), never sets of the
sections that train.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from cytosol.trainer import adamw, step_generator
from stedm.curriculum import Curriculum, training_levels
from stedm.denoiser import skip_only
from stedm.frames import Example, loss_target, make_example
from stedm.geometry import align, centre, knn, mean_square, zero_padding
from stedm.losses import distance_score, v_geom
from stedm.objective import TERMS, check_weights, combine

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stedm.options import LearnOptions
    from stedm.structure import StructureNet

NEAR = 10  # neighbours of the losses, as of the scores
KEPT = 0.7  # share of a set that its context-invariance twin keeps
JUDGED = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)  # noise levels of a held-out set [sigma_data], in turn


class _Training(LightningModule):
    """What the runs on sets have in common; a subclass says the loss of a batch and how held-out ones are judged."""

    def __init__(
        self,
        net: StructureNet,
        options: LearnOptions,
        *,
        seed: int,
        steps: int,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        check_weights(weights or {})
        self.net, self.options, self.seed, self.steps = net.train(), options, seed, steps
        self.weights = dict(weights or {})

    def loss(self, batch: dict[str, Tensor], generator: torch.Generator) -> Tensor:
        """The loss of a batch with the step's own randomness: a scalar."""
        raise NotImplementedError

    def judge(self, batch: dict[str, Tensor], generator: torch.Generator) -> Tensor:
        """What held-out sets say of the weights: a scalar."""
        raise NotImplementedError

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        """The loss of one batch, a scalar."""
        generator = step_generator(self.seed, self.global_step, self.global_rank)
        return self.loss(self._roughened(batch, generator), generator)

    def validation_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        """What one held-out batch says, a scalar, with the same randomness every time."""
        return self.judge(batch, torch.Generator().manual_seed(index))

    def configure_optimizers(self) -> Any:
        """AdamW with a warm-up and a cosine, on what learns."""
        options = self.options
        rates = {"lr": options.learning_rate, "weight_decay": options.weight_decay}
        return adamw(self.parameters(), steps=self.steps, warmup_steps=options.warmup_steps, **rates)

    def _roughened(self, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        """Some features of Z hidden and the base coordinates jittered: what is seen on other sections is rougher."""
        z, p, hide = batch["z"], batch["p"], self.options.hide
        if hide:
            z = z * (torch.rand(z.shape, generator=generator) >= hide).to(z) / (1 - hide if hide < 1 else 1)
        if self.options.jitter:
            noise = torch.randn(p.shape, generator=generator).to(p)
            p = p + self.options.jitter * self.net.sigma_data * noise
        return {**batch, "z": z, "p": p}


class GeneratorTraining(_Training):
    """Context and generator: Procrustes error, scale, and edges that do not depend on the rest of the set.

    A batch: z (b, n, h), p and v (b, n, d) [unit of the coordinates], mask (b, n). weights: of losses, where they
    differ from the table. Raises ValueError for a loss that does not exist, or a weight below 0.
    """

    def __init__(self, net: StructureNet, options: LearnOptions, **words: Any) -> None:
        super().__init__(net, options, **words)
        for part in (net.context, net.generator):
            part.requires_grad_(requires_grad=True)
        if net.refiner is not None:
            net.refiner.requires_grad_(requires_grad=False)

    def loss(self, batch: dict[str, Tensor], generator: torch.Generator) -> Tensor:
        """The generator's share of the table: a scalar."""
        mask = batch["mask"]
        _, gen = self.net.look(batch["z"], batch["p"], mask)
        given = {"gen": gen, "gen_target": self._target(batch, gen), "mask": mask}
        shared = mask & (torch.rand(mask.shape, generator=generator).to(mask.device) < KEPT)
        if self.weights.get("ctx_edge", 1.0) > 0:
            with torch.no_grad():
                other = self.net.look(batch["z"], batch["p"], shared)[1]
            given |= {"other": other, "shared": shared, "near": knn(batch["v"], mask, NEAR)}
        return combine(given, part="generator", weights=self.weights)[0]

    def judge(self, batch: dict[str, Tensor], generator: torch.Generator) -> Tensor:
        """The aligned squared error over the target's size: a scalar."""
        _, gen = self.net.look(batch["z"], batch["p"], batch["mask"])
        return combine(
            {"gen": gen, "gen_target": self._target(batch, gen), "mask": batch["mask"]},
            part="generator",
            weights={"gen_align": 1.0, "gen_scale": 0.0, "ctx_edge": 0.0},
        )[0]

    def _target(self, batch: dict[str, Tensor], gen: Tensor) -> Tensor:
        mask = batch["mask"]
        target = centre(batch["v"] / self.net.sigma_data, mask)
        if self.options.gauge == "frame":
            return target
        return centre(align(target, gen.detach(), mask)(target), mask)


class RefinerTraining(_Training):
    """The denoiser on a frozen context and generator, its noise levels rising by the curriculum.

    inflate: how much larger the generator's error is on held-out sets than on those that train; its errors are made
    larger by that much in training, or the refiner would learn to trust it too far. The curriculum's state is in
    buffers, so that a resumed run goes on where it stood. Batches, weights and errors as `GeneratorTraining`; raises
    ValueError for a network without a refiner too.
    """

    place: Tensor
    seen: Tensor

    def __init__(
        self, net: StructureNet, options: LearnOptions, *, inflate: float = 1.0, **words: Any
    ) -> None:
        super().__init__(net, options, **words)
        self.inflate = inflate
        if net.refiner is None:
            msg = "expected a network with a refiner: call add_refiner with the generator's measured error first"
            raise ValueError(msg)
        self.refiner = net.refiner
        net.requires_grad_(requires_grad=False)
        self.refiner.requires_grad_(requires_grad=True)
        fresh = Curriculum(options.stages, options.stall)
        self.register_buffer("place", torch.tensor([fresh.stage, fresh.stall, fresh.best]).double())
        self.register_buffer("seen", torch.zeros(2).double())  # sums of squares of F, predicted and target

    @property
    def curriculum(self) -> Curriculum:
        """Where the curriculum stands."""
        stage, stall, best = self.place.tolist()
        return Curriculum(self.options.stages, self.options.stall, int(stage), int(stall), best)

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        """The loss of one batch, a scalar, after the curriculum has taken in the last validation."""
        if self.seen[1] > 0:
            after = self.curriculum.after(float((self.seen[0] / self.seen[1]).sqrt()))
            self.place.copy_(torch.tensor([after.stage, after.stall, after.best]).double())
            self.seen.zero_()
        return super().training_step(batch, index)

    def loss(self, batch: dict[str, Tensor], generator: torch.Generator) -> Tensor:
        """The refiner's share of the table: a scalar."""
        options = self.options
        sigma = training_levels(
            len(batch["mask"]),
            lowest=options.lowest,
            highest=self.curriculum.highest,
            p_std=options.p_std,
            generator=generator,
        )
        context, example = self.example(batch, sigma, generator, inflate=self.inflate)
        guess = None
        if float(torch.rand((), generator=generator)) < options.self_condition:
            with torch.no_grad():
                guess = self.estimate(context, example)
        hat = self.estimate(context, example, guess)
        return combine(
            self._given(example, hat),
            part="refiner",
            level=example.sigma,
            weights=self.weights,
            terms=DISTANCE_TERMS if options.gauge == "distance" else TERMS,
        )[0]

    def judge(self, batch: dict[str, Tensor], generator: torch.Generator) -> Tensor:
        """Squared error in F-space, a scalar, over all noise levels, later stages' too, so that rounds compare."""
        b = len(batch["mask"])
        top, total = self.curriculum.highest, []
        for level in JUDGED:
            sigma = torch.full((b,), level)
            context, example = self.example(batch, sigma, generator)
            hat = self.estimate(context, example)
            if top / 2 <= level <= top:
                self._watch(example, hat)
            given = self._given(example, hat)
            terms = DISTANCE_TERMS if self.options.gauge == "distance" else TERMS
            total.append(combine(given, part="refiner", weights=SCORE_ONLY, terms=terms)[0])
        return torch.stack(total).mean()

    def example(
        self, batch: dict[str, Tensor], sigma: Tensor, generator: torch.Generator, *, inflate: float = 1.0
    ) -> tuple[Tensor, Example]:
        """The frozen context (b, n, c) of a batch and a noisy example in the gauge's frame. sigma: (b,) [sigma_data].

        inflate: how many times larger the generator's error is made.
        """
        with torch.no_grad():
            context, start = self.net.look(batch["z"], batch["p"], batch["mask"])
        v, mask = batch["v"] / self.net.sigma_data, batch["mask"]
        if inflate != 1.0:
            truth = centre(align(v, start, mask)(v), mask)
            start = truth + inflate * (start - truth)
        return context, make_example(v, start, mask, sigma, self.options.gauge, generator)

    def estimate(self, context: Tensor, example: Example, guess: Tensor | None = None) -> Tensor:
        """The refiner's estimate of an example, (b, n, d). guess: its own last one, if any."""
        return self.refiner(
            example.noisy,
            example.sigma,
            context=context,
            start=example.start,
            mask=example.mask,
            guess=guess,
        )

    def _given(self, example: Example, hat: Tensor) -> dict[str, Any]:
        """What the table's losses read."""
        target, mask, sigma = loss_target(example, hat, self.options.gauge), example.mask, example.sigma
        scaling = self.refiner.core.scaling
        skipped = self.refiner.silent(example.noisy, sigma, start=example.start, mask=mask)
        return {
            "hat": hat,
            "target": target,
            "mask": mask,
            "weight": scaling.weight(sigma),
            "geom": v_geom(hat, target, mask),
            "near": knn(target, mask, NEAR),
            "learned": hat - skipped,
            "learned_target": target - skipped,
        }

    def _watch(self, example: Example, hat: Tensor) -> None:
        """Add up the size of F at the stage's highest levels."""
        target = loss_target(example, hat, self.options.gauge)
        skipped = skip_only(example.noisy, example.sigma, example.mask)
        for k, v in enumerate((hat.detach(), target)):
            self.seen[k] += mean_square(v - skipped, example.mask).sum().double()


DISTANCE_TERMS = tuple(
    type(t)(t.name, distance_score, t.reads, t.weight, t.gate, t.part) if t.name == "score" else t
    for t in TERMS
)
SCORE_ONLY = {t.name: 1.0 if t.name == "score" else 0.0 for t in TERMS}


@torch.no_grad()
def measured_spread(net: StructureNet, batches: list[dict[str, Tensor]]) -> float:
    """Standard deviation an axis of the generator's aligned error on held-out sets, in units of sigma_data.

    batches: z (b, n, h), p and v (b, n, d), mask (b, n). At least 1e-3.
    """
    total = count = 0.0
    device = next(net.parameters()).device
    for each in batches:
        batch = {name: x.to(device) for name, x in each.items()}
        mask = batch["mask"]
        _, gen = net.look(batch["z"], batch["p"], mask)
        target = centre(batch["v"] / net.sigma_data, mask)
        error = zero_padding(centre(align(target, gen, mask)(target), mask) - gen, mask)
        total += float(error.square().sum())
        count += float(mask.sum()) * gen.shape[-1]
    return max((total / max(count, 1.0)) ** 0.5, 1e-3)
