"""From genomes to media in half a minute: a simulated world, its database, a model, and media for a new genome."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mediacvae import dataset, db, embeddings, evaluation, fasta, features
from mediacvae.building import BuildOptions, build
from mediacvae.conditions import Organism
from mediacvae.config import TrainConfig
from mediacvae.db.genomes import add_genomes
from mediacvae.demo_story import story
from mediacvae.kin import Vectors
from mediacvae.offer import Offer
from mediacvae.options import SimulationConfig
from mediacvae.recipes import to_table
from mediacvae.saving import save as save_model
from mediacvae.simulation import simulate
from mediacvae.training import fit

if TYPE_CHECKING:
    from pathlib import Path

    from cytosol.story import Story
    from mediacvae.dataset import Dataset

SEED = 7
WORLD = SimulationConfig(genera=50, media=220, length=50_000)
CONFIG = TrainConfig(seed=SEED, epochs=80, simulation=WORLD)
METHOD = "kmer6"
RECIPES = 5


def run(out: Path, config: TrainConfig = CONFIG) -> Story:
    """Write world, database, dataset, model, ranks, recipes, cards and pictures to `out`; what they show.

    config: of the training; its `simulation` is the world, its `seed` that of everything.
    """
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
    drawn = {
        "scores": plot_scores(scores, title="Genera that training never saw"),
        "ranks": plot_ranks(ranks, title=f"Known media to try first with {organism.name}"),
        "recipes": plot_recipes(table, title=f"{RECIPES} new recipes for {organism.name}"),
    }
    if model.vae is not None:
        media, conditions, _ = data.arrays("train")
        latent = model.vae.encode(media, conditions)
        kinds = data.samples().query("split == 'train'")["organism_type"].tolist()
        drawn["latent"] = plot_latent(latent, kinds, title="Media as the network sees them")
    pictures = [save(figure, out / f"{name}.png") for name, figure in drawn.items()]
    return story(truth, data, organism, scores, ranks, table, pictures)


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
