"""Recipes as vectors, tables, plausible ones, and a choice of different ones."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mediacvae.recipes import Plausible, diverse, from_table, shortlist, to_table

NAMES = ["Glucose", "NaCl", "yeast extract", "Biotin", "Agar"]
REAL = np.array([[4.0, 5.0, 1.0, 0.0, 15.0], [0.0, 30.0, 5.0, 0.0, 0.0], [10.0, 1.0, 0.0, 1e-5, 0.0]])
DATA = Path(os.environ.get("MEDIACVAE_DATA", "/nonexistent"))
amounts = arrays(float, (4, 5), elements=st.floats(0.0, 500.0).map(lambda v: 0.0 if v < 1e-9 else v))


@given(amounts)
def test_there_and_back_is_the_same(x: np.ndarray) -> None:
    x[:, 1] = 1.0  # a recipe of nothing has no rows
    table = to_table(x, NAMES)
    np.testing.assert_array_equal(from_table(table, NAMES), x)
    np.testing.assert_array_equal(from_table(table.sample(frac=1.0, random_state=0), NAMES), x)
    assert (table["g_per_l"] > 0).all()
    for _, one in table.groupby("recipe"):
        assert one["g_per_l"].is_monotonic_decreasing


def test_rows_are_numbered_from_1_spelt_as_given_and_come_through_csv(tmp_path: Path) -> None:
    table = to_table(REAL, NAMES, least=1e-3)
    assert list(table.columns) == ["recipe", "ingredient", "g_per_l"]
    assert table.iloc[0].tolist() == [1, "Agar", 15.0]
    assert set(table["recipe"]) == {1, 2, 3}
    assert "Biotin" not in set(table["ingredient"])
    table.to_csv(tmp_path / "made.csv", index=False)
    back = from_table(pd.read_csv(tmp_path / "made.csv", dtype=str, keep_default_na=False), NAMES)
    np.testing.assert_array_equal(back, np.where(REAL > 1e-3, REAL, 0.0))


def test_no_recipes_are_an_empty_table() -> None:
    assert len(to_table(np.zeros((0, 5)), NAMES)) == 0
    assert from_table(to_table(np.zeros((0, 5)), NAMES), NAMES).shape == (0, 5)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ((1, "glucos", 1.0), "row 2: unknown ingredient 'glucos'; did you mean 'Glucose'"),
        ((1, "NaCl", -1.0), "row 2: g_per_l of 'NaCl': .* got '-1.0'"),
        ((1, "NaCl", float("nan")), "row 2: g_per_l of 'NaCl'"),
        ((1, "NaCl", "1 g"), "row 2: g_per_l of 'NaCl': .* got '1 g'"),
        ((1, "Glucose", 2.0), "row 2: 'Glucose' is named twice in recipe 1"),
        (("one", "NaCl", 2.0), "row 2: recipe: expected a whole number, got 'one'"),
    ],
)
def test_a_bad_row_is_named(row: tuple[object, ...], said: str) -> None:
    frame = pd.DataFrame([(1, "Glucose", 1.0), row], columns=["recipe", "ingredient", "g_per_l"])
    with pytest.raises(ValueError, match=said):
        from_table(frame, NAMES)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(ValueError, match="ingredient is missing"):
        from_table(pd.DataFrame({"recipe": [1], "g_per_l": [1.0]}), NAMES)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_bad_amounts_never_reach_a_table(bad: float) -> None:
    with pytest.raises(ValueError, match="recipe 2, ingredient 3: expected a finite number"):
        to_table(np.where(np.arange(15).reshape(3, 5) == 7, bad, REAL), NAMES)
    with pytest.raises(ValueError, match="of 5 ingredients a row"):
        to_table(np.zeros((2, 4)), NAMES)


def test_real_media_are_plausible_and_each_fault_is_said() -> None:
    plausible = Plausible.fit(REAL, NAMES)
    inside = np.array([[4.0, 10.0, 1.0, 0.0, 0.0]])
    assert plausible.valid(inside).all()
    assert plausible.why(inside) == [[]]
    wrong = np.array(
        [
            [np.nan, 1.0, 1.0, 0.0, 0.0],
            [-1.0, 20.0, 1.0, 0.0, 0.0],
            [900.0, 1.0, 1.0, 0.0, 0.0],
            [15.0, 0.0, 0.0, 0.0, 0.0],
            [0.0, 10.0, 0.0, 1e-4, 1.0],
            [0.0, 10.0, 1e-3, 1e-4, 0.0],
        ]
    )
    assert not plausible.valid(wrong).any()
    said = plausible.why(wrong)
    for texts, word in zip(
        said, ("not finite", "negative", "902 g/L", "1 ingredients", "no carbon", "no carbon"), strict=True
    ):
        assert len([text for text in texts if word in text]) == 1, texts
    assert [bool(texts) for texts in plausible.why(REAL)] == list(~plausible.valid(REAL))


def test_media_of_one_or_two_of_the_ingredients_say_nothing_of_their_number() -> None:
    rest = np.zeros((50, len(NAMES)))
    rest[:, 0] = 5.0
    both = Plausible.fit(np.concatenate([REAL, rest]), NAMES)
    assert both.count == Plausible.fit(REAL[(REAL > 0).sum(axis=1) >= 3], NAMES).count
    assert Plausible.fit(rest, NAMES).count == (1.0, 1.0)


def test_a_shortlist_is_as_long_as_the_chances_make_it() -> None:
    chance = np.array([[0.9, 0.9, 0.9, 0.9, 0.9, 0.1, 0.1], [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]])
    made = shortlist(chance, chance, 1.0)
    assert made[0].tolist() == [True] * 5 + [False] * 2
    assert made[1].sum() == 3  # one would do, but that is no recipe
    assert shortlist(chance, chance, 0.7)[0].all()
    value = -chance
    assert shortlist(value, chance, 1.0)[1].all()  # the one that counts is the last in value
    lengths = [int(shortlist(chance, chance, share)[0].sum()) for share in (0.5, 0.9, 0.95, 1.0)]
    assert lengths == sorted(lengths, reverse=True)


@given(arrays(float, (3, 9), elements=st.floats(0.01, 0.99)))
def test_the_shortlist_is_the_best_of_all_lengths(chance: np.ndarray) -> None:
    kept = shortlist(chance, chance, 1.0)
    for row, own in zip(chance, kept, strict=True):
        order = np.argsort(-row, kind="stable")
        alike = [row[order[:k]].sum() / (k + row[order[k:]].sum()) for k in range(1, len(row) + 1)]
        assert own.sum() == max(3, max(k for k in range(1, 10) if alike[k - 1] >= max(alike)))


def test_without_media_there_is_nothing_to_learn() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Plausible.fit(np.zeros((0, 5)), NAMES)


@given(amounts, st.floats(0.0, 1.0), st.integers(1, 6))
def test_a_choice_is_without_repeats_and_begins_with_the_best(x: np.ndarray, share: float, n: int) -> None:
    score = np.array([0.1, 0.7, 0.3, 0.6])
    rows = diverse(x, score, n, share)
    assert rows[0] == 1
    assert len(set(rows)) == len(rows) == min(n, 4)


def test_at_0_the_best_are_chosen_and_at_1_the_most_unlike() -> None:
    x = np.array([[5.0, 0, 0, 0, 0], [5.1, 0, 0, 0, 0], [0, 5.0, 0, 0, 0], [0, 0, 0, 0, 5.0]])
    score = np.array([0.9, 0.8, 0.5, 0.1])
    assert diverse(x, score, 3, 0.0).tolist() == [0, 1, 2]
    assert set(diverse(x, score, 3, 1.0)) == {0, 2, 3}
    assert diverse(x, score, 2, 0.5).tolist() == [0, 2]
    assert len(diverse(x[:0], score[:0], 3)) == 0


@pytest.mark.parametrize(
    ("score", "n", "share"),
    [([1.0, np.nan], 1, 0.5), ([1.0], 1, 0.5), ([1.0, 2.0], 0, 0.5), ([1.0, 2.0], 1, 1.5)],
)
def test_what_cannot_be_chosen_from_is_refused(score: list[float], n: int, share: float) -> None:
    with pytest.raises(ValueError, match="expected"):
        diverse(np.ones((2, 5)), np.array(score), n, share)


@pytest.mark.skipif(not (DATA / "media.parquet").exists(), reason="no collected media here (MEDIACVAE_DATA)")
def test_most_collected_media_are_valid() -> None:
    media = pd.read_parquet(DATA / "media.parquet", columns=["medium_id", "source"])
    rows = pd.read_parquet(DATA / "media_ingredients.parquet", columns=["medium_id", "ingredient", "g_per_l"])
    rows = rows[rows["medium_id"].isin(media["medium_id"][media["source"] == "MediaDive"])]
    top = rows.groupby("ingredient")["medium_id"].nunique().nlargest(256).index
    rows = rows[rows["ingredient"].isin(top)].dropna()
    x = rows.pivot_table(
        index="medium_id", columns="ingredient", values="g_per_l", aggfunc="sum", fill_value=0.0
    )
    x = x[(x > 0).sum(axis=1) >= 3]
    values = x.to_numpy()
    assert len(values) == 2923
    share = Plausible.fit(values, [str(name) for name in x.columns]).valid(values).mean()
    assert 0.82 < share < 0.92  # the others name no carbon source, but for 1 %
