"""What `virtualcell` writes into cells, by name. Apart, so that a command line can name them and load nothing."""

from __future__ import annotations

EMBEDDING = "X_virtualcell"  # obsm (n, d): the embedding of each cell
PERTURBATION = "perturbation"  # obs: what was done to a cell, `A+B` for several things at once
CONDITION_KEYS = (
    "condition",
    PERTURBATION,
)  # obs: columns that are looked for where none is named, the first first
CONTROL = "control"  # of that column, where nothing was done
COUNTS = "counts"  # layers: whole counts, where X is their logarithm
HOW = "virtualcell"  # uns: how cells were made
