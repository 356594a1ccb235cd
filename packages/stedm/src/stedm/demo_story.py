"""What the demo tells of its section: question, answer, numbers and pictures, and the way with one's own files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cytosol.story import Picture, Story, Table
from stedm.tissue import place_of, rms_radius

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


def story(
    taught: Sequence[str], hidden: Section, genes: int, scores: pd.DataFrame, unit: str, out: Path
) -> Story:
    """What was done and how well. unit: of the coordinates."""
    own, others = scores.iloc[0], scores.iloc[1:]
    best = others.loc[others["jaccard10"].idxmax()]
    return Story(
        question=QUESTION,
        setting=f"A simulated tissue of {genes} genes: the places of section {hidden.label} ({len(hidden)} "
        f"cells) were hidden, and predicted from what its cells express by a model that learned from sections "
        f"{', '.join(taught)}.",
        answer=f"Of the cells that are among a cell's ten nearest in truth or in prediction, {own['jaccard10']:.0%} "
        f"are so in both; with the best simple method ({best['method']}), {best['jaccard10']:.0%}. Errors are "
        f"{own['sd_ratio']:.2f} times as large as the model expected them to be (1: as expected).",
        tables=(_table(scores, rms_radius(place_of(hidden)), unit),),
        pictures=_pictures(out),
        own=FORM,
        commands=COMMANDS,
    )


def _table(scores: pd.DataFrame, radius: float, unit: str) -> Table:
    """Every method's neighbours and error, and those of chance. radius: RMS, of the section [unit]."""
    rows = [
        (str(one["method"]), f"{one['jaccard10']:.2f}", f"{radius * one['rmse']:.0f}")
        for _, one in scores.iterrows()
    ]
    return Table(
        caption="Places of the hidden section",
        header=("method", "Jaccard@10", f"error [{unit}]"),
        rows=(*rows, ("chance", f"{scores.iloc[0]['floor']:.2f}", f"{radius:.0f}")),
        note="Jaccard@10: the ten nearest cells, true and predicted: those in both over those in either (1: all). "
        "error: RMS distance from the true place (less is better; chance: as if all cells were put in the middle). "
        "ridge, kNN and MLP predict coordinates from expression with the sections as they lie; "
        "`ridge, aligned` turns these onto each other first, as stedm does. expression PCA: the two strongest trends "
        "of expression, taken for a map.",
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
            caption="What each method made of the same section, turned and scaled to fit the truth best; error: of the "
            "section's RMS radius.",
            alt="The section's true places and a panel for every method, coloured by the true place: the "
            "more orderly the colours, the better the method.",
        ),
    )
