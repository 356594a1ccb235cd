"""Tables to a dataset: what becomes a pair, who borrows whose genome, and no relatives on two sides of a split."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediacvae.building import BuildOptions, build, split
from mediacvae.dataset import DatasetError
from mediacvae.kin import Vectors, known_organisms


def changed(tables, name, **columns):
    """The tables with columns of one of them set."""
    return replace(tables, **{name: getattr(tables, name).assign(**columns)})


def more_growth(tables, rows):
    frame = pd.DataFrame(rows, columns=["genome_id", "medium_id", "growth", "source"])
    frame["confidence"], frame["rank"] = 1.0, "strain"
    return replace(tables, growth=pd.concat([tables.growth, frame], ignore_index=True))


def keys(data):
    ids, media = data.organisms["genome_id"].to_numpy(), data.library["medium_id"].to_numpy()
    return set(zip(ids[data.pairs["organism"]], media[data.pairs["medium"]], strict=True))


# ---- pairs


def test_pairs_are_what_grew_on_media_with_a_recipe_each_once(tables, dataset):
    grown = tables.growth[tables.growth["growth"]]
    assert keys(dataset) == set(zip(grown["genome_id"], grown["medium_id"], strict=True))
    assert len(dataset.pairs) == len(keys(dataset))


def test_no_growth_is_never_a_pair_but_stays_on_record(tables, dataset):
    not_grown = tables.growth[~tables.growth["growth"]]
    assert len(not_grown) > 20
    assert not keys(dataset) & set(zip(not_grown["genome_id"], not_grown["medium_id"], strict=True))
    assert (~dataset.records["growth"]).sum() == len(not_grown)


def test_contradictions_are_left_out_and_counted(tables):
    genome, medium = tables.growth.loc[tables.growth["growth"], ["genome_id", "medium_id"]].iloc[0]
    made = build(more_growth(tables, [(genome, medium, False, "another")]), BuildOptions())
    assert (genome, medium) not in keys(made)
    assert "1 pairs that grew by one source and not by another are left out" in made.notes


def test_odds_are_learned_only_from_sources_that_also_tell_of_no_growth(dataset):
    assert set(dataset.records["source"]) == {"plate"}
    assert any(note.startswith("odds of growth from") and note.endswith("of plate") for note in dataset.notes)


def test_only_one_organism_type(tables):
    made = build(tables, BuildOptions(organism="archea"))
    assert set(made.organisms["organism_type"]) == {"archaea"}
    assert made.about["organism"] == "archaea"
    assert (made.arrays("train")[2] == 1).all()


def test_a_type_with_one_organism_is_built_and_trained_on(tables):
    one = tables.genomes["genome_id"].where(tables.genomes["organism_type"] == "protist").dropna().iloc[0]
    growth = tables.growth[tables.growth["genome_id"] == one]
    genomes = tables.genomes.assign(
        lineage="Eukaryota;Ciliophora", gc_content=28.0, sequence_length=pd.array([70_000_000] * 56)
    )
    made = build(
        replace(tables, growth=growth, genomes=genomes),
        BuildOptions(organism="protist", condition=("stats",)),
    )
    assert list(made.organisms["split"]) == ["train"]
    assert len(made.rows("train")) == len(made.pairs) > 0


# ---- media


def test_amounts_are_those_of_the_table(tables, dataset):
    row = tables.amounts[tables.amounts["medium_id"] == "halo1"]
    at = list(dataset.library["medium_id"]).index("halo1")
    held = dict(zip(row["ingredient"], row["g_per_l"], strict=True))
    expected = [held.get(name, 0.0) for name in dataset.ingredients]
    np.testing.assert_allclose(dataset.media[at], expected, rtol=1e-6)


def test_an_ingredient_that_is_named_twice_is_added_up(tables):
    row = tables.amounts[tables.amounts["medium_id"] == "halo1"]
    twice = replace(tables, amounts=pd.concat([tables.amounts, row], ignore_index=True))
    made, once = build(twice, BuildOptions()), build(tables, BuildOptions())
    at = list(made.library["medium_id"]).index("halo1")
    assert made.ingredients == once.ingredients
    np.testing.assert_allclose(made.media[at], 2 * once.media[at])


def test_the_commonest_ingredients_come_first_and_media_without_them_go(tables):
    made = build(tables, BuildOptions(ingredients=1))
    assert made.media.shape[1] == 1
    assert (made.media > 0).all()
    count = tables.amounts[tables.amounts["medium_id"] != "other"].groupby("ingredient").size()
    assert count[made.ingredients[0]] == count.max()
    assert any("without an amount of the 1 commonest ingredients left out" in note for note in made.notes)


def test_guessed_amounts_are_said_or_left_out(tables):
    guessed = int(tables.amounts["guessed"].sum())
    assert guessed
    within = build(tables, BuildOptions(guessed="in"))
    assert "KCl" in within.ingredients
    assert any(note.startswith(f"{guessed} of ") and "guessed" in note for note in within.notes)
    out = build(tables, BuildOptions(guessed="out"))
    assert "KCl" not in out.ingredients
    assert f"{guessed} rows whose stock strength is guessed are left out" in out.notes


def test_rows_without_an_amount_are_left_out_and_counted(tables):
    grams = tables.amounts["g_per_l"].where(tables.amounts["ingredient"] != "Agar")
    made = build(changed(tables, "amounts", g_per_l=grams), BuildOptions())
    assert "Agar" not in made.ingredients
    assert f"{grams.isna().sum()} rows without an amount in g/L are left out" in made.notes


def test_media_of_the_source_of_most_growth_and_the_users_own(tables, dataset):
    assert set(dataset.library["source"]) == {"MediaDive", "own"}
    assert "media of MediaDive, own; not of other sources (KOMODO 1): --source takes them in" in dataset.notes
    assert "other" in list(build(tables, BuildOptions(sources=("all",))).library["medium_id"])
    with pytest.raises(DatasetError, match=r"^sources: expected some of .*all, got 'Mediadive'$"):
        build(tables, BuildOptions(sources=("Mediadive",)))


# ---- what is known of organisms


def test_lineage_gc_and_size_are_the_organisms_own_else_its_genus(tables):
    genomes = tables.genomes.head(2).assign(gc_content=[44.0, np.nan], lineage=["Bacteria;Own", None])
    (first, second), _ = known_organisms(genomes, tables.taxa, {})
    kin = tables.taxa.set_index("genus").loc["Bacillus"]
    assert (first.gc, first.lineage, first.length) == (44.0, "Bacteria;Own", kin["genome_size"])
    assert (second.gc, second.lineage) == (kin["gc"], kin["lineage"])
    (alone,), _ = known_organisms(genomes.tail(1), tables.taxa.tail(1), {})
    assert (alone.gc, alone.lineage, alone.length) == (None, None, None)


def test_genome_features_are_its_own_then_of_its_species_then_of_its_genus(tables):
    genomes = tables.genomes[tables.genomes["genus"] == "Bacillus"]  # alba, alba, rubra, nova
    own, rubra = genomes["genome_id"].iloc[[0, 2]]
    found = Vectors([own, rubra], np.array([[1.0, 0], [3, 2]], np.float32), ["x", "y"])
    made, whose = known_organisms(genomes, tables.taxa, {"kmer4": found})
    assert list(whose) == ["own", "species", "own", "genus"]
    np.testing.assert_array_equal(
        [one.vectors["kmer4"] for one in made], [[1, 0], [1, 0], [3, 2], [2.0, 1.0]]
    )
    other, whose = known_organisms(
        tables.genomes[tables.genomes["genus"] == "Vibrio"], tables.taxa, {"kmer4": found}
    )
    assert set(whose) == {"none"}
    assert not other[0].vectors


def test_genomes_of_which_no_growth_is_known_lend_their_features(tables):
    lender = tables.genomes[tables.genomes["genus"] == "Bacillus"].head(1).assign(genome_id="LENDER")
    more = replace(tables, genomes=pd.concat([tables.genomes, lender], ignore_index=True))
    found = Vectors(["LENDER"], np.array([[0.5, 0.5]], np.float32), ["x", "y"])
    made = build(more, BuildOptions(condition=("lineage", "kmer4")), {"kmer4": found})
    assert "LENDER" not in set(made.organisms["genome_id"])
    kin = (made.organisms["genus"] == "Bacillus").to_numpy()
    np.testing.assert_array_equal(np.isfinite(made.conditions[:, -2:]).all(axis=1), kin)
    assert set(made.organisms["genome"][kin]) == {"species", "genus"}


def test_organisms_of_which_nothing_is_known_give_no_pairs_and_are_counted(tables):
    taxa = tables.taxa[tables.taxa["genus"] != "Vibrio"]
    made = build(replace(tables, taxa=taxa), BuildOptions())
    assert "4 organisms of which no condition is known: their media are not learned from" in made.notes
    used = made.organisms["genus"].to_numpy()[made.pairs["organism"]]
    assert "Vibrio" not in used
    assert np.isfinite(made.conditions[made.pairs["organism"]]).any(axis=1).all()


# ---- splits

LABELS = st.sampled_from(["", "A", "B", "C", "D", "E"])
ORGANISMS = st.lists(st.tuples(LABELS, LABELS, st.integers(0, 9)), min_size=1, max_size=25)


def organisms_of(rows):
    frame = pd.DataFrame(
        {
            "genome_id": [f"g{at}" for at in range(len(rows))],
            "genus": [genus for genus, _, _ in rows],
            "species": [f"{genus} {species}" if species else "" for genus, species, _ in rows],
        }
    )
    return frame, pd.DataFrame({"organism": np.repeat(np.arange(len(rows)), [n for _, _, n in rows])})


@given(
    ORGANISMS,
    st.sampled_from(["species", "genus"]),
    st.integers(0, 3),
    st.floats(0, 0.45),
    st.floats(0, 0.45),
)
def test_relatives_are_never_on_two_sides(rows, group, seed, test, val):
    frame, pairs = organisms_of(rows)
    options = BuildOptions(group=group, seed=seed, test_size=test, val_size=val)
    made = split(frame, pairs, options)
    assert set(made) <= {"train", "val", "test"}
    named = frame.assign(split=made)[frame[group] != ""]
    assert (named.groupby(group)["split"].nunique() <= 1).all()
    if len(pairs):
        assert "train" in made[pairs["organism"]]
    if test == 0:
        assert "test" not in made
    np.testing.assert_array_equal(made, split(frame, pairs, options))


@given(ORGANISMS, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter_for_the_split(rows, random):
    order = list(range(len(rows)))
    random.shuffle(order)
    frame, pairs = organisms_of(rows)
    place = np.argsort(order)
    made = split(frame, pairs, BuildOptions())
    other = split(frame.iloc[order], pd.DataFrame({"organism": place[pairs["organism"]]}), BuildOptions())
    np.testing.assert_array_equal(made[order], other)


def test_shares_are_met_as_nearly_as_groups_allow():
    frame = pd.DataFrame(
        {"genome_id": [f"g{at}" for at in range(1000)], "genus": [f"n{at}" for at in range(1000)]}
    )
    made = split(
        frame, pd.DataFrame({"organism": np.arange(1000)}), BuildOptions(test_size=0.2, val_size=0.1)
    )
    assert {name: int((made == name).sum()) for name in ("train", "val", "test")} == {
        "train": 700,
        "val": 100,
        "test": 200,
    }


def test_strains_of_a_species_share_a_side_also_where_species_are_split(tables):
    made = build(tables, BuildOptions(group="species", seed=3)).organisms
    assert (made.groupby("species")["split"].nunique() == 1).all()
    assert (made.groupby("genus")["split"].nunique() > 1).any()


# ---- what was tried elsewhere


def test_media_that_were_tried_elsewhere_keep_their_names(tables, dataset):
    assert dataset.about["tried"] == {}
    media, growth = tables.media.copy(), tables.growth
    media.loc[len(media)] = {"medium_id": "S:1", "name": "SURVEY MEDIUM", "source": "a survey"}
    one = growth["genome_id"].iloc[0]
    made = build(more_growth(replace(tables, media=media), [(one, "S:1", False, "a survey")]), BuildOptions())
    assert "S:1" not in set(made.library["medium_id"])
    assert made.about["tried"] == {"S:1": "SURVEY MEDIUM"}


# ---- nothing to learn from


def test_empty_cases_are_told(tables):
    none = tables.growth.head(0)
    with pytest.raises(DatasetError, match=r"^no medium on which anything is known to grow: add growth"):
        build(replace(tables, growth=none), BuildOptions())
    with pytest.raises(DatasetError, match=r"^no organism that is known to grow on a usable medium"):
        build(replace(tables, growth=none), BuildOptions(sources=("all",)))
    with pytest.raises(DatasetError, match=r"^no virus that is known to grow on a usable medium"):
        build(tables, BuildOptions(organism="virus"))
    with pytest.raises(DatasetError, match=r"^no medium has an ingredient with an amount in g/L$"):
        build(changed(tables, "amounts", g_per_l=np.nan), BuildOptions())
    with pytest.raises(DatasetError, match=r"^no organism with a known condition"):
        build(replace(tables, taxa=tables.taxa.head(0)), BuildOptions(condition=("stats",)))


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"group": "family"}, "group: expected one of species, genus, got 'family'"),
        ({"guessed": "maybe"}, "guessed: expected one of in, out, got 'maybe'"),
        ({"condition": ()}, "condition: expected at least one block"),
        ({"test_size": 0.6, "val_size": 0.5}, "expected shares below 1 together"),
        ({"test_size": -0.1}, "expected shares below 1 together"),
        ({"test_size": float("nan")}, "expected shares below 1 together"),
        ({"organism": "plants"}, "organism type: expected one of bacteria"),
    ],
)
def test_options_outside_their_range_are_refused(told, message):
    with pytest.raises(ValueError, match=message):
        BuildOptions(**told)
