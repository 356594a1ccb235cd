"""Structures of whole sections: generated, refined from a little noise, drawn open loop, averaged.

Sections larger than a set are cut into overlapping sets that share anchors, and stitched: nearly linear in their size.
Letters: n cells, d axes, r draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cytosol.samplers import heun
from cytosol.schedules import karras_sigmas
from stedm.frames import in_frame
from stedm.geometry import align, centre, zero_padding
from stedm.options import LOWEST
from stedm.patches import collate, pieces, stitch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stedm.options import Gauge, PatchOptions, Walk
    from stedm.patches import Cells
    from stedm.structure import StructureNet

SETS = 16  # sets that the networks see at once


@dataclass(frozen=True)
class Structure:
    """A reconstructed section in the caller's unit: v (n, d), spread (n,) over the aligned draws, draws (r, n, d)."""

    v: Tensor
    spread: Tensor
    draws: Tensor


class Reconstruction:
    """One section cut up once, its generated structure `generated` (n, d), and refinements of it.

    Cells are cut up by their base coordinates where these say something, else by the embedding. Randomness comes from
    `generator`. `gauge` is the one the refiner was trained with. Coordinates come out in the caller's unit. Every
    refinement raises ValueError where the network has no refiner.
    """

    def __init__(
        self,
        net: StructureNet,
        cells: Cells,
        options: PatchOptions,
        *,
        gauge: Gauge,
        generator: torch.Generator,
    ) -> None:
        self.net, self.cells, self.generator = net.eval(), cells, generator
        self.gauge: Gauge = gauge
        key = cells.p if bool(cells.p.std() > 0) else cells.z
        rounds = 1 if len(cells) <= options.most else options.rounds
        self.cuts = [pieces(key, options, generator) for _ in range(rounds)]
        self.generated = self._generate()

    def mean(self, walk: Walk, draws: int) -> Structure:
        """The posterior mean: D from a high noise level, averaged over draws (1 or more). Best in neighbours."""
        sigma = walk.one_step

        def once(start: Tensor, mask: Tensor, context: Tensor) -> Tensor:
            noisy = start + sigma * self._noise(start, mask)
            return self._denoise(noisy, torch.full((len(start),), sigma), start, mask, context)

        return _averaged([self._refined(once) for _ in range(draws)], self.generated)

    def mean_of_samples(self, walk: Walk, draws: int) -> Structure:
        """The mean of aligned draws, 1 or more: the other way to the posterior mean, its spread means something."""
        return _averaged([self.sample(walk) for _ in range(draws)], self.generated)

    def sample(self, walk: Walk) -> Tensor:
        """One draw (n, d): the generator's structure, noise of `walk.start`, a few steps back."""
        levels = karras_sigmas(walk.steps, sigma_min=LOWEST, sigma_max=walk.start)

        def several(start: Tensor, mask: Tensor, context: Tensor) -> Tensor:
            noisy = start + walk.start * self._noise(start, mask)
            return self._walk(noisy, levels, start, mask, context)

        return self._refined(several)

    def open_loop(self, walk: Walk) -> Tensor:
        """One draw (n, d) from pure noise: nothing of the generator's structure is in its start."""
        levels = karras_sigmas(3 * walk.steps, sigma_min=LOWEST, sigma_max=walk.open_loop)

        def all_the_way(start: Tensor, mask: Tensor, context: Tensor) -> Tensor:
            noisy = walk.open_loop * self._noise(start, mask)
            return self._walk(noisy, levels, start, mask, context)

        return self._refined(all_the_way)

    def _generate(self) -> Tensor:
        """The generator's structure of the whole section."""
        rounds = []
        for cut in self.cuts:
            reference = self.cells.p.new_zeros(self.cells.p.shape).float()
            known = torch.zeros(len(self.cells), dtype=torch.bool)
            first = self._run([cut.anchors], lambda start, mask, context: start)[0]
            reference[cut.anchors], known[cut.anchors] = first, True
            made = [first] if len(cut.rows) == 1 else self._run(cut.rows, lambda start, mask, context: start)
            rounds.append(stitch(len(self.cells), cut.rows, made, reference, known)[0])
        return _mean_of(rounds, rounds[0])

    def _refined(self, change: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Tensor:
        """The section with `change(start, mask, context)` applied to its sets: (n, d)."""
        known = torch.ones(len(self.cells), dtype=torch.bool)
        rounds = []
        for cut in self.cuts:
            made = self._run(cut.rows, change)
            rounds.append(stitch(len(self.cells), cut.rows, made, self.generated, known)[0])
        return _mean_of(rounds, self.generated)

    @torch.no_grad()
    def _run(
        self, rows: Sequence[Tensor], change: Callable[[Tensor, Tensor, Tensor], Tensor]
    ) -> list[Tensor]:
        """What `change` makes of each set, in the caller's unit: (s, d) each."""
        made = []
        device = next(self.net.parameters()).device
        for first in range(0, len(rows), SETS):
            part = rows[first : first + SETS]
            batch = {k: x.to(device) for k, x in collate([(self.cells, r.numpy()) for r in part]).items()}
            context, start = self.net.look(batch["z"], batch["p"], batch["mask"])
            v = change(start, batch["mask"], context) * self.net.sigma_data
            made += [one[: len(r)].cpu() for one, r in zip(v, part, strict=True)]
        return made

    def _walk(self, noisy: Tensor, levels: Tensor, start: Tensor, mask: Tensor, context: Tensor) -> Tensor:
        def denoise(x: Tensor, sigma: Tensor) -> Tensor:
            return self._denoise(x, sigma, start, mask, context)

        return centre(heun(denoise, noisy, levels, generator=self.generator), mask)

    def _denoise(self, x: Tensor, sigma: Tensor, start: Tensor, mask: Tensor, context: Tensor) -> Tensor:
        if self.net.refiner is None:
            msg = (
                "this network was trained without a refiner (refiner_steps = 0): reconstruct with refine off"
            )
            raise ValueError(msg)
        shown = in_frame(start, x, mask, self.gauge)
        return self.net.refiner(x, sigma.to(x), context=context, start=shown, mask=mask)

    def _noise(self, like: Tensor, mask: Tensor) -> Tensor:
        noise = torch.randn(like.shape, generator=self.generator).to(like)
        return zero_padding(centre(noise, mask), mask)


def _mean_of(structures: Sequence[Tensor], reference: Tensor) -> Tensor:
    """The mean of structures, each moved rigidly onto the reference: (n, d)."""
    everyone = torch.ones(1, len(reference), dtype=torch.bool)
    moved = [align(v[None], reference[None], everyone)(v[None])[0] for v in structures]
    return torch.stack(moved).mean(0)


def _averaged(draws: Sequence[Tensor], reference: Tensor) -> Structure:
    everyone = torch.ones(1, len(reference), dtype=torch.bool)
    moved = torch.stack([align(v[None], reference[None], everyone)(v[None])[0] for v in draws])
    mean = moved.mean(0)
    spread = (moved - mean).square().sum(-1).sum(0).div(max(len(moved) - 1, 1)).sqrt()
    return Structure(mean, spread, moved)
