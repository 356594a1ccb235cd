"""The whole model: recipes that obey, known media in order, odds, and what it says where it knows nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mediacvae.base import MAIN, Expected
from mediacvae.conditions import Organism
from mediacvae.constraints import Constraints
from mediacvae.ingredients import is_complex
from mediacvae.predictor import ALIKE, worth
from mediacvae.recipes import shortlist
from mediacvae.training import fit

HALO = Organism(
    "new",
    "Halogeometricum borinquense",
    "archaea",
    "Archaea;Euryarchaeota;Halobacteria;haloaceae",
    61.0,
    3.9e6,
)
BACI = Organism("other", "Bacillus nova X", "bacteria", "Bacteria;Firmicutes;firmaceae", 38.0, 3.4e6)


@pytest.fixture(scope="module")
def halo(model):
    return model.condition(HALO)


def column(model, name: str) -> int:
    return model.ingredients.index(name)


# ---- recipes


def test_the_first_recipe_is_the_consensus_and_all_are_plausible(model, halo):
    made = model.generate(halo, 6)
    assert made.shape == (6, len(model.ingredients))
    assert model.plausible.valid(made).all()
    first = model.consensus(halo)
    assert model.plausible.valid(first).all()
    np.testing.assert_array_equal(made[:1], first)
    np.testing.assert_array_equal(model.generate(halo, 1), first)
    assert len(np.unique(made, axis=0)) == 6


def test_recipes_suit_the_organism(model, halo):
    salt = column(model, "NaCl")
    assert model.generate(halo, 4)[:, salt].min() > 50
    assert model.generate(model.condition(BACI), 4)[:, salt].max() < 50


def test_the_consensus_is_what_is_worth_having(model, dataset):
    made = model.expected(dataset.conditions)
    recipes = model.consensus(dataset.conditions)
    main = recipes > MAIN
    kept = main & shortlist(worth(made), made.main, ALIKE)
    assert kept.sum() > 0.9 * main.sum()  # the rest is what feeds
    np.testing.assert_allclose(recipes[kept], np.maximum(np.expm1(made.amount), MAIN * 1.01)[kept])
    assert (main.sum(axis=1) >= 3).all()
    one = model.consensus(dataset.conditions[7:8])
    np.testing.assert_allclose(one[0], recipes[7], rtol=1e-4, atol=1e-7)  # alone or with others


def test_draws_have_the_size_of_real_media_and_no_amount_that_nobody_uses(model, halo):
    made = model.generate(halo, 8)[1:]
    count = (made > 0).sum(axis=1)
    real = (model.media > 0).sum(axis=1)
    assert np.median(real) / 2 < np.median(count) < np.median(real) * 2
    assert (made <= model.practice.most + 1e-9).all()
    held = model.media > 0
    over = ((model.media > model.practice.most) & held).sum(axis=0) / np.maximum(held.sum(axis=0), 1)
    assert over.max() <= 0.05
    assert (over.max() > 0) or held.sum(axis=0).max() < 20


def test_a_ninety_percent_chance_leaves_less_doubt_than_the_toss_of_a_coin(model, dataset):
    c = dataset.conditions[:20]
    mixed = replace(model, share=0.5)
    doubt, chance = mixed.doubt(c), mixed.expected(c).there
    assert doubt.shape == chance.shape
    assert np.isfinite(doubt).all()
    assert doubt[(chance > 0.3) & (chance < 0.7)].mean() > 1.5 * doubt[(chance < 0.05)].mean() > 0
    assert not replace(model, vae=None).doubt(c).any()


def test_recipes_obey(model, halo):
    asked = Constraints(
        exclude=("Yeast extract",), require={"Biotin": None, "Glucose": 3.0}, cap={"NaCl": 120.0}, ph=7.0
    )
    made = model.generate(halo, 6, constraints=asked)
    assert not made[:, column(model, "Yeast extract")].any()
    assert (made[:, column(model, "Glucose")] == 3.0).all()
    assert (made[:, column(model, "Biotin")] > 0).all()
    assert made[:, column(model, "NaCl")].max() <= 120.0
    assert model.plausible.valid(made).all()


def test_defined_media_hold_nothing_of_unknown_composition_and_still_feed(model, halo):
    made = model.generate(halo, 5, constraints=Constraints(defined=True))
    unknown = np.array([is_complex(name) for name in model.ingredients])
    assert unknown.any()
    assert not made[:, unknown].any()
    assert model.plausible.valid(made).all()


def test_a_capped_food_is_not_the_food(model, halo):
    """What is put in so that a recipe feeds obeys the caps as well."""
    food = [name for name, carbon in zip(model.ingredients, model.plausible.carbon, strict=True) if carbon]
    made = model.consensus(halo, Constraints(cap=dict.fromkeys(food[1:], 0.0)))
    assert made[0, column(model, food[0])] > MAIN
    assert not made[0, [column(model, name) for name in food[1:]]].any()


def test_too_much_asked_is_told(model, halo):
    with pytest.raises(
        ValueError, match=r"^expected 3 plausible recipes, found 0 in \d+ draws \(.*\): loosen"
    ):
        model.generate(halo, 3, constraints=Constraints(require={"Agar": 5000.0}))
    assert (
        model.generate(halo, 3, constraints=Constraints(require={"Agar": 5000.0}), plausible=False).shape[0]
        == 3
    )
    with pytest.raises(ValueError, match=r"^exclude: unknown ingredient 'Glucos'; did you mean 'Glucose'\?$"):
        model.generate(halo, 3, constraints=Constraints(exclude=("Glucos",)))


def test_an_implausible_consensus_gives_way_to_a_draw(model, halo, monkeypatch):
    nonsense = np.zeros((1, len(model.ingredients)))
    monkeypatch.setattr(type(model), "consensus", lambda *_: nonsense)
    made = model.generate(halo, 1)
    assert model.plausible.valid(made).all()
    assert len(model.generate(halo, 3)) == 3
    np.testing.assert_array_equal(model.generate(halo, 1, plausible=False), nonsense)


def test_seeds(model, halo):
    one, same, other = (model.generate(halo, 5, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one[1:] != other[1:]).any()
    np.testing.assert_array_equal(model.generate(halo, 5), model.generate(halo, 5, seed=model.config.seed))


def test_diversity_widens(model, halo):
    def apart(made):
        logs = np.log1p(made[1:])
        unit = logs / np.linalg.norm(logs, axis=1, keepdims=True)
        return 1 - (unit @ unit.T)[np.triu_indices(len(unit), 1)].mean()

    spread = [apart(model.generate(halo, 6, diversity=share)) for share in (0.0, 0.5, 1.0)]
    assert spread[0] <= spread[1] <= spread[2]
    assert spread[0] < spread[2]


# ---- known media


def test_known_media_are_ranked_the_likeliest_first(model, halo):
    made = model.rank(halo)
    assert list(made.columns) == ["rank", "medium_id", "name", "probability"]
    assert list(made["rank"]) == list(range(1, len(model.library) + 1))
    assert set(made["medium_id"]) == set(model.library["medium_id"])
    assert (np.diff(made["probability"]) <= 1e-12).all()
    assert made["probability"].between(0, 1).all()
    assert made["medium_id"].head(5).str.startswith("halo").all()
    assert len(model.rank(halo, 3)) == 3
    names = dict(zip(model.library["medium_id"], model.library["name"], strict=True))
    assert [names[one] for one in made["medium_id"]] == list(made["name"])


def test_the_nearest_medium_to_a_medium_is_itself(model):
    for row in (0, 11, 30):
        name, _, like = model.nearest(model.media[row], 1)[0]
        assert name == model.library["medium_id"].iloc[row]
        assert like == pytest.approx(1.0)


def test_relatives_are_of_the_same_kind(model, halo):
    found = model.relatives(halo, 4)
    assert len(found) == len(dict(found)) == 4
    likes = [like for _, like in found]
    assert likes == sorted(likes, reverse=True)
    assert all(0 <= like <= 1 for like in likes)
    kinds = dict(zip(model.organisms["organism_name"], model.organisms["organism_type"], strict=True))
    assert {kinds[name] for name, _ in found} == {"archaea"}


# ---- growth


def test_odds_of_growth(model):
    made = model.predict_growth(HALO, ["halo2", "prot2", "mine"])
    assert list(made.columns) == ["medium_id", "probability", "information"]
    assert made["probability"].between(0, 1).all()
    assert (made["information"] >= 0).all()
    odds = dict(zip(made["medium_id"], made["probability"], strict=True))
    assert odds["halo2"] > odds["prot2"]
    known = model.predict_growth(HALO, ["halo2", "prot2"], [("halo1", False), ("halo3", False)])
    assert known["probability"].iloc[0] < odds["halo2"]
    assert set(model.tried(HALO)["medium_id"]) == set(model.growth.media)
    odds = model.odds_of(HALO, model.media[:3])
    own = odds.probability
    assert ((odds.span[:, 0] < own) & (own < odds.span[:, 1])).all()
    assert own.shape == (3,)
    assert ((own > 0) & (own < 1)).all()


def test_an_unknown_medium_is_told_with_the_nearest(model):
    for call in (
        lambda: model.predict_growth(HALO, ["halo22x"]),
        lambda: model.predict_growth(HALO, ["halo2"], [("halo22x", True)]),
    ):
        with pytest.raises(
            ValueError,
            match=r"^medium: 'halo22x' is not known to the model; did you mean 'halo2' \(Medium halo2\)\?$",
        ):
            call()


def test_names_say_genus_and_species(model):
    who = model._who(replace(HALO, name="Candidatus Bacillus alba strain 3"))
    assert (who.genus, who.species) == (["Bacillus"], ["Bacillus alba"])
    who = model._who(replace(HALO, name=None))
    assert (who.genus, who.species) == ([""], [""])


# ---- what is not known


def test_of_whom_nothing_is_known_nothing_is_said(model):
    with pytest.raises(
        ValueError, match=r"^x: the model was trained on lineage, stats, and none of it is known$"
    ):
        model.condition(Organism("x", name="Bacillus"))


def test_a_part_will_do_and_what_is_missing_is_told(model):
    made = model.condition(Organism("x", gc=61.0, length=3.9e6))
    assert model.missing(made) == ["lineage"]
    assert model.missing(model.condition(HALO)) == []
    assert len(model.generate(made, 3)) == 3
    assert np.isfinite(model.rank(made)["probability"]).all()


def test_expectations_are_mixed(model, halo):
    base = model.base(halo)
    for share in (0.0, 1.0):
        own = replace(model, share=share).expected(halo)
        assert isinstance(own, Expected)
        if share == 0:
            np.testing.assert_array_equal(own.amount, base.amount)
    half = replace(model, share=0.5).expected(halo)
    np.testing.assert_allclose(half.there, (base.there + replace(model, share=1.0).expected(halo).there) / 2)


# ---- other kinds


@pytest.mark.parametrize("kind", ["hierarchical", "spec"])
def test_other_networks_generate(dataset, quick, kind):
    made = fit(dataset, replace(quick, model_type=kind, genus_dim=3))[0]
    recipes = made.generate(made.condition(BACI), 4)
    assert made.plausible.valid(recipes).all()
    assert len(made.rank(made.condition(BACI), 5)) == 5


def test_without_a_network_there_is_one_recipe(dataset, quick):
    made = fit(dataset, replace(quick, model_type="base"))[0]
    assert made.vae is None
    assert made.generate(made.condition(HALO), 1).shape[0] == 1
    with pytest.raises(
        ValueError, match=r"trained without a network \(model_type=base\): it makes one recipe, ask"
    ):
        made.generate(made.condition(HALO), 2)


def test_without_results_there_are_no_odds(dataset, quick):
    made = fit(dataset, replace(quick, model_type="base"), records=np.zeros(0, np.int64))[0]
    assert made.growth is None
    with pytest.raises(ValueError, match="the model knows no odds of growth"):
        made.predict_growth(HALO, ["halo2"])
