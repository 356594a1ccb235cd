"""Pictures say what is in their tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mediacvae import plots
from mediacvae.ingredients import GROUPS, group

ROWS = [(1, "NaCl", 5.0), (1, "Glucose", 1.0), (2, "NaCl", 30.0), (2, "Biotin", 1e-5)]


def recipes(rows):
    return pd.DataFrame(rows, columns=["recipe", "ingredient", "g_per_l"])


def test_a_picture_of_recipes_explains_the_colours_that_it_has():
    figure = plots.plot_recipes(recipes(ROWS), title="three")
    (legend,) = figure.legends
    said = [text.get_text() for text in legend.get_texts()]
    assert said == [name for name in GROUPS if name in {group(row[1]) for row in ROWS}]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["Glucose", "NaCl", "Biotin"]


@pytest.mark.parametrize(
    ("more", "said"), [(0, ""), (1, "1 rarer ingredient not shown"), (2, "2 rarer ingredients")]
)
def test_ingredients_that_have_no_place_are_counted(more, said):
    rows = [(1, f"compound {at:02}", 1.0) for at in range(plots.SHOWN + more)]
    title = plots.plot_recipes(recipes(rows), title="many").get_suptitle()
    assert title.startswith("many\nblank: not in the recipe")
    assert said in title.replace("\n", " ")
    assert ("rarer" in title) == (more > 0)


def test_a_long_title_stays_inside():
    rows = [(1, f"a compound of a long name {at:02}", 1.0) for at in range(plots.SHOWN + 6)]
    figure = plots.plot_recipes(
        recipes(rows), title="recipes for Lactobacillus gasseri of a long file name.csv"
    )
    figure.canvas.draw()
    box = figure._suptitle.get_window_extent()
    assert 0 <= box.x0 < box.x1 <= figure.bbox.x1
    assert figure.get_suptitle().replace("\n", " ").endswith("6 rarer ingredients not shown")


def test_the_first_rank_stands_on_top():
    ranks = pd.DataFrame(
        {"rank": [1, 2], "medium_id": ["M:1", "M:2"], "name": ["one", "two"], "probability": [0.2, 0.1]}
    )
    axes = plots.plot_ranks(ranks, title="ranks").axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["two\nM:2", "one\nM:1"]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([10.0, 20.0])


@pytest.mark.parametrize("shape", [(5, 1), (1, 4), (5, 2), (6, 4)])
def test_the_map_of_a_latent_is_its_own_distances(shape):
    latent = np.random.default_rng(0).normal(size=shape) * [3.0, 2.0, 0.0, 0.0][: shape[1]]
    figure = plots.plot_latent(latent, ["bacteria"] * len(latent), title="latent")
    (dots,) = figure.axes[0].collections
    at = np.asarray(dots.get_offsets())
    far = [np.linalg.norm(one[:, None] - one[None], axis=2) for one in (at, latent)]
    np.testing.assert_allclose(*far, atol=1e-9)
