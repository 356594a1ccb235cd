"""Every verb from end to end on one small simulated plate and one tiny model: files, exit codes, what is said."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cytosol.cli import run
from o2diffusion.cli import app

PLATE = [
    "simulation.experiments=1",
    "simulation.drugs=2",
    "simulation.concentrations=3",
    "simulation.max_concentration_um=9",
    "simulation.hours=72",
    "simulation.step_h=1.5",
    "simulation.change_times_h=[10,40]",
    "simulation.faults=0.2",
]
TINY = [
    "model.widths=[8,8]",
    "model.denoiser_widths=[8]",
    "model.cond_width=8",
    "model.seen_width=4",
    "model.cells=32",
    "train.masks=1",
    "train.windows=4",
    "train.draw_steps=2",
    "trainer.max_steps=2",
    "trainer.batch_size=4",
]
LONG = ("simulate", "train", "impute", "generate", "profile", "dose-response", "evaluate")
VERBS = (*LONG, "prepare", "describe", "plot", "demo")
VALUES = ["mean", "q05", "q25", "q50", "q75", "q95"]


class Shell:
    """The command line in this process, with what it printed last."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys
        self.out = self.err = ""

    def __call__(self, *words: object) -> int:
        code = run(app, [str(word) for word in words])
        self.out, self.err = self.capsys.readouterr()
        return code


@pytest.fixture
def sh(capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(capsys)


@pytest.fixture(scope="session")
def plate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "plate"
    assert run(app, ["simulate", "--out", str(folder), "--seed", "5", *PLATE]) == 0
    return folder


@pytest.fixture(scope="session")
def table(plate: Path) -> list[str]:
    return ["--data", str(plate / "data.csv"), "--events", str(plate / "events.csv")]


@pytest.fixture(scope="session")
def model(plate: Path, table: list[str]) -> Path:
    folder = plate.parent / "model"
    assert run(app, ["train", *table, "--out", str(folder), "--seed", "1", "--device", "cpu", *TINY]) == 0
    return folder


@pytest.fixture(scope="session")
def without_drugs(plate: Path, table: list[str]) -> Path:
    folder = plate.parent / "without_drugs"
    assert run(app, ["train", *table, "--out", str(folder), *TINY, "train.use_drugs=false"]) == 0
    return folder


def one_line(sh: Shell, *said: str) -> None:
    """The last answer is one line on stderr that says all this, and nothing on stdout."""
    lines = sh.err.strip().splitlines()
    assert sh.out == ""
    assert lines[-1].startswith("o2diffusion")
    assert "Traceback" not in sh.err
    for words in said:
        assert words in lines[-1]


# --- the whole


def test_every_verb_has_help_and_help_is_light() -> None:
    code = (
        "import sys; from cytosol.cli import run; from o2diffusion.cli import app\n"
        f"codes = [run(app, [verb, '--help']) for verb in {VERBS}]\n"
        "heavy = {'torch', 'pandas', 'scipy', 'lightning', 'matplotlib', 'pyarrow'} & set(sys.modules)\n"
        "sys.exit(str(heavy or codes) if heavy or any(codes) else 0)"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    for verb in VERBS:
        assert f"o2diffusion {verb} " in process.stdout


def test_as_a_process_results_and_notes_part_ways(plate: Path, table: list[str]) -> None:
    program = Path(sys.executable).with_name("o2diffusion")
    done = subprocess.run([program, "describe", *table], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "conditions" in done.stdout
    assert done.stderr == ""
    wrong = subprocess.run(
        [program, "describe", "--data", plate / "nothing.csv"], capture_output=True, text=True, check=False
    )
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.count("\n") == 1


@pytest.mark.parametrize("verb", LONG)
def test_long_verbs_take_the_words_of_the_house(sh: Shell, verb: str) -> None:
    assert sh(verb, "--help") == 0
    shared = ["--config", "--seed", "--resume", "--force"]
    assert [
        word for word in (*shared, *(() if verb == "simulate" else ["--device"])) if word not in sh.out
    ] == []


# --- tables


def test_simulate_writes_the_tables_the_truth_and_the_recipe(sh: Shell, plate: Path, tmp_path: Path) -> None:
    data = pd.read_csv(plate / "data.csv")
    assert {"series_id", "replicate", "time_h", "oxygen", "drug", "concentration_um", "unit"} <= set(
        data.columns
    )
    assert data["oxygen"].isna().any()
    assert {"spike", "half_decay_h"} <= set(pd.read_csv(plate / "responses.csv").columns)
    assert set(pd.read_csv(plate / "truth.csv")["series_id"]) == set(data["series_id"])
    again = tmp_path / "again"
    assert sh("simulate", "--out", again, "--config", plate / "config.yaml", "--format", "parquet") == 0
    pd.testing.assert_frame_equal(pd.read_parquet(again / "data.parquet"), data, check_dtype=False)


def test_simulate_keeps_what_is_there(sh: Shell, plate: Path) -> None:
    before = (plate / "data.csv").stat().st_mtime_ns
    assert sh("simulate", "--out", plate, *PLATE) == 2
    one_line(sh, "exists already", "--force")
    assert sh("simulate", "--out", plate, "--resume", *PLATE) == 0
    assert "nothing to do" in sh.err
    assert (plate / "data.csv").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("drugs=3", "simulation.drugs"),
        ("simulation.drug=3", "simulation.drugs"),
        ("simulation.drugs=none", "a whole number"),
        ("simulation.drugs=0", ">= 1"),
        ("trainer.max_steps=3", "trainer.max_steps is not read here: expected seed, simulation"),
    ],
)
def test_a_bad_key_or_value_is_named_with_a_hint(sh: Shell, tmp_path: Path, word: str, said: str) -> None:
    assert sh("simulate", "--out", tmp_path / "new", word) == 2
    one_line(sh, "command line", said)
    assert not (tmp_path / "new").exists()


def test_prepare_turns_an_export_into_a_table_that_describe_reads(sh: Shell, tmp_path: Path) -> None:
    rows = [f"{minute},{90 - minute / 10},{91 - minute / 10},{80},{79}" for minute in range(0, 100, 10)]
    (tmp_path / "export.csv").write_text("\n".join(["Time (min),A1,A2,B1,B2", *rows]))
    (tmp_path / "map.csv").write_text(
        "well,drug,concentration,replicate\nA1,paracetamol,100,1\nA2,paracetamol,100,2\nB1,control,0,1\nB2,control,0,2\n"
    )
    words = ["prepare", "--data", tmp_path / "export.csv", "--plate-map", tmp_path / "map.csv"]
    out = tmp_path / "long.csv"
    assert sh(*words, "--out", out, "--time-unit", "min", "--conc-unit", "nM", "--oxygen-unit", "%air") == 0
    assert "2 series, 4 wells, 40 rows" in sh.out
    table = pd.read_csv(out)
    assert table["time_h"].max() == pytest.approx(1.5)
    assert set(table["concentration_um"]) == {0.0, 0.1}
    assert sh("describe", "--data", out, "--json", tmp_path / "facts.json") == 0
    assert json.loads((tmp_path / "facts.json").read_text())["conditions"] == 2
    assert "paracetamol" in sh.out
    assert sh(*words, "--out", out) == 2
    one_line(sh, "exists already")
    assert sh(*words, "--out", tmp_path / "long.xlsx") == 2
    one_line(sh, ".parquet")


# --- training


def test_train_writes_a_model_its_history_and_its_settings(sh: Shell, model: Path) -> None:
    assert {"manifest.json", "config.yaml", "history.csv", "quantiles", "draws"} <= {
        path.name for path in model.iterdir()
    }
    settings = (model / "config.yaml").read_text()
    assert "seed: 1\n" in settings
    assert "device: cpu" in settings
    history = pd.read_csv(model / "history.csv")
    assert history.groupby("run")["step"].last().to_dict() == {"quantiles": 2, "draws": 2}


def test_train_refuses_and_resumes(sh: Shell, model: Path, table: list[str], tmp_path: Path) -> None:
    weights = (model / "model.safetensors").read_bytes() if (model / "model.safetensors").exists() else b""
    assert sh("train", *table, "--out", model, *TINY) == 2
    one_line(sh, "exists already")
    assert sh("train", *table, "--out", model, "--seed", 1, "--device", "cpu", "--resume", *TINY) == 0
    assert "is complete at step 2" in sh.err or sh.err == "" or "note" in sh.err
    assert any(path.read_bytes() == weights for path in model.glob("model*.safetensors"))
    assert sh("train", *table, "--out", tmp_path / "new", "trainer.max_step=3") == 2
    one_line(sh, "did you mean 'trainer.max_steps'?")


def test_training_adapts_a_model_of_the_same_shape(
    sh: Shell, model: Path, table: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "adapted"
    words = ["train", *table, "--out", out, "--from", model, "trainer.max_steps=1", "train.draw_steps=1"]
    words += ["trainer.batch_size=4"]
    assert sh(*words) == 0
    assert "cells: 32" in (out / "config.yaml").read_text()
    assert sh(*words, "--force", "model.cells=64") == 2
    one_line(sh, "model.*")
    assert sh("train", *table, "--out", tmp_path / "x", "--from", tmp_path / "nothing") == 2
    one_line(sh, "directory of a trained model")


# --- filling


def missing(data: pd.DataFrame) -> pd.DataFrame:
    return data[data["oxygen"].isna()]


def test_impute_fills_every_missing_time_once(
    sh: Shell, plate: Path, model: Path, table: list[str], tmp_path: Path
) -> None:
    out, each = tmp_path / "filled.csv", tmp_path / "draws.parquet"
    assert sh("impute", model, *table, "--out", out, "--draws", 8, "--draws-out", each) == 0
    data = pd.read_csv(plate / "data.csv")
    filled = pd.read_csv(out)
    keys = ["experiment_id", "series_id", "replicate", "time_h"]
    expected = missing(data).sort_values(keys)[keys].reset_index(drop=True)
    found = filled.sort_values(keys)[keys].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)
    assert list(filled.columns) == [*keys[:3], "drug", "concentration_um", "time_h", *VALUES, "unit"]
    assert (np.diff(filled[VALUES[1:]].to_numpy(), axis=1) >= 0).all()
    draws = pd.read_parquet(each)
    assert len(draws) == 8 * len(filled)
    draws["replicate"] = draws["replicate"].astype(int)
    mean = draws.groupby(keys, sort=False)["oxygen"].mean().reset_index()
    both = filled.merge(mean, on=keys, validate="one_to_one")
    np.testing.assert_allclose(both["oxygen"], both["mean"], rtol=1e-9)
    assert sh("impute", model, *table, "--out", out) == 2
    one_line(sh, "exists already")
    assert sh("impute", model, *table, "--out", out, "--resume") == 0
    assert "nothing to do" in sh.err


def test_impute_is_the_same_by_seed_and_by_file_format(
    sh: Shell, plate: Path, model: Path, table: list[str], tmp_path: Path
) -> None:
    frames = []
    for name, seed in (("a.csv", 3), ("b.parquet", 3), ("c.csv.gz", 4)):
        assert sh("impute", model, *table, "--out", tmp_path / name, "--draws", 4, "--seed", seed) == 0
        read = pd.read_parquet if name.endswith("parquet") else pd.read_csv
        frames.append(read(tmp_path / name)[VALUES])
    pd.testing.assert_frame_equal(frames[0], frames[1])
    assert not np.allclose(frames[0], frames[2])


def test_impute_writes_equal_columns_where_series_differ(sh: Shell, model: Path, tmp_path: Path) -> None:
    rows = [("s1", "1", "", 1.0), ("s1", "1", "", None), ("s1", "1", "", 2.0)]
    rows += [("s2", "1", "drug000", 1.0), ("s2", "1", "drug000", 3.0), ("s2", "1", "drug000", None)]
    data = pd.DataFrame(rows, columns=["series_id", "replicate", "drug", "oxygen"])
    data["time_h"] = [0.0, 1.0, 2.0] * 2
    data.to_csv(tmp_path / "data.csv", index=False)
    for name in ("out.csv", "out.parquet"):
        assert (
            sh("impute", model, "--data", tmp_path / "data.csv", "--out", tmp_path / name, "--draws", 4) == 0
        )
    filled = pd.read_csv(tmp_path / "out.csv")
    assert list(filled.columns) == ["series_id", "replicate", "drug", "time_h", *VALUES]
    assert filled["time_h"].tolist() == [1.0, 2.0]
    assert pd.read_parquet(tmp_path / "out.parquet")["drug"].tolist()[1] == "drug000"


def test_impute_adds_times_where_nothing_is_missing(sh: Shell, model: Path, tmp_path: Path) -> None:
    data = pd.DataFrame(
        {"series_id": "s", "replicate": 1, "time_h": [0.0, 1.0, 2.0, 3.0], "oxygen": [4.0, 3, 3, 2]}
    )
    data.to_csv(tmp_path / "data.csv", index=False)
    words = ["impute", model, "--data", tmp_path / "data.csv", "--draws", 4, "--out", tmp_path / "out.csv"]
    assert sh(*words) == 0
    assert "out.csv is a header without rows (--every" in sh.err
    assert pd.read_csv(tmp_path / "out.csv").columns[-1] == "q95"
    assert sh(*words, "--every", 0.5, "--force") == 0
    assert pd.read_csv(tmp_path / "out.csv")["time_h"].tolist() == [0.5, 1.5, 2.5]
    assert sh(*words, "--every", -1, "--force") == 2
    one_line(sh, "every: expected a step [h] above 0")


def test_an_unknown_drug_is_an_error_or_the_average(
    sh: Shell, plate: Path, model: Path, table: list[str], tmp_path: Path
) -> None:
    data = pd.read_csv(plate / "data.csv")
    data["drug"] = data["drug"].replace("drug001", "drug01")
    data.to_csv(tmp_path / "data.csv", index=False)
    words = ["--data", tmp_path / "data.csv", "--draws", 4]
    assert sh("impute", model, *words, "--out", tmp_path / "out.csv") == 2
    one_line(sh, "unknown drug 'drug01'", "did you mean 'drug001'?", "--unknown-drug")
    assert not (tmp_path / "out.csv").exists()
    assert sh("impute", model, *words, "--out", tmp_path / "out.csv", "--unknown-drug") == 0
    assert "drug01" in set(pd.read_csv(tmp_path / "out.csv")["drug"])
    assert sh.err.count("taken as the average of those it knows: drug01\n") == 1
    words = ["--drug", "new", "--concentration", 1, "--draws", 2, "--hours", 50, "--unknown-drug"]
    assert sh("generate", model, *words, "--out", tmp_path / "new.csv") == 0
    assert "those it knows: new\n" in sh.err


def test_a_model_without_drugs_says_that_drugs_are_unused(
    sh: Shell, without_drugs: Path, table: list[str], tmp_path: Path
) -> None:
    assert sh("impute", without_drugs, *table, "--out", tmp_path / "out.csv", "--draws", 4) == 0
    assert "without drugs" in sh.err
    assert "unused" in sh.err
    words = ["--drug", "new", "--concentration", 1, "--draws", 2, "--hours", 50]
    assert sh("generate", without_drugs, *words, "--out", tmp_path / "new.csv") == 0
    assert "unused" in sh.err
    made = pd.read_csv(tmp_path / "new.csv")  # curves that know no drug are not labelled with one
    assert made["drug"].isna().all()
    assert made["concentration_um"].isna().all()
    assert not made["series_id"].str.contains("new").any()


def test_fit_here_adapts_to_the_table_and_can_keep_the_model(
    sh: Shell, without_drugs: Path, table: list[str], tmp_path: Path
) -> None:
    words = [
        "impute",
        without_drugs,
        *table,
        "--draws",
        4,
        "trainer.max_steps=1",
        "train.draw_steps=1",
        "trainer.batch_size=4",
        "--out",
    ]
    assert sh(*words, tmp_path / "a.csv", "--fit-here", "--fit-out", tmp_path / "kept") == 0
    assert sh("impute", tmp_path / "kept", *table, "--draws", 4, "--out", tmp_path / "b.csv") == 0
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()
    assert sh(*words, tmp_path / "c.csv", "--fit-out", tmp_path / "d") == 2
    one_line(sh, "--fit-here")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "expected the directory of a trained model"),
        (["one", "two"], "expected one model directory"),
        (["sampling.draw=3"], "did you mean 'sampling.draws'?"),
        (["train.masks=2"], "train.masks is not read here: expected seed, sampling"),
        (["--draws", "1"], "draws: expected at least 2"),
        (["--out", "no/such/folder.csv"], "does not exist"),
        (["--out", "filled.txt"], ".parquet"),
        (["--resume", "--force"], "contradict"),
        (["--device", "tpu"], "--device"),
        (["--draws-out", "twice.csv", "--out", "twice.csv"], "got this one twice"),
    ],
)
def test_bad_usage_is_refused_in_one_line(
    sh: Shell, model: Path, table: list[str], tmp_path: Path, words: list[str], said: str
) -> None:
    own = [] if words[0] in ("nowhere", "one") else [model]
    out = [] if "--out" in words else ["--out", tmp_path / "out.csv"]
    assert sh("impute", *own, *table, *out, *words) == 2
    one_line(sh, said)


def test_a_recipe_file_is_read_and_the_command_line_wins(
    sh: Shell, model: Path, table: list[str], tmp_path: Path
) -> None:
    (tmp_path / "recipe.yaml").write_text("seed: 3\nsampling:\n  draws: 4\n")
    words = [model, *table, "--config", tmp_path / "recipe.yaml"]
    assert sh("impute", *words, "--out", tmp_path / "a.csv") == 0
    assert "with 4 draws" in sh.out
    assert sh("impute", *words, "--out", tmp_path / "b.csv", "sampling.draws=6") == 0
    assert "with 6 draws" in sh.out
    (tmp_path / "recipe.yaml").write_text("seeds: 3\n")
    assert sh("impute", *words, "--out", tmp_path / "c.csv") == 2
    one_line(sh, "recipe.yaml", "did you mean 'seed'?")


# --- generating


@pytest.mark.parametrize("verb", ["train", "impute", "generate", "profile", "dose-response"])
def test_structures_without_rdkit_are_refused_before_any_work(
    sh: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verb: str
) -> None:
    monkeypatch.setattr("o2diffusion.verbs.common.find_spec", lambda _: None)
    data = [] if verb == "generate" else ["--data", tmp_path / "nothing.csv"]
    assert sh(verb, *data, "--out", tmp_path / "out.csv", "--smiles", tmp_path / "nothing.csv") == 2
    assert sh.err.count("\n") == 1
    one_line(sh, "--smiles: needs RDKit, which is not installed: pip install")


def test_generated_curves_are_a_table_that_describe_reads(sh: Shell, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "generated.csv"
    words = [
        "generate",
        model,
        "--drug",
        "Drug000 ",
        "--concentration",
        3,
        "--media-changes",
        "10,40",
        "--hours",
        60,
    ]
    assert sh(*words, "--replicates", 3, "--draws", 2, "--out", out) == 0
    table = pd.read_csv(out)
    assert len(table) == 2 * 3 * 32
    assert table["series_id"].nunique() == 2
    assert table["time_h"].between(0, 60).all()
    assert np.isfinite(table["oxygen"]).all()
    assert sh("describe", "--data", out) == 0
    assert "2 conditions with 3" in sh.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--media-changes", "ten"], "such as 48,120"),
        (["--media-changes", "500"], "media_changes: expected times [h] between 0 and 60"),
        (["--drug", "drug00"], "unknown drug 'drug00'"),
        (["--unit", "mmHg"], "unit: expected one the model was trained on"),
        (["--replicates", "5"], "--replicates"),
    ],
)
def test_generate_refuses(sh: Shell, model: Path, tmp_path: Path, words: list[str], said: str) -> None:
    assert sh("generate", model, "--hours", 60, "--out", tmp_path / "x.csv", *words) == 2
    one_line(sh, said)


# --- numbers


def test_evaluate_writes_and_prints_the_model_beside_all_baselines(
    sh: Shell, model: Path, table: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "scores.json"
    assert sh("evaluate", model, *table, "--tasks", "b1,c", "--draws", 4, "--json", out) == 0
    written = json.loads(out.read_text())
    assert set(written) == {"meta", "rows"}
    assert written["meta"]["seed"] == 0
    assert {"dataset", "source", "task", "method", "metric", "value", "n", "seed"} == set(written["rows"][0])
    rows = pd.DataFrame(written["rows"])
    assert set(rows["task"]) == {"b1", "c"}
    assert rows["method"].nunique() == 8
    assert {"mae", "rmse", "crps", "coverage50", "coverage90", "area_coverage90"} <= set(rows["metric"])
    for name in (
        "linear",
        "PCHIP",
        "replicate mean",
        "event template",
        "shared GP",
        "o2diffusion /",
        "MAE near",
    ):
        assert name in sh.out
    assert sh("evaluate", model, *table, "--tasks", "b,d", "--json", tmp_path / "no.json") == 2
    one_line(sh, "--tasks: expected some of a, b, b1, c")


def test_dose_response_writes_a_row_a_drug(sh: Shell, model: Path, table: list[str], tmp_path: Path) -> None:
    words = ["dose-response", model, *table, "--draws", 4, "--out", tmp_path / "dose.csv", "--force"]
    more = ["--summaries-out", tmp_path / "wells.csv", "--plot", tmp_path / "fits.png"]
    assert sh(*words, "--summary", "final-level", *more) == 0
    assert is_picture(tmp_path / "fits.png")
    fits = pd.read_csv(tmp_path / "dose.csv")
    assert fits["drug"].tolist() == ["drug000", "drug001"]
    assert {"ec50_um", "q05", "q95"} <= set(fits.columns)
    assert len(pd.read_csv(tmp_path / "wells.csv")) > len(fits)
    assert sh(*words, "--window", "5") == 2
    one_line(sh, "--window")
    assert sh(*words, "--summary", "height") == 2
    assert sh(*words, "--blank", "control") == 2
    one_line(sh, "blanks: belongs to the summary consumption_rate, got it with area")


def test_dose_response_goes_on_until_the_picture_is_there_too(
    sh: Shell, model: Path, table: list[str], tmp_path: Path
) -> None:
    words = ["dose-response", model, *table, "--draws", 4, "--out", tmp_path / "dose.csv"]
    assert sh(*words) == 0
    first, picture = (tmp_path / "dose.csv").read_bytes(), tmp_path / "fits.png"
    assert sh(*words, "--plot", picture) == 2
    assert sh(*words, "--plot", picture, "--resume") == 0
    assert is_picture(picture)
    assert (tmp_path / "dose.csv").read_bytes() == first
    assert sh(*words, "--plot", picture, "--resume") == 0
    assert "nothing to do" in sh.err


def test_profile_measures_the_table_and_asks_the_model(
    sh: Shell, model: Path, table: list[str], tmp_path: Path
) -> None:
    words = ["profile", "--draws", 20, "--force", "--out", tmp_path / "profile.csv"]
    assert sh(*words, model, *table) == 0
    found = pd.read_csv(tmp_path / "profile.csv")
    assert set(found["of"]) == {"table", "model"}
    assert {"spike_magnitude", "recovery_tau", "adaptation_tau", "secondary_magnitude"} <= set(found.columns)
    assert sh(*words, model, "--drug", "drug000", "--concentration", 3) == 0
    assert len(pd.read_csv(tmp_path / "profile.csv")) == 1
    assert sh(*words, model, "--drug", "nope") == 2
    one_line(sh, "unknown drug 'nope'")
    assert sh(*words, model, "--drug", "nope", "--unknown-drug") == 0
    assert sh(*words, *table, "--unknown-drug") == 2
    one_line(sh, "--unknown-drug: is about what a model has learned")


def test_the_profile_of_a_model_without_drugs_is_not_labelled_with_one(
    sh: Shell, without_drugs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "profile.csv"
    assert sh("profile", without_drugs, "--drug", "new", "--concentration", 3, "--out", out) == 0
    assert "--drug and --concentration are unused" in sh.err
    found = pd.read_csv(out)
    assert len(found) == 1
    assert found[["drug", "concentration_um"]].isna().all(axis=None)


@pytest.mark.parametrize(("suffix", "row"), [("csv", 3), ("parquet", 2)])
def test_a_faulty_row_of_structures_is_found_in_the_file(
    sh: Shell, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, row: int
) -> None:
    monkeypatch.setattr("o2diffusion.verbs.common.find_spec", lambda _: True)
    file = tmp_path / f"smiles.{suffix}"
    frame = pd.DataFrame({"drug": ["a", "a"], "smiles": ["C", "CC"]})
    frame.to_csv(file, index=False) if suffix == "csv" else frame.to_parquet(file)
    assert sh("generate", model, "--out", tmp_path / "x.csv", "--smiles", file) == 2
    one_line(sh, f"smiles.{suffix}: row {row}: expected a drug, once, and its SMILES, got 'a'")


# --- pictures


def is_picture(path: Path) -> bool:
    return path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 10_000


def test_curves_are_drawn_from_quantiles_or_draws(
    sh: Shell, model: Path, table: list[str], tmp_path: Path
) -> None:
    draws = tmp_path / "draws.parquet"
    words = ["impute", model, *table, "--every", 5, "--draws", 8, "--draws-out", draws]
    assert sh(*words, "--out", tmp_path / "filled.csv") == 0
    for name, filled in (("a", tmp_path / "filled.csv"), ("b", draws)):
        one = ["--series", "drug001", "--filled", filled]
        assert sh("plot", *table, *one, "--out", tmp_path / f"{name}.png") == 0
        assert is_picture(tmp_path / f"{name}.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert sh("plot", *table, "--series", "drug000", "--out", tmp_path / "c.svg") == 0
    assert (tmp_path / "c.svg").read_text().startswith("<?xml")


def test_profiles_calibration_and_generated_curves_are_drawn(
    sh: Shell, model: Path, table: list[str], tmp_path: Path
) -> None:
    assert sh("profile", model, *table, "--draws", 20, "--out", tmp_path / "profile.csv") == 0
    assert (
        sh("plot", "--kind", "profiles", "--profiles", tmp_path / "profile.csv", "--out", tmp_path / "a.png")
        == 0
    )
    words = ["generate", model, "--hours", 72, "--media-changes", "10,40", "--draws", 3, "--drug", "drug000"]
    made, changes = tmp_path / "made.csv", tmp_path / "changes.csv"
    assert sh(*words, "--concentration", 3, "--out", made, "--events-out", changes) == 0
    words = ["plot", *table, "--kind", "generated", "--generated", made, "--generated-events", changes]
    assert sh(*words, "--out", tmp_path / "b.png") == 0
    assert (
        sh("plot", model, *table, "--kind", "calibration", "--tasks", "b1", "--out", tmp_path / "c.png") == 0
    )
    assert all(is_picture(tmp_path / f"{name}.png") for name in "abc")
    words = ["plot", *table, "--kind", "generated", "--generated", made, "--out", tmp_path / "d.png"]
    assert sh(*words) == 0
    assert "--generated-events" in sh.err
    assert "columns not used" not in sh.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--kind curves: needs --data"),
        (["--kind", "profiles"], "--kind profiles: needs --profiles"),
        (["--out", "a.jpg"], "expected a picture ending in .png"),
        (["--kind", "spikes"], "--kind"),
        (["some", "--kind", "profiles", "--tasks", "a"], "--kind profiles: does not use a model, --tasks;"),
        (["--filled", "f.csv", "--kind", "generated"], "--kind generated: does not use --filled;"),
        (
            ["--profiles", "f.csv", "--unknown-drug"],
            "--kind curves: does not use --profiles, --unknown-drug;",
        ),
        (["a=1", "--kind", "calibration"], "--kind calibration: does not use config keys;"),
    ],
)
def test_plot_refuses(sh: Shell, tmp_path: Path, words: list[str], said: str) -> None:
    out = [] if "--out" in words else ["--out", tmp_path / "x.png"]
    assert sh("plot", *out, *words) == 2
    one_line(sh, said)


def test_plot_refuses_what_does_not_belong_together(
    sh: Shell, plate: Path, table: list[str], tmp_path: Path
) -> None:
    filled = pd.DataFrame({"series_id": ["other"], "replicate": [1], "time_h": [1.0]}).assign(
        **dict.fromkeys(VALUES, 1.0)
    )
    filled.to_csv(tmp_path / "filled.csv", index=False)
    words = ["plot", *table, "--out", tmp_path / "x.png"]
    assert sh(*words, "--filled", tmp_path / "filled.csv") == 2
    one_line(sh, "none of them")
    assert sh(*words, "--filled", plate / "data.csv") == 2
    one_line(sh, "missing q05")
    assert sh(*words, "--series", "drug00") == 2
    one_line(sh, "--series", "did you mean 'drug001'?")
    assert sh(*words, "--series", "UG0") == 2
    one_line(sh, "--series", "did you mean 'drug000' or 'drug001'")


# --- the demo


def test_the_demo_compares_with_simple_methods(model: Path, tmp_path: Path) -> None:
    from o2diffusion import load
    from o2diffusion.demo import run as show

    story = show(tmp_path, load(model))
    (table,) = story.tables
    told = {row[0]: row[1] for row in table.rows}
    assert list(told) == ["straight lines", "usual response", "o2diffusion"]
    best = min(list(told)[:2], key=lambda name: float(told[name]))
    assert f"off by {told['o2diffusion']} % air saturation on average" in story.answer
    assert f"({best}) by {told[best]}" in story.answer
    assert [picture.path for picture in story.pictures] == [tmp_path / "curves.png"]
    assert {"data.csv", "events.csv", "filled.csv", "curves.png"} <= {
        path.name for path in tmp_path.iterdir()
    }


@pytest.mark.parametrize("name", ["nothing.csv", "nothing.csv.gz", "nothing.parquet"])
def test_a_file_of_no_bytes_is_named(sh: Shell, model: Path, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.touch()
    assert sh("impute", model, "--data", file, "--out", tmp_path / "out.csv") == 2
    one_line(sh, str(file))
