"""How replicates of one condition vary together: correlated noise, its measure, curves around a base.

Letters: b batch, t time, r replicates, d feature width. Masks are bool, True = real.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from o2diffusion.drugs import DoseScale

START_CORRELATION = 0.9  # before any training
START_OFFSET = 0.2
MODES = 32  # of the smooth replicate drift
SLOW = 16  # of them, those that `set_apart` stretches: slower than any response to a media change
LEAST_AGREEMENT = 0.05  # as Fisher's z: replicates of no agreement at all would drift without bounds
BY_CONDITION = 0.5  # of how unlike replicates are, in Fisher's z: a good plate is good in all its wells


def generate_replicate_aware_noise(
    shape: tuple[int, int, int],
    replicate_mask: Tensor,
    correlation: float | Tensor,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Gaussian noise (b, t, r): white in time, unit variance, one correlation between replicates.

    replicate_mask (b, r); correlation in [0, 1], one number or (b,): ValueError for others. Exactly 0 in padded
    replicates. A shared and an own part, sqrt(rho) z + sqrt(1 - rho) z_r: training and sampling both draw from here.
    """
    b, t, r = shape
    device = replicate_mask.device
    rho = torch.as_tensor(correlation, dtype=torch.float32, device=device)
    if replicate_mask.shape != (b, r):
        msg = f"expected a replicate mask of shape {(b, r)}, got {tuple(replicate_mask.shape)}"
        raise ValueError(msg)
    if not torch.compiler.is_compiling() and not bool(((rho >= 0) & (rho <= 1)).all()):
        msg = f"expected replicate correlations from 0 to 1, got {float(rho.min()):g} to {float(rho.max()):g}"
        raise ValueError(msg)
    rho = rho.expand(b)[:, None, None]
    z = torch.randn(b, t, r + 1, generator=generator, device=device)
    noise = rho.sqrt() * z[..., :1] + (1 - rho).sqrt() * z[..., 1:]
    return torch.where(replicate_mask[:, None, :], noise, torch.zeros_like(noise))


def pairwise_correlation(x: Tensor, observed: Tensor, replicate_mask: Tensor) -> tuple[Tensor, Tensor]:
    """Pearson correlation of each pair of replicates over their common samples, and the number of those.

    x, observed (b, t, r), replicate_mask (b, r) -> (b, r, r) and (b, r, r). NaN where a pair has fewer than
    three common samples or one of the two is constant there, and on the diagonal.
    """
    m = observed & replicate_mask[:, None, :] & torch.isfinite(x)
    x = torch.where(m, x, torch.zeros_like(x)).double()
    m = m.double()
    x = (x - x.sum(1, keepdim=True) / m.sum(1, keepdim=True).clamp(min=1)) * m  # less cancellation below
    n = m.mT @ m
    own, other = x.mT @ m, m.mT @ x  # sums of the row's and of the column's replicate over the pair's samples
    safe = n.clamp(min=1)
    square = x.square().mT @ m
    var_own = square - own.square() / safe
    var_other = square.mT - other.square() / safe
    cov = x.mT @ x - own * other / safe
    floor = 1e-12 * (square + square.mT)
    real = (n >= 3) & (var_own > floor) & (var_other > floor)
    real &= ~torch.eye(x.shape[-1], dtype=torch.bool, device=x.device)
    scale = torch.where(real, var_own * var_other, torch.ones_like(n)).sqrt()
    return torch.where(real, (cov / scale).clamp(-1, 1), torch.full_like(n, torch.nan)), n


def replicate_correlation(x: Tensor, observed: Tensor, replicate_mask: Tensor) -> Tensor:
    """Pooled correlation between replicates: the pairs' Pearson correlations, weighted by samples. A scalar.

    x, observed (b, t, r), replicate_mask (b, r). NaN where no condition has a pair.
    """
    correlation, n = pairwise_correlation(x, observed, replicate_mask)
    weight = torch.where(torch.isnan(correlation), torch.zeros_like(n), n - 1)
    return ((correlation.nan_to_num() * weight).sum() / weight.sum()).to(x.dtype)


class ReplicateGenerator(nn.Module):
    """Learns how much replicates of a condition agree, and draws replicates around a base curve.

    Two numbers by drug and concentration: the `correlation` of two replicates' curves over time, and their
    `spread`, the SD between replicates at a time. What the correlation leaves to the spread is a constant
    offset a replicate.
    """

    def __init__(self, drug_embed_dim: int, hidden: int = 64, *, c_ref: float = 1.0) -> None:
        super().__init__()
        self.dose = DoseScale(c_ref)
        self.net = nn.Sequential(nn.Linear(drug_embed_dim + 2, hidden), nn.SiLU(), nn.Linear(hidden, 2))
        self.dispersion = nn.Parameter(torch.tensor(-0.7))  # log SD of Fisher's z around its mean
        last = self.net[-1]
        with torch.no_grad():
            rho, offset = torch.tensor(START_CORRELATION), torch.tensor(START_OFFSET)
            last.bias.copy_(torch.stack([torch.logit(rho), torch.log(torch.expm1(offset))]))  # pyright: ignore
            last.weight.mul_(0.1)  # pyright: ignore

    def _outputs(self, drug_embedding: Tensor, concentration: Tensor) -> tuple[Tensor, Tensor]:
        dose = self.dose(concentration).to(drug_embedding.dtype)
        logit, offset = self.net(torch.cat([drug_embedding, dose], dim=-1)).unbind(-1)
        return torch.sigmoid(logit.clamp(-6, 7)), F.softplus(offset)

    def correlation(self, drug_embedding: Tensor, concentration: Tensor) -> Tensor:
        """Expected correlation of two replicates' curves: (b, d), (b,) [uM] -> (b,) in (0, 1)."""
        return self._outputs(drug_embedding, concentration)[0]

    def spread(self, drug_embedding: Tensor, concentration: Tensor) -> Tensor:
        """SD between replicates at a time, as a fraction of the curve's scale: (b, d), (b,) [uM] -> (b,)."""
        return _spread(*self._outputs(drug_embedding, concentration))

    def nll(
        self,
        curves: Tensor,
        observed: Tensor,
        replicate_mask: Tensor,
        drug_embedding: Tensor,
        concentration: Tensor,
    ) -> Tensor:
        """Negative log likelihood of what replicates of real curves do; trains both numbers. A scalar.

        curves, observed (b, t, r) in units of the curve's scale, replicate_mask (b, r), drug_embedding (b, d),
        concentration (b,) [uM]. Fisher's z of each
        pair's correlation is Gaussian around atanh(rho) (Fisher 1921); deviations from the replicate mean
        are Gaussian with the spread. Conditions with one replicate add nothing.
        """
        rho, offset = self._outputs(drug_embedding, concentration)
        measured, _ = pairwise_correlation(curves.detach(), observed, replicate_mask)
        dispersion = self.dispersion.clamp(min=-3.0)  # equal pairs shall not make it collapse
        pair = torch.isfinite(measured)
        z = torch.atanh(measured.nan_to_num().clamp(-0.999, 0.999)).to(rho.dtype)
        off = torch.where(pair, (z - torch.atanh(rho)[:, None, None]) / dispersion.exp(), torch.zeros_like(z))
        pairs = pair.sum((1, 2))
        agree = 0.5 * off.square().sum((1, 2)) / pairs.clamp(min=1) + dispersion
        spread = _spread(rho.detach(), offset)  # the scale of a curve says nothing on the correlation
        squares, dof = _between(curves, observed & replicate_mask[:, None, :])
        apart = spread.log() + 0.5 * squares / (dof.clamp(min=1) * spread.square())
        total = torch.where(pairs > 0, agree, 0.0).sum() + torch.where(dof > 0, apart, 0.0).sum()
        return total / (dof > 0).sum().clamp(min=1)

    def generate_replicates(
        self,
        base_curve: Tensor,
        n_replicates: int,
        drug_embedding: Tensor,
        concentration: Tensor,
        *,
        scale: float | Tensor = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Curves around a base, smooth and with the learnt agreement: (b, t) -> (b, t, n_replicates).

        drug_embedding (b, d), concentration (b,) [uM]. scale: unit of the spread, one number or (b,) (1 where curves
        are normalised). The base is the condition's mean, no replicate of its own: one replicate varies around it as
        much as each of four. Raises ValueError for less than one replicate.
        """
        if n_replicates < 1:
            msg = f"expected at least one replicate, got {n_replicates}"
            raise ValueError(msg)
        b, t = base_curve.shape
        rho, offset = self._outputs(drug_embedding, concentration)
        offset = offset * scale
        own = (
            base_curve.var(1, unbiased=False) * (1 - rho) / rho
        )  # variance of the drift: rho = v / (v + own)
        z = torch.randn(b, min(MODES, t - 1) + 1, n_replicates, generator=generator, device=base_curve.device)
        amplitude = torch.arange(1, z.shape[1], dtype=z.dtype, device=z.device)[:, None]
        drift = _apart(_cosines(t, MODES, base_curve) @ (z[:, 1:] / amplitude), base_curve)
        return base_curve[..., None] + offset[:, None, None] * z[:, :1] + own.sqrt()[:, None, None] * drift

    def set_apart(
        self,
        curves: Tensor,
        drug_embedding: Tensor,
        concentration: Tensor,
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Curves drawn together, their slow differences stretched to the learnt agreement: (b, t, r) -> (b, t, r).

        A network that draws what replicates have in common draws them too much alike: how unlike two are varies from
        plate to plate and well to well, and rare odd wells are not learned from tables of a hundred conditions. Here
        Fisher's z of each replicate is drawn as `nll` learned it, and the slow cosines of its difference from the mean
        are scaled to it. Offsets, fast differences and the mean stay, up to what scaling replicates one by one adds.
        drug_embedding (b, d), concentration (b,) [uM].
        """
        b, _, r = curves.shape
        if r == 1:
            return curves
        common = curves.mean(2, keepdim=True)
        apart = curves - common
        offset = apart.mean(1, keepdim=True)
        basis = _cosines(curves.shape[1], SLOW, curves)
        slow = basis @ (basis.T @ (apart - offset))
        fast = apart - offset - slow
        white = torch.randn(b, r + 1, generator=generator).to(curves)
        z = torch.atanh(self.correlation(drug_embedding, concentration)).to(curves)[:, None]
        z = z + self.dispersion.exp() * (
            BY_CONDITION**0.5 * white[:, :1] + (1 - BY_CONDITION) ** 0.5 * white[:, 1:]
        )
        rho = torch.tanh(z.clamp(min=LEAST_AGREEMENT))
        # Deviations from a mean of r have (r - 1) / r of the variance that rho = v / (v + own) speaks of.
        own = common.var(1, unbiased=False) * (1 - rho) / rho * (r - 1) / r
        wanted = (own - fast.var(1, unbiased=False)).clamp(min=0)
        return (
            common
            + offset
            + fast
            + slow * (wanted / slow.var(1, unbiased=False).clamp(min=1e-12)).sqrt()[:, None]
        )


def _spread(rho: Tensor, offset: Tensor) -> Tensor:
    """SD between replicates of a curve of unit variance, from its drift (rho) and its offset: (b,)."""
    return ((1 - rho) / rho + offset.square()).sqrt()


def _between(curves: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Sum of squared deviations from the replicate mean, and its degrees of freedom: (b,) and (b,)."""
    mask = mask & torch.isfinite(curves)
    x = torch.where(mask, curves, torch.zeros_like(curves))
    count = mask.sum(-1)
    mean = x.sum(-1) / count.clamp(min=1)
    deviation = torch.where(mask, x - mean[..., None], torch.zeros_like(x))
    return deviation.square().sum((1, 2)), (count - 1).clamp(min=0).sum(1)


def _cosines(t: int, modes: int, like: Tensor) -> Tensor:
    """The slowest cosines over t samples but the constant one, orthonormal: (t, k)."""
    k = torch.arange(1, min(modes, t - 1) + 1, dtype=like.dtype, device=like.device)
    u = (torch.arange(t, dtype=like.dtype, device=like.device)[:, None] + 0.5) / t
    return torch.cos(torch.pi * u * k) * (2 / t) ** 0.5


def _apart(drift: Tensor, base: Tensor) -> Tensor:
    """The drifts (b, t, r) without their projection on the base (b, t), each of unit variance.

    A drift along the base is a gain, which no correlation sees: the learnt correlation would be missed.
    """
    base = (base - base.mean(1, keepdim=True))[..., None]
    share = (drift * base).sum(1, keepdim=True) / base.square().sum(1, keepdim=True).clamp(min=1e-12)
    drift = drift - share * base
    return drift / drift.square().mean(1, keepdim=True).sqrt().clamp(min=1e-6)
