"""What is known of organisms, of their own or through their relatives. Letters: o organisms, n genomes, d features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mediacvae.conditions import Organism

if TYPE_CHECKING:
    from collections.abc import Mapping

Frame = Any  # a pandas DataFrame, whose methods are typed too widely to be checked


@dataclass(frozen=True)
class Vectors:
    """Genome features by one method: the genomes' ids, values (n, d) float32, and the features' names (d)."""

    ids: Sequence[str]
    values: np.ndarray
    names: Sequence[str]


def known_organisms(
    genomes: Frame, taxa: Frame, vectors: Mapping[str, Vectors], everyone: Frame | None = None
) -> tuple[list[Organism], np.ndarray]:
    """What is known of each organism, and whose genome features it has, (o,): own, species, genus, or none.

    genomes, taxa: tables of a database, as `db.Tables`. vectors: genome features by method; those of a species or genus
    are the mean of its members'. Lineage, GC and size that the organism does not have are those of its genus. everyone:
    all genomes that features may be borrowed from, whether anything is known of their growth or not; without it,
    `genomes`.
    """
    genus = taxa.drop_duplicates("genus").set_index("genus")
    lenders = genomes if everyone is None else everyone
    shared = {name: _by_kin(genomes, lenders, found) for name, found in vectors.items()}
    made, borrowed = [], []
    for row in _rows(genomes):
        kin = genus.loc[row.genus] if row.genus in genus.index else None
        features, whose = {}, "none"
        for name, (values, origin) in shared.items():
            if row.genome_id in values:
                features[name], whose = values[row.genome_id], origin[row.genome_id]
        made.append(
            Organism(
                genome_id=str(row.genome_id),
                name=_text(row.organism_name) or _text(row.genus),
                organism_type=_text(row.organism_type),
                lineage=_text(row.lineage) or (None if kin is None else _text(kin["lineage"])),
                gc=_number(row.gc_content, kin, "gc"),
                length=_number(row.sequence_length, kin, "genome_size"),
                vectors=features,
            )
        )
        borrowed.append(whose)
    return made, np.array(borrowed, dtype=object)


def _by_kin(genomes: Frame, lenders: Frame, found: Vectors) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Features for organisms: their own, else the mean of their species, else of their genus."""
    own = dict(zip(found.ids, found.values, strict=True))
    having = lenders[lenders["genome_id"].isin(list(own))]
    values, origin = {}, {}
    for level in ("genus", "species", "genome_id"):  # the nearest has the last word
        means = {
            label: np.mean([own[name] for name in members["genome_id"]], axis=0)
            for label, members in having.groupby(level)
            if label
        }
        for name, label in zip(genomes["genome_id"], genomes[level], strict=True):
            if label in means:
                values[name], origin[name] = means[label], "own" if level == "genome_id" else level
    return values, origin


def _rows(frame: Frame) -> Any:
    """Its rows, whose columns are attributes."""
    return frame.itertuples(index=False)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: Any, kin: Any, column: str) -> float | None:
    if pd.notna(value):
        return float(value)
    return None if kin is None or pd.isna(kin[column]) else float(kin[column])
