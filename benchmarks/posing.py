"""What a question to simulated cells is made of: rows that any network can read, and what a part is told beside them.

Told are the truth, the truth shuffled, and, as a control, the truth written into the features of genes. Letters: N
rows, n tokens (CLS first), g genes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from virtualcell.simulation import Simulated, simulate
from virtualcell.simulation_options import SimulationOptions
from virtualcell.vectors import name_vectors

VECTOR = 16  # width of the vectors that tell genes apart
Rows = dict[str, Tensor]


@dataclass
class Posed:
    """A question as one seed poses it: rows, which of them train, and what the part is told.

    told, shuffled: inputs of forward with the rows first, or words of the constructor (`words`, `shuffled_words`);
    features: what is told, as features of genes (N, n, x), where it can be said so.
    """

    rows: Rows
    train: np.ndarray
    told: Rows = field(default_factory=dict)
    shuffled: Rows = field(default_factory=dict)
    features: Tensor | None = None
    words: dict[str, Any] = field(default_factory=dict)
    shuffled_words: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Question:
    """What is asked, of which world (`biology`), and of one without it (`absent`)."""

    part: str
    model: str
    asks: str
    pose: Callable[[Simulated, np.random.Generator], Posed]
    biology: dict[str, Any]
    absent: dict[str, Any]
    words: dict[str, Any]
    draws: int = 1  # 1: the mean is asked for, else the population

    def posed(self, seed: int, *, absent: bool = False) -> Posed:
        """The question in the world of a seed."""
        words = BASIC | self.biology | (self.absent if absent else {})
        return self.pose(simulate(SimulationOptions(**words, seed=seed)), np.random.default_rng(seed))


BASIC = {"genes": 60, "dt": 0.5, "regulators": 8, "knockouts": 0, "pairs": 0, "stimuli": 0, "batches": 1}
BASIC |= {"compartments": 1}


def log_values(found: Simulated, *, by_size: bool) -> np.ndarray:
    """log1p of counts (cells, g), each cell's brought to the median total where `by_size` is False."""
    counts = found.cells.X.toarray().astype(np.float64)
    total = counts.sum(1, keepdims=True)
    return np.log1p(counts if by_size else counts / total * np.median(total))


def with_cls(x: np.ndarray) -> Tensor:
    """(N, g, ...) with an empty slot before the genes."""
    return torch.from_numpy(np.concatenate([np.zeros_like(x[:, :1]), x], 1).astype(np.float32))


def features(found: Simulated, rows: int, *columns: np.ndarray, known: bool = True) -> Rows:
    """src and mask: columns (N, g), and vectors that tell genes apart where they are known one by one."""
    vectors = 2 * name_vectors(list(found.cells.var_names), VECTOR) * known
    told = np.broadcast_to(vectors, (rows, *vectors.shape))
    src = with_cls(np.concatenate([told, np.stack(columns, -1)], -1))
    return {"src": src, "mask": torch.ones(src.shape[:2], dtype=torch.bool)}


def member(found: Simulated) -> np.ndarray:
    """Genes in pathways (g, p) bool."""
    genes = found.cells.var_names
    return np.stack([genes.isin(held) for held in found.pathways.values()], 1)


def ids_of(inside: np.ndarray, rows: int) -> Tensor:
    """The groups of each gene (N, n, k) int64, -1 for none, from (g, p) bool."""
    made = np.full((len(inside) + 1, max(int(inside.sum(1).max()), 1)), -1)
    for gene, row in enumerate(inside):
        mine = np.flatnonzero(row)
        made[gene + 1, : len(mine)] = mine
    return torch.from_numpy(made).expand(rows, -1, -1).contiguous()


@dataclass
class Populations:
    """Rows of a question on populations: `about` has a row each, `cells` says who they are."""

    about: pd.DataFrame
    cells: list[np.ndarray]
    rows: Rows


def populations(
    found: Simulated,
    obs: pd.DataFrame,
    by: list[str],
    *,
    by_size: bool = False,
    known: bool = True,
    least: int = 6,
) -> Populations:
    """Treated cells that are alike in `by`, as rows.

    A gene has the controls' mean of the cell type, which is the baseline too, whether it is knocked out, and whether it
    is in the stimulated pathway; known: and a vector of its own.
    """
    x, genes, inside = log_values(found, by_size=by_size), list(found.cells.var_names), member(found)
    rest = obs["perturbation"] == "control"
    alike = obs[~rest].groupby(by, sort=True, observed=True).indices.values()
    places = np.flatnonzero(~rest)
    cells = [places[index] for index in alike if len(index) >= least]
    first = obs.iloc[[index[0] for index in cells]]
    about = first[["perturbation", "cell_type", "time", *by]].reset_index(drop=True)
    about = about.loc[:, ~about.columns.duplicated()]
    mean = np.stack([x[index].mean(0) for index in cells])
    control = np.stack(
        [x[(rest & (obs["cell_type"] == kind)).to_numpy()].mean(0) for kind in about["cell_type"]]
    )
    done = about["perturbation"].str.split("+")
    out = np.array([[f"KO_{gene}" in words for gene in genes] for words in done])
    called = np.array([[f"stim_{name}" in words for name in found.pathways] for words in done]) @ inside.T
    rows = features(
        found, len(mean), (control - control.mean()) / control.std(), out * 1.0, called * 1.0, known=known
    )
    rows |= {"baseline": with_cls(control), "target": with_cls(mean)}
    return Populations(about, cells, rows)


def constant(column: np.ndarray, tokens: int) -> Tensor:
    """A number a row (N,) as a feature of every gene and the CLS, (N, n, 1)."""
    scaled = (column - column.mean()) / (column.std() + 1e-6)
    return torch.from_numpy(scaled.astype(np.float32))[:, None, None].expand(-1, tokens, 1)
