"""The simple methods that odds of growth are shown against.

Letters: r records (an organism on a medium grew or did not), o organisms, d condition features, b media.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_array
from scipy.spatial.distance import cdist
from scipy.special import expit, logit

from mediacvae.baselines import Standard
from mediacvae.folds import grouped_folds
from mediacvae.metrics import log_loss

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mediacvae.conditions import Conditioner

RATE, LOGISTIC, NEIGHBOURS, STRAIN = "medium rate", "logistic", "neighbours", "medium rate + strain effect"
PENALTIES = (1.0, 3.0, 10.0, 30.0, 100.0)  # of the logistic regression
NEAREST = (3, 5, 10)  # how many neighbours are asked
RATE_COUNTS = 3.0  # records that a medium's rate counts beside its neighbours'
LEAST = 0.01  # no odds of the strain effect are nearer to 0 and 1
FOLDS, DRAWS = 5, 4  # of training records, for the settings; of known results of each strain, for the scale
SCALES = ("probability", "logit")  # on which a strain's effect is added


@dataclass(frozen=True)
class Records:
    """What grew on what: organism, medium (r,) row numbers; growth (r,) bool.

    Raises ValueError for vectors of different lengths, and what are no row numbers or outcomes.
    """

    organism: np.ndarray
    medium: np.ndarray
    growth: np.ndarray

    def __post_init__(self) -> None:
        """Refuse vectors of different lengths, and what are no row numbers or outcomes."""
        shapes = {np.shape(one) for one in (self.organism, self.medium, self.growth)}
        if len(shapes) != 1 or len(next(iter(shapes))) != 1:
            msg = f"records: expected three vectors of one length, got shapes {sorted(shapes)}"
            raise ValueError(msg)
        if len(self) and (min(self.organism.min(), self.medium.min()) < 0 or self.growth.dtype != bool):
            msg = "records: expected row numbers >= 0 of organisms and media, and growth as true or false"
            raise ValueError(msg)

    def __len__(self) -> int:
        """How many there are."""
        return len(self.organism)

    def take(self, rows: np.ndarray) -> Records:
        """Some of them, by number (n,) or by mask (r,)."""
        return Records(self.organism[rows], self.medium[rows], self.growth[rows])


def run_growth(
    train: Records,
    test: Records,
    conditions: np.ndarray,
    known: Records | None = None,
    *,
    conditioner: Conditioner,
    groups: np.ndarray,
) -> dict[str, np.ndarray]:
    """The odds of growth of the test records by each simple method, by name: (r,). What they grew on is not looked at.

    conditions: (o, d) of all organisms, NaN where not known. groups: (o,) labels of relatives, for the choice of the
    settings. known: results of test organisms that are known already; then the strain effect is among the methods.
    Raises ValueError without training records, or where a known result is tested.
    """
    if not len(train):
        msg = "growth: expected training records, got none"
        raise ValueError(msg)
    z = Standard.fit(conditioner, conditions[np.unique(train.organism)])(conditions)
    of = np.asarray(groups)[train.organism]
    made = {RATE: medium_rate(train)(test.medium)}
    for name, method, settings in (
        (LOGISTIC, logistic, PENALTIES),
        (NEIGHBOURS, neighbours, NEAREST),
    ):
        made[name] = method(train, test, z, _choose(method, train, z, of, settings))
    if known is not None:
        made[STRAIN] = strain_effect(train, test, known)
    return made


def medium_rate(train: Records) -> Callable[[np.ndarray], np.ndarray]:
    """Media (r,) to the share of training records that grew on each, (k + 1) / (n + 2) (Laplace 1774)."""
    size = int(train.medium.max(initial=-1)) + 2  # the last: media that nothing is known of
    yes = np.bincount(train.medium[train.growth], minlength=size)
    rate = (yes + 1.0) / (np.bincount(train.medium, minlength=size) + 2.0)
    return lambda medium: rate[np.minimum(medium, size - 1)]


def logistic(train: Records, test: Records, z: np.ndarray, penalty: float) -> np.ndarray:
    """Odds (r,) by logistic regression on medium, conditions, and medium x conditions, with an L2 penalty.

    z: (o, d) standardised conditions. Media's own effects are penalised by 1, those of conditions by `penalty`.
    """
    # a rotation: the same, narrower
    z = z @ np.linalg.svd(z[np.unique(train.organism)], full_matrices=False)[2].T
    d, b = z.shape[1], int(max(train.medium.max(), test.medium.max(initial=0))) + 1
    base = float(logit((train.growth.sum() + 1.0) / (len(train) + 2.0)))
    own, y = z[train.organism], train.growth.astype(float)
    at = csr_array((np.ones(len(y)), (train.medium, np.arange(len(y)))), shape=(b, len(y)))
    sign = np.where(train.growth, -1.0, 1.0)
    weight = np.concatenate([np.ones(b), np.full(d * (b + 1), penalty)])

    def parts(w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return w[:b], w[b:].reshape(b + 1, d)  # the last row: the effect of conditions on all media

    def score(w: np.ndarray, features: np.ndarray, medium: np.ndarray) -> np.ndarray:
        level, slope = parts(w)
        return base + level[medium] + (features * (slope[medium] + slope[-1])).sum(axis=1)

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        eta = score(w, own, train.medium)
        miss = expit(eta) - y
        each = at @ (own * miss[:, None])
        gradient = np.concatenate([at @ miss, each.ravel(), each.sum(axis=0)]) + weight * w
        return float(np.logaddexp(0.0, sign * eta).sum() + 0.5 * (weight * w**2).sum()), gradient

    found = minimize(loss, np.zeros(len(weight)), jac=True, method="L-BFGS-B", options={"maxiter": 500})
    return expit(score(found.x, z[test.organism], test.medium))


def neighbours(train: Records, test: Records, z: np.ndarray, k: float) -> np.ndarray:
    """Odds (r,): the share that grew of the k organisms nearest by condition that were tried on the same medium.

    The medium's rate counts as RATE_COUNTS records more. z: (o, d) standardised conditions. Of organisms that are
    equally near, those whose records come first are asked.
    """
    p = medium_rate(train)(test.medium)
    for medium in np.unique(test.medium):
        tried, asked = np.flatnonzero(train.medium == medium), np.flatnonzero(test.medium == medium)
        if not len(tried):
            continue
        far = cdist(z[test.organism[asked]], z[train.organism[tried]])
        near = tried[np.argsort(far, axis=1, kind="stable")[:, : int(k)]]
        p[asked] = (train.growth[near].sum(axis=1) + RATE_COUNTS * p[asked]) / (near.shape[1] + RATE_COUNTS)
    return p


def strain_effect(train: Records, test: Records, known: Records) -> np.ndarray:
    """Odds (r,): the medium's rate, moved by how the strain did in its n known results, shrunk by n / (n + 1).

    On the scale of probabilities or of logits, whichever has the smaller log loss on training strains of whom as many
    results are known. An organism without known results keeps the medium's rate. Raises ValueError where a known result
    is tested.
    """
    both = set(zip(known.organism.tolist(), known.medium.tolist(), strict=True))
    for i, pair in enumerate(zip(test.organism.tolist(), test.medium.tolist(), strict=True)):
        if pair in both:
            msg = f"growth: test record {i}: organism {pair[0]} on medium {pair[1]} is a known result; leave it out"
            raise ValueError(msg)
    rate = medium_rate(train)
    count = np.unique(known.organism, return_counts=True)[1]
    scale = _better_scale(train, int(np.median(count))) if len(count) else SCALES[0]
    p = rate(test.medium)
    for organism in np.unique(known.organism):
        own, seen = test.organism == organism, known.organism == organism
        p[own] = _moved(p[own], rate(known.medium[seen]), known.growth[seen], scale)
    return p


def _moved(p: np.ndarray, rate: np.ndarray, growth: np.ndarray, scale: str) -> np.ndarray:
    """Odds p (r,) after n known results, growth (n,), of which rate (n,) was expected."""
    shrink = len(rate) / (len(rate) + 1.0)
    more = growth - rate
    if scale == "probability":
        return np.clip(p + shrink * more.mean(), LEAST, 1.0 - LEAST)
    step = more.sum() / (rate * (1.0 - rate)).sum()  # Newton's first step of the strain's logit
    return np.clip(expit(logit(p) + shrink * step), LEAST, 1.0 - LEAST)


def _better_scale(train: Records, n: int, seed: int = 0) -> str:
    """The scale of SCALES that did better on training strains, n results known, their other results asked."""
    rng = np.random.default_rng(seed)
    truth: list[np.ndarray] = []
    odds: dict[str, list[np.ndarray]] = {scale: [] for scale in SCALES}
    for organism in np.unique(train.organism):
        rows = np.flatnonzero(train.organism == organism)
        rate = medium_rate(train.take(train.organism != organism))
        for _ in range(DRAWS if len(rows) > n else 0):
            mixed = rng.permutation(rows)
            seen, asked = mixed[:n], mixed[n:]
            truth.append(train.growth[asked])
            for scale in SCALES:
                p = rate(train.medium[asked])
                odds[scale].append(_moved(p, rate(train.medium[seen]), train.growth[seen], scale))
    if not truth:
        return SCALES[0]
    return min(SCALES, key=lambda scale: log_loss(np.concatenate(odds[scale]), np.concatenate(truth)))


def _choose(
    method: Callable[[Records, Records, np.ndarray, float], np.ndarray],
    train: Records,
    z: np.ndarray,
    groups: np.ndarray,
    settings: Sequence[float],
) -> float:
    """The setting with the least log loss on groups (r,) left out; the middle one where there is one group only."""
    fold = grouped_folds(groups, FOLDS)
    if not fold.max():
        return settings[len(settings) // 2]
    loss = np.zeros(len(settings))
    for k in range(fold.max() + 1):
        out = fold == k
        for i, setting in enumerate(settings):
            p = method(train.take(~out), train.take(out), z, setting)
            loss[i] += out.sum() * log_loss(p, train.growth[out])
    return settings[int(loss.argmin())]
