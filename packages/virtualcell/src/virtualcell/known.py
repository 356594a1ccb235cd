"""What is known of perturbed genes and drugs, and how alike it makes them: regulation, pathways, vectors of one's own.

Letters: a names, f features of a table. A table is a block of rows of length 1, or 0 where it knows nothing of a name.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from virtualcell.faults import few, refuse
from virtualcell.genes import key_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from virtualcell.network import Network
    from virtualcell.pathways import GeneSets


@dataclass(frozen=True, eq=False)
class Known:
    """names: of genes and drugs, as `genes.key_of` writes them. blocks: (a, f) csr float32, one a table.

    tables: what each block is called: regulates, regulated_by, pathways, vectors; with a number where there are more.
    """

    names: tuple[str, ...] = ()
    blocks: tuple[sparse.csr_matrix, ...] = ()
    tables: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()  # of the files

    def alike(self, first: Sequence[str], second: Sequence[str]) -> np.ndarray:
        """Mean cosine over the tables of each pair of names, (first, second) in 0..1; 0 for what no table knows."""
        total = np.zeros((len(first), len(second)))
        if not self.blocks:
            return total
        for block in range(len(self.blocks)):
            total += self.alike_by(block, first, second)
        return np.minimum(total / len(self.blocks), 1.0)

    def alike_by(self, block: int, first: Sequence[str], second: Sequence[str]) -> np.ndarray:
        """Cosine of each pair of names in one table, (first, second) of 0 and more."""
        one, two = self._rows(block, first), self._rows(block, second)
        return np.maximum((one @ two.T).toarray(), 0.0)

    def knows(self, name: str) -> bool:
        """Whether any table tells something of a name."""
        return any(self._rows(block, [name]).nnz > 0 for block in range(len(self.blocks)))

    @cached_property
    def _at(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.names)}

    @cached_property
    def _padded(self) -> tuple[sparse.csr_matrix, ...]:
        """The blocks with an empty row at the end, for names that no table knows."""
        return tuple(
            sparse.csr_matrix(sparse.vstack([block, sparse.csr_matrix((1, block.shape[1]))], format="csr"))
            for block in self.blocks
        )

    def _rows(self, block: int, names: Sequence[str]) -> sparse.csr_matrix:
        places = [self._at.get(key_of(name), len(self.names)) for name in names]
        return sparse.csr_matrix(self._padded[block][places])


def known_of(
    networks: Sequence[Network] = (),
    gene_sets: Sequence[GeneSets] = (),
    vectors: Mapping[str, np.ndarray] | None = None,
) -> Known:
    """Gather tables: a network gives two blocks (what a gene regulates, what regulates it), gene sets and vectors one.

    A rare set tells more: it weighs by ln((1 + genes of all sets) / genes in it), as rare words do (inverse document
    frequency: Sparck Jones 1972). vectors: (d,) by name. DataError for vectors of several lengths, or not finite.
    """
    tables: dict[str, dict[str, dict[str, float]]] = {}
    for i, network in enumerate(networks):
        down: dict[str, dict[str, float]] = {}
        up: dict[str, dict[str, float]] = {}
        for tf, target in network.effects:
            down.setdefault(key_of(tf), {})[key_of(target)] = 1.0
            up.setdefault(key_of(target), {})[key_of(tf)] = 1.0
        tables |= {_numbered("regulates", i): down, _numbered("regulated_by", i): up}
    for i, sets in enumerate(gene_sets):
        all_genes = {key_of(gene) for members in sets.sets.values() for gene in members}
        inside: dict[str, dict[str, float]] = {}
        for name, members in sets.sets.items():
            weight = float(np.log((1 + len(all_genes)) / len(members)))
            for gene in members:
                inside.setdefault(key_of(gene), {})[name] = weight
        tables[_numbered("pathways", i)] = inside
    if vectors:
        lengths = {np.shape(vector) for vector in vectors.values()}
        if len(lengths) > 1 or len(next(iter(lengths))) != 1:
            refuse(f"vectors: expected one length for all, got {sorted(lengths)}")
        bad = [name for name, vector in vectors.items() if not np.isfinite(vector).all()]
        if bad:
            refuse(f"vectors: {bad[0]}: expected finite numbers")
        tables["vectors"] = {
            key_of(n): {str(i): float(x) for i, x in enumerate(v)} for n, v in vectors.items()
        }
    names = tuple(sorted({name for table in tables.values() for name in table}))
    notes = tuple(note for file in (*networks, *gene_sets) for note in file.notes)
    return Known(names, tuple(_block(table, names) for table in tables.values()), tuple(tables), notes)


def refuse_foreign(
    names: Sequence[str],
    networks: Sequence[Network] = (),
    gene_sets: Sequence[GeneSets] = (),
    vectors: Mapping[str, np.ndarray] | None = None,
) -> None:
    """DataError for a table that tells nothing of any of these names, genes and perturbations of the data.

    vectors: (d,) by name.
    """
    told = [(one.name, [gene for edge in one.effects for gene in edge]) for one in networks]
    told += [(one.name, [gene for members in one.sets.values() for gene in members]) for one in gene_sets]
    told += [("vectors", list(vectors))] if vectors else []
    own = {key_of(name) for name in names}
    for table, there in told:
        if own.isdisjoint(map(key_of, there)):
            found = f"({few(dict.fromkeys(there), 3)})"
            refuse(
                f"{table}: none of its names {found} is a gene or a perturbation of the data ({few(names, 3)})"
            )


def _numbered(name: str, i: int) -> str:
    return f"{name}_{i + 1}" if i else name


def _block(table: dict[str, dict[str, float]], names: tuple[str, ...]) -> sparse.csr_matrix:
    """A table as rows of length 1 in the order of the names."""
    columns = {feature: i for i, feature in enumerate(sorted({f for row in table.values() for f in row}))}
    row_of = {name: i for i, name in enumerate(names)}
    rows = [row_of[name] for name, row in table.items() for _ in row]
    places = [columns[feature] for row in table.values() for feature in row]
    values = [
        value / max(float(np.linalg.norm(list(row.values()))), 1e-12)
        for row in table.values()
        for value in row.values()
    ]
    shape = (len(names), len(columns))
    return sparse.csr_matrix((np.array(values, dtype=np.float32), (rows, places)), shape=shape)
