"""The specification's six questions about generator and refiner, answered in words from what `diagnose` measured.

A sentence says what was found, not what was hoped for: each follows from numbers of the table by a rule that stands
beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

SHRUNK = 0.9  # scale ratio below which a structure is called shrunk
FAIR = (0.9, 1.1)  # of RMS(F_pred) / RMS(F_target)
USED = 1.05  # times the error without the conditioning, from where it is called used


def answers(table: pd.DataFrame, *, sigma_data: float, spread: float | None) -> str:
    """The answers as Markdown, from a table of `diagnose`. sigma_data: measured, in RMS radii.

    spread: the generator's error in sigma_data, None where there is no refiner to ask about.
    """
    number = _Numbers(table)
    health = number("generator_health")
    parts = ["# What the networks do on held-out sets", "", f"sigma_data = {sigma_data:.3f} RMS radii."]
    parts += [
        f"Generator: Jaccard@10 {health['jaccard10']:.3f}, scale ratio {health['scale_r']:.3f}, "
        f"error {health['error']:.3f} of the target's size.",
        "",
    ]
    if spread is None:
        return (
            "\n".join([*parts, "There is no refiner (networks.refiner_steps=0): nothing more to ask."]) + "\n"
        )
    bins = number.bins()
    parts += [*_by_sigma(bins), ""]
    for title, text in zip(_TITLES, _texts(bins, number, health, spread), strict=True):
        parts += [f"**{title}** {text}", ""]
    return "\n".join(parts)


_TITLES = (
    "1. Is the scale collapse at high sigma a problem?",
    "2. Does F learn the right size?",
    "3. Should the objective be scale-invariant?",
    "4. Would the generator alone do?",
    "5. Does the denoiser's architecture learn beyond its skip connection?",
    "6. Is EDM preconditioning right for point sets?",
)


class _Numbers:
    """A table of `diagnose`, looked up."""

    def __init__(self, table: pd.DataFrame) -> None:
        self.table = table

    def __call__(self, probe: str) -> dict[str, float]:
        part = self.table[self.table["probe"] == probe]
        return dict(zip(part["quantity"], part["value"].astype(float), strict=True))

    def bins(self) -> pd.DataFrame:
        """A row a bin of noise levels, a column a quantity."""
        part = self.table[self.table["probe"] == "by_sigma"]
        return part.pivot_table(index=["low", "high"], columns="quantity", values="value").reset_index()


def _by_sigma(bins: pd.DataFrame) -> list[str]:
    shown = ("scale_r", "scale_r_skip", "fx_ratio", "fx_ratio_own", "gain_own", "jaccard10", "jaccard10_skip")
    lines = [f"| sigma / sigma_data | {' | '.join(shown)} |", "|" + "---|" * (len(shown) + 1)]
    for _, row in bins.iterrows():
        lines.append(
            f"| {row['low']:.2f}-{row['high']:.2f} | " + " | ".join(f"{row[k]:.3f}" for k in shown) + " |"
        )
    return lines


def _texts(bins: pd.DataFrame, number: _Numbers, health: dict[str, float], spread: float) -> list[str]:
    worst, skip = float(bins["scale_r"].min()), float(bins["scale_r_skip"].min())
    fair = bins["fx_ratio"].between(*FAIR)
    gain = bins["jaccard10"] - bins["jaccard10_skip"]
    top, used, loop = bins.iloc[-1], number("ablation"), number("open_loop")
    helps = top["jaccard10"] > health["jaccard10"]
    return [
        f"{'Yes' if worst < SHRUNK else 'No'}: the smallest scale ratio over the bins is {worst:.3f}; a denoiser "
        f"that has learned nothing (F = 0 around zero) would give {skip:.3f}.",
        f"RMS(F_pred) / RMS(F_target) is within {FAIR[0]}-{FAIR[1]} in {int(fair.sum())} of {len(bins)} bins "
        f"({bins['fx_ratio'].min():.3f} to {bins['fx_ratio'].max():.3f}).",
        f"Neighbours do not know the scale: at the highest noise Jaccard@10 is {top['jaccard10']:.3f} at scale ratio "
        f"{top['scale_r']:.3f}. Watch F, Jaccard@10 and held-out sets, not the scale.",
        f"{'No' if helps else 'Yes'}: one step from high noise has Jaccard@10 {top['jaccard10']:.3f}, "
        f"the generator {health['jaccard10']:.3f}, on the same sets.",
        f"Jaccard@10 after one step is above that of the noisy structure in {int((gain > 0).sum())} of "
        f"{len(bins)} bins; beyond the generator it explains {bins['gain_own'].min():.0%} to "
        f"{bins['gain_own'].max():.0%} of what is left. "
        f"With the contexts of other cells its error is {used['error_ratio_b']:.2f} times as large: the "
        f"conditioning is {'used' if used['error_ratio_b'] > USED else 'hardly used'}.",
        f"Around the generator's structure, whose error is {spread:.3f} sigma_data, a silent net is the best linear "
        f"mix of structure and noise; open loop from pure noise ends at Jaccard@10 {loop['jaccard10']:.3f}, "
        f"{loop['share_of_generator']:.2f} times the generator's, and scale ratio {loop['scale_r']:.3f}.",
    ]
