"""From the tables of a database to a dataset: pairs of organisms and media, split by relationship.

Near clones never stand on both sides of a split; what was observed not to grow is never a pair; what cannot be used is
left out, counted and said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pandas as pd

from mediacvae.conditions import LINEAGE, STATS, Conditioner
from mediacvae.dataset import Dataset, DatasetError
from mediacvae.folds import joined, near_clones
from mediacvae.kin import known_organisms
from mediacvae.names import organism_type

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mediacvae.conditions import Organism
    from mediacvae.kin import Vectors

Frame = Any  # a pandas DataFrame, whose methods are typed too widely to be checked
Group = Literal["species", "genus"]
Guessed = Literal["in", "out"]
OWN = "own"  # the source of media that a user brought
ALL = "all"  # of sources of media


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """What a dataset is built of, and how it is split."""

    condition: tuple[str, ...] = (LINEAGE, STATS)  # blocks: lineage, names, stats, genome methods
    organism: str | None = None  # only this type
    group: Group = "genus"  # what is never on both sides of a split
    guessed: Guessed = "in"  # amounts whose stock strength the source guessed
    sources: tuple[str, ...] = ()  # of media; none: that which most growth is known of, and the user's own
    ingredients: int = 256  # the commonest, that are kept
    test_size: float = 0.15  # share of the pairs, of whole groups
    val_size: float = 0.15  # likewise
    seed: int = 0  # of the order in which groups fill the splits

    def __post_init__(self) -> None:
        """Refuse values outside their range; `archea` is understood."""
        for name, allowed in (("group", get_args(Group)), ("guessed", get_args(Guessed))):
            if getattr(self, name) not in allowed:
                msg = f"{name}: expected one of {', '.join(allowed)}, got {getattr(self, name)!r}"
                raise ValueError(msg)
        if not self.condition or self.ingredients < 1:
            msg = "condition: expected at least one block, and ingredients at least 1"
            raise ValueError(msg)
        if not (self.test_size >= 0 <= self.val_size and self.test_size + self.val_size < 1):
            msg = f"test_size and val_size: expected shares below 1 together, got {self.test_size} and {self.val_size}"
            raise ValueError(msg)
        if self.organism is not None:
            object.__setattr__(self, "organism", organism_type(self.organism))


def build(tables: Any, options: BuildOptions, vectors: Mapping[str, Vectors] | None = None) -> Dataset:
    """The dataset of `mediacvae.db.Tables`; vectors: genome features by method.

    Raises DatasetError for a source that there is not, and where nothing is left to learn from; ValueError for a block
    of the condition that is unknown, said twice, or that no two organisms share anything in.
    """
    notes: list[str] = []
    media = _sources(tables, options, notes)
    ingredients, library, amounts = _library(media, tables.amounts, options, notes)
    pairs, genomes = _pairs(tables, library, options, notes)
    if pairs.empty:
        kind = options.organism or "organism"
        msg = f"no {kind} that is known to grow on a usable medium: nothing to learn from"
        raise DatasetError(msg)
    known, borrowed = known_organisms(genomes, tables.taxa, vectors or {}, tables.genomes)
    named = {name: found.names for name, found in (vectors or {}).items()}
    conditioner = Conditioner.of(known, options.condition, named)
    conditions = conditioner(known)
    pairs = _of_known(pairs, genomes, conditions, notes)
    at = {name: row for row, name in enumerate(genomes["genome_id"])}
    numbered = _numbered(pairs, at, library)
    organisms = genomes[["genome_id", "organism_name", "organism_type", "genus", "species"]].copy()
    organisms["genome"] = borrowed
    labels = _groups(genomes, known, borrowed, options, notes)
    organisms["split"] = split(organisms.assign(**{options.group: labels}), numbered, options)
    records, recipes = _records(tables, at, notes)
    tried = set(records["medium_id"]) - set(library["medium_id"])
    return Dataset(
        ingredients=ingredients,
        conditioner=conditioner,
        organisms=organisms,
        conditions=conditions,
        library=library,
        media=amounts,
        pairs=numbered,
        records=records,
        recipes=recipes,
        about=_about(options) | {"tried": _titles(tables.media, tried)},
        notes=tuple(notes),
    )


def _sources(tables: Any, options: BuildOptions, notes: list[str]) -> Frame:
    """The media of the sources that are used: sources spell and weigh the same ingredient differently."""
    have = tables.media["source"].value_counts()
    if ALL in options.sources:
        return tables.media
    chosen = list(options.sources)
    for name in chosen:
        if name not in have.index:
            msg = f"sources: expected some of {', '.join([*have.index, ALL])}, got {name!r}"
            raise DatasetError(msg)
    if not chosen:
        grown = tables.growth.loc[tables.growth["growth"], ["medium_id"]].merge(tables.media, on="medium_id")
        if grown.empty:
            msg = "no medium on which anything is known to grow: add growth (`mediacvae db add-growth`)"
            raise DatasetError(msg)
        chosen = [str(grown["source"].value_counts().index[0])]
        chosen += [OWN] * (OWN in have.index and OWN not in chosen)
        left = ", ".join(
            f"{name or 'not named'} {count:,}" for name, count in have.items() if name not in chosen
        )
        if left:
            notes.append(
                f"media of {', '.join(chosen)}; not of other sources ({left}): --source takes them in"
            )
    return tables.media[tables.media["source"].isin(chosen)]


def _library(
    media: Frame, amounts: Frame, options: BuildOptions, notes: list[str]
) -> tuple[tuple[str, ...], Frame, np.ndarray]:
    """The commonest ingredients, the media that have any of them, and how much of each, (b, m) [g/L]."""
    used = amounts[amounts["medium_id"].isin(media["medium_id"])]
    if options.guessed == "out":
        notes.append(f"{used['guessed'].sum():,} rows whose stock strength is guessed are left out")
        used = used[~used["guessed"]]
    elif used["guessed"].any():
        notes.append(f"{used['guessed'].sum():,} of {len(used):,} amounts rest on a guessed stock strength")
    unknown = used["g_per_l"].isna()
    if unknown.any():
        notes.append(f"{unknown.sum():,} rows without an amount in g/L are left out")
    used = used[~unknown & (used["g_per_l"] > 0)]
    count = used.groupby("ingredient")["medium_id"].nunique().reset_index(name="n")
    top = count.sort_values(["n", "ingredient"], ascending=[False, True])["ingredient"].head(
        options.ingredients
    )
    ingredients = tuple(map(str, top))
    used = used[used["ingredient"].isin(ingredients)]
    library = (
        media[media["medium_id"].isin(used["medium_id"])].sort_values("medium_id").reset_index(drop=True)
    )
    if library.empty:
        msg = "no medium has an ingredient with an amount in g/L"
        raise DatasetError(msg)
    made = np.zeros((len(library), len(ingredients)), dtype=np.float32)
    row = {name: at for at, name in enumerate(library["medium_id"])}
    column = {name: at for at, name in enumerate(ingredients)}
    at = (used["medium_id"].map(row).to_numpy(), used["ingredient"].map(column).to_numpy())
    np.add.at(made, at, used["g_per_l"].to_numpy(np.float32))
    if missing := len(media) - len(library):
        notes.append(
            f"{missing:,} media without an amount of the {len(ingredients)} commonest ingredients left out"
        )
    return ingredients, library, made


def _pairs(tables: Any, library: Frame, options: BuildOptions, notes: list[str]) -> tuple[Frame, Frame]:
    """What grows on what, each pair once, and the organisms of which anything was observed."""
    growth = tables.growth.merge(tables.genomes[["genome_id", "organism_type"]], on="genome_id")
    if options.organism is not None:
        growth = growth[growth["organism_type"] == options.organism]
    yes = growth[growth["growth"]]
    no = growth.loc[~growth["growth"], ["genome_id", "medium_id"]].drop_duplicates()
    pairs = yes[yes["medium_id"].isin(library["medium_id"])].drop_duplicates(["genome_id", "medium_id"])
    both = pairs.merge(no, on=["genome_id", "medium_id"])
    if len(both):
        notes.append(f"{len(both)} pairs that grew by one source and not by another are left out")
        told = set(zip(both["genome_id"], both["medium_id"], strict=True))
        pairs = pairs[[key not in told for key in zip(pairs["genome_id"], pairs["medium_id"], strict=True)]]
    pairs = pairs.sort_values(["genome_id", "medium_id"])
    genomes = tables.genomes[tables.genomes["genome_id"].isin(growth["genome_id"])]
    return pairs, genomes.sort_values("genome_id").reset_index(drop=True)


def _of_known(pairs: Frame, genomes: Frame, conditions: np.ndarray, notes: list[str]) -> Frame:
    """The pairs of organisms of whom any condition is known; DatasetError where there is none."""
    blind = set(genomes["genome_id"][~np.isfinite(conditions).any(axis=1)]) & set(pairs["genome_id"])
    if blind:
        notes.append(
            f"{len(blind)} organisms of which no condition is known: their media are not learned from"
        )
        pairs = pairs[~pairs["genome_id"].isin(blind)]
    if pairs.empty:
        msg = "no organism with a known condition grows on a usable medium: nothing to learn from"
        raise DatasetError(msg)
    return pairs


def _numbered(pairs: Frame, at: Mapping[str, int], library: Frame) -> Frame:
    """Pairs with organisms and media by their row number instead of their id."""
    where = {name: row for row, name in enumerate(library["medium_id"])}
    return pd.DataFrame(
        {
            "organism": pairs["genome_id"].map(dict(at)).to_numpy(np.int64),
            "medium": pairs["medium_id"].map(where).to_numpy(np.int64),
            "source": pairs["source"].to_numpy(object),
            "rank": pairs["rank"].to_numpy(object),
        }
    )


def _about(options: BuildOptions) -> dict[str, Any]:
    """What a dataset says of how it was built."""
    names = ("group", "guessed", "organism", "seed", "test_size", "val_size")
    return {"condition": list(options.condition)} | {name: getattr(options, name) for name in names}


def _records(tables: Any, at: Mapping[str, int], notes: list[str]) -> tuple[Frame, Frame]:
    """What was tried, by those who also said what did not grow; and what the media of it hold.

    A source that tells of growth only has looked for nothing else: of odds it says nothing.
    """
    growth = tables.growth[tables.growth["genome_id"].isin(at)]
    honest = growth.loc[~growth["growth"], "source"].unique()
    tried = growth[growth["source"].isin(honest)].drop_duplicates(["genome_id", "medium_id", "source"])
    if len(tried):
        notes.append(f"odds of growth from {len(tried):,} results of {', '.join(map(str, honest))}")
    records = pd.DataFrame(
        {
            "organism": tried["genome_id"].map(dict(at)).to_numpy(np.int64),
            "medium_id": tried["medium_id"].to_numpy(object),
            "growth": tried["growth"].to_numpy(bool),
            "source": tried["source"].to_numpy(object),
        }
    )
    held = tables.amounts[tables.amounts["medium_id"].isin(tried["medium_id"])]
    return records, held[["medium_id", "ingredient"]].reset_index(drop=True)


def _titles(media: Frame, ids: set[str]) -> dict[str, str]:
    """Names by id of media that were tried and are not in the library."""
    own = media[media["medium_id"].isin(ids)].sort_values("medium_id")
    return dict(zip(own["medium_id"].astype(str), own["name"].astype(str), strict=True))


def split(organisms: Frame, pairs: Frame, options: BuildOptions) -> np.ndarray:
    """train, val or test for each organism, (o,): groups in random order fill test, then val, then train.

    Where that leaves nothing to train on, the group with most pairs is trained on.
    """
    names = organisms[options.group].fillna("").astype(str).to_numpy()
    names = np.where(names == "", organisms["genome_id"].astype(str), names)
    weight = np.bincount(pairs["organism"], minlength=len(organisms))
    groups = np.array(sorted(set(names)))
    order = groups[np.random.default_rng(options.seed).permutation(len(groups))]
    count = pd.Series(weight).groupby(names).sum()
    ends = {"test": options.test_size, "val": options.test_size + options.val_size}
    made, used = {}, 0.0
    for group in order:
        share = used / max(weight.sum(), 1) + 1e-9  # so that 0.1 + 0.2 ends where 0.3 does
        made[group] = next((name for name, end in ends.items() if share < end), "train")
        used += count[group]
    if not any(made[group] == "train" and count[group] for group in made):
        made[count.idxmax()] = "train"
    return np.array([made[name] for name in names], dtype=object)


def _groups(
    genomes: Frame, known: Sequence[Organism], borrowed: np.ndarray, options: BuildOptions, notes: list[str]
) -> np.ndarray:
    """Labels (o,) of what stays on one side: groups by name, joined where they share a genome or near clones."""
    pairs: list[tuple[int, int]] = []
    own = genomes[genomes["has_sequence"] & genomes["gc_content"].notna()].reset_index()
    for _, same in own.groupby(["gc_content", "sequence_length"])["index"]:
        pairs += [(int(row), int(same.iloc[0])) for row in same.iloc[1:]]
    genus = genomes["genus"].to_numpy()
    lent = borrowed == "genus"  # what all of a genus borrow makes nobody a clone within it
    for method in sorted({name for one in known for name in one.vectors}):
        rows = [row for row, one in enumerate(known) if method in one.vectors]
        values = np.array([known[row].vectors[method] for row in rows], dtype=np.float32)
        near = [(rows[a], rows[b]) for a, b in near_clones(values, method)]
        pairs += [(a, b) for a, b in near if genus[a] != genus[b] or not (lent[a] or lent[b])]
    names = genomes[options.group].fillna("").astype(str).tolist()
    labels = joined(names, genomes["genome_id"].astype(str).tolist(), pairs)
    told = {tuple(sorted({names[a], names[b]} - {""})) for a, b in pairs if names[a] != names[b]}
    if across := sorted(" and ".join(one) for one in told if len(one) > 1):
        notes.append(f"near clones keep on one side of the split: {'; '.join(across)}")
    return labels
