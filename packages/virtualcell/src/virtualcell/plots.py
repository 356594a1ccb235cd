"""Pictures of predictions, scores and embeddings. Every function returns a matplotlib Figure.

Letters: g genes, n cells, m methods.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cytosol.figures import BLUE, GREY, ORANGE, style
from virtualcell import baselines, metrics
from virtualcell.canvas import COLOURS, MOST, columns_of, name_dots, panels, short
from virtualcell.faults import refuse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from virtualcell.evaluation import Predicted

PANELS = 6
NAMED = 8  # genes of a panel that are named
SCORES = {
    "pearson_delta": "Pearson of deltas",
    "mse": "MSE of means",
    "overlap50": "Overlap of 50 genes",
    "discrimination": "Discrimination",
    "correlations": "Gene-gene correlation agreement",
    "energy": "Energy distance",
}
LESS_IS_BETTER = ("mse", "energy")
DELTAS = (
    "Delta: mean of log1p of counts per 10,000 minus that of control cells. A dot is a gene; those of largest true "
    "change are named. On the dashed line the prediction is exact. r: Pearson's correlation over all genes."
)
BARS = (
    "Bars: means; dots: contexts and perturbations. Of the ridges the one that is best on these very cells."
)
ENDS = "A dot is a cell; axes have no unit. Cells that are near each other in the embedding are near each other here."


def plot_deltas(
    predicted: Sequence[Predicted],
    genes: Sequence[str] | np.ndarray,
    *,
    title: str = "Predicted against true change",
) -> Figure:
    """Predicted against true change of every gene (g,), a panel a prediction. DataError for none, or more than 6."""
    if not 1 <= len(predicted) <= PANELS:
        refuse(f"plot: expected 1 to {PANELS} predictions, got {len(predicted)}")
    with style():
        figure, axes = panels(len(predicted), title=title, note=DELTAS)
        for ax, one in zip(axes, predicted, strict=True):
            _delta(ax, one, genes)
    return figure


def _delta(ax: Axes, one: Predicted, genes: Sequence[str] | np.ndarray) -> None:
    true, made = one.true - one.control, one.made - one.control
    top = metrics.largest(true, NAMED)
    ends = np.array([min(true.min(), made.min()), max(true.max(), made.max())], dtype=float)
    room = 0.08 * max(float(ends[1] - ends[0]), 1e-9)
    ends += np.array([-room, room])
    ax.plot(ends, ends, color=GREY, ls="--", lw=1.0)
    ax.scatter(true, made, s=7, color=BLUE, alpha=0.45, lw=0, rasterized=len(true) > 3000)
    ax.scatter(true[top], made[top], s=16, color=ORANGE, lw=0)
    ax.set(xlim=ends, ylim=ends)
    name_dots(ax, true[top], made[top], [str(genes[i]) for i in top])
    ax.set(aspect="equal", xlabel="True change", ylabel="Predicted change")
    r = metrics.pearson(made, true)
    ax.set_title(f"{short(one.context, 20)}, {short(one.perturbation, 20)}\n{one.method}: r {r:.2f}")


def plot_methods(table: pd.DataFrame, *, title: str = "Methods beside the truth") -> Figure:
    """Scores of every method of a table of `evaluation`, a panel a score; of the ridges the best alone.

    A method that answered a part of the questions says how many. DataError for a table without any score.
    """
    from virtualcell.evaluation import best_ridge

    best = best_ridge(table)
    keep = [not str(m).startswith(baselines.RIDGE) or m == best for m in table["method"]]
    shown = table.loc[keep]
    scores = [s for s in SCORES if s in shown and shown[s].notna().to_numpy().any()]
    if not scores:
        refuse("plot: expected a table with at least one score")
    names = list(dict.fromkeys(map(str, shown["method"])))
    asked = shown.groupby("method").size()
    few = {name: f" ({asked[name]} of {asked.max()})" for name in names if asked[name] < asked.max()}
    called = [short(_plain(name), 26) + few.get(name, "") for name in names]
    columns = columns_of(len(scores))
    tall = 0.9 + 0.34 * len(names)
    with style():
        figure, axes = panels(len(scores), title=title, note=BARS, panel=(3.9, tall))
        for k, (ax, score) in enumerate(zip(axes, scores, strict=True)):
            values = [shown.loc[shown["method"] == name, score].to_numpy(dtype=float) for name in names]
            _method_bars(ax, called if k % columns == 0 else None, values)
            ax.set_title(SCORES[score])
            ax.set_xlabel("less is better" if score in LESS_IS_BETTER else "more is better")
    return figure


def _method_bars(ax: Axes, names: list[str] | None, values: list[np.ndarray]) -> None:
    at = np.arange(len(values))[::-1]
    means = [float(np.nanmean(v)) if np.isfinite(v).any() else 0.0 for v in values]
    ax.barh(at, means, color=BLUE, alpha=0.6, height=0.7)
    for height, mean, own in zip(at, means, values, strict=True):
        found = own[np.isfinite(own)]
        if len(found) > 1:
            ax.plot(found, np.full(len(found), height), "o", color=ORANGE, ms=4, alpha=0.8, mew=0)
        text = f"{mean:.3g}" if len(found) else "-"
        ax.annotate(text, (max(mean, float(found.max(initial=0))), height), (4, 0), textcoords="offset points",
                    va="center", fontsize=9)  # fmt: skip
    ax.set_yticks(at, [""] * len(at) if names is None else names)
    ax.tick_params(axis="y", length=0)
    low, high = ax.get_xlim()
    ax.set_xlim(low, high + 0.18 * (high - low))
    ax.axvline(0, color=GREY, lw=0.8)


def _plain(name: str) -> str:
    return baselines.RIDGE if name.startswith(baselines.RIDGE) else name


def project(embedding: np.ndarray, *, kind: str = "tsne", seed: int = 0) -> np.ndarray:
    """Two numbers a cell (n, 2): t-SNE (van der Maaten & Hinton 2008) from the principal components, or these alone.

    kind: tsne or pca; fewer than 10 cells get principal components in any case. DataError for other words, NaN.
    """
    x = np.asarray(embedding, dtype=np.float64)
    if kind not in ("tsne", "pca") or x.ndim != 2 or not np.isfinite(x).all() or not len(x):
        refuse(f"map: expected tsne or pca of finite numbers (n, d), got {kind!r} of {x.shape}")
    left, size, _ = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    most = left[:, :2] * size[:2]
    flat = np.pad(most, ((0, 0), (0, 2 - most.shape[1])))
    if kind == "pca" or len(x) < 10:
        return flat
    from sklearn.manifold import TSNE

    start = 1e-4 * flat / max(float(flat.std()), 1e-12)
    perplexity = min(30.0, (len(x) - 1) / 3)
    begin: Any = start
    return TSNE(init=begin, perplexity=perplexity, random_state=seed, n_jobs=1).fit_transform(x)


def plot_embedding(
    points: np.ndarray, labels: Mapping[str, Sequence[Any] | np.ndarray], *, title: str = "Embedding"
) -> Figure:
    """Cells (n, 2) coloured by each of the labels (n,), a panel a column: words in colours, numbers on a scale.

    Raises DataError for no column, more than 6, or one of another length.
    """
    if not 1 <= len(labels) <= PANELS or any(len(own) != len(points) for own in labels.values()):
        refuse(f"plot: expected 1 to {PANELS} columns of {len(points)} labels, got {list(labels)}")
    order = np.random.default_rng(0).permutation(len(points))  # else those drawn last would hide the others
    with style():
        figure, axes = panels(len(labels), title=title, note=ENDS, panel=(4.2, 3.2))
        for ax, (name, own) in zip(axes, labels.items(), strict=True):
            values = np.asarray(own)[order]
            draw = _numbers if values.dtype.kind in "fiu" and len(np.unique(values)) > MOST else _words
            draw(figure, ax, points[order], values)
            ax.set(title=name, xticks=[], yticks=[])
            ax.spines[["left", "bottom"]].set_visible(False)
    return figure


def _size(n: int) -> float:
    return float(np.clip(9000 / max(n, 1), 1.0, 22))


def _numbers(figure: Figure, ax: Axes, points: np.ndarray, values: np.ndarray) -> None:
    low, high = np.nanquantile(values, [0.01, 0.99])
    drawn = ax.scatter(*points.T, c=values, s=_size(len(points)), lw=0, vmin=low, vmax=high, rasterized=True)
    figure.colorbar(drawn, ax=ax, extend="both", shrink=0.8).outline.set_visible(False)  # type: ignore[operator]


def _words(figure: Figure, ax: Axes, points: np.ndarray, values: np.ndarray) -> None:
    """The most frequent labels in colours, the others in grey."""
    del figure
    words, count = np.unique(values.astype(str), return_counts=True)
    chosen = sorted(words[np.argsort(-count, kind="stable")][:MOST].tolist())
    rest = ~np.isin(values.astype(str), chosen)
    if rest.any():
        ax.scatter(
            *points[rest].T, s=_size(len(points)), color="#D0D0D0", lw=0, label=f"{len(words) - MOST} others"
        )
    colour = dict(zip(chosen, COLOURS, strict=False))
    shown = ~rest
    ax.scatter(*points[shown].T, s=_size(len(points)), c=[colour[w] for w in values[shown].astype(str)], lw=0,
               rasterized=len(points) > 3000)  # fmt: skip
    for word in chosen:
        ax.scatter([], [], s=28, color=colour[word], label=short(word, 18))
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handletextpad=0.2, borderpad=0, fontsize=9)
