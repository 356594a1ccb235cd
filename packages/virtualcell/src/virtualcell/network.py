"""Who regulates whom: TF -> target tables with signs, kept in their direction, for the genes of the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from virtualcell.faults import few, refuse
from virtualcell.genes import key_of
from virtualcell.tables import checked_path, read_npz, read_table

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

NEITHER, TF, TARGET, BOTH = range(4)  # gene types
_MODES = {"activation": 1.0, "activator": 1.0, "repression": -1.0, "repressor": -1.0, "unknown": 0.0}
_TYPES = {"neither": NEITHER, "none": NEITHER, "other": NEITHER, "tf": TF, "target": TARGET, "both": BOTH}


@dataclass(frozen=True)
class Edges:
    """Edges among g genes: source and target (e,) int64 places, sign (e,) +1, -1, or 0 for one that is not known.

    strength: (e,) float32, above 0.
    """

    source: np.ndarray
    target: np.ndarray
    sign: np.ndarray
    strength: np.ndarray
    n_genes: int  # g
    notes: tuple[str, ...] = ()

    def matrix(self) -> tuple[np.ndarray, np.ndarray]:
        """Effect of row on column (g, g) float32, sign times strength, and which edges there are (g, g) bool."""
        effect = np.zeros((self.n_genes, self.n_genes), dtype=np.float32)
        known = np.zeros((self.n_genes, self.n_genes), dtype=bool)
        effect[self.source, self.target] = self.sign * self.strength
        known[self.source, self.target] = True
        return effect, known

    def types(self) -> np.ndarray:
        """The type of each gene (g,) int64: 0 neither, 1 TF, 2 target, 3 both."""
        made = np.zeros(self.n_genes, dtype=np.int64)
        made[self.source] |= TF
        made[self.target] |= TARGET
        return made


@dataclass(frozen=True)
class Network:
    """Edges by name: effect of each (tf, target), its sign times its strength, and whether the sign is known."""

    effects: Mapping[tuple[str, str], tuple[float, float]]  # sign, strength
    name: str = "network"
    notes: tuple[str, ...] = field(default=(), compare=False)

    def edges(self, genes: Sequence[str], *, at_least: float = 0.0) -> Edges:
        """The edges whose two ends are among the genes and whose strength is `at_least` so much; DataError for none."""
        at = {key_of(gene): i for i, gene in enumerate(genes)}
        kept = [
            (at[key_of(tf)], at[key_of(target)], sign, strength)
            for (tf, target), (sign, strength) in self.effects.items()
            if key_of(tf) in at and key_of(target) in at and strength >= at_least
        ]
        if not kept:
            first = few([f"{tf} -> {target}" for tf, target in list(self.effects)[:3]], 3)
            refuse(
                f"{self.name}: none of its {len(self.effects)} edges ({first}) of strength >= {at_least:g} is between "
                f"genes of the data ({few(genes, 3)})"
            )
        columns = [np.array(column) for column in zip(*kept, strict=True)]
        notes = (f"{self.name}: {len(kept)} of {len(self.effects)} edges are between genes of the data",)
        signs, strengths = columns[2].astype(np.float32), columns[3].astype(np.float32)
        return Edges(columns[0], columns[1], signs, strengths, len(genes), notes)


def read_network(path: str | os.PathLike[str], *, confidence: str = "") -> Network:
    """Edges from a table `tf, target` with `mode` (Activation, Repression, Unknown) or `mor` (a number: its sign and
    strength), or an npz with `genes` (g,) and a square `matrix` (g, g), row on column.

    confidence: letters of the column `confidence` to keep, such as "AB"; all without. An edge given several times is
    taken once. One given with both signs has that of at least twice as many papers (`pmid`, ";" between; each row is
    one without), else none; both are said. Raises DataError: as `read_table`, an unknown mode, a number that is not
    finite, no edge left.
    """
    path = checked_path(path)
    if path.suffix == ".npz" and "matrix" in (arrays := read_npz(path)):
        return _of_matrix(path, arrays)
    table = read_table(path, ("tf", "target"), ("mode", "mor", "confidence", "pmid"))
    if confidence and "confidence" not in table.columns:
        refuse(f"{path}: confidence={confidence!r}: the table has no column 'confidence'")
    word = next((name for name in ("mor", "mode") if name in table.columns), None)
    given: dict[tuple[str, str], list[tuple[float, float, int]]] = {}  # sign, strength, papers
    papers = "pmid" if "pmid" in table.columns else "tf"
    for line, (tf, target, how, letter, sources) in table.rows(
        "tf", "target", word or "tf", "confidence" if confidence else "tf", papers
    ):
        if confidence and letter not in confidence:
            continue
        effect = _effect(path, line, word, how) if word else 0.0
        row = float(np.sign(effect)), abs(effect) or 1.0, sources.count(";") + 1
        given.setdefault((tf, target), []).append(row)
    if not given:
        refuse(f"{path}: expected rows of tf and target, there is none left")
    effects = {edge: (_sign(rows), max(row[1] for row in rows)) for edge, rows in given.items()}
    return Network(effects, path.name, _clashes(path.name, given, effects))


def _sign(rows: list[tuple[float, float, int]]) -> float:
    """The sign of an edge by the papers for each."""
    up, down = (sum(papers for sign, _, papers in rows if sign == s) for s in (1.0, -1.0))
    return 0.0 if max(up, down) < 2 * min(up, down) or up == down else float(np.sign(up - down))


def _clashes(
    name: str,
    given: Mapping[tuple[str, str], list[tuple[float, float, int]]],
    effects: Mapping[tuple[str, str], tuple[float, float]],
) -> tuple[str, ...]:
    """What is to be said of edges with both signs."""
    both = [edge for edge, rows in given.items() if {1.0, -1.0} <= {sign for sign, _, _ in rows}]
    if not both:
        return ()
    open_ones = [f"{tf} -> {target}" for tf, target in both if effects[tf, target][0] == 0.0]
    decided = f"{len(both) - len(open_ones)} have the sign of most papers"
    without = f"{len(open_ones)} none: {few(open_ones, 3)}" if open_ones else "0 none"
    return (f"{name}: {len(both)} edges are given with both signs: {decided}, {without}",)


def _effect(path: Path, line: int, word: str, how: str) -> float:
    """Sign times strength of one row."""
    if word == "mode":
        if how.lower() not in _MODES:
            refuse(f"{path}: line {line}: mode: expected Activation, Repression or Unknown, got {how!r}")
        return _MODES[how.lower()]
    try:
        value = float(how)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        refuse(f"{path}: line {line}: mor: expected a finite number, got {how!r}")
    return value


def _of_matrix(path: Path, arrays: dict[str, np.ndarray]) -> Network:
    matrix, genes = arrays["matrix"], arrays.get("genes")
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        refuse(f"{path}: matrix: expected a square (g, g), got {matrix.shape}")
    if matrix.dtype.kind not in "buif":
        refuse(f"{path}: matrix: expected numbers, got {matrix.dtype}")
    if genes is None or genes.dtype.kind != "U" or genes.shape != matrix.shape[:1]:
        refuse(
            f"{path}: genes: expected {matrix.shape[0]} names, got {None if genes is None else genes.shape}"
        )
    if not np.isfinite(matrix).all():
        row, column = np.argwhere(~np.isfinite(matrix))[0]
        refuse(
            f"{path}: matrix: {genes[row]} on {genes[column]}: expected a finite number, got {matrix[row, column]}"
        )
    effects = {
        (str(genes[i]), str(genes[j])): (float(np.sign(matrix[i, j])), float(abs(matrix[i, j])))
        for i, j in np.argwhere(matrix != 0)
    }
    return Network(effects, path.name)


def read_gene_types(path: str | os.PathLike[str]) -> dict[str, int]:
    """The type of each gene of a table `gene, type` (TF, target, both, other), by the gene's key.

    Raises DataError, as `read_table`, and for any other type.
    """
    table = read_table(path, ("gene", "type"))
    found: dict[str, int] = {}
    for line, (gene, word) in table.rows("gene", "type"):
        if word.lower() not in _TYPES:
            refuse(f"{path}: line {line}: type: expected TF, target, both or other, got {word!r}")
        found[key_of(gene)] = found.get(key_of(gene), NEITHER) | _TYPES[word.lower()]
    return found
