"""How good a model is on pairs and results it has not seen, beside simple methods that saw the same.

Every figure of a method is of one output vector a pair, for the model what `generate -n 1` makes. Letters: n pairs,
m ingredients, b media of the library, r results.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mediacvae import baselines, metrics
from mediacvae.growth import Who
from mediacvae.growth_baselines import Records, run_growth
from mediacvae.metrics import reconstruction_metrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mediacvae.dataset import Dataset
    from mediacvae.predictor import MediaModel

__all__ = [
    "active_units",
    "evaluate",
    "made",
    "odds",
    "reconstruction_metrics",
    "score_odds",
    "score_recipes",
]

MODEL = "mediacvae"
ACTIVE = 0.01  # variance of a latent feature's posterior mean above which it is in use (Burda et al. 2016)
KNOWN = (0, 1, 2, 3)  # results of the strain that are told


@dataclass(frozen=True)
class Made:
    """What methods made of pairs: media (n, m) [g/L] and, of those that rank, scores (n, b), by method.

    rows: (n,) numbers of the pairs. probability: (n, b), of the model's ranks.
    """

    rows: np.ndarray
    media: dict[str, np.ndarray]
    scores: dict[str, np.ndarray]
    probability: np.ndarray


def made(
    model: MediaModel, data: Dataset, rows: np.ndarray, learned: np.ndarray, *, shuffled: int | None = None
) -> Made:
    """What the model and the simple methods make of the pairs `rows` (n,), having seen those of `learned` (l,).

    Both are numbers of pairs of the dataset. shuffled: seed by which the conditions of the test organisms are mixed up,
    for the model alone.
    """
    at, medium = (data.pairs[name].to_numpy() for name in ("organism", "medium"))
    who, back = np.unique(at[rows], return_inverse=True)
    conditions = np.asarray(data.conditions)
    own = conditions[who]
    if shuffled is not None:
        own = own[np.random.default_rng(shuffled).permutation(len(own))]
    media = {MODEL: model.consensus(own)[back]}
    score = model.scores(own)
    scores = {MODEL: score[back]}
    if shuffled is None:
        groups = data.organisms["genus"].fillna("").to_numpy()[at[learned]]
        train, test = conditions[at[learned]], conditions[who]
        library = np.asarray(data.media, dtype=np.float64)
        simple = baselines.run(train, library[medium[learned]], groups, test, data.conditioner)
        media |= {name: x[back] for name, x in simple.items()}
        ranks = baselines.rank_scores(train, medium[learned], test, library, data.conditioner)
        scores |= {name: x[back] for name, x in ranks.items()}
    return Made(rows, media, scores, model.ranker.probability(score)[back])


def score_recipes(parts: Sequence[Made], data: Dataset, model: MediaModel) -> pd.DataFrame:
    """A row a method: errors of the recipe, share of valid ones, hits by the recipe and by the rank.

    parts: of one fold each. model: whose library says what is plausible; every fold's says the same. hit@k: a medium
    that is on record for the organism is within the first k of the library by cosine to the recipe; rank@k: by the
    method's own ranking.
    """
    at, medium = (data.pairs[name].to_numpy() for name in ("organism", "medium"))
    rows = np.concatenate([part.rows for part in parts])
    library = np.asarray(data.media, dtype=np.float64)
    x = library[medium[rows]]
    true = pd.Series(medium).groupby(at).apply(set).to_dict()
    truth = [true[one] for one in at[rows]]
    table = []
    for name in parts[0].media:
        own = np.concatenate([part.media[name] for part in parts])
        row: dict[str, object] = {
            "method": name,
            "mse": metrics.mse_log1p(x, own),
            "pearson": metrics.pearson(x, own),
            "jaccard": metrics.jaccard(x, own),
            "valid": float(model.plausible.valid(own).mean()),
        }
        found = metrics.hits(metrics.cosine_scores(own, library), truth)
        row |= {f"hit@{k}": share for k, share in found.items()}
        if name in parts[0].scores:
            ranked = metrics.hits(np.concatenate([part.scores[name] for part in parts]), truth)
            row |= {f"rank@{k}": share for k, share in ranked.items()}
        table.append(row)
    return pd.DataFrame(table)


def odds(
    model: MediaModel, data: Dataset, rows: np.ndarray, learned: np.ndarray, *, known: int = 0, seed: int = 0
) -> pd.DataFrame:
    """Odds of the results `rows` (r,) by method, after `known` random results of each strain are told.

    rows, learned: numbers of records of the dataset. Columns: organism, medium_id, growth, and a column of
    probabilities a method. Results that are told are no rows. Raises ValueError for a model that knows no odds of
    growth.
    """
    if model.growth is None:
        msg = "the model knows no odds of growth: train it on results of a source that also reports no growth"
        raise ValueError(msg)
    # of what was tried twice, one: a result that is told is no row
    rows = rows[~data.records.iloc[rows].duplicated(["organism", "medium_id"]).to_numpy()]
    own = data.records.iloc[rows]
    organism, grew = own["organism"].to_numpy(), own["growth"].to_numpy(bool)
    ids = own["medium_id"].astype(str).to_numpy()
    rng = np.random.default_rng(seed)
    told = np.zeros(len(own), dtype=bool)
    for one in np.unique(organism) if known else ():
        mine = np.flatnonzero(organism == one)
        told[rng.permutation(mine)[: min(known, len(mine) - 1)]] = True
    number = np.unique(data.records["medium_id"].astype(str), return_inverse=True)[1]
    every = Records(data.records["organism"].to_numpy(), number, data.records["growth"].to_numpy(bool))
    simple = run_growth(
        every.take(learned),
        every.take(rows[~told]),
        np.asarray(data.conditions),
        every.take(rows[told]) if known else None,
        conditioner=data.conditioner,
        groups=data.organisms["genus"].fillna("").to_numpy(),
    )
    made = own.loc[~told, ["organism", "medium_id", "growth"]].reset_index(drop=True)
    probability = np.zeros(len(own))
    for one in np.unique(organism):
        mine = organism == one
        tests = np.flatnonzero(mine & ~told)
        results = [(0, ids[at], bool(grew[at])) for at in np.flatnonzero(mine & told)]
        who = data.organisms.iloc[one]
        asked = Who(
            [str(who["genome_id"])],
            [str(who["genus"] or "")],
            [str(who["species"] or "")],
            np.asarray(data.conditions[one : one + 1], dtype=np.float64),
        )
        recipes = {name: model.recipe(name) for name in {*ids[tests], *(name for _, name, _ in results)}}
        media = [str(name) for name in ids[tests]]
        found = model.growth.odds(asked, np.zeros(len(tests), dtype=np.int64), media, recipes, results)
        probability[tests] = found.probability
    made[MODEL] = probability[~told]
    return made.assign(**simple)


def score_odds(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """A row a method of `odds` (a table a fold): area under the ROC curve, calibration error, log loss [nats].

    Raises ValueError where all results are the same.
    """
    together = pd.concat(parts, ignore_index=True)
    grew = together["growth"].to_numpy(bool)
    table = []
    for name in together.columns.drop(["organism", "medium_id", "growth"]):
        p = together[name].to_numpy(float)
        table.append(
            {
                "method": name,
                "auc": metrics.roc_auc(p, grew),
                "calibration_error": metrics.calibration_error(p, grew),
                "log_loss": metrics.log_loss(p, grew),
            }
        )
    return pd.DataFrame(table)


def active_units(model: MediaModel, data: Dataset, rows: np.ndarray) -> int:
    """Latent features in use: those whose posterior mean varies over the pairs `rows` (n,) by more than `ACTIVE`.

    0 for a model without a network.
    """
    if model.vae is None:
        return 0
    at, medium = (data.pairs[name].to_numpy()[rows] for name in ("organism", "medium"))
    latent = model.vae.encode(np.asarray(data.media)[medium], np.asarray(data.conditions)[at])
    return int((latent.var(axis=0) > ACTIVE).sum())


@dataclass(frozen=True)
class Report:
    """What `evaluate` found, as tables of `score_recipes` and `score_odds`.

    growth: with a column `known`, results that were told; None where nothing was tried. latent: active_units, and the
    recipes' error with each organism's own condition (mse) and with those of others (mse_shuffled).
    """

    recipes: pd.DataFrame
    growth: pd.DataFrame | None
    latent: dict[str, float]


def evaluate(model: MediaModel, data: Dataset, *, split: str = "test", seed: int = 0) -> Report:
    """The model and the simple methods on a split of its dataset. Raises ValueError where the split has no pair.

    seed: of the results that are told, and of whose conditions are mixed up.
    """
    rows, learned = data.rows(split), data.rows("train")
    if not len(rows):
        msg = f"the dataset has no pair in its {split} split; build it with a larger {split}_size"
        raise ValueError(msg)
    own = made(model, data, rows, learned)
    recipes = score_recipes([own], data, model)
    mixed = score_recipes([made(model, data, rows, learned, shuffled=seed)], data, model)
    splits = data.organisms["split"].to_numpy()[data.records["organism"].to_numpy()]
    tried, taught = np.flatnonzero(splits == split), np.flatnonzero(splits == "train")
    growth = None
    if model.growth is not None and len(tried):
        parts = []
        for known in KNOWN:
            table = score_odds([odds(model, data, tried, taught, known=known, seed=seed)])
            parts.append(table.assign(known=known))
        growth = pd.concat(parts, ignore_index=True)
    latent = {
        "active_units": active_units(model, data, rows),
        "mse": float(recipes["mse"].iloc[0]),
        "mse_shuffled": float(mixed["mse"].iloc[0]),
    }
    return Report(recipes, growth, latent)
