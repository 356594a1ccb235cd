"""Pictures: recipes beside each other, ranks with their odds, the map of the latent, and scores beside simple methods.

Every function returns a matplotlib Figure; `cytosol.figures.save` writes it. Letters as in `predictor`; l features of
the latent.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from cytosol.figures import BLUE, GREY, ORANGE, style
from mediacvae.ingredients import GROUPS, group

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.figure import Figure

# Okabe and Ito (2008), told apart by the colour-blind; an organism type or a group of ingredients each
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
SHOWN = 24  # ingredients of a picture of recipes
LONGEST = 34  # letters of a label
LETTER = 0.095  # width of a wide letter of a title [inches]


def plot_recipes(recipes: pd.DataFrame, *, title: str) -> Figure:
    """The amounts [g/L] of recipes (columns recipe, ingredient, g_per_l) on a logarithmic scale, by ingredient.

    Ingredients that most recipes hold come first within their group; those beyond `SHOWN` are counted.
    """
    from matplotlib.colors import LogNorm

    wide = recipes.pivot_table(index="ingredient", columns="recipe", values="g_per_l", aggfunc="sum")
    held = wide.notna().sum(axis=1)
    kept = wide.loc[held.sort_values(ascending=False, kind="stable").index[:SHOWN]]
    order = sorted(kept.index, key=lambda name: (GROUPS.index(group(str(name))), -held[name], str(name)))
    kept = kept.loc[order]
    with style(**{"axes.spines.left": False, "axes.spines.bottom": False}):
        figure, axes = _figure(4.2 + 0.45 * kept.shape[1], 1.8 + 0.27 * len(kept))
        values = kept.to_numpy(float)
        image = axes.imshow(
            np.ma.masked_invalid(values),
            aspect="auto",
            cmap="viridis",
            norm=LogNorm(vmin=max(np.nanmin(values), 1e-6), vmax=np.nanmax(values)),
        )
        axes.set_yticks(range(len(kept)), [_short(str(name)) for name in kept.index])
        colours = dict(zip(GROUPS, COLOURS, strict=True))
        for label, name in zip(axes.get_yticklabels(), kept.index, strict=True):
            label.set_color(colours[group(str(name))])
        axes.set_xticks(range(kept.shape[1]), [str(name) for name in kept.columns])
        axes.tick_params(length=0)
        axes.set_xlabel("Recipe (1: the consensus)")
        figure.colorbar(image, ax=axes, label="g/L", shrink=0.7)
        for name in dict.fromkeys(group(str(one)) for one in order):
            axes.plot([], [], "s", color=colours[name], label=name)
        figure.legend(loc="outside lower center", ncols=2, fontsize=8)
        more = len(wide) - len(kept)
        said = "blank: not in the recipe" + (
            f"; {more} rarer ingredient{'s' * (more > 1)} not shown" if more else ""
        )
        _title(figure, title, said)
    return figure


def plot_ranks(ranks: pd.DataFrame, *, title: str) -> Figure:
    """Known media (columns rank, medium_id, name, probability), the most promising on top, with their odds."""
    labels = [f"{_short(str(row.name_))}\n{row.medium_id}" for row in _rows(ranks)]
    with style():
        figure, axes = _figure(8.0, 1.4 + 0.42 * len(ranks))
        axes.barh(labels[::-1], ranks["probability"].to_numpy()[::-1] * 100, color=BLUE)
        axes.set_xlabel("Chance of being on record for the organism [%]")
        _title(figure, title)
    return figure


def plot_latent(latent: np.ndarray, kinds: Sequence[str], *, title: str) -> Figure:
    """The latent (n, l) of pairs on its first two principal components, coloured by organism type.

    kinds: the type of each pair. A latent of one feature, or of one pair, lies on a line.
    """
    centred = latent - latent.mean(axis=0)
    _, size, axes_ = np.linalg.svd(centred, full_matrices=False)
    at, share = np.zeros((len(latent), 2)), np.zeros(2)
    at[:, : len(size)] = centred @ axes_[:2].T
    share[: len(size)] = size[:2] ** 2 / max(float((size**2).sum()), 1e-12)
    with style():
        figure, axes = _figure(6.4, 5.0)
        for kind, colour in zip(sorted(set(kinds)), COLOURS, strict=False):
            own = np.array([one == kind for one in kinds])
            axes.scatter(
                at[own, 0],
                at[own, 1],
                s=14,
                color=colour,
                alpha=0.7,
                linewidths=0,
                label=f"{kind} ({own.sum()})",
            )
        axes.set_xlabel(f"Component 1 ({share[0]:.0%} of the variance)")
        axes.set_ylabel(f"Component 2 ({share[1]:.0%})")
        axes.legend()
        axes.set_title(title)
    return figure


def plot_scores(recipes: pd.DataFrame, *, title: str) -> Figure:
    """The table of `evaluation.score_recipes`: error, likeness and hits of each method, the model in colour."""
    panels = (
        ("mse", "Squared error of log1p g/L (less is better)"),
        ("jaccard", "Jaccard index of presence"),
        ("rank@10", "A known medium within ten ranks"),
    )
    with style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(11, 1.4 + 0.4 * len(recipes)), layout="constrained")
        for axes, (name, label) in zip(figure.subplots(1, len(panels), sharey=True), panels, strict=True):
            own = recipes[name].to_numpy(float)[::-1]
            colours = [ORANGE if one == "mediacvae" else GREY for one in recipes["method"][::-1]]
            axes.barh(recipes["method"].to_numpy()[::-1], np.nan_to_num(own), color=colours)
            for at, value in enumerate(own):
                axes.text(
                    0 if np.isnan(value) else value,
                    at,
                    " does not rank" if np.isnan(value) else f" {value:.3f}",
                    va="center",
                    fontsize=9,
                )
            axes.set_xlim(0, float(np.nanmax(own)) * 1.25 + 1e-9)
            axes.set_xlabel(label)
        figure.suptitle(title)
    return figure


def _figure(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", dpi=150)
    return figure, figure.subplots()


def _title(figure: Figure, *lines: str) -> None:
    """Lines over a whole figure from its left edge: over the axes alone, long ones would be cut off at its right."""
    room = int(figure.get_figwidth() / LETTER)
    wrapped = [part for line in lines for part in textwrap.wrap(line, room)]
    figure.suptitle("\n".join(wrapped), x=0.01, ha="left", size="medium", weight="normal")


def _rows(frame: pd.DataFrame) -> Any:
    return frame.rename(columns={"name": "name_"}).itertuples(index=False)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
