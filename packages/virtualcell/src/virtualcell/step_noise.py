"""The step of noise: what of a gene's spread is counting, its own, or shared with other genes of the cell."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from virtualcell.loader_options import NoiseOptions
from virtualcell.step_sets import components
from virtualcell.steps import GroupStep, Seen


class Noise(GroupStep):
    """Genes speak as loudly as their spread is more than noise of single genes.

    arrays: technical, intrinsic, extrinsic (g,): shares of the variance that add to 1. Technical is what counting
    alone would give (Poisson: the mean over the variance of the counts); extrinsic is shared between genes, along
    components above the noise edge; intrinsic is the rest, followed over bins of mean expression.
    """

    name: ClassVar[str] = "stochastic"
    Options: ClassVar[type[Any] | None] = NoiseOptions

    @classmethod
    def fit(cls, seen: Seen, options: NoiseOptions) -> Noise:
        """Shares of the variance of each gene."""
        variances, loadings = components(seen.values, options.extrinsic_noise_dim)
        extrinsic = np.clip((loadings**2) @ variances, 0.0, 1.0)
        mean, variance = seen.raw.mean(axis=0, dtype=np.float64), seen.raw.var(axis=0, dtype=np.float64)
        technical = np.zeros(len(mean))
        counted = seen.cells.about.kind == "counts"
        if counted and options.num_noise_types == 3:
            technical = np.clip(mean / np.maximum(variance, 1e-12), 0.0, 1.0) * (1 - extrinsic)
        own = np.clip(
            _followed(mean, 1 - extrinsic - technical, options.intrinsic_noise_dim), 0.0, 1 - technical
        )
        extrinsic = 1 - technical - own
        low, high = options.noise_strength_range
        noise = np.clip(technical + own, low, high)
        shares = {"technical": technical, "intrinsic": own, "extrinsic": extrinsic}
        arrays = {name: share.astype(np.float32) for name, share in shares.items()}
        if seen.normalization.biological_normalization:
            arrays["factor"] = np.sqrt(1 - noise).astype(np.float32)
        words: dict[str, Any] = {name: round(float(share.mean()), 4) for name, share in shares.items()}
        words |= {"components": len(variances), "kinds": options.num_noise_types}
        notes = (
            ()
            if counted or options.num_noise_types == 2
            else ("noise: no counts, so no technical share is known",)
        )
        return cls(arrays, words, notes)


def _followed(mean: np.ndarray, share: np.ndarray, bins: int) -> np.ndarray:
    """Each gene's share halfway to the median of the genes with about its mean: few cells tell little of one gene."""
    order = np.argsort(mean, kind="stable")
    made = share.copy()
    for part in np.array_split(order, min(bins, len(order))):
        if len(part):
            made[part] = (share[part] + np.median(share[part])) / 2
    return made
