"""Reasons: their tables, that taking features away does what is said, and that rules that are known are named."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mediacvae.ablation import spearman
from mediacvae.explain import explain

ALL = ("lineage", "names", "stats", "kmer4")


@pytest.fixture(scope="module")
def model(ruled: Any) -> Any:
    return ruled.model("cvae", *ALL)


@pytest.fixture(scope="module")
def organism(ruled: Any) -> Any:
    return ruled.world().organisms[ruled.held(ALL)[0]]


@pytest.fixture(scope="module")
def why(model: Any, organism: Any) -> Any:
    return explain(model, organism, top=4)


def test_tables_agree_with_each_other(model: Any, why: Any) -> None:
    ingredients = why.ingredients.set_index("ingredient")
    assert set(why.features["ingredient"]) == set(ingredients.index) == set(why.blocks["ingredient"])
    assert (why.features.groupby("ingredient").size() == 4).all()
    assert set(why.features["block"]) <= set(ALL)
    known = {f"{b}: {f}" for b, f in zip(why.features["block"], why.features["feature"], strict=True)}
    assert known <= set(model.conditioner.features)
    for name, own in why.features.groupby("ingredient"):
        assert (np.diff(own["attribution"].abs()) <= 0).all(), name
        assert not own.duplicated(["block", "feature"]).any()
    sums = why.blocks.groupby("ingredient")[["attribution", "chance", "share"]].sum().loc[ingredients.index]
    moved = ingredients["amount"] - ingredients["usual_amount"]
    np.testing.assert_allclose(sums["attribution"] + ingredients["rest"], moved, atol=1e-9)
    np.testing.assert_allclose(sums["share"], 1.0)
    np.testing.assert_allclose(ingredients["g_per_l"], np.expm1(ingredients["amount"]))
    assert why.missing == ()


def test_the_recipe_and_what_moved_most_are_explained(model: Any, organism: Any, why: Any) -> None:
    recipe = model.consensus(model.condition(organism))[0]
    names = list(why.ingredients["ingredient"])
    assert {model.ingredients[at] for at in np.flatnonzero(recipe > 0)} <= set(names)
    assert len(names) == min((recipe > 0).sum() + 5, len(recipe))
    moved = (why.ingredients["amount"] - why.ingredients["usual_amount"]).abs()
    moved += (why.ingredients["chance"] - why.ingredients["usual_chance"]).abs()
    assert (np.diff(moved) <= 1e-12).all()
    asked = explain(model, organism, ingredients=["NaCl", "Agar", "NaCl"], steps=4)
    assert list(asked.ingredients["ingredient"]) == ["NaCl", "Agar"]


def test_one_block_can_be_shown(model: Any, organism: Any, why: Any) -> None:
    own = explain(model, organism, block="kmer4", ingredients=["NaCl"])
    assert set(own.features["block"]) == {"kmer4"}
    same = why.blocks[why.blocks["ingredient"] == "NaCl"]
    np.testing.assert_allclose(own.blocks["attribution"], same["attribution"])


def test_rows_are_shared_out_by_what_blocks_did(why: Any) -> None:
    for name, own in why.features.groupby("ingredient"):
        shares = why.blocks[why.blocks["ingredient"] == name].set_index("block")["share"]
        seats = own["block"].value_counts().reindex(shares.index, fill_value=0)
        first = str(shares.idxmax())
        assert seats[first] >= 1
        if shares[first] > 0.8:
            assert seats[first] == 4
        if shares[first] < 0.55:
            assert seats[first] < 4


def test_taking_the_strongest_away_moves_amounts_as_said(ruled: Any, model: Any) -> None:
    agreement, said, lost = [], [], []
    for name in ruled.held(ALL)[:5]:
        own = explain(model, ruled.world().organisms[name], top=10, steps=32)
        agreement.append(own.agreement)
        attributed = own.features.groupby("ingredient", sort=False)["attribution"].sum()
        said += attributed.tolist()
        lost += own.ingredients.set_index("ingredient")["lost"].loc[attributed.index].tolist()
    assert min(agreement) > 0.7
    strong = np.abs(said) > 0.02
    assert strong.sum() > 20
    assert (np.sign(said) == np.sign(lost))[strong].mean() > 0.95
    rank = spearman(np.array(said), np.array(lost))
    assert rank is not None
    assert rank > 0.9


def test_relatives_grow_on_what_is_said(ruled: Any, model: Any, organism: Any, why: Any) -> None:
    data = ruled.dataset(*ALL)
    pairs = data.pairs[data.pair_splits == "train"]
    names = data.organisms["organism_name"].to_numpy()[pairs["organism"]]
    media = data.library["medium_id"].to_numpy()[pairs["medium"]]
    assert len(why.relatives) == 4
    for one in why.relatives.to_dict(orient="records"):
        assert set(one["media"]) == set(media[names == one["organism"]])
    assert why.relatives["organism"].is_unique
    assert (np.diff(why.relatives["likeness"]) <= 0).all()
    assert list(why.relatives["organism"]) == [
        name for name, _ in model.relatives(model.condition(organism), 4)
    ]
    own = explain(model, ruled.world().organisms[str(model.organisms["genome_id"][0])], steps=2)
    assert own.relatives["likeness"][0] == pytest.approx(1.0)
    assert own.relatives["genome_id"][0] == model.organisms["genome_id"][0]


def test_what_is_missing_is_no_reason(model: Any, organism: Any) -> None:
    bare = replace(organism, name=None, gc=None)
    own = explain(model, bare, steps=4)
    assert own.missing == ("names", "stats")
    assert set(own.blocks["block"]) == {"lineage", "kmer4"}
    assert set(own.features["block"]) <= {"lineage", "kmer4"}
    with pytest.raises(ValueError, match=r"block: expected one of lineage, kmer4, got 'names'"):
        explain(model, bare, block="names")


def test_it_is_plain_json(why: Any) -> None:
    said = json.loads(json.dumps(why.plain(), allow_nan=False))
    assert len(said["features"]) == len(why.features)
    assert said["relatives"][0]["media"] == why.relatives["media"][0]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"ingredients": ["NaCI"]}, "ingredient: 'NaCI' is not known to the model; did you mean 'NaCl'"),
        ({"ingredients": []}, "ingredients: expected at least one"),
        ({"top": 0}, "top and steps: expected at least 1"),
        ({"steps": 0}, "top and steps: expected at least 1"),
        ({"block": "kmer8"}, "block: expected one of lineage, names, stats, kmer4, got 'kmer8'"),
    ],
)
def test_what_cannot_be_explained_is_refused(model: Any, organism: Any, asked: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        explain(model, organism, **asked)


def test_ranks_correlate_as_scipy_says() -> None:
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    a = np.round(rng.normal(size=40), 1)
    b = a + rng.normal(size=40)
    assert spearman(a, b) == pytest.approx(spearmanr(a, b).statistic)
    assert spearman(a[:1], b[:1]) is None
    assert spearman(np.ones(3), b[:3]) is None


@pytest.mark.parametrize("kind", ["base", "cvae"])
def test_the_markers_of_known_rules_are_named(ruled: Any, kind: str) -> None:
    own, model = ruled.world(), ruled.model(kind, "kmer6c")
    named, others = [], []
    for name in ruled.held(("kmer6c",)):
        rules = [rule for rule in own.truth.rules if rule.marker and rule.name in own.truth.organisms[name]]
        wanted = [rule.moves[0][0] for rule in rules]
        why = explain(model, own.organisms[name], ingredients=wanted, steps=16)
        for rule, ingredient in zip(rules, wanted, strict=True):
            strongest = set(why.features[why.features["ingredient"] == ingredient]["feature"])
            named.append(bool(strongest & set(own.truth.words[rule.marker][6])))
            absent = [one.marker for one in own.truth.rules if one.marker and one not in rules]
            others += [bool(strongest & set(own.truth.words[marker][6])) for marker in absent]
    assert len(named) > 15
    assert np.mean(named) >= 0.8
    assert np.mean(others) < 0.2
