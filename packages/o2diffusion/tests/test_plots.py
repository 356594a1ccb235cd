"""Pictures: the numbers drawn are the data's, nothing global changes, text does not overlap."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from o2diffusion import canvas, check_plots, plots
from o2diffusion.check_plots import coverage, pit
from o2diffusion.dose import fit_doses
from o2diffusion.events import Events
from o2diffusion.hill import hill
from o2diffusion.imputing import Filled
from o2diffusion.summaries import KEYS, Summaries


@pytest.fixture
def filled(condition, curves):
    time, oxygen = curves(n=80, r=3)
    oxygen[20:40, 0] = np.nan
    one = condition(
        time,
        oxygen,
        changes=[10.0, 30.0],
        kinds=["media_change", "injection"],
        drug="a",
        concentration_um=2.5,
    )
    row, column = np.nonzero(one.wanted)
    return Filled(one, row, column, 50 + np.random.default_rng(0).standard_normal((60, len(row))))


@pytest.fixture
def fits():
    rng, rows, values = np.random.default_rng(0), [], []
    for drug, ec50 in (
        ("a", 1.0),
        ("b", 3.0),
        ("a drug with a name that is much longer than its panel is wide", 1e4),
    ):
        for c in (0.0, 0.1, 1.0, 10.0):
            for j in range(3):
                rows.append(("p", f"{drug}{c}", drug, c, str(j), "area", 0, 0.0, 1.0, "%air"))
                values.append(5 + 50 * hill(np.log(ec50), 0.7, np.array([c])) + rng.normal(0, 1, 20))
    return fit_doses(Summaries(pd.DataFrame(rows, columns=KEYS), np.array(values)))


@pytest.fixture
def profiles():
    rows = []
    for drug in ("a", "b"):
        for c in (0.0, 1.0, 10.0):
            row = {"drug": drug, "concentration_um": c, "unit": "%air", "spike_magnitude": 40.0 - c}
            row |= {"recovery_tau": 3.0, "adaptation_tau": 10.0, "secondary_magnitude": 2.0}
            for name, value in (("spike_height", 40.0 - c), ("half_decay_h", 2.0 if c < 10 else np.nan)):
                row |= {name: value, f"{name}_q05": value - 1, f"{name}_q95": value + 1}
            rows.append(row)
    return pd.DataFrame(rows)


def every_figure(filled, fits, profiles):
    rng = np.random.default_rng(1)
    condition = filled.condition
    return {
        "curves": plots.plot_curves([filled, condition]),
        "doses": plots.plot_doses(fits, unit="%air"),
        "profiles": plots.plot_profiles(profiles),
        "calibration": plots.plot_calibration(rng.standard_normal((30, 500)), rng.standard_normal(500)),
        "generated": plots.plot_generated([condition], [condition]),
        "one drug": plots.plot_doses(fits[:1]),
        "one statistic": plots.plot_generated([condition], [still(condition)]),
    }


def still(condition):
    """The condition without events."""
    return replace(condition, events=Events())


def test_pictures_are_written_and_their_text_does_not_overlap(filled, fits, profiles, tmp_path):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    for name, figure in every_figure(filled, fits, profiles).items():
        suffix = ".svg" if name == "calibration" else ".png"
        assert plots.save(figure, tmp_path / f"{name}{suffix}").stat().st_size > 5000
        box = figure.bbox
        drawn = FigureCanvasAgg(figure)
        drawn.draw()
        renderer = drawn.get_renderer()
        texts = [
            figure._suptitle,
            *(t for ax in figure.axes for t in (ax.title, ax.xaxis.label, ax.yaxis.label, ax._left_title)),
        ]
        boxes = [t.get_window_extent(renderer) for t in texts if t.get_text()]
        boxes += [legend.get_window_extent(renderer) for legend in figure.legends]
        assert len(boxes) >= 4
        for i, one in enumerate(boxes):
            assert box.x0 - 1 <= one.x0 <= one.x1 <= box.x1 + 1, name
            assert box.y0 - 1 <= one.y0 <= one.y1 <= box.y1 + 1, name
            assert not any(one.overlaps(other) for other in boxes[:i]), name
        assert min(t.get_fontsize() for t in texts) >= 9
    with pytest.raises(ValueError, match=r"expected a picture ending in \.png"):
        plots.save(figure, tmp_path / "x.txt")


def test_lines_and_bands_are_the_curves(filled):
    figure = plots.plot_curves([filled])
    ax = figure.axes[0]
    lines = {line.get_label(): line for line in ax.lines}
    seen = np.asarray(lines["replicate 1"].get_ydata(), dtype=float)
    np.testing.assert_array_equal(np.isnan(seen), np.isnan(filled.condition.oxygen[:, 0]))
    np.testing.assert_allclose(seen[:20], filled.condition.oxygen[:20, 0])
    band = ax.collections[0].get_paths()[0].vertices
    gap = (band[:, 0] > filled.condition.time_h[20]) & (band[:, 0] < filled.condition.time_h[39])
    low, high = np.quantile(filled.draws, [0.05, 0.95], axis=0)
    assert low.min() - 1e-6 <= band[gap, 1].min()
    assert band[gap, 1].max() <= high.max() + 1e-6
    at = [line.get_xdata()[0] for line in ax.lines if line.get_label() in ("media change", "injection")]
    assert at == [10.0, 30.0]
    assert "a, 2.5 µM" in ax.get_title(loc="left")
    assert ax.get_xlabel() == "Time [h]"
    assert ax.get_ylabel() == "Oxygen [% air saturation]"
    assert len({line.get_color() for name, line in lines.items() if name.startswith("replicate")}) == 3


def test_more_than_twelve_conditions_are_cut_and_said(filled):
    figure = plots.plot_curves([filled.condition] * 14)
    assert len(figure.axes) == 12
    assert "first 12 of 14" in figure.get_suptitle()


def test_panels_that_would_be_called_alike_name_what_differs(condition):
    def titles(*fields):
        figure = plots.plot_curves([condition([0.0, 1.0], [1.0, 2.0], **one) for one in fields])
        return [ax.get_title(loc="left") for ax in figure.axes]

    a, b, c = ({"drug": "A", "series_id": s} for s in ("s1", "s2", "s3"))
    assert titles(a, b, c | {"drug": "B"}) == ["A, s1", "A, s2", "B"]
    assert titles(a, a | {"replicates": ("7",)}) == ["A, 0", "A, 7"]  # a series that was split
    assert titles(a, a | {"experiment_id": "f"}) == ["A, e", "A, f"]
    long = "a drug whose name alone fills its panel"
    assert [t[-4:] for t in titles(a | {"drug": long}, b | {"drug": long})] == [", s1", ", s2"]


def test_an_ec50_interval_beyond_the_axis_has_an_arrow(fits):
    within = plots.plot_doses(fits[:1]).axes[0]
    far = replace(fits[0], ec50_um=np.geomspace(0.5, 1e4, len(fits[0].ec50_um)))
    beyond = plots.plot_doses([far]).axes[0]
    heads = [[line for line in ax.lines if line.get_marker() == ">"] for ax in (within, beyond)]
    assert [len(found) for found in heads] == [0, 1]
    assert heads[1][0].get_xdata()[0] == pytest.approx(beyond.get_xlim()[1])


def test_one_drug_on_two_plates_is_told_apart(fits):
    two = plots.plot_doses([fits[0], replace(fits[0], experiment_id="q")])
    assert [ax.get_title(loc="left").splitlines()[0] for ax in two.axes] == ["a, p", "a, q"]


def test_only_statistics_that_both_have_are_drawn_and_the_others_said(condition, filled):
    notes = []
    figure = plots.plot_generated([filled.condition], [still(filled.condition)], notes=notes)
    assert [ax.get_title(loc="left").split(":")[0] for ax in figure.axes] == ["Likeness of replicates"]
    assert [note.split(",")[0] for note in notes] == [
        "spike_height is not drawn: the generated curves have none",
        "half_decay_h is not drawn: the generated curves have none",
    ]
    assert "--generated-events" in notes[0]
    lonely = condition([0.0, 1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="of both measured and generated curves, got none"):
        plots.plot_generated([lonely], [lonely])


def test_an_ec50_that_is_not_reached_has_no_line(fits):
    figure = plots.plot_doses(fits)
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert "EC50 > 10 µM" in titles[2]
    assert "…" in titles[2]
    assert [sum(line.get_label() == "EC50" for line in ax.lines) for ax in figure.axes] == [1, 1, 0]


def test_pit_is_uniform_for_honest_draws_and_coverage_follows():
    rng = np.random.default_rng(2)
    truth = rng.standard_normal(4000)
    honest = pit(rng.standard_normal((50, 4000)), truth)
    assert abs(coverage(honest, np.array([0.9]))[0] - 0.9) < 0.02
    narrow = pit(0.5 * rng.standard_normal((50, 4000)), truth)
    assert coverage(narrow, np.array([0.9]))[0] < 0.7
    tied = pit(np.zeros((9, 2000)), np.zeros(2000))
    assert abs(tied.mean() - 0.5) < 0.03
    assert abs(coverage(tied, np.array([0.5]))[0] - 0.5) < 0.05
    with pytest.raises(ValueError, match="expected draws"):
        pit(np.zeros((3, 4)), np.zeros(5))


def test_nothing_global_changes_and_empty_pictures_are_refused(filled, fits, profiles):
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    every_figure(filled, fits, profiles)
    assert dict(mpl.rcParams) == before
    for empty in (
        lambda: plots.plot_curves([]),
        lambda: plots.plot_doses([]),
        lambda: plots.plot_profiles(profiles[:0]),
    ):
        with pytest.raises(ValueError, match="expected at least one"):
            empty()
    with pytest.raises(ValueError, match="at least one known value"):
        plots.plot_calibration(np.zeros((3, 1)), np.array([np.nan]))


def test_pyplot_is_never_loaded_and_matplotlib_only_when_a_figure_is_made(
    monkeypatch, filled, fits, profiles
):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # importing it would raise
    every_figure(filled, fits, profiles)
    for module in (canvas, plots, check_plots):
        lines = Path(module.__file__).read_text().splitlines()
        assert not [x for x in lines if x.startswith(("import matplotlib", "from matplotlib"))]


def test_the_control_stands_left_of_the_lowest_dose():
    from matplotlib.figure import Figure

    ax = Figure().subplots()
    at = canvas.dose_axis(ax, [0.0, 0.1, 1.0, 10.0])
    assert (np.diff(at) > 0).all()
    assert [t.get_text() for t in ax.get_xticklabels()] == ["0", "0.1", "1", "10"]
    assert canvas.oxygen_label("mg/L/h", "Rate") == "Rate [mg/L/h]"
    assert canvas.oxygen_label(None) == "Oxygen"
