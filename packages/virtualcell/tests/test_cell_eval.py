"""Predicted cells as a public scorer reads them: opt-in, VIRTUALCELL_CELL_EVAL names a python that has cell-eval 0.8.2.

It must read predictions as they are written, and agree with us on what a mean is.
"""

from __future__ import annotations

import json
import os
import subprocess

import numpy as np
import pytest

from virtualcell.comparison import PREDICTION, Keys, compare
from virtualcell.simulation import simulate
from virtualcell.simulation_options import SimulationOptions
from virtualcell.sources import open_cells
from virtualcell.writing import predicted_cells, write_cells

PROGRAM = """
import json, sys, tempfile
from cell_eval import MetricsEvaluator
with tempfile.TemporaryDirectory() as folder:
    made = MetricsEvaluator(adata_pred=sys.argv[1], adata_real=sys.argv[2], control_pert="control",
                            pert_col="perturbation", num_threads=1, outdir=folder)
    table, _ = made.compute(write_csv=False, skip_metrics=["clustering_agreement", "pearson_edistance"])
print("SCORES" + json.dumps(table.to_dicts()))
"""


@pytest.fixture(scope="module")
def python():
    given = os.environ.get("VIRTUALCELL_CELL_EVAL")
    if not given:
        pytest.skip("cell-eval is not here: set VIRTUALCELL_CELL_EVAL to a python that has it")
    return given


def scores(python, folder, made, real):
    paths = [
        write_cells(one, folder / f"{name}.h5ad", force=True) for name, one in (("p", made), ("t", real))
    ]
    process = subprocess.run(
        [python, "-W", "ignore", "-c", PROGRAM, *paths], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    (line,) = (line for line in process.stdout.splitlines() if line.startswith("SCORES"))
    return {row["perturbation"]: row for row in json.loads(line.removeprefix("SCORES"))}


def test_predictions_are_read_as_they_are_and_scored_alike(python, tmp_path):
    world = simulate(SimulationOptions(cells=600, genes=60, cell_types=1, hours=(6.0,), knockouts=2, pairs=0))
    cells, words = world.cells, world.cells.obs["perturbation"].tolist()
    genes = cells.var_names.tolist()
    real = predicted_cells(cells.X, genes, words)
    own = scores(python, tmp_path, real.copy(), real)
    assert set(own) == set(words) - {"control"}
    for name in (
        "KO_TF001",
        "KO_TF002",
    ):  # a stimulus may change no gene beyond doubt: then nothing can overlap
        assert [own[name][score] for score in ("overlap_at_N", "pr_auc", "pearson_delta")] == pytest.approx(
            [1.0] * 3
        )
    shuffled = np.random.default_rng(0).permutation(len(words))
    still = np.array(words) == "control"
    picked = np.where(still, np.arange(len(words)), shuffled)
    made = predicted_cells(cells.X[picked], genes, words)
    found = scores(python, tmp_path, made, real)
    table, _ = compare(open_cells(made), open_cells(real), None, Keys(condition="perturbation"))
    ours = table[table["method"] == PREDICTION].set_index("perturbation")
    for name, row in found.items():
        assert row["overlap_at_N"] < 1.0, name
        assert row["pearson_delta"] == pytest.approx(ours.loc[name, "pearson_delta"], abs=1e-4)
        assert row["mse"] == pytest.approx(ours.loc[name, "mse"], rel=1e-3)
        cosine = ours.loc[name, "discrimination"]
        assert row["discrimination_score_cosine"] == pytest.approx(cosine, abs=0.5)
