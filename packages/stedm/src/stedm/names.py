"""What `stedm` writes into a file, by name. Apart, so that a command line can name them and load nothing."""

from __future__ import annotations

MADE = "X_stedm"  # obsm (n, d): where the cells are
SD = "stedm_sd"  # obs: the RMS distance from the true place that is expected, in the unit of the coordinates
DRAWN = "X_stedm_draws"  # obsm (n, r d): the draws behind an estimate, side by side
KIN = "stedm_neighbours"  # obsp (n, n) sparse: the probability that row and column are neighbours
HOW = "stedm"  # uns: how they were made
