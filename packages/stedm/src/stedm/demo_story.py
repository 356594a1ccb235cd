"""What the demo tells of its section: question, answer, numbers and pictures, and the way with one's own files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cytosol.story import Picture, Story, Table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd

    from stedm.tissue import Section

QUESTION = "Where in the tissue did these cells sit, given only what they express?"
FORM = (
    "AnnData files (.h5ad): X with counts, obs['section'], and for the sections to learn from "
    "obsm['spatial']. Cells without coordinates are placed among them."
)
COMMANDS = (
    "stedm train --data sections.h5ad --out model",
    "stedm reconstruct model --data cells.h5ad --out placed.h5ad",
    "stedm plot placed.h5ad --out places.png",
)


def story(taught: Sequence[str], hidden: Section, genes: int, scores: pd.DataFrame, out: Path) -> Story:
    """What was done and how well."""
    own, others = scores.iloc[0], scores.iloc[1:]
    best = others.loc[others["jaccard10"].idxmax()]
    return Story(
        question=QUESTION,
        setting=f"A simulated tissue of {genes} genes: the places of section {hidden.label} ({len(hidden)} "
        f"cells) were hidden, and predicted by what {', '.join(taught)} taught.",
        answer=f"Of each cell's ten nearest, true and predicted together, {own['jaccard10']:.0%} are in "
        f"both; with the best simple method, {best['method']}, {best['jaccard10']:.0%}. Errors are "
        f"{own['sd_ratio']:.2f} times as large as the model expected them to be (1: honest).",
        tables=(_table(scores),),
        pictures=_pictures(out),
        own=FORM,
        commands=COMMANDS,
    )


def _table(scores: pd.DataFrame) -> Table:
    """Every method's neighbours and error, and those of chance."""
    rows = [
        (str(one["method"]), f"{one['jaccard10']:.2f}", f"{one['rmse']:.2f}") for _, one in scores.iterrows()
    ]
    return Table(
        caption="Places of the hidden section",
        header=("method", "Jaccard@10", "error"),
        rows=(*rows, ("chance", f"{scores.iloc[0]['floor']:.2f}", "1.00")),
        note="Jaccard@10: the ten nearest cells, true and predicted: those in both over those in either (1: "
        "all). Error: RMS distance from the true place, in RMS radii of the section (0: exact, 1: as if all "
        "cells were put in the middle).",
    )


def _pictures(out: Path) -> tuple[Picture, Picture]:
    """What the two pictures show."""
    return (
        Picture(
            path=out / "places.png",
            caption="True places beside predicted ones; a cell has the colour of its true place in both. At "
            "the right, whether cells that the model is unsure of are the ones that it misplaces.",
            alt="Three panels: the hidden section at its true places, the same cells at their predicted "
            "places in a similar order of colours, and real against expected errors beside a diagonal.",
        ),
        Picture(
            path=out / "methods.png",
            caption="What each method made of the same section, turned and scaled to fit the truth best.",
            alt="The section's true places and a panel for every method, coloured by the true place: the "
            "more orderly the colours, the better the method.",
        ),
    )
