"""A simulated world with rules, models learned in it, and whether their reasons name the markers of the rules."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mediacvae import db, embeddings, fasta
from mediacvae.attribution import Watched
from mediacvae.building import BuildOptions, build
from mediacvae.db.genomes import add_genomes
from mediacvae.explain import explain
from mediacvae.kin import Vectors, known_organisms
from mediacvae.options import SimulationConfig
from mediacvae.regions import regions
from mediacvae.simulation import simulate
from mediacvae.training import fit

if TYPE_CHECKING:
    import pandas as pd

    from mediacvae.conditions import Organism
    from mediacvae.config import TrainConfig
    from mediacvae.dataset import Dataset
    from mediacvae.predictor import MediaModel
    from mediacvae.simulation import Truth

TOP = 5


class World(NamedTuple):
    """What was simulated, as the database gives it back."""

    folder: Path
    truth: Truth
    tables: Any
    vectors: dict[str, Vectors]
    organisms: dict[str, Organism]


def world(seed: int, genera: int, folder: Path) -> World:
    """Simulate, store and embed."""
    truth = simulate(SimulationConfig(genera=genera), seed, folder)
    url = f"sqlite:///{folder}/world.db"
    db.upgrade(url)
    db.import_folder(folder, url)
    add_genomes(folder / "genomes", url, table=folder / "genomes.tsv")
    tables = db.read(url)
    ids = sorted(tables.genomes["genome_id"][tables.genomes["has_sequence"]])
    vectors = {}
    for method in ("kmer6", "kmer6c"):
        made = [embeddings.embed(folder / "genomes" / f"{name}.fna.gz", method) for name in ids]
        vectors[method] = Vectors(ids, np.array(made), embeddings.names(method))
    known, _ = known_organisms(tables.genomes, tables.taxa, vectors)
    return World(folder, truth, tables, vectors, {one.genome_id: one for one in known})


def learned(own: World, condition: tuple[str, ...], config: TrainConfig, *, shuffled: bool = False) -> Any:
    """Dataset and model; shuffled: every organism with the media of others, so that there is nothing to find."""
    data = build(own.tables, BuildOptions(condition=condition, test_size=0.2, val_size=0.1), own.vectors)
    if shuffled:
        pairs = data.pairs.copy()
        pairs["medium"] = np.random.default_rng(0).permutation(pairs["medium"].to_numpy())
        data = replace(data, pairs=pairs)
    return data, fit(data, config)[0]


def marked(own: World, data: Dataset) -> list[tuple[str, Any]]:
    """Held-out genomes and the rules that their markers make."""
    held = data.organisms["genome_id"][data.organisms["split"] == "test"]
    return [
        (name, rule)
        for name in held
        if name in own.truth.organisms
        for rule in own.truth.rules
        if rule.marker is not None and rule.name in own.truth.organisms[name]
    ]


def words(own: World, marker: str, method: str) -> set[str]:
    """The words of a marker, in both strands or as the first of the two."""
    return set(own.truth.words[marker][6]) & set(own.vectors[method].names)


def named(own: World, data: Dataset, model: MediaModel, method: str, block: str | None) -> dict[str, float]:
    """Shares of the cases, and how good the reasons are."""
    cases = marked(own, data)
    wanted = list(dict.fromkeys(name for rule in own.truth.rules if rule.marker for name, _ in rule.moves))
    wanted = [name for name in wanted if name in model.ingredients]
    first, strict, right, other, places, chance, sums, agree = [], [], [], [], [], [], [], []
    for name in dict.fromkeys(name for name, _ in cases):
        why = explain(model, own.organisms[name], top=TOP, ingredients=wanted, block=block)
        genome = fasta.read(own.folder / "genomes" / f"{name}.fna.gz")
        where = regions(model, why, genome, top=TOP)
        difference = (why.ingredients["amount"] - why.ingredients["usual_amount"]).abs()
        sums.append(float((why.ingredients["rest"].abs() / difference.clip(lower=0.01)).max()))
        agree.append(why.agreement)
        carried = [rule.marker for key, rule in cases if key == name]
        for rule in (rule for key, rule in cases if key == name):
            own_words = words(own, rule.marker, method)
            hits = {}
            for ingredient, _ in rule.moves:
                strongest = why.features[why.features["ingredient"] == ingredient]["feature"]
                hits[ingredient] = strongest.isin(own_words)
            main = rule.moves[0][0]
            first.append(hits[main].any())
            strict.append(all(hit.any() for hit in hits.values()))
            right.append(hits[main].mean())
            strongest = set(why.features[why.features["ingredient"] == main]["feature"])
            others = [
                bool(strongest & words(own, marker, method)) for marker in carried if marker != rule.marker
            ]
            other.append(np.mean(others) if others else 0.0)
            inside, share = overlap(own, name, rule.marker, where[where["ingredient"] == main], genome)
            places.append(inside)
            chance.append(share)
    return {
        "cases": len(first),
        "named": float(np.mean(first)),
        "all": float(np.mean(strict)),
        "right": float(np.mean(right)),
        "other": float(np.mean(other)),
        "windows": float(np.mean(places)),
        "by_chance": float(np.mean(chance)),
        "rest": float(np.max(sums)),
        "agreement": float(np.mean(agree)),
    }


def overlap(
    own: World, name: str, marker: str, found: pd.DataFrame, genome: fasta.Genome
) -> tuple[float, float]:
    """Share of windows that hold some of a marker, and of all windows of this size."""
    places = [(r.contig, r.start, r.end) for r in own.truth.regions[name] if r.marker == marker]

    def holds(contig: str, start: int, end: int) -> bool:
        return any(c == contig and a < end and start < b for c, a, b in places)

    own_share = [holds(row.contig, row.start, row.end) for row in found.itertuples()]
    size = 1000
    every = [
        holds(contig, start, start + size)
        for contig, bases in zip(genome.names, genome.sequences, strict=True)
        for start in range(0, len(bases), 250)
    ]
    return float(np.mean(own_share)), float(np.mean(every))


def directions(own: World, data: Dataset, model: MediaModel) -> tuple[list[str], int]:
    """Rules whose direction is not that of the truth, held-out marked against unmarked genomes; how many were tried."""
    held = [
        n for n in data.organisms["genome_id"][data.organisms["split"] == "test"] if n in own.truth.organisms
    ]
    conditions = np.concatenate([model.condition(own.organisms[name]) for name in held])
    amounts = Watched(model, np.arange(len(model.ingredients)))(conditions).amount
    acidity = model.library.set_index("medium_id")[["min_ph", "max_ph"]].mean(axis=1)
    near = [[name for name, *_ in model.nearest(recipe, TOP)] for recipe in model.consensus(conditions)]
    ph = np.array([acidity[names].mean() for names in near])
    wrong, tried = [], 0
    for rule in own.truth.rules:
        on = np.array([rule.name in own.truth.organisms[name] for name in held])
        moves = [
            (name, way, amounts[:, model.ingredients.index(name)])
            for name, way in rule.moves
            if name in model.ingredients
        ]
        moves += [("pH", rule.ph, ph)] if rule.ph else []
        for name, way, values in moves if on.any() and not on.all() else ():
            tried += 1
            if way * (values[on].mean() - values[~on].mean()) <= 0:
                wrong.append(f"{rule.name}: {name}")
    return wrong, tried


def without_a_model(own: World, data: Dataset) -> tuple[float, float]:
    """Share of cases named by the features most unusual in the genome; and by these times their correlation with the
    ingredient among the training organisms, one feature at a time.
    """
    rows = data.pair_splits == "train"
    pairs = data.pairs[["organism", "medium"]].to_numpy()[rows]
    used, at = np.unique(pairs[:, 0], return_inverse=True)
    logs = np.zeros((len(used), len(data.ingredients)))
    np.add.at(logs, at, np.log1p(data.media[pairs[:, 1]]))
    logs /= np.bincount(at)[:, None]
    x = data.conditions[used].astype(np.float64)
    mean, sd = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-12)
    z = (x - mean) / sd
    correlation = z.T @ ((logs - logs.mean(axis=0)) / np.maximum(logs.std(axis=0), 1e-12)) / len(used)
    row = {name: i for i, name in enumerate(data.organisms["genome_id"])}
    names = np.array(own.vectors["kmer6"].names)
    unusual, screened = [], []
    for name, rule in marked(own, data):
        own_words = list(words(own, rule.marker, "kmer6"))
        z = (data.conditions[row[name]] - mean) / sd
        unusual.append(np.isin(names[np.argsort(-np.abs(z))[:TOP]], own_words).any())
        weight = z * correlation[:, data.ingredients.index(rule.moves[0][0])]
        screened.append(np.isin(names[np.argsort(-np.abs(weight))[:TOP]], own_words).any())
    return float(np.mean(unusual)), float(np.mean(screened))


def error(data: Dataset, model: MediaModel) -> float:
    """Squared error of log1p g/L on held-out pairs over that of the mean training medium."""
    train, test = (
        data.pairs[["organism", "medium"]].to_numpy()[data.rows(split)] for split in ("train", "test")
    )
    truth = np.log1p(data.media[test[:, 1]])
    mean = np.log1p(data.media[train[:, 1]]).mean(axis=0)
    made = model.expected(data.conditions[test[:, 0]]).amount
    return float(((made - truth) ** 2).mean() / ((mean - truth) ** 2).mean())
