"""A chart of each table: what is drawn of which rows, in the house's style. Nothing is measured here."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.tables import Table, number, spread, tables
from cytosol import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# inches
WIDTH = 9.0
BAR, GAP = 0.26, 0.5  # a bar; around a panel of them
HEAD, LINES = 0.45, 3.4  # the title; a chart of lines
ACROSS = 4  # panels side by side, at most
PLAIN = "#B8B8B8"
PICTURES = "pictures"


@dataclass(frozen=True)
class Chart:
    """Bars of one table's rows, a panel for each of `values` or for each word of the column `panel`.

    table: name of the benchmark. after: words of the line above the table. rows: a pattern that labels must fit.
    where: column and word of the rows that are drawn. label: columns that name a row. names: labels to use instead, in
    order. ours: a pattern of labels that are drawn in colour. line: a value to compare with. over: the column of an x
    axis, for lines instead of bars; with `wide`, columns are the x axis and each row is a line.
    """

    table: str
    title: str
    values: tuple[str, ...]
    label: tuple[str, ...] = ("method",)
    after: str = ""
    rows: str = ""
    where: tuple[str, str] | None = None
    panel: str = ""
    names: tuple[str, ...] = ()
    ours: str = ""
    line: float | None = None
    over: str = ""
    wide: bool = False


KANG = "interferon response of a cell type left out"
CHARTS = (
    Chart("o2diffusion_tasks", "o2diffusion over the best simple method: below 1 is better", ("ratio",),
          ("dataset", "task", "metric"), line=1.0),
    Chart("o2diffusion_generation", "Generated against held-out replicates: 0 is alike", ("KS distance",),
          ("statistic",)),
    Chart("o2diffusion_dose", "Error of EC50, a quarter of the data removed: lower is better",
          ("median_relative_error",), ("summary", "method"), where=("data", "incomplete"), ours=", filled"),
    Chart("o2diffusion_speed", "Milliseconds a draw of a condition", ("value",), ("measured",),
          rows="^a draw of a condition", names=("o2diffusion", "CSDI (PyPOTS)"), ours="o2diffusion"),
    Chart("stedm_sections", "Neighbours found on held-out sections: Jaccard@10, higher is better", ("Jaccard@10",),
          panel="set", rows="^(ridge|kNN|MLP|expression PCA|stedm)", ours="stedm"),
    Chart("stedm_gauges", "Scale kept, by noise over that of the data: 1 is best", (), ("gauge",), panel="set",
          after="scale_r", wide=True),
    Chart("stedm_simulated", "Simulated tissue: Procrustes error, lower is better", ("Procrustes",), ("tissue",),
          line=0.15),
    Chart("stedm_scale", "stedm reconstruct by the number of cells", ("seconds", "peak memory"), over="cells"),
    Chart("stedm_peers", "Beside other programs: Jaccard@10, higher is better", ("jaccard10",), panel="set",
          ours="stedm"),
    Chart("mediacvae_generation", "Recipes for genera left out, with names", ("mse", "pearson", "jaccard"),
          after="genus: + names", ours="mediacvae"),
    Chart("mediacvae_rules", "A rule's marker is among the five strongest reasons", ("marker named",), ("",),
          ours="the model"),
    Chart("mediacvae_scale", "mediacvae train by the number of media", ("seconds", "peak memory"), over="media"),
    Chart("mediacvae_kmers", "Counting k-mers: Mb a second, higher is better", ("k = 4", "k = 6", "k = 8"),
          ("counting",), ours="mediacvae"),
    Chart("virtualcell_simple", f"Simple methods, {KANG}", ("pearson_delta", "mse"), after="Mean over 5"),
    Chart("virtualcell_response", f"Stage by stage, {KANG}", ("Pearson delta", "MSE", "overlap50"), ("",),
          ours="virtualcell"),
    Chart("virtualcell_cells", "Predicted cells by cell-eval: higher is better", ("overlap_at_N", "PR-AUC"), ("",),
          ours="mean"),
    Chart("virtualcell_knockouts", "Strong knockouts never seen: higher is better", ("Pearson delta", "discrimination"),
          ("",), after="never seen, strong", ours="virtualcell"),
    Chart("virtualcell_embedding", "Held-out cells: type of neighbours; share of them of the other condition",
          ("accuracy", "other"), rows="^(?!.*told of types)", ours="mixing weight .001"),
    Chart("virtualcell_parts", "Simulated cells: how much lower the error is with a part [%]",
          ("gain over without", "over shuffled"), ("part",), ours="."),
    Chart("virtualcell_cost", "A training step over the base's", ("measured",), ("what",),
          rows="^training step, .*Model / base", line=1.0),
    Chart("virtualcell_length", "A training step at 2,048 tokens, batch 8: GB", ("peak GB",), ("network",), line=8.0),
    Chart("virtualcell_reading", "Reading from disk: seconds", ("s",), ("task",)),
)  # fmt: skip


def picked(chart: Chart, folder: Path) -> Table:
    """The rows of a chart. ValueError where the table has none of them."""
    path = folder / f"{chart.table}.md"
    for table in tables(path):
        wanted = {*chart.values, *filter(None, (chart.panel, chart.over))}
        if chart.after in table.above and wanted <= set(table.columns):
            rows = [row for row in table.rows if re.search(chart.rows, named(chart, row))]
            if chart.where is not None:
                rows = [row for row in rows if row[chart.where[0]] == chart.where[1]]
            if rows:
                return Table(table.above, table.columns, tuple(rows))
    msg = f"{path}: expected a table with {', '.join(chart.values) or chart.after}"
    raise ValueError(msg)


def named(chart: Chart, row: dict[str, str]) -> str:
    """What a row is called."""
    return ", ".join(row[column] for column in chart.label if column in row)


def panels(chart: Chart, table: Table) -> list[tuple[str, str, list[dict[str, str]]]]:
    """Title, column and rows of each panel."""
    if not chart.panel:
        titles = [
            f"{value}, lower is better" if value.lower() == "mse" else value if len(chart.values) > 1 else ""
            for value in chart.values
        ]
        return [(title, value, list(table.rows)) for title, value in zip(titles, chart.values, strict=True)]
    words = dict.fromkeys(row[chart.panel] for row in table.rows)
    return [(w, "".join(chart.values), [row for row in table.rows if row[chart.panel] == w]) for w in words]


def draw(chart: Chart, folder: Path) -> Path:
    """Draw a chart of the table in `folder`: pictures/NAME.png."""
    from matplotlib.figure import Figure

    table = picked(chart, folder)
    drawn = panels(chart, table)
    labels = [[named(chart, row) for row in rows] for _, _, rows in drawn]
    alike = all(x == labels[0] for x in labels)  # then the panels stand side by side and share their labels
    across = min(len(drawn), ACROSS) if alike else 1
    down = -(-len(drawn) // across)
    tall = [max(len(x) for x in labels[i * across : (i + 1) * across]) for i in range(down)]
    lines = bool(chart.over) or chart.wide
    height = LINES if lines else HEAD + sum(BAR * one + GAP for one in tall)
    with figures.style(**{"font.size": 9, "axes.titlesize": 10, "axes.labelsize": 9}):
        figure = Figure(figsize=(WIDTH, height), layout="constrained", dpi=110)
        figure.suptitle(chart.title, fontsize=11, x=0.01, ha="left")
        shape = {"height_ratios": tall, "sharey": alike and not lines, "sharex": not alike}
        grid = figure.subplots(down, across, squeeze=False, **shape).ravel()
        for axes, (title, value, rows) in zip(grid, drawn, strict=True):
            axes.set_title(title)
            if chart.wide:
                curves(axes, chart, rows, table)
            elif chart.over:
                growth(axes, chart, rows, value)
            else:
                bars(axes, chart, rows, value)
        (folder / PICTURES).mkdir(exist_ok=True)
        return figures.save(figure, folder / PICTURES / f"{chart.table}.png")


def bars(axes: Axes, chart: Chart, rows: list[dict[str, str]], value: str) -> None:
    """Horizontal bars with their spread and their number."""
    labels = list(chart.names) or [named(chart, row) for row in rows]
    at = range(len(rows))
    sizes = [number(row[value]) for row in rows]
    own = [bool(chart.ours and re.search(chart.ours, x)) for x in labels]
    colours = [figures.BLUE if mine else PLAIN for mine in own]
    axes.barh(
        at, sizes, color=colours, xerr=[spread(row[value]) for row in rows], ecolor=figures.GREY, height=0.72
    )
    for y, row in enumerate(rows):
        if not math.isnan(sizes[y]):
            text = row[value].split(" ")[0]
            inside = own[y] and sizes[y] > 0.15 * max(sizes)  # of the number on a bar in colour
            place = {"xytext": (3, 0), "textcoords": "offset points", "va": "center", "fontsize": 7.5}
            axes.annotate(text, (0, y), color="white" if inside else "black", **place)
    axes.set_yticks(at, [x if len(x) < 60 else f"{x[:57]}..." for x in labels])
    if not axes.yaxis_inverted():
        axes.invert_yaxis()
    if chart.line is not None:
        axes.axvline(chart.line, color=figures.ORANGE, linewidth=1.2)


def growth(axes: Axes, chart: Chart, rows: list[dict[str, str]], value: str) -> None:
    """Both axes in logarithms; the exponent from the first to the last."""
    x, y = [number(row[chart.over]) for row in rows], [number(row[value]) for row in rows]
    axes.loglog(x, y, color=figures.BLUE, marker="o")
    exponent = math.log(y[-1] / y[0]) / math.log(x[-1] / x[0])
    unit = rows[0][value].split(" ")[1:]
    axes.set_title(f"{value}{f' [{unit[0]}]' if unit else ''}: exponent {exponent:.2f} over the whole range")
    axes.set_xlabel(chart.over)


def curves(axes: Axes, chart: Chart, rows: list[dict[str, str]], table: Table) -> None:
    """A line for each row over the columns."""
    columns = [column for column in table.columns if column not in {*chart.label, chart.panel}]
    for row in rows:
        axes.plot(columns, [number(row[column]) for column in columns], marker="o", label=named(chart, row))
    axes.tick_params(axis="x", rotation=20)
    axes.legend()
