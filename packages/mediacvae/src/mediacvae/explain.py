"""Why a model expects what it expects: features of the organism, its relatives, and known media like the recipe.

`explain` attributes each ingredient to the features of the condition, from the mean training organism on, and checks
the strongest by taking them away. Letters: d condition features, q ingredients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mediacvae.ablation import lost_without, spearman
from mediacvae.attribution import STEPS, Attribution, Watched, attribute, baseline_of
from mediacvae.names import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mediacvae.conditions import Organism
    from mediacvae.predictor import MediaModel

OTHERS = 5  # ingredients beside those of the consensus recipe that are explained: the ones that moved most
FEATURES = ("ingredient", "feature", "block", "attribution", "chance", "lost", "value", "usual")


@dataclass(frozen=True)
class Explanation:
    """Reasons for what an organism (genome_id) is expected to need. Amounts are means of log1p g/L if no unit is said.

    ingredients: ingredient, g_per_l and usual_g_per_l (of the mean training organism), chance and usual_chance of being
    there, amount and usual_amount, rest (what the features leave unexplained), lost (when the strongest features are
    taken away together); those that moved most first.
    features: ingredient, feature, block, attribution (of amount), chance (attribution of it), lost (amount, when this
    feature alone is taken away), value and usual value of the feature; `top` rows an ingredient.
    blocks: ingredient, block, attribution, chance, share (of the blocks' absolute attributions; they sum to 1).
    relatives: genome_id, organism, likeness (0 to 1), media (ids) of the nearest training organisms.
    media: medium_id, name, likeness (cosine of log1p g/L) of the known media nearest to the consensus recipe.
    missing: blocks that are not known of the organism. agreement: rank correlation (Spearman) of what the strongest
    features are said to do with what is lost without each, None where there is nothing to compare. attribution: of all
    features, and not the strongest alone.
    """

    genome_id: str
    ingredients: pd.DataFrame
    features: pd.DataFrame
    blocks: pd.DataFrame
    relatives: pd.DataFrame
    media: pd.DataFrame
    missing: tuple[str, ...]
    agreement: float | None
    attribution: Attribution

    def plain(self) -> dict[str, Any]:
        """As JSON types."""
        tables = ("ingredients", "features", "blocks", "relatives", "media")
        return {
            "genome_id": self.genome_id,
            **{name: getattr(self, name).to_dict(orient="records") for name in tables},
            "missing": list(self.missing),
            "agreement": self.agreement,
        }


def explain(
    model: MediaModel,
    organism: Organism,
    *,
    top: int = 5,
    ingredients: Sequence[str] | None = None,
    block: str | None = None,
    steps: int = STEPS,
) -> Explanation:
    """Reasons for what an organism is expected to need.

    top: features of each ingredient, shared out over the blocks by what these did; and relatives, and media.
    ingredients: names; without them, those of the consensus recipe and the others that moved most. block: features of
    this one only. steps: of the path over which gradients are averaged. Raises ValueError for an ingredient that
    the model does not know, a block that is not known, and where nothing is known of the organism that the model reads.
    """
    if top < 1 or steps < 1:
        msg = f"top and steps: expected at least 1, got {top} and {steps}"
        raise ValueError(msg)
    condition = model.condition(organism)
    baseline = baseline_of(model, condition)
    recipe = model.consensus(condition)[0]
    columns = (
        _moved(model, condition, baseline, recipe) if ingredients is None else _asked(model, ingredients)
    )
    made = attribute(model, condition, baseline, columns, steps=steps)
    moved = np.abs(made.at.amount - made.usual.amount) + np.abs(made.at.chance - made.usual.chance)
    order = np.argsort(-moved[0], kind="stable") if ingredients is None else np.arange(len(columns))
    shown = _shown(model, condition, block)
    strongest = [_strongest(made.features.amount[:, j], shown, top) for j in range(len(columns))]
    each, together = lost_without(model, made, strongest)
    features = _features(model, made, strongest, each, order)
    near = model.nearest(recipe, top)
    return Explanation(
        genome_id=organism.genome_id,
        ingredients=_ingredients(model, made, together, order),
        features=features,
        blocks=_blocks(model, made, order),
        relatives=_relatives(model, condition, top),
        media=pd.DataFrame(near, columns=["medium_id", "name", "likeness"]),
        missing=tuple(model.missing(condition)),
        agreement=spearman(features["attribution"].to_numpy(), features["lost"].to_numpy()),
        attribution=made,
    )


def _shown(model: MediaModel, condition: np.ndarray, block: str | None) -> list[np.ndarray]:
    """Numbers of the features of each known block, of all blocks or of one."""
    known = np.isfinite(condition[0])
    columns = {name: np.arange(own.start, own.stop) for name, own in model.conditioner.columns.items()}
    have = {name: own for name, own in columns.items() if known[own].any()}
    if block is None:
        return list(have.values())
    if block not in have:
        msg = f"block: expected one of {', '.join(have)}, got {block!r}"
        raise ValueError(msg)
    return [have[block]]


def _strongest(attribution: np.ndarray, blocks: list[np.ndarray], top: int) -> np.ndarray:
    """Numbers of `top` features, the strongest first: seats for each block by what it did as a whole (D'Hondt).

    What thousands of k-mers do together would else be hidden behind one word that does little.
    """
    strength = np.array([abs(attribution[own].sum()) for own in blocks])
    seats = np.zeros(len(blocks), dtype=np.int64)
    size = np.array([len(own) for own in blocks])
    for _ in range(min(top, int(size.sum()))):
        seats[np.argmax(np.where(seats < size, strength / (seats + 1), -1.0))] += 1
    chosen = np.concatenate(
        [
            own[np.argsort(-np.abs(attribution[own]), kind="stable")[:n]]
            for own, n in zip(blocks, seats, strict=True)
        ]
    )
    return chosen[np.argsort(-np.abs(attribution[chosen]), kind="stable")]


def _asked(model: MediaModel, names: Sequence[str]) -> np.ndarray:
    """Columns of ingredients by name, each once, in their order."""
    at = {name: column for column, name in enumerate(model.ingredients)}
    for name in names:
        if name not in at:
            msg = f"ingredient: {name!r} is not known to the model{nearest(name, model.ingredients)}"
            raise ValueError(msg)
    if not names:
        msg = "ingredients: expected at least one name, got none"
        raise ValueError(msg)
    return np.array([at[name] for name in dict.fromkeys(names)])


def _moved(model: MediaModel, condition: np.ndarray, baseline: np.ndarray, recipe: np.ndarray) -> np.ndarray:
    """Columns of the recipe (m,), and of the others that moved most from the baseline."""
    amount, chance = Watched(model, np.arange(len(model.ingredients)))(np.concatenate([condition, baseline]))
    moved = np.abs(np.diff(amount, axis=0)) + np.abs(np.diff(chance, axis=0))
    others = np.argsort(np.where(recipe > 0, -1.0, moved[0]))[::-1][:OTHERS]
    return np.union1d(np.flatnonzero(recipe > 0), others)


def _ingredients(model: MediaModel, made: Attribution, lost: np.ndarray, order: np.ndarray) -> pd.DataFrame:
    """A row an ingredient."""
    table = pd.DataFrame(
        {
            "ingredient": [model.ingredients[at] for at in made.columns],
            "g_per_l": np.expm1(made.at.amount[0]),
            "usual_g_per_l": np.expm1(made.usual.amount[0]),
            "chance": made.at.chance[0],
            "usual_chance": made.usual.chance[0],
            "amount": made.at.amount[0],
            "usual_amount": made.usual.amount[0],
            "rest": made.rest.amount[0],
            "lost": lost,
        }
    )
    return table.iloc[order].reset_index(drop=True)


def _features(
    model: MediaModel, made: Attribution, strongest: list[np.ndarray], lost: np.ndarray, order: np.ndarray
) -> pd.DataFrame:
    """A row for each of the strongest features of each ingredient."""
    blocks = [block.name for block in model.conditioner.blocks for _ in block.features]
    names = [name for block in model.conditioner.blocks for name in block.features]
    rows = [
        (
            model.ingredients[made.columns[j]],
            names[feature],
            blocks[feature],
            made.features.amount[feature, j],
            made.features.chance[feature, j],
            lost[j, i],
            made.condition[0, feature],
            made.baseline[0, feature],
        )
        for j in order
        for i, feature in enumerate(strongest[j])
    ]
    return pd.DataFrame(rows, columns=list(FEATURES))


def _blocks(model: MediaModel, made: Attribution, order: np.ndarray) -> pd.DataFrame:
    """A row for each known block of each ingredient."""
    columns = model.conditioner.columns
    known = [name for name, own in columns.items() if np.isfinite(made.condition[0, own]).any()]
    sums = np.array([made.features.amount[columns[name]].sum(axis=0) for name in known])
    chances = np.array([made.features.chance[columns[name]].sum(axis=0) for name in known])
    total = np.abs(sums).sum(axis=0)
    share = np.where(total > 0, np.abs(sums) / np.maximum(total, 1e-300), 1 / len(known))
    rows = [
        (model.ingredients[made.columns[j]], name, sums[i, j], chances[i, j], share[i, j])
        for j in order
        for i, name in enumerate(known)
    ]
    return pd.DataFrame(rows, columns=["ingredient", "block", "attribution", "chance", "share"])


def _relatives(model: MediaModel, condition: np.ndarray, top: int) -> pd.DataFrame:
    """The training organisms most like a condition (1, d), each name once, and what they grow on."""
    like = model.base.kernel.cosine(condition, model.conditions)[0]
    names = model.organisms["organism_name"].astype(str).to_numpy()
    order = np.argsort(-like, kind="stable")
    _, first = np.unique(names[order], return_index=True)
    ids, media = model.organisms["genome_id"].to_numpy(), model.library["medium_id"].astype(str).to_numpy()
    rows = []
    for at in order[np.sort(first)[:top]]:
        same = np.flatnonzero(names == names[at])
        grown = np.unique(model.pairs[np.isin(model.pairs[:, 0], same), 1])
        rows.append((str(ids[at]), str(names[at]), float(like[at]), media[grown].tolist()))
    return pd.DataFrame(rows, columns=["genome_id", "organism", "likeness", "media"])
