"""Figures: one style that leaves no trace, and files by suffix."""

import pytest

from cytosol.figures import STYLE, save, style

mpl = pytest.importorskip("matplotlib", reason="the core draws nothing by itself")


def test_the_style_holds_inside_and_leaves_no_trace():
    before = dict(mpl.rcParams)
    with style(**{"lines.linewidth": 7.0}):
        assert mpl.rcParams["axes.titlelocation"] == STYLE["axes.titlelocation"]
        assert mpl.rcParams["lines.linewidth"] == 7.0
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_a_figure_is_written_by_its_suffix(tmp_path, suffix):
    from matplotlib.figure import Figure

    path = save(Figure(), tmp_path / f"picture{suffix}")
    assert path.stat().st_size > 100


def test_another_suffix_is_refused(tmp_path):
    from matplotlib.figure import Figure

    with pytest.raises(ValueError, match=r"picture\.gif: expected a picture ending in \.png, \.svg, \.pdf"):
        save(Figure(), tmp_path / "picture.gif")
