"""From genomes to media in two minutes: a simulated world, its database, a model, and what it makes of a new genome."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mediacvae import dataset, db, embeddings, evaluation, fasta, features
from mediacvae.building import BuildOptions, build
from mediacvae.conditions import Organism
from mediacvae.config import TrainConfig
from mediacvae.db.genomes import add_genomes
from mediacvae.kin import Vectors
from mediacvae.offer import Offer
from mediacvae.options import SimulationConfig
from mediacvae.recipes import to_table
from mediacvae.saving import save as save_model
from mediacvae.simulation import simulate
from mediacvae.training import fit

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from mediacvae.dataset import Dataset
    from mediacvae.simulation import Truth

SEED = 7
WORLD = SimulationConfig(genera=50, media=220, length=50_000)
CONFIG = TrainConfig(seed=SEED, epochs=80, simulation=WORLD)
METHOD = "kmer6"
RECIPES = 5


def run(out: Path, config: TrainConfig = CONFIG) -> str:
    """Write world, database, dataset, model, ranks, recipes, cards and pictures to `out`; what they show, as text."""
    from cytosol.figures import save
    from mediacvae.plots import plot_latent, plot_ranks, plot_recipes, plot_scores

    truth = simulate(config.simulation, config.seed, out / "world")
    data = _dataset(out, config.seed)
    model, _ = fit(data, config)
    save_model(model, out / "model", force=True)
    organism = _new(out, data)
    condition = model.condition(organism)
    ranks = model.rank(condition, 10)
    recipes = model.generate(condition, RECIPES)
    table = to_table(recipes, model.ingredients)
    tested = evaluation.made(model, data, data.rows("test"), data.rows("train"))
    scores = evaluation.score_recipes([tested], data, model)
    for name, found in (("ranks", ranks), ("recipes", table), ("scores", scores)):
        found.to_csv(out / f"{name}.csv", index=False, float_format="%.6g")
    cards = Offer(model, (organism,), condition, recipes).cards()
    (out / "card.html").write_text(cards, encoding="utf-8")
    save(plot_ranks(ranks, title=f"Known media to try first with {organism.name}"), out / "ranks.png")
    save(plot_recipes(table, title=f"{RECIPES} new recipes for {organism.name}"), out / "recipes.png")
    save(plot_scores(scores, title="Genera that training never saw"), out / "scores.png")
    media, conditions, _ = data.arrays("train")
    if model.vae is not None:
        latent = model.vae.encode(media, conditions)
        kinds = data.samples().query("split == 'train'")["organism_type"].tolist()
        save(plot_latent(latent, kinds, title="Media as the network sees them"), out / "latent.png")
    return _text(out, truth, data, scores, organism, ranks)


def _dataset(out: Path, seed: int) -> Dataset:
    """The simulated world through the database, as a user's own would go."""
    (out / "media.db").unlink(missing_ok=True)
    url = f"sqlite:///{out / 'media.db'}"
    db.import_folder(out / "world", url=url)
    add_genomes(out / "world" / "genomes", url=url, table=out / "world" / "genomes.tsv")
    features.compute_all_genome_embeddings(METHOD, url=url, workers=1)
    ids, values = db.read_embeddings(url, METHOD)
    options = BuildOptions(condition=(METHOD, "lineage", "stats"), seed=seed)
    data = build(db.read(url), options, {METHOD: Vectors(ids, values, embeddings.names(METHOD))})
    dataset.write(data, out / "dataset")
    return data


def _new(out: Path, data: Dataset) -> Organism:
    """A genome of the test split as if it had just been sequenced: no lineage, no media."""
    tested = set(data.pairs["organism"].to_numpy()[data.rows("test")])
    own = data.organisms.iloc[sorted(tested)]
    row = own[own["genome"] == "own"].iloc[0]
    path = out / "world" / "genomes" / f"{row['genome_id']}.fna.gz"
    genome = fasta.read(path)
    return Organism(
        genome_id=str(row["genome_id"]),
        name=str(row["organism_name"]),
        gc=genome.gc,
        length=float(genome.length),
        vectors={METHOD: embeddings.of_genome(genome, METHOD)},
    )


def _text(
    out: Path,
    truth: Truth,
    data: Dataset,
    scores: pd.DataFrame,
    organism: Organism,
    ranks: pd.DataFrame,
) -> str:
    """What was done and how well, in a few lines."""
    good = truth.grows_on[organism.genome_id]
    first = next((row.rank for row in ranks.itertuples() if row.medium_id in good), None)
    lines = [
        f"A simulated world: {len(truth.organisms)} genomes, {len(data.media)} media, {len(data.pairs)} known to go "
        f"together; {len(data.rows('test'))} of genera that training never saw.",
        f"  {'method':<18}{'error':>9}{'Jaccard':>9}{'rank@10':>9}",
    ]
    for _, row in scores.iterrows():
        ranked = "" if np.isnan(row["rank@10"]) else f"{row['rank@10']:.2f}"
        lines.append(f"  {row['method']:<18}{row['mse']:>9.4f}{row['jaccard']:>9.2f}{ranked:>9}")
    lines += [
        "  error: mean squared, log1p g/L. Jaccard: ingredients in both recipes over those in either. rank@10: share",
        "  of organisms with a medium of theirs within the first ten ranks.",
        f"A new genome, {organism.name}, without lineage: "
        + (
            f"the medium ranked {first} is one it grows on."
            if first
            else "none of the ten first media is one it grows on."
        ),
        f"Look at {out / 'card.html'} and at ranks, recipes, scores and latent.png beside it.",
    ]
    return "\n".join(lines)
