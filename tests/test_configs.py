"""Every recipe merges into the configuration of the package its folder is named for."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from cytosol.config import load, read

ROOT = Path(__file__).parents[1]
RECIPES = sorted((ROOT / "configs").rglob("*.y*ml"))


def test_there_are_recipes() -> None:
    assert RECIPES


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.relative_to(ROOT / "configs").as_posix())
def test_a_recipe_merges_and_changes_something(recipe: Path) -> None:
    package, *_ = recipe.relative_to(ROOT / "configs").parts
    assert recipe.suffix == ".yaml"
    home = importlib.import_module(f"{package}.config")
    config = home.CONFIGS[read(recipe)["task"]] if hasattr(home, "CONFIGS") else home.Config
    assert load(config, file=recipe) != load(config)
