"""A tissue in two minutes: simulated, one section's places hidden, predicted, and compared with simple methods."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from stedm import baselines, h5ad
from stedm.config import Config, SimulationConfig
from stedm.demo_story import story
from stedm.evaluation import row
from stedm.learning import fit
from stedm.metrics import fit_similarity, score
from stedm.names import HOW, MADE, SD
from stedm.saving import save as save_model
from stedm.simulation import simulate
from stedm.tissue import place_of

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from anndata import AnnData
    from matplotlib.figure import Figure

    from cytosol.story import Story
    from stedm.place import Model, Place
    from stedm.tissue import Section

SEED = 7
TISSUE = SimulationConfig(sections=3, cells=700)  # fewer leave holes
CONFIG = Config(seed=SEED, simulation=TISSUE)
CONFIG = replace(  # short runs: two minutes for everything
    CONFIG,
    networks=replace(CONFIG.networks, encoder_steps=100, refiner_steps=75),
    trainer=replace(CONFIG.trainer, max_steps=100),
)
UNIT = "µm"  # of the simulation


def run(out: Path, config: Config = CONFIG) -> Story:
    """Write tissue.h5ad, model, placed.h5ad, scores.csv and two pictures to `out`; what they show.

    The last section of the simulated tissue is the one whose places are hidden.
    """
    from cytosol.figures import save

    cells = simulate(config.simulation, seed=config.seed)
    h5ad.write(cells, out / "tissue.h5ad")
    tissue = h5ad.tissue_of(cells, name="tissue.h5ad")
    hidden = tissue.sections[-1]
    known = tissue.without([hidden.label])
    model = fit(known, config, dim=config.simulation.dim, seed=config.seed)
    save_model(model, out / "model", force=True)
    place = model.predict(hidden.without_coordinates())
    _keep(cells[hidden.cells].copy(), place, model, out / "placed.h5ad")
    methods = {"stedm": place.coordinates, **baselines.run(known, hidden, seed=config.seed)}
    scores = pd.DataFrame(
        [
            row(name, hidden, made, place.sd if name == "stedm" else None, seed=config.seed)
            for name, made in methods.items()
        ]
    )
    scores.to_csv(out / "scores.csv", index=False)
    save(_places(hidden, place), out / "places.png")
    save(_methods(hidden, methods), out / "methods.png")
    return story(known.labels, hidden, len(tissue.genes), scores, UNIT, out)


def _keep(cells: AnnData, place: Place, model: Model, path: Path) -> None:
    """Write the cells with their places, as `stedm reconstruct` does."""
    cells.obsm[MADE], cells.obs[SD] = place.coordinates, place.sd
    cells.uns[HOW] = {
        "unit": "that of the training coordinates",
        "training_sections": ", ".join(map(str, model.facts["sections"])),
    }
    h5ad.write(cells, path)


def _places(hidden: Section, place: Place) -> Figure:
    """True beside predicted places of the hidden section, and the honesty of its sd."""
    from stedm.overlay import lay
    from stedm.plots import plot_places

    laid = lay(replace(hidden, coordinates=place.coordinates), hidden, place.sd)
    title = f"Section {hidden.label}, its places hidden: colour is the true place"
    return plot_places([laid], title=title, unit=UNIT, calibration=True)


def _methods(hidden: Section, methods: dict[str, np.ndarray]) -> Figure:
    """What every method made of the hidden section."""
    from stedm.plots import plot_methods

    truth = place_of(hidden)
    moved = {
        name: (fit_similarity(made, truth)(made), score(made, truth, seed=SEED))
        for name, made in methods.items()
    }
    title = f"Section {hidden.label}, its places hidden: what each method made of it"
    return plot_methods(truth, moved, title=title, unit=UNIT)
