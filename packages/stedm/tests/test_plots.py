"""Pictures: the points drawn are the cells, titles name sections, nothing overlaps; faults are one line."""

from dataclasses import replace
from importlib import metadata

import numpy as np
import pandas as pd
import pytest

from cytosol.cli import run
from stedm import canvas, h5ad, plots
from stedm.cli import app
from stedm.config import SimulationConfig
from stedm.overlay import expression, lay, lay_all
from stedm.simulation import simulate
from stedm.tissue import DataError

TURN = np.array([[0.0, -1.0], [1.0, 0.0]])


def sh(*words):
    return run(app, [str(word) for word in words])


def made_of(cells, dim=2):
    """Cells with a prediction: the truth turned, shrunk and blurred as much as its sd says."""
    rng = np.random.default_rng(0)
    made, true = cells.copy(), cells.obsm["spatial"]
    sd = rng.lognormal(5, 0.5, len(true))
    blurred = true + rng.normal(size=true.shape) * sd[:, None] / dim**0.5
    made.obsm["X_stedm"] = 0.01 * (blurred @ TURN if dim == 2 else blurred)
    made.obs["stedm_sd"] = 0.01 * sd
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Truths and predictions: two sections, seven of them, three dimensions, and what is wrong."""
    at = tmp_path_factory.mktemp("plots")
    for name, sections, dim in (("2", 2, 2), ("7", 7, 2), ("3d", 1, 3)):
        own = SimulationConfig(sections=sections, cells=60, genes=12, spatial=8, dim=dim)
        cells = simulate(own, seed=1)
        made = made_of(cells, dim)
        h5ad.write(cells, at / f"t{name}.h5ad")
        h5ad.write(made, at / f"o{name}.h5ad")
        if name == "2":
            cells.obs_names = [f"other{i}" for i in range(cells.n_obs)]
            h5ad.write(cells, at / "names.h5ad")
            made.obs["stedm_sd"] = "wide"
            h5ad.write(made, at / "sd.h5ad")
    return at


@pytest.fixture(scope="module")
def tissues(folder):
    made = h5ad.read(folder / "o2.h5ad")
    found = h5ad.tissue_of(made, name="o2.h5ad", spatial_key="X_stedm")
    sd = made.obs["stedm_sd"].to_numpy()
    return found, h5ad.tissue_of(made, name="t2.h5ad"), [sd[:60], sd[60:]]


@pytest.fixture(scope="module")
def laid(tissues):
    return lay_all(*tissues)


def test_a_turned_mirrored_and_scaled_truth_is_laid_on_the_truth(tissues):
    _, truth, (sd, _) = tissues
    true = truth.sections[0]
    made = replace(true, coordinates=0.01 * true.coordinates @ TURN * [1.0, -1.0] + 7.0)
    one = lay(made, true, sd)
    np.testing.assert_allclose(one.predicted, true.coordinates, atol=1e-6)
    np.testing.assert_allclose(one.sd, 100 * sd)
    assert one.error.max() < 1e-6
    assert one.scores.jaccard10 == 1.0


def test_every_panel_holds_every_cell_and_titles_name_sections_and_scores(laid):
    figure = plots.plot_places(laid, unit="µm", calibration=True)
    panels = [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]
    assert [len(ax.collections[0].get_offsets()) for ax in panels[:4]] == [60] * 4
    for one, true, made in zip(laid, panels[:2], panels[2:4], strict=True):
        assert one.label in true.get_title(loc="left")
        assert f"Jaccard@10 {one.scores.jaccard10:.2f}" in made.get_title(loc="left")
        assert f"error {one.scores.rmse:.2f}" in made.get_title(loc="left")
        assert made.get_aspect() == 1.0
        assert made.get_xlabel() == "x [µm]"
        order = np.lexsort(one.predicted[:, :2].T)
        drawn = np.asarray(made.collections[0].get_offsets())
        np.testing.assert_allclose(drawn[np.lexsort(drawn.T)], one.predicted[order])


def test_pictures_are_written_and_their_text_does_not_overlap(laid, tissues, tmp_path):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figures = {
        "places.png": plots.plot_places(laid, calibration=True),
        "alone.png": plots.plot_places(laid[:1], title="One of these sections", calibration=True),
        "error.svg": plots.plot_places(laid, plots.by_error(laid)),
        "gene.pdf": plots.plot_places(laid, plots.by_gene(tissues[0], "gene3")),
        "calibration.png": plots.plot_calibration(laid),
        "careful.png": plots.plot_calibration([replace(one, sd=one.sd + one.error.max()) for one in laid]),
        "methods.png": plots.plot_methods(
            laid[0].truth, dict.fromkeys(("stedm", "ridge", "kNN"), (laid[0].predicted, laid[0].scores))
        ),
    }
    for name, figure in figures.items():
        assert plots.save(figure, tmp_path / name).stat().st_size > 5000
        drawn = FigureCanvasAgg(figure)
        drawn.draw()
        texts = [figure._suptitle, figure._supxlabel]
        texts += [t for ax in figure.axes for t in (ax.xaxis.label, ax.yaxis.label, ax._left_title)]
        boxes = [t.get_window_extent(drawn.get_renderer()) for t in texts if t and t.get_text()]
        for i, one in enumerate(boxes):
            assert figure.bbox.x0 - 1 <= one.x0 <= one.x1 <= figure.bbox.x1 + 1, (name, i)
            assert not any(one.overlaps(other) for other in boxes[:i]), (name, i)


def test_places_that_are_near_look_alike():
    points = np.random.default_rng(0).uniform(-1, 1, (300, 2))
    colours = canvas.place_colours(points)
    assert colours.shape == (300, 3)
    assert colours.min() >= 0
    assert colours.max() <= 1
    far = np.linalg.norm(points[:, None] - points[None], axis=2)
    apart = np.linalg.norm(colours[:, None] - colours[None], axis=2)
    assert apart[far < 0.2].mean() < 0.3 * apart[far > 1.2].mean()
    assert np.isfinite(canvas.place_colours(np.ones((3, 2)))).all()


def test_honest_errors_lie_on_the_line():
    rng = np.random.default_rng(0)
    sd = rng.uniform(1.0, 4.0, 5000)
    error = np.linalg.norm(rng.normal(size=(5000, 2)), axis=1) * sd / 2**0.5
    means = plots.binned(sd, error)
    assert means.shape == (10, 2)
    np.testing.assert_allclose(means[:, 0], means[:, 1], rtol=0.15)
    assert plots.binned(sd[:3], error[:3]).shape == (1, 2)


def test_expression_of_counts_is_log_of_their_share_and_values_are_as_they_are(tissues):
    found = tissues[0]
    own = expression(found, "gene3")[1]
    counts = found.sections[1].counts.toarray()
    np.testing.assert_allclose(own, np.log1p(1e4 * counts[:, 3] / counts.sum(axis=1)), rtol=1e-5)
    np.testing.assert_array_equal(expression(replace(found, kind="values"), "gene3")[1], counts[:, 3])


def test_a_folder_gets_a_picture_of_each_kind(folder, tmp_path):
    words = ("plot", folder / "o2.h5ad", "--truth", folder / "t2.h5ad", "--section", "S2")
    assert sh(*words, "--out", tmp_path / "d", "--color", "gene3") == 0
    names = {"places.png", "error.png", "sd.png", "calibration.png", "gene_gene3.png"}
    assert {file.name for file in (tmp_path / "d").iterdir()} == names


def test_without_a_truth_sd_colours_the_cells(folder, tmp_path, capsys):
    assert sh("plot", folder / "o3d.h5ad", "--out", tmp_path / "p.svg") == 0
    assert "first two axes" in capsys.readouterr().err
    text = (tmp_path / "p.svg").read_text()
    assert text.count("<use") > 60


def test_more_sections_than_fit_are_said(folder, tmp_path, capsys):
    assert sh("plot", folder / "o7.h5ad", "--out", tmp_path / "p.png", "--color", "sd") == 0
    assert "drawn are the first 6: S1, S2, S3, S4, S5, S6" in capsys.readouterr().err
    with pytest.raises(DataError, match="1 to 6 sections, got 0"):
        plots.plot_places([])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["o2.h5ad", "--out", "{}/x.png", "--color", "gen3"], "got 'gen3'; did you mean 'gene3'?"),
        (["t2.h5ad", "--out", "{}/x.png"], "t2.h5ad: obsm['X_stedm']: expected what `stedm reconstruct`"),
        (["o2.h5ad", "--truth", "{}/names.h5ad", "--out", "{}/x.png"], "expected cell 'S1_0' (60 absent)"),
        (["o2.h5ad", "--truth", "{}/t3d.h5ad", "--out", "{}/x.png"], "expected 2 columns like X_stedm"),
        (["o7.h5ad", "--truth", "{}/t2.h5ad", "--out", "{}/x.png"], "expected 'S3' of o7.h5ad"),
        (["o2.h5ad", "--out", "{}/x.jpg"], "expected a picture ending in .png, .svg, .pdf or a folder"),
        (["o2.h5ad", "--out", "{}/none/x.png"], "does not exist"),
        (["o2.h5ad", "--out", "{}/t2.h5ad"], "exists already"),
        (["o2.h5ad", "--out", "{}/x.png", "--color", "error"], "--color error: needs --truth"),
        (["o2.h5ad", "--out", "{}/x.png", "--section", "S9"], "expected one of S1, S2, got 'S9'"),
        (["sd.h5ad", "--out", "{}/x.png", "--color", "sd"], "obs['stedm_sd']: expected numbers"),
    ],
)
def test_faults_are_one_line_and_exit_code_2(folder, capsys, words, said):
    assert sh("plot", folder / words[0], *(word.format(folder) for word in words[1:])) == 2
    err = [line for line in capsys.readouterr().err.strip().splitlines() if not line.startswith("note: ")]
    assert len(err) == 1
    assert said in err[0]


def test_the_demo_compares_with_simple_methods(quick, tmp_path):
    (entry,) = metadata.entry_points(group="cytosol.demos", name="stedm")
    small = replace(quick, simulation=replace(quick.simulation, cells=60))
    story = entry.load()(tmp_path, small)
    (table,) = story.tables
    scores = pd.read_csv(tmp_path / "scores.csv")
    assert [row[0] for row in table.rows] == [*scores["method"], "chance"]
    assert [row[1] for row in table.rows[:-1]] == [f"{value:.2f}" for value in scores["jaccard10"]]
    assert f"{scores['jaccard10'][0]:.0%} are so in both" in story.answer
    assert table.header[2] == "error [µm]"
    radius = float(table.rows[-1][2])
    errors = [float(row[2]) for row in table.rows[:-1]]
    np.testing.assert_allclose(errors, radius * scores["rmse"], atol=1.0)
    assert [picture.path.stem for picture in story.pictures] == ["places", "methods"]
    made = {"tissue.h5ad", "model", "placed.h5ad", "scores.csv", "places.png", "methods.png"}
    assert {file.name for file in tmp_path.iterdir()} == made
    placed = h5ad.read(tmp_path / "placed.h5ad")
    assert placed.obsm["X_stedm"].shape == (60, 2)
    assert set(placed.obs["section"]) == {"S3"}
