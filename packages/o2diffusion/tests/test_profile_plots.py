"""Pictures of responses: drugs stay apart, axes end where the data end, what is not there is said."""

import numpy as np
import pandas as pd
import pytest

from o2diffusion.media import PROFILE
from o2diffusion.profile_plots import plot_profiles


def row(drug, dose, height=10.0, decay=2.0, **fields):
    """A row of a table of profiles."""
    known = {"drug": drug, "concentration_um": dose, "unit": "%air", "event": "media_change"}
    known |= {"spike_height": height, "spike_height_q05": height - 1, "spike_height_q95": height + 1}
    known |= {"half_decay_h": decay, "half_decay_h_q05": decay, "half_decay_h_q95": decay}
    known |= dict(zip(PROFILE, (height, decay, 10.0, 0.0), strict=True))
    return known | fields


def panels_of(rows, **options):
    figure = plot_profiles(pd.DataFrame(rows), **options)
    figure.draw_without_rendering()
    return figure, figure.axes


def words(ax):
    return " ".join(text.get_text() for text in ax.texts)


def lines(ax):
    """Lines of a panel that go somewhere: without the axis at 0 and the legend's samples."""
    return [line for line in ax.lines if np.ptp(np.append(line.get_ydata(), 0.0)) > 0]


def test_drugs_without_concentrations_stay_apart():
    figure, axes = panels_of([row("a", np.nan, 10.0), row("b", np.nan, 20.0), row("c", np.nan, 5.0)])
    assert [ax.get_title(loc="left") for ax in axes[2:]] == ["a", "b", "c"]
    assert [len(lines(ax)) for ax in axes[2:]] == [1, 1, 1]
    assert [float(line.get_ydata()[0]) for line in axes[0].lines] == [10.0, 20.0, 5.0]
    assert all(ax.get_legend() is None for ax in axes)  # no word of 0 uM
    assert axes[0].get_xlabel() == ""
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b", "c"]


def test_a_missing_concentration_has_its_own_place_beside_others():
    _, axes = panels_of([row("a", 0.0), row("a", 1.0, 30.0), row("b", np.nan, 20.0)])
    labels = [tick.get_text() for tick in axes[0].get_xticklabels()]
    assert labels[0] == "not\ngiven"
    assert "0" in labels[1:]
    assert [text.get_text() for text in axes[2].get_legend().get_texts()][-1] == "not given"


def test_controls_belong_to_every_drug():
    _, axes = panels_of([row("control", 0.0), row("a", 1.0), row("b", 1.0)])
    assert [ax.get_title(loc="left") for ax in axes[2:]] == ["a", "b"]
    assert [len(lines(ax)) for ax in axes[2:]] == [2, 2]


@pytest.mark.parametrize(
    ("event", "title"),
    [
        ("media_change", "a media change"),
        ("injection", "an injection"),
        ("injection, flush", "an injection or a flush"),
    ],
)
def test_the_title_names_the_event(event, title):
    figure, _ = panels_of([row("a", 1.0, event=event)])
    assert figure.get_suptitle() == f"Response to {title}"


def test_time_ends_where_the_record_does():
    _, axes = panels_of([row("a", 1.0, from_h=0.05, to_h=0.9)])
    assert axes[2].get_xlim()[1] < 1.0
    _, axes = panels_of([row("a", 1.0)])
    assert axes[2].get_xlim()[1] > 22.0


def test_empty_panels_say_so():
    _, axes = panels_of([row("a", 1.0, decay=np.nan), row("b", 1.0, height=np.nan, decay=np.nan)])
    assert "no rise halves" in words(axes[1])
    assert words(axes[0]) == ""
    assert words(axes[3]) == "not measured"


def test_an_interval_beyond_the_axis_has_an_arrow():
    far = row("a", 1.0, spike_height_q05=5.0, spike_height_q95=500.0)
    _, axes = panels_of([far, row("a", 2.0)])
    assert [line.get_marker() for line in axes[0].lines] == ["o", "^"]
    _, axes = panels_of([row("a", 1.0), row("a", 2.0)])
    assert [line.get_marker() for line in axes[0].lines] == ["o"]
    assert axes[0].get_ylim()[1] > 11.0  # the whole interval is inside


def test_a_table_without_drugs_is_drawn_and_a_strange_drug_refused():
    _, axes = panels_of([row(None, np.nan)])
    assert axes[2].get_title(loc="left") == "no drug"
    with pytest.raises(ValueError, match=r"expected drugs of the table of profiles \(a\), got 'b'"):
        plot_profiles(pd.DataFrame([row("a", 1.0)]), drugs=["b"])
