"""Which normalisation of genes the data itself asks for, and why."""

from __future__ import annotations

import numpy as np

_HEAVY = 6.0  # excess kurtosis of the values that are there, of a Laplace distribution 3


def choose(values: np.ndarray) -> tuple[str, str]:
    """One of z_score, robust and quantile for values (m, g), and the reason in words.

    Medians need most cells to have most genes; then heavy tails ask for medians, and two heaps for ranks.
    """
    x = values.astype(np.float64)
    x = x[:, x.std(axis=0) > 0]
    if not x.size:
        return "z_score", "no gene varies"
    there = float((x != 0).mean())
    centred = x - x.mean(axis=0)
    sd = centred.std(axis=0)
    tails = float(np.median((centred**4).mean(axis=0) / sd**4 - 3.0))
    if there < 0.5:
        return "z_score", f"{100 * there:.0f} % of the values are above 0, of most genes the median is 0"
    if tails > _HEAVY:
        return "robust", f"tails are heavy (excess kurtosis {tails:.1f})"
    # the distance of the halves of a normal is 1.6 sd at the median; two heaps leave the middle empty
    middle = (np.abs(centred) < 0.25 * sd).mean(axis=0)
    if float(np.median(middle)) < 0.05:
        return "quantile", "most genes have two heaps of values with nothing between"
    return (
        "z_score",
        f"{100 * there:.0f} % of the values are above 0 and tails are light (excess kurtosis {tails:.1f})",
    )
