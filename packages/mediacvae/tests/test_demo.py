"""The demo, in a world small enough for a test."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from mediacvae import demo, saving


def test_the_demo_leaves_what_it_says(tmp_path):
    world = replace(demo.WORLD, genera=10, media=60, length=12_000)
    story = demo.run(tmp_path, replace(demo.CONFIG, epochs=2, draws=8, simulation=world))
    made = {path.name for path in tmp_path.iterdir()}
    tables = {f"{name}.{suffix}" for name in ("ranks", "recipes", "scores") for suffix in ("csv", "png")}
    assert made >= {"world", "media.db", "dataset", "model", "card.html", "latent.png", *tables}
    ranks, recipes = (pd.read_csv(tmp_path / f"{name}.csv") for name in ("ranks", "recipes"))
    assert list(ranks.columns) == ["rank", "medium_id", "name", "probability"]
    assert sorted(set(recipes["recipe"])) == list(range(1, demo.RECIPES + 1))
    assert (tmp_path / "card.html").read_text(encoding="utf-8").count("<article>") == demo.RECIPES
    assert story.setting.startswith("A simulated world of 20 genomes, 60 media and")
    assert [picture.path.stem for picture in story.pictures] == ["scores", "ranks", "recipes", "latent"]
    scores, media, recipe = story.tables
    written = pd.read_csv(tmp_path / "scores.csv")
    assert [row[0] for row in scores.rows] == list(written["method"])
    assert [row[1] for row in scores.rows] == [f"{value:.3f}" for value in written["mse"]]
    assert [row[0] for row in media.rows] == list(ranks["name"])
    hits = written.set_index("method")["rank@10"]
    best = hits.drop("mediacvae").idxmax()
    assert f"{hits['mediacvae']:.0%} have a medium of theirs" in story.answer
    assert f"({best}), {hits[best]:.0%}." in story.answer
    first = recipes[recipes["recipe"] == 1]
    assert f"largest of its {len(first)} amounts" in recipe.caption
    assert [row[0] for row in recipe.rows] == list(first["ingredient"].head(12))
    assert saving.load(tmp_path / "model").config.epochs == 2
