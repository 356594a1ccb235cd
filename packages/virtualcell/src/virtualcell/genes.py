"""Genes of one table found in another: by symbol or Ensembl id, whatever case or version they are written with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from virtualcell.faults import few, refuse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ENSEMBL = re.compile(r"ENS[A-Z]*G\d{6,}(\.\d+)?", re.IGNORECASE)


@dataclass(frozen=True)
class Match:
    """Where each wanted gene is: index (w,) int64 into the given names, -1 for none; and notes, to be said of it."""

    index: np.ndarray
    notes: tuple[str, ...]

    @property
    def found(self) -> np.ndarray:
        """Which wanted genes are there, (w,) bool."""
        return self.index >= 0


def is_ensembl(names: Sequence[str]) -> bool:
    """Whether most of the first thousand names are Ensembl gene ids."""
    seen = list(names[:1000])
    return bool(seen) and sum(bool(ENSEMBL.fullmatch(name)) for name in seen) > len(seen) / 2


def key_of(name: str) -> str:
    """The name by which genes are compared: no version of an Ensembl id, capitals."""
    name = name.strip()
    if ENSEMBL.fullmatch(name):
        name = name.partition(".")[0]
    return name.upper()


def match_genes(
    wanted: Sequence[str],
    given: Sequence[str],
    others: Mapping[str, Sequence[str]] | None = None,
    *,
    what: str,
) -> Match:
    """Each wanted gene among the given: its own name first, then without version and case.

    others: further names of the given genes (columns of `var`); the column with most matches is taken where the
    names themselves match fewer. what: who wants them, for the notes. Two given genes that differ only in version or
    case match only a gene written exactly like one of them. No match at all is a DataError.
    """
    best = _match(wanted, given)
    column = ""
    for name, names in (others or {}).items():
        found = _match(wanted, names)
        if (found >= 0).sum() > (best >= 0).sum():
            best, column = found, name
    hits = int((best >= 0).sum())
    if len(wanted) and not hits:
        kinds = ["Ensembl ids" if is_ensembl(list(names)) else "symbols" for names in (wanted, given)]
        examples = f"{few(wanted, 3)} ({kinds[0]}) against {few(given, 3)} ({kinds[1]})"
        refuse(f"{what}: none of {len(wanted)} genes is among the {len(given)} of the data: {examples}")
    notes = [f"{what}: {hits} of {len(wanted)} genes found" + (f" by var[{column!r}]" if column else "")]
    missing = [gene for gene, at in zip(wanted, best, strict=True) if at < 0]
    if missing:
        notes.append(f"{what}: {len(missing)} genes are missing: {few(missing)}")
    return Match(best, tuple(notes))


def _match(wanted: Sequence[str], given: Sequence[str]) -> np.ndarray:
    exact = {name: i for i, name in enumerate(given)}
    loose: dict[str, int] = {}
    for i, name in enumerate(given):
        key = key_of(name)
        loose[key] = i if loose.get(key, i) == i else -1  # two genes of one key: neither
    return np.array([exact.get(gene, loose.get(key_of(gene), -1)) for gene in wanted], dtype=np.int64)


def check_unique(names: Sequence[str], where: str) -> None:
    """Refuse a gene name that is given twice."""
    seen: dict[str, int] = {}
    for i, name in enumerate(names):
        if name in seen:
            at = f"columns {seen[name] + 1} and {i + 1}"
            refuse(f"{where}: gene {name!r} is in {at}: expected each once, or duplicates='sum'")
        seen[name] = i
