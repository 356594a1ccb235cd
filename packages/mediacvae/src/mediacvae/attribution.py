"""Which features of a condition moved what a model expects: integrated gradients (Sundararajan 2017, eq. 1).

From a baseline to a condition the gradients of the expectation are averaged along the straight line and multiplied by
the difference: what the features get adds up to how far the expectation moved. The kernel regression's gradients are
in closed form, the network's by autograd. Letters: s steps of the path, d condition features, q ingredients, k draws
of the latent.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import nn

from mediacvae.expectation import moments
from mediacvae.gradients import mean_slopes

if TYPE_CHECKING:
    from torch import Tensor

    from mediacvae.model import ConditionalMediaVAE
    from mediacvae.predictor import MediaModel

STEPS = 128  # of the path: its sum misses 1 % of the difference at most, where there is a difference
ROWS = 32  # conditions that the network reads at a time, each with all draws


class Pair(NamedTuple):
    """Of each ingredient the mean of log1p g/L and the chance of being there: (n, q), or (d, q) of features."""

    amount: np.ndarray
    chance: np.ndarray


@dataclass(frozen=True)
class Attribution:
    """What each feature of a condition (1, d) did to each of q ingredients, from a baseline (1, d) on.

    columns: (q,) numbers of the ingredients. features: (d, q), 0 for what is not known. at, usual: (1, q), what is
    expected of the condition and of the baseline.
    """

    columns: np.ndarray
    condition: np.ndarray
    baseline: np.ndarray
    features: Pair
    at: Pair
    usual: Pair

    @property
    def rest(self) -> Pair:
        """What the features leave unexplained of `at - usual`, (1, q): 0 but for the steps of the path."""
        made = [a - b - f.sum(axis=0) for a, b, f in zip(self.at, self.usual, self.features, strict=True)]
        return Pair(*made)


class Watched:
    """What a model expects of some ingredients, as a function of conditions: `MediaModel.expected`, row by row.

    columns: (q,) numbers of the ingredients. Every row sees the same draws of the latent, so that rows differ by their
    conditions only.
    """

    def __init__(self, model: MediaModel, columns: np.ndarray) -> None:
        self.base, self.columns = model.base, np.asarray(columns, dtype=np.int64)
        self.share = model.share if model.vae is not None else 0.0
        self.net = None if model.vae is None else _narrow(model.vae, self.columns)
        if self.net is not None:
            # drawn as `expectation.expected` does
            self.samples = self.net.samples(model.config.draws, seed=model.config.seed)

    def __call__(self, conditions: np.ndarray) -> Pair:
        """Expected of conditions (n, d), each (n, q)."""
        amount, _, chance = self.base(conditions)
        made = Pair(amount[:, self.columns], chance[:, self.columns])
        if self.net is None:
            return made
        parts = []
        with torch.no_grad():
            for a in range(0, len(conditions), ROWS):
                given = self.net.given(_tensor(conditions[a : a + ROWS]))
                parts.append([part.numpy() for part in self._moments(self.net, given)])
        its = [np.concatenate(part) for part in zip(*parts, strict=True)]
        return Pair(*((1 - self.share) * own + self.share * one for own, one in zip(made, its, strict=True)))

    def slopes(self, path: np.ndarray) -> Pair:
        """Mean over a path (s, d) of the gradients, each (d, q); 0 for what is not known."""
        made = Pair(*mean_slopes(self.base, path, self.columns))
        if self.net is None:
            return made
        q = len(self.columns)
        its = self._network_slopes(self.net, _tensor(path))
        known = np.isfinite(path[:1]).T
        halves = (its[:, :q], its[:, q:])
        return Pair(
            *((1 - self.share) * o + self.share * known * h for o, h in zip(made, halves, strict=True))
        )

    def _moments(self, net: ConditionalMediaVAE, given: Tensor) -> tuple[Tensor, Tensor]:
        """Amount and chance (n, q) of what the network is given (n, c), means over the draws."""
        n, k = len(given), len(self.samples.noise)
        mean, logvar = net.prior_of(given)
        latent = mean[:, None] + (0.5 * logvar).exp()[:, None] * self.samples.noise
        repeated = given[:, None].expand(n, k, -1)
        masks = [one.repeat(n, 1) for one in self.samples.masks]
        amount, _, there = moments(net, *net.decode(latent.flatten(0, 1), repeated.flatten(0, 1), masks))
        return amount.unflatten(0, (n, k)).mean(dim=1), there.unflatten(0, (n, k)).mean(dim=1)

    def _network_slopes(self, net: ConditionalMediaVAE, path: Tensor) -> np.ndarray:
        """(d, 2 q). The condition is read linearly: one gradient of what is given is enough for all features."""
        given = net.given(path).requires_grad_()
        slopes = []
        for target in self._moments(net, given):
            for column in target.mean(dim=0):
                if not column.requires_grad:  # the specification's network says yes or no: no slope
                    slopes.append(torch.zeros_like(given[0]))
                    continue
                (slope,) = torch.autograd.grad(column, given, retain_graph=True)
                slopes.append(slope.sum(dim=0))
        reader = net.reader
        read = reader.loadings.shape[1]
        into = (
            net.project.weight[:, :read] if isinstance(net.project, nn.Linear) else torch.eye(read).double()
        )
        towards = torch.stack(slopes)[:, : len(into)] @ into @ (reader.loadings / reader.scale[:, None]).T
        return towards.T.numpy()


def attribute(
    model: MediaModel, condition: np.ndarray, baseline: np.ndarray, columns: np.ndarray, *, steps: int = STEPS
) -> Attribution:
    """Attribute what is expected of a condition (1, d), from a baseline (1, d) on, of ingredients by number (q,).

    steps: of the path, at whose middles gradients are taken (the sum of Sundararajan 2017, eq. 3).
    """
    watched = Watched(model, columns)
    x, b = (np.asarray(row, dtype=np.float64) for row in (condition, baseline))
    share = (np.arange(steps) + 0.5)[:, None] / steps
    slopes = watched.slopes(b + share * (x - b))
    difference = np.nan_to_num(x - b).T
    at, usual = watched(x), watched(b)
    return Attribution(watched.columns, x, b, Pair(*(difference * slope for slope in slopes)), at, usual)


def baseline_of(model: MediaModel, condition: np.ndarray) -> np.ndarray:
    """The mean training organism (1, d), words at their share; what the condition does not know stays unknown."""
    known = np.isfinite(model.conditions)
    total = np.where(known, model.conditions, 0.0).sum(axis=0, dtype=np.float64)
    count = known.sum(axis=0)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan_to_num(condition[0]))
    return np.where(np.isfinite(condition), mean, np.nan)


def _narrow(net: ConditionalMediaVAE, columns: np.ndarray) -> ConditionalMediaVAE:
    """A copy that says nothing of other ingredients, in float64."""
    own = copy.deepcopy(net).cpu().double().eval()
    at = torch.as_tensor(columns)
    for name in ("presence", "amount") if own.hurdle else ("amount",):
        head: nn.Linear = getattr(own, name)
        head.weight = nn.Parameter(head.weight[at], requires_grad=False)
        head.bias = nn.Parameter(head.bias[at], requires_grad=False)
    own.log_mean, own.log_sd = own.log_mean[at], own.log_sd[at]
    if own.hurdle:
        own.amount_log_sd = nn.Parameter(own.amount_log_sd[at], requires_grad=False)
    own.media_dim = len(columns)
    return own


def _tensor(rows: np.ndarray) -> Tensor:
    return torch.as_tensor(np.asarray(rows, dtype=np.float64))
