"""Where a gene's product is in the cell: a table `gene, compartment`, many to many, as gene sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtualcell.faults import refuse
from virtualcell.pathways import GeneSets
from virtualcell.tables import read_table

if TYPE_CHECKING:
    import os


def read_compartments(path: str | os.PathLike[str]) -> GeneSets:
    """Compartments in the order of their names, each with its genes; rows given twice are taken once.

    Raises DataError, as `read_table`, and for a table without rows.
    """
    table = read_table(path, ("gene", "compartment"))
    sets: dict[str, dict[str, None]] = {}
    for _, (gene, compartment) in table.rows("gene", "compartment"):
        sets.setdefault(compartment, {})[gene] = None
    if not sets:
        refuse(f"{path}: expected rows of gene and compartment, there is none")
    return GeneSets({name: tuple(sets[name]) for name in sorted(sets)}, table.path.name)
