"""Every verb from end to end on simulated cells: files, exit codes, what is said."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys

import anndata
import pytest

from cytosol.cli import run
from virtualcell.cli import VERBS, app

SMALL = ["cells=300", "genes=40", "regulators=5", "targets=4", "pathways=4", "hours=[6]"]


def sh(*words):
    return run(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("cli")
    assert sh("simulate", "--out", made / "world", "--seed", 1, *SMALL) == 0
    return made


def test_every_verb_has_help_and_help_is_light():
    verbs = [verb.__name__ for verb in VERBS]
    code = (
        "import sys; from cytosol.cli import run; from virtualcell.cli import app\n"
        f"codes = [run(app, [verb, '--help']) for verb in {verbs}]\n"
        "heavy = {'torch', 'pandas', 'scipy', 'sklearn', 'anndata', 'h5py', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(str(heavy or codes) if heavy or any(codes) else 0)"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    assert [verb for verb in verbs if f"virtualcell {verb} " not in process.stdout] == []


def test_simulated_cells_have_their_truth_beside_them(folder):
    cells = anndata.read_h5ad(folder / "world" / "cells.h5ad")
    assert cells.shape == (300, 40)
    assert {path.name for path in (folder / "world").iterdir()} == {
        "cells.h5ad",
        "network.tsv",
        "pathways.gmt",
        "compartments.tsv",
    }
    assert sh("simulate", "--out", folder / "again", "--seed", 1, *SMALL) == 0
    again = anndata.read_h5ad(folder / "again" / "cells.h5ad")
    assert (again.X != cells.X).nnz == 0


def test_the_twelve_models_are_told(capsys):
    assert sh("models") == 0
    said = capsys.readouterr().out
    assert sum("Model" in line.partition(" ")[0] for line in said.splitlines()) == 12
    assert "hierarchy temporal regulation memory stochastic resources scales" in said
    assert sh("models", "HierarchicalTemporalModel") == 0
    said = capsys.readouterr().out
    assert "parts: hierarchy, temporal" in said
    assert any(line.split() == ["num_pathways", "1000"] for line in said.splitlines())
    assert any(line.split() == ["token_dim", "required"] for line in said.splitlines())


def test_the_loaders_are_told(capsys):
    assert sh("loaders") == 0
    said = capsys.readouterr().out
    assert sum("Loader" in line.partition(" ")[0] for line in said.splitlines()) == 13
    assert sh("loaders", "TemporalDataLoader") == 0
    said = capsys.readouterr().out
    assert "model: TemporalDynamicsModel" in said
    assert any(line.split() == ["temporal_sampling_strategy", "'uniform'"] for line in said.splitlines())


def test_annotations_are_matched_and_written(folder, capsys):
    world = folder / "world"
    files = ["--pathways", world / "pathways.gmt", "--network", world / "network.tsv"]
    words = ["annotate", "--data", world / "cells.h5ad", *files, "--out", folder / "matched"]
    assert sh(*words, "--format", "npz") == 0
    said = capsys.readouterr()
    assert "4 pathways" in said.out
    assert "raw counts" in said.err
    assert {path.name for path in (folder / "matched").iterdir()} == {
        "pathways.npz",
        "network.npz",
        "genes.csv",
    }
    assert sh(*words) == 2
    assert "exists already" in capsys.readouterr().err


def test_simple_methods_are_scored(folder, capsys):
    data = folder / "world" / "cells.h5ad"
    words = ["evaluate", "--baselines", "--data", data]
    assert sh(*words, "--hold-out", "cell_type=each", "--json", folder / "b.json") == 0
    found = json.loads((folder / "b.json").read_text())
    assert set(found["meta"]) == {"package", "version", "files", "seed"}
    assert list(found["meta"]["files"]) == ["cells.h5ad"]
    assert {"no change", "mean delta", "nearest delta", "additive"} <= {
        row["method"] for row in found["rows"]
    }
    assert {row["dataset"] for row in found["rows"]} == {"type1", "type2"}
    said = capsys.readouterr()
    assert "Pearson d" in said.out
    assert "obs['perturbation'] is what was done to a cell" in said.err
    assert sh(*words, "--hold-out", "perturbation=KO_TF001", "--json", folder / "p.json") == 0
    rows = json.loads((folder / "p.json").read_text())["rows"]
    assert {row["task"] for row in rows} == {"KO_TF001"}


def test_a_prediction_is_scored(folder, capsys):
    cells = anndata.read_h5ad(folder / "world" / "cells.h5ad")
    cells[cells.obs["perturbation"] == "KO_TF001"].copy().write_h5ad(folder / "made.h5ad")
    files = ["--pred", folder / "made.h5ad", "--truth", folder / "world" / "cells.h5ad"]
    assert sh("evaluate", *files, "--json", folder / "s.json") == 0
    found = json.loads((folder / "s.json").read_text())
    assert set(found["meta"]["files"]) == {"made.h5ad", "cells.h5ad"}
    (folder / "other").mkdir()
    shutil.copy(folder / "made.h5ad", folder / "other" / "cells.h5ad")
    same = ["--pred", folder / "other" / "cells.h5ad", *files[2:]]
    assert sh("evaluate", *same, "--json", folder / "t.json") == 0
    paths = {(folder / place / "cells.h5ad").as_posix() for place in ("other", "world")}
    assert set(json.loads((folder / "t.json").read_text())["meta"]["files"]) == paths
    perfect = [
        row["value"]
        for row in found["rows"]
        if (row["method"], row["metric"]) == ("prediction", "pearson_delta")
    ]
    assert perfect == pytest.approx([1.0, 1.0])
    assert "prediction" in capsys.readouterr().out


LITTLE = {
    "embedding": ["genes=20", "network.d_model=8", "network.nhead=2", "network.output_dim=4"],
    "perturbation": ["network.members=1", "network.d_model=8", "network.nhead=2", "trees.trees=5"],
}
TRAINING = {
    "embedding": ("virtualcell.training", "EmbeddingTraining"),
    "perturbation": ("virtualcell.training_response", "ResponseTraining"),
}


@pytest.mark.parametrize("task", LITTLE)
def test_a_training_that_was_stopped_goes_on_where_it_says(folder, capsys, caplog, monkeypatch, task):
    recipe, out, made = folder / f"{task}.yaml", folder / task, folder / f"{task}.h5ad"
    recipe.write_text(f"task: {task}\ntrainer: {{max_steps: 6, batch_size: 4, precision: 32-true}}\n")
    data = folder / "world" / "cells.h5ad"
    words = ["train", "--data", data, "--config", recipe, "--out", out, "--device", "cpu", *LITTLE[task]]
    if task == "perturbation":
        words += ["--context-key", "cell_type,batch"]
        use = ["perturb", out, "--data", data, "--context", "type1|batch1", "--perturbation", "KO_TF001"]
    else:
        use = ["embed", out, "--data", data]
    module, name = TRAINING[task]
    kind = getattr(importlib.import_module(module), name)
    step = kind.training_step

    def stopped(self, batch, index):
        if self.global_step == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(kind, "training_step", stopped)
        assert sh(*words) == 130
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "stopped by SIGTERM at step 4" in last
    assert last.endswith("the same command with --resume goes on")
    assert sh(*use, "--out", made) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert "training is unfinished" in said[-1]
    assert len(said) == 1
    assert sh(*words, "--resume") == 0
    assert "continuing at step 4" in caplog.text
    if task == "perturbation":
        assert "trial 2 of 4" in caplog.text
        assert "of what trees correct was of use (0: none, 1: all): it is" in capsys.readouterr().err
    assert sh(*use, "--out", made) == 0
    assert f"task: {task}" in (out / "config.yaml").read_text()


def test_the_recipe_and_the_option_agree_on_the_task(folder, capsys):
    recipe, data = folder / "r.yaml", folder / "world" / "cells.h5ad"
    words = ["train", "--data", data, "--out", folder / "x"]
    for text, more, told in (
        (
            "task: embedding\ngenes: 5\n",
            ["--task", "perturbation"],
            "task: is 'embedding', --task is 'perturbation'",
        ),
        ("task: embeding\n", [], "r.yaml: task: expected one of embedding, perturbation, got 'embeding'"),
        ("genes: 5\n", [], "--task: expected one of embedding, perturbation, or a recipe"),
        ("task: perturbation\n", ["--condition-key", "perturbed"], "there is perturbation, "),
    ):
        recipe.write_text(text)
        assert sh(*words, "--config", recipe, *more) == 2
        assert told in capsys.readouterr().err.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("models HierarchicalTemporalModle", "did you mean 'HierarchicalTemporalModel'"),
        ("loaders TimeLoader", "loader 'TimeLoader'"),
        ("simulate --out {}/x cell=5", "did you mean 'cells'"),
        ("simulate --out {}/x cells=0", "cells: expected a number >= 1"),
        ("simulate --out {}/world", "exists already"),
        ("evaluate --json {}/x", "expected a file ending in .json"),
        ("evaluate --json {}/z.json", "--pred: expected"),
        ("evaluate --json {}/z.json --baselines", "--data: expected"),
        ("evaluate --json {}/z.json --baselines --data {}/world/cells.h5ad", "--hold-out: expected"),
        ("evaluate --json {}/z.json --baselines --data {}/world/cells.h5ad --hold-out type1", "KEY=VALUE"),
        (
            "evaluate --json {}/z.json --baselines --data {}/world/cells.h5ad --hold-out cell_type=x "
            "--condition-key condition",
            "expected a column 'condition' (--condition-key), there is ",
        ),
        (
            "evaluate --json {}/z.json --pred a.h5ad --truth b.h5ad --data c.h5ad",
            "--data: is not used with --pred",
        ),
        ("annotate --data {}/world/cells.h5ad --out {}/x", "at least one of --pathways"),
        ("annotate --data {}/none.h5ad --out {}/x --pathways {}/world/pathways.gmt", "no such file"),
        (
            "annotate --data {}/world/cells.h5ad --out {}/x --pathways {}/none.gmt",
            "none.gmt: expected a file",
        ),
        (
            "annotate --data {}/world/cells.h5ad --out {}/x --network {}/world/compartments.tsv",
            "a column 'tf'",
        ),
    ],
)
def test_faults_are_one_line_and_exit_code_2(folder, capsys, words, said):
    assert sh(*(word.format(folder) for word in words.split())) == 2
    err = capsys.readouterr().err.strip().splitlines()
    assert said in err[-1], err
    assert not (folder / "x").exists()
    assert not (folder / "z.json").exists()
