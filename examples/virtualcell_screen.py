"""A knockout screen with names of one's own: the knockout that one donor lacks, predicted as cells.

`screen.h5ad`: counts; `obs['guide']` says what was knocked out (`NT`: nothing), `obs['donor']` whose cells they are.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import anndata as ad
import numpy as np

import virtualcell as vc
from virtualcell.metrics import score
from virtualcell.response import fit_responder
from virtualcell.response_config import ResponseConfig, RowNetOptions, TreeOptions

LACKS = ("type3", "KO_TF002")  # the donor and the knockout that nobody made in it


def make(folder: Path) -> None:
    """A file of this form: simulated cells under other names."""
    options = vc.SimulationOptions(
        cells=500, genes=50, cell_types=4, knockouts=2, stimuli=0, pairs=0, hours=(12.0,)
    )
    cells = vc.simulate(options).cells
    cells.obs = cells.obs.rename(columns={"perturbation": "guide", "cell_type": "donor"})[["guide", "donor"]]
    cells.obs["guide"] = cells.obs["guide"].astype(str).replace("control", "NT").to_numpy()
    cells.write_h5ad(folder / "screen.h5ad")


def main(folder: Path) -> None:
    """Learn without one donor's knockout, predict it, and compare."""
    cells = ad.read_h5ad(folder / "screen.h5ad")
    donor, knockout = LACKS
    hidden = np.asarray((cells.obs["donor"] == donor) & (cells.obs["guide"] == knockout))
    config = ResponseConfig(
        network=RowNetOptions(use=False), trees=TreeOptions(trees=20, leaves=15)
    )  # seconds
    words = {"condition_key": "guide", "control": "NT", "context_key": "donor"}
    model = fit_responder(cells[~hidden].copy(), config, out=folder / "run", **words)
    predicted = model.perturb(cells[~hidden].copy(), knockout, context=donor)
    predicted.write_h5ad(folder / "predicted.h5ad")

    real = vc.read_populations(cells, perturbation_key="guide", context_key="donor", control="NT")
    truth = real.mean[real.where(donor, knockout)]
    others = [d for d in real.context_names if d != donor and real.has(d, knockout)]
    mean = np.mean([real.delta(d, knockout) for d in others], axis=0)
    control = real.control_of(donor)
    print(
        f"{knockout} in {donor}: {predicted.n_obs} cells x {predicted.n_vars} genes, as counts and as log values"
    )
    found = {
        "predicted": np.asarray(predicted.X.mean(axis=0)).ravel(),
        "mean of the other donors": control + mean,
    }
    for name, made in found.items():
        scores = score(made, truth, control)
        print(f"{name}: correlation of the change {scores.pearson_delta:.2f}, squared error {scores.mse:.4f}")


if __name__ == "__main__":
    given = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory() as made:
        if given is None:
            make(Path(made))
        main(given or Path(made))
