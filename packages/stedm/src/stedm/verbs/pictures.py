"""Verbs that end in a picture: `plot` and `demo`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cytosol import cli, demos
from stedm.names import MADE
from stedm.verbs import common

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anndata import AnnData
    from matplotlib.figure import Figure

    from stedm.overlay import Laid
    from stedm.plots import Shade
    from stedm.tissue import Tissue

DEMO = Path("runs/demo/stedm")


def plot(
    *,
    made: Annotated[Path, typer.Argument(metavar="OUT.h5ad", help="What `reconstruct` wrote.")],
    truth: Annotated[
        Path | None, typer.Option("--truth", metavar=common.CELLS, help="The same cells with coordinates.")
    ] = None,
    out: Annotated[
        Path,
        typer.Option("--out", metavar="FIG|DIR", help="Picture (.png, .svg, .pdf), or a folder for several."),
    ],
    color: Annotated[
        str | None,
        typer.Option("--color", metavar="GENE|error|sd", help="Colour of the cells; else the true place."),
    ] = None,
    section: Annotated[
        list[str], typer.Option("--section", metavar="S", help="Only this section; may be repeated.")
    ] = [],  # noqa: B006 - typer reads it, nobody changes it
    unit: Annotated[
        str | None, typer.Option("--unit", metavar="U", help="Unit of the coordinates, for the axes.")
    ] = None,
    spatial_key: common.SpatialKey = "spatial",
    force: cli.Force = False,
) -> None:
    """Draw true beside predicted places, by section, and expected against real errors."""
    from cytosol.figures import save

    folder = _target(out, force=force)
    if color == "error" and truth is None:
        msg = "--color error: needs --truth F.h5ad, the true places"
        raise ValueError(msg)
    cells, tissue = _prediction(made, section)
    known = None if truth is None else _truth(truth, tissue, spatial_key)
    laid = _laid(cells, tissue, known)
    drawn = _Drawing(made.name, laid, tissue, unit)
    if folder:
        out.mkdir(exist_ok=True)
        for name, figure in list(drawn.all(color)):  # all or none is written
            typer.echo(str(save(figure, out / f"{name}.png")))
    else:
        typer.echo(str(save(drawn.one(color), out)))


class _Drawing:
    """What is drawn of a reconstruction; color: None, error, sd or a gene."""

    def __init__(self, name: str, laid: list[Laid], tissue: Tissue, unit: str | None) -> None:
        from stedm.plots import UNKNOWN

        self.name, self.laid, self.tissue = name, laid, tissue
        self.unit = unit or UNKNOWN
        self.true = laid[0].truth is not None
        self.sd = laid[0].sd is not None

    def one(self, color: str | None) -> Figure:
        """All in one figure; the calibration is part of it where errors are known and no gene is asked for."""
        return self.places(color, calibration=self.true and self.sd and color in (None, "error", "sd"))

    def all(self, color: str | None) -> Iterator[tuple[str, Figure]]:
        """Name and figure of everything that can be drawn, a gene where one is asked for."""
        from stedm.plots import plot_calibration

        yield "places", self.places(None)
        if self.true:
            yield "error", self.places("error")
        if self.sd:
            yield "sd", self.places("sd")
        if self.true and self.sd:
            title = f"{self.name}: is the expected error honest?"
            yield "calibration", plot_calibration(self.laid, title=title, unit=self.unit)
        if color not in (None, "error", "sd"):
            yield f"gene_{re.sub(r'[^A-Za-z0-9.-]', '_', str(color))}", self.places(color)

    def places(self, color: str | None, *, calibration: bool = False) -> Figure:
        """True and predicted places in one colouring."""
        from stedm.plots import plot_places

        shade, what = self.shade(color)
        title = f"{self.name}: cells coloured by {what}" if what else f"{self.name}: predicted places"
        return plot_places(self.laid, shade, title=title, unit=self.unit, calibration=calibration)

    def shade(self, color: str | None) -> tuple[Shade | None, str]:
        """The colouring, and what it is called in a title."""
        from stedm.plots import by_error, by_gene, by_sd

        if color is None and (self.true or not self.sd):
            return None, "their true place" if self.true else ""
        if color == "error":
            return by_error(self.laid, self.unit), "their error"
        if color in (None, "sd"):
            return by_sd(self.laid, self.unit), "their expected error"
        return by_gene(self.tissue, str(color)), f"expression of {color}"


def _target(out: Path, *, force: bool) -> bool:
    """Whether `--out` is a folder; refuses, before any work, what exists or what no picture can be written to."""
    from cytosol.figures import SUFFIXES

    cli.refuse_existing(out, force=force)
    folder = out.is_dir() or not out.suffix
    if not folder and out.suffix.lower() not in SUFFIXES:
        msg = f"{out}: expected a picture ending in {', '.join(SUFFIXES)} or a folder, got {out.name!r}"
        raise ValueError(msg)
    if not out.parent.is_dir():
        msg = f"{out}: expected a folder to write into, {out.parent} does not exist"
        raise ValueError(msg)
    return folder


def _prediction(file: Path, wanted: list[str]) -> tuple[AnnData, Tissue]:
    """The reconstruction and its sections: those wanted, or the first six."""
    from stedm import h5ad
    from stedm.plots import FLAT, MOST

    cells = common.read(file, MADE)
    if MADE not in cells.obsm:
        there = ", ".join(map(str, cells.obsm.keys())) or "nothing"
        msg = f"{file.name}: obsm[{MADE!r}]: expected what `stedm reconstruct` writes, there is {there}"
        raise h5ad.DataError(msg)
    shape = cells.obsm[MADE].shape
    tissue = h5ad.tissue_of(cells, name=file.name, spatial_key=MADE, dim=3 if shape[-1] == 3 else 2)
    if wanted:
        tissue = tissue.only(wanted)
    if len(tissue.sections) > MOST:
        shown = tissue.labels[:MOST]
        common.say(
            f"note: {len(tissue.sections)} sections, drawn are the first {MOST}: {', '.join(shown)}; "
            "--section picks others"
        )
        tissue = tissue.only(shown)
    if shape[-1] == 3:
        common.say(f"note: {FLAT}")
    return cells, tissue


def _truth(file: Path, made: Tissue, key: str) -> Tissue:
    """The true places, in as many dimensions as the predicted ones."""
    from stedm import h5ad
    from stedm.tissue import place_of

    cells = common.read(file, key)
    dim = place_of(made.sections[0]).shape[1]
    if key in cells.obsm and cells.obsm[key].shape[-1] != dim:
        shape = cells.obsm[key].shape
        msg = f"{file.name}: obsm[{key!r}]: expected {dim} columns like {MADE} of {made.name}, got shape {shape}"
        raise h5ad.DataError(msg)
    return h5ad.tissue_of(cells, name=file.name, spatial_key=key, dim=dim)


def _laid(cells: AnnData, tissue: Tissue, truth: Tissue | None) -> list[Laid]:
    """Every section, laid on its truth if there is one."""
    from stedm import h5ad
    from stedm.overlay import lay_all

    spread = h5ad.expected_error(cells, tissue.name)
    rows = h5ad.rows_by_section(cells, tissue)
    return lay_all(tissue, truth, [None if spread is None else spread[own] for own in rows])


def demo(
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where to write.")] = DEMO,
    force: cli.Force = False,
) -> None:
    """Simulate a tissue, hide where the cells of one section sat, place them, compare with simple methods."""
    if out != DEMO:  # the usual place may be used again
        cli.refuse_existing(out, force=force)
    typer.echo(demos.run("stedm", out).text())
