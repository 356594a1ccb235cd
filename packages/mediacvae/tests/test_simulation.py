"""The simulated world: its files, its genomes, and that its rules hold in them."""

import gzip
import hashlib
import json
import os
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyarrow import parquet

from mediacvae.names import checked_id, organism_type
from mediacvae.options import SimulationConfig
from mediacvae.simulated_genomes import families, words
from mediacvae.simulated_media import MARKERS, Needs, medium_for, suits
from mediacvae.simulation import RULES, Truth, read_truth, simulate

SMALL = SimulationConfig(genera=6, species=2, length=12_000, media=30, tries=6)
DATA = Path(os.environ.get("MEDIACVAE_DATA", "/nonexistent"))
TABLES = ("media", "media_ingredients", "growth", "taxa")
COLUMNS = {
    "media": "medium_id name source collection category medium_type min_ph max_ph physical_state n_ingredients "
    "total_g_per_l link",
    "media_ingredients": "medium_id ingredient ingredient_as_written chebi g_per_l raw_value raw_unit flag",
    "growth": "genus species strain taxid assembly organism_type medium_id growth max_od source rank",
    "taxa": "genus gc genome_size n_assemblies lineage domain group subgroup",
}
World = tuple[Path, Truth]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world")
    return folder, simulate(SimulationConfig(), 3, folder)


def contigs(path: Path) -> dict[str, str]:
    parts = gzip.decompress(path.read_bytes()).decode().split(">")[1:]
    return {part.split()[0]: part.split("\n", 1)[1].replace("\n", "") for part in parts}


def shares(path: Path, k: int) -> np.ndarray:
    """A naive count, as an oracle."""
    counts = dict.fromkeys(map("".join, product("ACGT", repeat=k)), 0)
    for text in contigs(path).values():
        for i in range(len(text) - k + 1):
            counts[text[i : i + k]] += 1
    return np.array(list(counts.values())) / sum(counts.values())


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_seed_writes_the_same_bytes_and_another_does_not(tmp_path: Path) -> None:
    first, again = simulate(SMALL, 1, tmp_path / "a"), simulate(SMALL, 1, tmp_path / "b")
    assert first == again
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    other = simulate(SMALL, 2, tmp_path / "c")
    assert other.regions != first.regions
    assert digest(tmp_path / "c")["growth.parquet"] != digest(tmp_path / "a")["growth.parquet"]


def test_the_truth_is_read_back_as_it_was(tmp_path: Path) -> None:
    truth = simulate(SMALL, 1, tmp_path)
    assert read_truth(tmp_path / "rules.json") == truth
    (tmp_path / "other.json").write_text(json.dumps({"format": "x"}))
    (tmp_path / "broken.json").write_text("[1")
    whole = json.loads((tmp_path / "rules.json").read_text())
    (tmp_path / "part.json").write_text(json.dumps({"format": whole["format"], "rules": whole["rules"]}))
    (tmp_path / "bent.json").write_text(json.dumps(whole | {"words": [1]}))
    for name in ("other", "broken", "part", "bent"):
        with pytest.raises(ValueError, match=f"{name}.json: not the rules of a simulation"):
            read_truth(tmp_path / f"{name}.json")


def test_tables_have_the_columns_of_the_collected_ones(world: World) -> None:
    for name, columns in COLUMNS.items():
        frame = pd.read_parquet(world[0] / f"{name}.parquet")
        assert list(frame.columns) == columns.split()
        assert len(frame)


@pytest.mark.skipif(not (DATA / "media.parquet").exists(), reason="no collected media here (MEDIACVAE_DATA)")
@pytest.mark.parametrize("name", TABLES)
def test_tables_have_the_types_of_the_collected_ones(world: World, name: str) -> None:
    own, real = (parquet.read_schema(folder / f"{name}.parquet") for folder in (world[0], DATA))
    assert own.remove_metadata() == real.remove_metadata()
    own, real = (pd.read_parquet(folder / f"{name}.parquet").dtypes for folder in (world[0], DATA))
    assert own.astype(str).to_dict() == real.astype(str).to_dict()
    genomes = pd.read_csv(DATA / "genomes.tsv", sep="\t")
    assert list(pd.read_csv(world[0] / "genomes.tsv", sep="\t").columns) == list(genomes.columns)


def test_tables_agree_with_each_other(world: World) -> None:
    folder, truth = world
    media, amounts, growth, taxa = (pd.read_parquet(folder / f"{name}.parquet") for name in TABLES)
    genomes = pd.read_csv(folder / "genomes.tsv", sep="\t")
    assert media["medium_id"].is_unique
    assert set(amounts["medium_id"]) == set(media["medium_id"])
    assert not amounts.duplicated(["medium_id", "ingredient"]).any()
    assert (amounts["g_per_l"] > 0).all()
    assert set(growth["medium_id"]) <= set(media["medium_id"])
    assert set(growth["genus"]) <= set(taxa["genus"])
    assert set(growth["assembly"]) - {""} <= set(genomes["genome_id"])
    assert set(growth["organism_type"]) == {"bacteria", "archaea", "fungi", "protist"}
    assert set(truth.organisms) == set(genomes["genome_id"])
    for key in genomes["genome_id"]:
        assert checked_id(key, "genome") == key
        assert (folder / "genomes" / f"{key}.fna.gz").is_file()
    for word in genomes["organism_type"]:
        assert organism_type(word) == word
    counted = amounts.groupby("medium_id").size()
    assert (media.set_index("medium_id")["n_ingredients"] == counted).all()


def test_contigs_hold_four_letters_only_and_are_as_the_table_says(world: World) -> None:
    folder, _ = world
    genomes = pd.read_csv(folder / "genomes.tsv", sep="\t", index_col="genome_id")
    assert (genomes["n_contigs"] > 1).mean() > 0.9
    for key, row in genomes.iterrows():
        texts = contigs(folder / "genomes" / f"{key}.fna.gz")
        joined = "".join(texts.values())
        assert set(joined) == set("ACGT")
        assert (len(texts), len(joined)) == (row["n_contigs"], row["length"])
        assert 100 * (joined.count("G") + joined.count("C")) / len(joined) == pytest.approx(
            row["gc"], abs=1e-3
        )
        assert 60_000 < len(joined) < 170_000


def test_the_records_are_as_asked(world: World) -> None:
    growth = pd.read_parquet(world[0] / "growth.parquet")
    weak = growth["source"].str.startswith("medium_name:")
    assert growth.loc[weak, "growth"].all()
    assert (growth.loc[weak, "strain"] == "").all()
    assert set(growth.loc[weak, "rank"]) == {"genus", "species"}
    assert weak.mean() == pytest.approx(0.15, abs=0.02)
    assert 1 - growth.loc[~weak, "growth"].mean() == pytest.approx(0.35, abs=0.06)
    assert set(growth.loc[~weak, "rank"]) == {"strain"}
    assert growth.loc[~weak, "source"].nunique() == 2
    assert growth["max_od"].notna().any()


def test_results_follow_the_truth_but_for_the_noise(world: World) -> None:
    growth = pd.read_parquet(world[0] / "growth.parquet")
    known = growth[growth["assembly"] != ""]
    right = [
        (medium in world[1].grows_on[key]) == grew
        for key, medium, grew in zip(known["assembly"], known["medium_id"], known["growth"], strict=True)
    ]
    assert 0.94 < np.mean(right) < 1.0


def test_every_rule_shows_its_direction_in_the_growth_data(world: World) -> None:
    folder, truth = world
    media, amounts, growth, _ = (pd.read_parquet(folder / f"{name}.parquet") for name in TABLES)
    x = amounts.pivot_table(index="medium_id", columns="ingredient", values="g_per_l", fill_value=0.0)
    ph = media.set_index("medium_id")["min_ph"]
    grew = growth[growth["growth"] & (growth["assembly"] != "")]
    for rule in RULES:
        on = np.array([rule.name in truth.organisms[key] for key in grew["assembly"]])
        for ingredient, direction in rule.moves:
            values = x[ingredient].reindex(grew["medium_id"]).to_numpy()
            assert direction * (values[on].mean() - values[~on].mean()) > 0, (rule.name, ingredient)
        if rule.ph:
            values = ph.reindex(grew["medium_id"]).to_numpy()
            assert rule.ph * (values[on].mean() - values[~on].mean()) > 0, rule.name


def test_markers_lie_where_the_truth_says_and_take_up_their_share(world: World) -> None:
    folder, truth = world
    by_marker = {rule.marker: rule.name for rule in RULES if rule.marker}
    for key, regions in list(truth.regions.items())[::5]:
        texts = contigs(folder / "genomes" / f"{key}.fna.gz")
        assert {by_marker[region.marker] for region in regions} == {
            name for name in truth.organisms[key] if name in by_marker.values()
        }
        total = sum(map(len, texts.values()))
        for marker in {region.marker for region in regions}:
            own = [texts[r.contig][r.start : r.end] for r in regions if r.marker == marker]
            assert sum(map(len, own)) / total == pytest.approx(0.02, abs=0.004)
            known = set(truth.words[marker][6])
            for text in own:
                hits = [text[i : i + 6] in known for i in range(len(text) - 5)]
                assert np.mean(hits) > 0.75


def test_words_of_a_marker_are_enriched_and_lead_to_it(world: World) -> None:
    folder, truth = world
    sixes = ["".join(word) for word in product("ACGT", repeat=6)]
    keys = list(truth.organisms)
    found = np.array([shares(folder / "genomes" / f"{key}.fna.gz", 6) for key in keys])
    for rule in RULES:
        if rule.marker is None:
            continue
        on = np.array([rule.name in truth.organisms[key] for key in keys])
        own = [sixes.index(word) for word in truth.words[rule.marker][6]]
        ratio = found[on].mean(axis=0) / found[~on].mean(axis=0)
        assert ratio[own].mean() > 2.0
        assert (np.diff(ratio[own]) <= 1e-6).all()  # the most enriched first
        spread = np.sqrt(on.mean() * found[on].var(axis=0) + (~on).mean() * found[~on].var(axis=0))
        first = np.argsort(-(found[on].mean(axis=0) - found[~on].mean(axis=0)) / spread)[:10]
        assert len(set(first) & set(own)) >= 9, rule.name


def test_families_share_no_word_of_six_and_repeat_none_of_four() -> None:
    units = families(MARKERS, np.random.default_rng(0))
    seen: set[tuple[int, ...]] = set()
    for unit in units.values():
        assert len(words(unit, 4)) == 36
        assert not seen & words(unit, 6)
        seen |= words(unit, 6)


def test_relatives_are_more_alike(tmp_path: Path) -> None:
    config = replace(SMALL, genera=4, strains=2, length=20_000, marker=1e-4, drift=0.0)
    simulate(config, 0, tmp_path)
    table = pd.read_csv(tmp_path / "genomes.tsv", sep="\t")
    found = np.array([shares(tmp_path / "genomes" / f"{key}.fna.gz", 4) for key in table["genome_id"]])
    far = np.linalg.norm(found[:, None] - found[None], axis=2)
    species, genus = (table[c].to_numpy()[:, None] == table[c].to_numpy()[None] for c in ("species", "genus"))
    same = np.eye(len(table), dtype=bool)
    strains, sisters, others = far[species & ~same].mean(), far[genus & ~species].mean(), far[~genus].mean()
    assert strains < sisters < others


def test_a_medium_made_for_needs_nearly_always_meets_them() -> None:
    rng = np.random.default_rng(0)
    needs = Needs.of(
        "archaea", {"halophile", "alkaliphile", "lactose_user", "auxotroph", "anaerobe", "thermophile"}
    )
    assert np.mean([suits(needs, medium_for(needs, None, rng)) for _ in range(100)]) > 0.85
    for change in (
        {"salt": "low"},
        {"ph": "acid"},
        {"carbon": "glucose"},
        {"anaerobic": False},
        {"organism_type": "fungi"},
    ):
        other = replace(needs, **change)
        assert np.mean([suits(other, medium_for(needs, None, rng)) for _ in range(100)]) < 0.15


def test_some_genomes_may_be_missing(tmp_path: Path) -> None:
    truth = simulate(replace(SMALL, without_genome=0.5), 0, tmp_path)
    genomes = pd.read_csv(tmp_path / "genomes.tsv", sep="\t")
    assert 0 < len(genomes) < len(truth.organisms) == 12
    assert {path.name.removesuffix(".fna.gz") for path in (tmp_path / "genomes").iterdir()} == set(
        genomes["genome_id"]
    )
    growth = pd.read_parquet(tmp_path / "growth.parquet")
    without = growth[(growth["rank"] == "strain") & (growth["assembly"] == "")]
    assert len(without)
    assert without["taxid"].notna().all()


@pytest.mark.parametrize("types", [("bacteria",), ("fungi", "protist"), ("archaea",)])
def test_one_genus_of_each_type_is_enough(tmp_path: Path, types: tuple[str, ...]) -> None:
    config = replace(SMALL, types=types, genera=len(types), species=1, length=5000, media=1, tries=1)
    truth = simulate(config, 0, tmp_path)
    assert len(truth.organisms) == len(types)
    with np.errstate(all="raise"):
        assert len(pd.read_parquet(tmp_path / "growth.parquet")) >= 0
