"""Sections as two tables each, counts and places; a section without places gets them.

`counts_S1.csv`: a row a cell (its name first), a column a gene. `places_S1.csv`: cell, x, y [um].
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import anndata as ad
import pandas as pd

import stedm
from stedm.config import BaseConfig, NetworksConfig, PairConfig, SimulationConfig
from stedm.h5ad import tissue_of

# Seconds instead of minutes: no networks, fewer trees. For real sections: stedm.Config().
QUICK = stedm.Config(
    networks=NetworksConfig(use=False),
    pairs=PairConfig(trees=60, embed=60),
    base=BaseConfig(components=(15,), rounds=2),
)


def make(folder: Path) -> None:
    """Files of this form, of a simulated tissue: two sections with places, and the last one's places kept aside."""
    made = stedm.simulate(SimulationConfig(sections=3, cells=120, genes=120, spatial=60))
    for name in made.obs["section"].unique():
        cells = made[made.obs["section"] == name]
        cells.to_df().to_csv(folder / f"counts_{name}.csv")
        places = pd.DataFrame(cells.obsm["spatial"], index=cells.obs_names, columns=["x", "y"]).rename_axis(
            "cell"
        )
        places.to_csv(folder / (f"truth_{name}.csv" if name == "S3" else f"places_{name}.csv"))


def section(folder: Path, name: str, places: str = "places") -> ad.AnnData:
    """One section as AnnData, with places where there are some."""
    counts = pd.read_csv(folder / f"counts_{name}.csv", index_col=0)
    cells = ad.AnnData(counts.astype("float32"))
    cells.obs["section"] = name
    file = folder / f"{places}_{name}.csv"
    if file.exists():
        at = pd.read_csv(file, dtype={"cell": str}).set_index("cell")
        cells.obsm["spatial"] = at.loc[cells.obs_names, ["x", "y"]].to_numpy()
    return cells


def main(folder: Path) -> None:
    """Learn from the sections with places, place the others."""
    names = sorted(path.stem.removeprefix("counts_") for path in folder.glob("counts_*.csv"))
    sections = [section(folder, name) for name in names]
    taught = [s for s in sections if "spatial" in s.obsm]
    model = stedm.fit(tissue_of(ad.concat(taught)), QUICK)
    for cells in (s for s in sections if "spatial" not in s.obsm):
        name = cells.obs["section"].iloc[0]
        asked = tissue_of(cells, coordinates=False).sections[0]
        place = model.predict(asked)
        found = pd.DataFrame(place.coordinates, index=asked.cells, columns=["x", "y"]).assign(sd=place.sd)
        found.rename_axis("cell").to_csv(folder / f"placed_{name}.csv")
        print(f"{name}: {len(found)} cells placed, expected error {found['sd'].median():.0f} um")
        if (folder / f"truth_{name}.csv").exists():
            truth = tissue_of(section(folder, str(name), "truth")).sections[0]
            scores = stedm.score(place.coordinates, truth.coordinates, place.sd)
            print(
                f"  of ten true neighbours {10 * scores.hit10:.1f} found, distances correlate {scores.spearman:.2f}"
            )


if __name__ == "__main__":
    given = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory() as made:
        if given is None:
            make(Path(made))
        main(given or Path(made))
