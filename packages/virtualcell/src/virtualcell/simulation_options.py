"""What `simulate` may be told: how large the world is, and how strong each kind of biology in it. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass

from virtualcell.checked import Checked, above, at_least
from virtualcell.faults import refuse


@dataclass(frozen=True, kw_only=True)
class SimulationOptions(Checked):
    """Cells, genes, and the strength of each kind of biology: 0 is none."""

    seed: int = 0  # of all that is drawn
    cells: int = 1000  # about a third of them controls
    genes: int = 120
    regulators: int = 12  # of the genes
    targets: int = 6  # of each regulator
    pathways: int = 8  # a gene is in one or two
    compartments: int = 4  # a gene is in one
    cell_types: int = 2  # they differ in how fast promoters open
    batches: int = 2  # they differ in a factor of each gene
    knockouts: int = 4  # regulators that are knocked out, one a cell
    stimuli: int = 2  # pathways that are stimulated, one a cell
    pairs: int = 1  # pairs of knockouts, two a cell
    hours: tuple[float, ...] = (2.0, 6.0, 24.0)  # [h] after the perturbation at which cells are taken
    capture: float = 0.25  # share of a cell's transcripts that is counted
    regulation: float = 1.0  # strength of edges; 0: regulators do nothing
    pathway_spread: float = 0.4  # sd of the log activity of a pathway between cells
    compartment_spread: float = 0.2  # likewise of a compartment
    extrinsic: float = 0.3  # sd of the log size of a cell
    memory: float = 0.0  # how far an earlier stimulus opens the genes of its pathway
    scarcity: float = 0.0  # how far making transcripts empties a cell's store of energy
    supply_spread: float = 0.0  # sd of the log rate at which a cell refills that store
    dt: float = 0.2  # [h] a leap

    def ranges(self) -> None:
        """Refuse values outside their range."""
        counts = (
            "cells",
            "genes",
            "regulators",
            "targets",
            "pathways",
            "compartments",
            "cell_types",
            "batches",
        )
        at_least(self, 1, *counts)
        strengths = ("regulation", "pathway_spread", "compartment_spread", "extrinsic", "memory")
        at_least(self, 0, "seed", "knockouts", "stimuli", "pairs", *strengths, "scarcity", "supply_spread")
        above(self, 0.0, "capture", "dt")
        if self.capture > 1 or self.dt > 0.5:
            refuse(f"capture: expected at most 1, dt: at most 0.5 h, got {self.capture:g} and {self.dt:g}")
        if self.regulators + self.targets >= self.genes:
            most = self.genes - self.targets
            refuse(f"regulators: expected fewer than genes - targets = {most}, got {self.regulators}")
        if self.knockouts > self.regulators or self.stimuli > self.pathways:
            refuse("knockouts, stimuli: expected at most as many as regulators and pathways")
        if self.pairs > self.knockouts * (self.knockouts - 1) // 2:
            refuse(f"pairs: expected at most the pairs of {self.knockouts} knockouts, got {self.pairs}")
        if not self.hours or not all(0 < hour <= 1000 for hour in self.hours):
            refuse(f"hours: expected numbers above 0 to 1000, got {self.hours!r}")
