"""Where in a genome the reasons lie: windows whose k-mers carry what an ingredient is attributed to."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mediacvae import kmers

if TYPE_CHECKING:
    from mediacvae.explain import Explanation
    from mediacvae.fasta import Genome
    from mediacvae.predictor import MediaModel

SIZE, STEP = 1000, 250  # letters of a window, and from one to the next: a gene and parts of it
COLUMNS = ("ingredient", "block", "contig", "start", "end", "score", "times")


def regions(
    model: MediaModel,
    explanation: Explanation,
    genome: Genome,
    *,
    top: int = 5,
    size: int = SIZE,
    step: int = STEP,
) -> pd.DataFrame:
    """The windows [start, end) of a genome that carry most of an ingredient's attribution to k-mers.

    Columns: ingredient, block, contig, start, end, score (attribution in log1p g/L that lies in the window), times (how
    many times as much as in the genome's windows on average, whatever the sign). What a k-mer is attributed, where the
    genome has more of it than is usual, is shared out over the places where it stands; a k-mer that is missing lies
    nowhere. Windows of a list do not overlap. top: of each ingredient and block. size, step: letters of a window, and
    from one to the next. Raises ValueError where the model reads no k-mers of this organism.
    """
    made = explanation.attribution
    made_of = [(name, *found) for name in model.conditioner.columns if (found := _kmers(name))]
    known = [
        one for one in made_of if np.isfinite(made.condition[0, model.conditioner.columns[one[0]]]).all()
    ]
    if not known:
        msg = "regions: the model reads no k-mers of this organism; train with a condition such as kmer6"
        raise ValueError(msg)
    rows = []
    contigs = genome.sequences
    for name, k, canonical in known:
        own = model.conditioner.columns[name]
        counts = kmers.count(contigs, k, canonical=canonical)
        excess = (made.condition[0, own] > made.baseline[0, own]) & (counts > 0)
        for ingredient in explanation.ingredients["ingredient"]:
            j = int(np.flatnonzero(made.columns == model.ingredients.index(ingredient))[0])
            each = np.where(excess, made.features.amount[own, j] / np.maximum(counts, 1), 0.0)
            weights = each[_place(k)] if canonical else each
            found = kmers.region_scores(contigs, k, weights, size, step)
            usual = max(float(np.mean([abs(region.score) for region in found])), 1e-300)
            for region in _best(found, top):
                place = (genome.names[region.contig], region.start, region.end)
                rows.append((ingredient, name, *place, region.score, abs(region.score) / usual))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _kmers(name: str) -> tuple[int, bool] | None:
    """K and whether both strands are one, of a block by name; None where it is not one of k-mers."""
    found = re.fullmatch(r"kmer(\d+)(c?)", name)
    return (int(found[1]), bool(found[2])) if found else None


def _place(k: int) -> np.ndarray:
    """Where each k-mer stands among those with both strands as one, (4**k,)."""
    first = np.minimum(np.arange(4**k), kmers.reverse_complements(k))
    return np.unique(first, return_inverse=True)[1]


def _best(found: list[kmers.Region], top: int) -> list[kmers.Region]:
    """The windows that carry most, without those that overlap a better one."""
    chosen: list[kmers.Region] = []
    for region in sorted(found, key=lambda one: -abs(one.score)):
        if all(
            region.contig != one.contig or region.end <= one.start or one.end <= region.start
            for one in chosen
        ):
            chosen.append(region)
        if len(chosen) == top:
            break
    return chosen
