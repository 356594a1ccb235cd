"""What a whole section knows of each cell's surroundings in expression: near linear, for sections of any size.

A set of a few hundred cells holds few of a cell's true nearest ones in expression; the section holds all. Means over
them are less noisy than the cell itself.
"""

from __future__ import annotations

import torch
from torch import Tensor

from stedm.geometry import knn
from stedm.patches import Cells, cut

WHOLE = 4096  # cells up to which neighbours are exact
PIECE = 1024  # cells of a piece beyond
ROUNDS = 4  # times a large section is cut up anew; a cell keeps the nearest it met


@torch.no_grad()
def nearest_cells(key: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """The k nearest other cells of each in `key: (n, q)`, nearest first: (n, k), rows; fewer than k others: repeated.

    Exact up to 4,096 cells; beyond, the best of several random cuts into pieces, with no distance matrix of the whole.
    Raises ValueError where there is no other cell.
    """
    n = len(key)
    if n < 2 or k < 1:
        msg = f"expected at least two cells and k of at least 1, got {n} and {k}"
        raise ValueError(msg)
    if n <= WHOLE:
        index = _inside(key, torch.arange(n), min(k, n - 1))[0]
        return index[:, torch.arange(k) % index.shape[1]]
    index = torch.zeros(n, 0, dtype=torch.long)
    distance = torch.zeros(n, 0)
    for _ in range(ROUNDS):
        new_index, new_distance = torch.zeros(n, k, dtype=torch.long), torch.full((n, k), torch.inf)
        for rows in cut(key, PIECE, generator):
            new_index[rows], new_distance[rows] = _inside(key, rows, k)
        again = (new_index[:, :, None] == index[:, None, :]).any(-1)
        distance = torch.cat([distance, new_distance.masked_fill(again, torch.inf)], 1)
        index = torch.cat([index, new_index], 1)
        distance, order = distance.topk(k, largest=False)
        index = index.gather(1, order)
    return index


def _inside(key: Tensor, rows: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Neighbours within some rows: numbers in the section and distances, (len(rows), k) each."""
    here = key[rows].float()
    near = knn(here[None], torch.ones(1, len(rows), dtype=torch.bool), k).index[0]
    return rows[near], (here[near] - here[:, None]).norm(dim=-1)


def with_surroundings(cells: Cells, k: int, generator: torch.Generator) -> Cells:
    """The same cells, each embedding followed by what its k nearest in expression differ by: z (n, 2 h + 2 d).

    Means over the neighbours of Z and P less the cell's own, and the standard deviation of their P: how sure they are.
    A section of one cell gets zeros.
    """
    if len(cells) < 2:
        spare = cells.z.new_zeros(len(cells), cells.z.shape[1] + 2 * cells.p.shape[1])
        return Cells(torch.cat([cells.z, spare], 1), cells.p, cells.v)
    near = nearest_cells(cells.z, k, generator)
    around_z = cells.z[near].mean(1) - cells.z
    places = cells.p[near]
    spread = places.std(1, correction=0)
    return Cells(torch.cat([cells.z, around_z, places.mean(1) - cells.p, spread], 1), cells.p, cells.v)
