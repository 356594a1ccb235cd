"""What the demo tells of its new genome: question, answer, numbers and pictures, and the way with one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cytosol.story import Picture, Story, Table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd

    from mediacvae.conditions import Organism
    from mediacvae.dataset import Dataset
    from mediacvae.simulation import Truth

LARGEST = 12  # amounts of a recipe that are told
QUESTION = (
    "I have the genome of a new microbe. Which media should I try first, and what might a new one look like?"
)
FORM = (
    "genomes as FASTA, media and growth as tables (your own CSV, or MediaDive's JSON). The database and the "
    "model are made once; then any genome can be asked about, and `generate --card` writes recipes to print."
)
COMMANDS = (
    "mediacvae db init",
    "mediacvae db import media.csv",
    "mediacvae db add-genomes genomes --table genomes.tsv",
    "mediacvae embed --method kmer6",
    "mediacvae build --condition kmer6,lineage,stats --out dataset",
    "mediacvae train --dataset dataset --out model",
    "mediacvae rank model --genome mine.fna.gz --out ranks.csv",
    "mediacvae generate model --genome mine.fna.gz -n 5 --out recipes.csv --card card.html",
)


def story(
    truth: Truth,
    data: Dataset,
    organism: Organism,
    scores: pd.DataFrame,
    ranks: pd.DataFrame,
    recipes: pd.DataFrame,
    pictures: Sequence[Path],
) -> Story:
    """What was done and how well.

    scores, ranks, recipes: as `evaluation.score_recipes`, `MediaModel.rank` and `recipes.to_table` give them. pictures:
    by the names of `_pictures`, as they are to be shown.
    """
    return Story(
        question=QUESTION,
        setting=f"A simulated world of {len(truth.organisms)} genomes, {len(data.media)} media and "
        f"{len(data.pairs)} pairs known to go together; {len(data.rows('test'))} of these are of genera that "
        "training never saw. "
        f"{organism.name} is one of those genera's: its genome is all that the model is told.",
        answer=_answer(truth, organism, ranks, scores),
        tables=(_scores(scores), _ranks(ranks, truth, organism), _recipe(recipes)),
        pictures=_pictures(pictures),
        own=FORM,
        commands=COMMANDS,
    )


def _answer(truth: Truth, organism: Organism, ranks: pd.DataFrame, scores: pd.DataFrame) -> str:
    """Where the first medium stands that the new genome grows on, and how often that goes well."""
    good = truth.grows_on[organism.genome_id]
    first = next((row.rank for row in ranks.itertuples() if row.medium_id in good), None)
    one = (
        f"the medium ranked {first} is one it grows on"
        if first
        else f"none of the {len(ranks)} first media is one it grows on"
    )
    own, others = scores.iloc[0]["rank@10"], scores.iloc[1:].set_index("method")["rank@10"]
    return (
        f"For {organism.name} {one}. Of all organisms of genera that training never saw, {own:.0%} have a medium "
        f"of theirs among the first ten; by the best simple method that ranks ({others.idxmax()}), "
        f"{others.max():.0%}."
    )


def _scores(scores: pd.DataFrame) -> Table:
    """Recipes and ranks of every method."""
    rows = [
        (
            str(row["method"]),
            f"{row['mse']:.3f}",
            f"{row['jaccard']:.2f}",
            "-" if np.isnan(row["rank@10"]) else f"{row['rank@10']:.2f}",
        )
        for _, row in scores.iterrows()
    ]
    return Table(
        caption="Genera that training never saw",
        header=("method", "error", "Jaccard", "rank@10"),
        rows=tuple(rows),
        note="error: mean squared, of log1p g/L (less is better). Jaccard: ingredients in both recipes, "
        "made and true, over those in either. rank@10: share of organisms with a medium of theirs within the "
        "first ten ranks. mean: the average recipe; popular: what most organisms get; nearest neighbour: what the "
        "most similar genome gets; ridge: a linear regression on the genome. '-': does not rank media.",
    )


def _ranks(ranks: pd.DataFrame, truth: Truth, organism: Organism) -> Table:
    """The media to try first, and whether the simulated organism would grow."""
    good = truth.grows_on[organism.genome_id]
    return Table(
        caption=f"Media to try first with {organism.name}",
        header=("medium", "rank", "chance", "grows"),
        rows=tuple(
            (str(row.name), str(row.rank), f"{row.probability:.0%}", "yes" if row.medium_id in good else "no")
            for row in ranks.itertuples(index=False)
        ),
        note="chance: that the medium is on record for the organism. grows: the truth, known because "
        "the world is simulated; the model is not told.",
    )


def _recipe(table: pd.DataFrame) -> Table:
    """The first recipe, the one that its relatives agree on: the largest amounts."""
    own = table[table["recipe"] == 1]
    return Table(
        caption=f"The first new recipe: the largest of its {len(own)} amounts",
        header=("ingredient", "g/L"),
        rows=tuple(
            (str(row.ingredient), _amount(row.g_per_l)) for row in own.head(LARGEST).itertuples(index=False)
        ),
        note="The average of what relatives get: an ingredient that only some of them get has an amount in between. "
        f"All of it, the other {table['recipe'].max() - 1} (recipes.csv) and cards to print (card.html) lie beside "
        "the pictures.",
    )


def _amount(grams: float) -> str:
    """An amount [g/L] to read: hundredths, or where these are too coarse one digit."""
    return f"{grams:.2f}" if grams >= 0.01 else f"{grams:.1g}"


def _pictures(paths: Sequence[Path]) -> tuple[Picture, ...]:
    """What each picture shows."""
    shown = {
        "scores": (
            "The table's scores of every method on genera that training never saw.",
            "Bars of error, Jaccard index and rank for every method.",
        ),
        "ranks": (
            "The known media to try first, by their probability of being on record.",
            "A horizontal bar for each of ten media, the most probable on top.",
        ),
        "recipes": (
            "What is in each new recipe, and how much: the first is the average of what relatives get, the others "
            "are likely ones that differ.",
            "A grid of recipes by ingredients, coloured by amount in grams a litre.",
        ),
        "latent": (
            "The training set as the network sees it, a dot for each medium with an organism that grows on it: "
            "near ones are alike.",
            "A cloud of dots, a dot a pair of medium and organism, coloured by the type of the organism.",
        ),
    }
    words = [(path, *shown[path.stem]) for path in paths]
    return tuple(Picture(path=path, caption=caption, alt=alt) for path, caption, alt in words)
