"""Gene sets (GMT): which gene is in which pathways, many to many, and which pathways go together."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from virtualcell.faults import few, refuse
from virtualcell.genes import key_of
from virtualcell.tables import checked_path, read_lines, read_table

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Membership:
    """Sets of each of g genes.

    ids: (g, k) int64 into `names`, -1 for none, a gene's smallest (most specific) set first.
    """

    ids: np.ndarray
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def matrix(self) -> np.ndarray:
        """Which gene is in which set, (g, p) bool."""
        made = np.zeros((len(self.ids), len(self.names) + 1), dtype=bool)
        made[np.arange(len(self.ids))[:, None], self.ids] = True  # -1 goes to the last column
        return made[:, :-1]


@dataclass(frozen=True)
class GeneSets:
    """Named sets of genes, in the order of their file."""

    sets: dict[str, tuple[str, ...]]
    name: str = "gene sets"  # of the file, for what is said
    notes: tuple[str, ...] = field(default=(), compare=False)

    def membership(self, genes: Sequence[str], *, most_sets: int, most_per_gene: int) -> Membership:
        """The sets of each gene.

        most_sets: the sets with most of these genes are kept, where there are more. most_per_gene: a gene keeps its
        smallest sets. What was dropped is in the notes; DataError where no gene is in any set.
        """
        at = {key_of(gene): i for i, gene in enumerate(genes)}
        inside = {name: [at[key_of(g)] for g in m if key_of(g) in at] for name, m in self.sets.items()}
        kept = [name for name, members in inside.items() if members]
        if not kept:
            first = few(next(iter(self.sets.values()), ()), 3)
            refuse(
                f"{self.name}: none of its genes ({first}) is among the {len(genes)} of the data ({few(genes, 3)})"
            )
        notes = [f"{self.name}: {len(kept)} of {len(self.sets)} sets hold genes of the data"]
        if len(kept) > most_sets:
            kept = sorted(kept, key=lambda name: -len(inside[name]))[:most_sets]
            kept = [name for name in inside if name in set(kept)]
            notes.append(
                f"{self.name}: the {most_sets} sets with most genes are kept, as many as were asked for"
            )
        of_gene: list[list[int]] = [[] for _ in genes]
        for number in sorted(range(len(kept)), key=lambda i: (len(inside[kept[i]]), i)):
            for gene in inside[kept[number]]:
                of_gene[gene].append(number)
        return Membership(*_packed(of_gene, most_per_gene, self.name, notes, tuple(kept)))


def _packed(
    of_gene: list[list[int]], most: int, name: str, notes: list[str], kept: tuple[str, ...]
) -> tuple[np.ndarray, tuple[str, ...], tuple[str, ...]]:
    """Lists of ids as an array, at most so many a gene."""
    longest = max(map(len, of_gene))
    over = sum(len(ids) > most for ids in of_gene)
    if over:
        notes.append(f"{name}: {over} genes are in more than {most} sets: their {most} smallest are kept")
    none = sum(not ids for ids in of_gene)
    notes.append(f"{name}: {none} of {len(of_gene)} genes are in no set")
    ids = np.full((len(of_gene), max(min(longest, most), 1)), -1, dtype=np.int64)
    for row, found in zip(ids, of_gene, strict=True):
        row[: min(len(found), most)] = found[:most]
    return ids, kept, tuple(notes)


def read_gene_sets(path: str | os.PathLike[str]) -> GeneSets:
    """Sets from a GMT file (name, description, genes; .gz or not), or a table `pathway, gene`.

    An empty set is passed over and counted, a gene given twice in a set is taken once and counted, a set given twice
    with the same genes is taken once; with other genes it is a DataError.
    """
    path = checked_path(path)
    if path.suffix in (".npz", ".parquet"):
        return _of_table(path)
    lines = read_lines(path)
    if lines and {"pathway", "gene"} <= set(re.split("[\t,]", lines[0].lstrip("#").lower())):
        return _of_table(path)
    sets: dict[str, tuple[str, ...]] = {}
    at: dict[str, int] = {}
    empty = repeated = twice = 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        name, *rest = (word.strip() for word in line.split("\t"))
        if not name or (not rest and " " in name):
            refuse(
                f"{path}: line {number}: expected name, description and genes with tabs between, got {line[:60]!r}"
            )
        given = [gene for gene in rest[1:] if gene]
        genes = tuple(dict.fromkeys(given))
        twice += len(given) - len(genes)
        if not genes:
            empty += 1
        elif name not in sets:
            sets[name], at[name] = genes, number
        elif set(sets[name]) == set(genes):
            repeated += 1
        else:
            refuse(
                f"{path}: set {name!r} is in lines {at[name]} and {number} with different "
                "genes: expected a set a line (GMT: name, description, genes)"
            )
    if not sets:
        refuse(f"{path}: expected gene sets, there is none with a gene in it")
    said = {"sets without genes are passed over": empty, "sets are given twice": repeated}
    said["genes are given twice in their set"] = twice
    notes = [f"{path.name}: {count} {what}" for what, count in said.items() if count]
    return GeneSets(sets, path.name, tuple(notes))


def _of_table(path: Path) -> GeneSets:
    sets: dict[str, dict[str, None]] = {}
    for _, (pathway, gene) in read_table(path, ("pathway", "gene")).rows("pathway", "gene"):
        sets.setdefault(pathway, {})[gene] = None
    if not sets:
        refuse(f"{path}: expected rows of pathway and gene, there is none")
    return GeneSets({name: tuple(genes) for name, genes in sets.items()}, path.name)


def groups_of(membership: Membership, most: int) -> np.ndarray:
    """One group a gene (g,) int64, -1 for none: pathways that share genes are one group, at most `most` of them.

    Average linkage over 1 - Jaccard; a gene goes to the group that most of its pathways are in, the first of equals.
    """
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import pdist

    inside = membership.matrix()
    p = inside.shape[1]
    labels = np.zeros(p, dtype=np.int64)
    if p > 1:
        tree = linkage(pdist(inside.T, "jaccard"), "average")
        labels = np.asarray(fcluster(tree, most, "maxclust"), dtype=np.int64) - 1
    votes = inside.astype(np.int64) @ np.eye(int(labels.max()) + 1, dtype=np.int64)[labels]
    return np.where(inside.any(axis=1), votes.argmax(axis=1), -1)
