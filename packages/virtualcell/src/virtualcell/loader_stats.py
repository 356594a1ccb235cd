"""What a loader tells of itself: what was fitted, and what its batches held, those of worker processes included."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from virtualcell.faults import refuse

if TYPE_CHECKING:
    from virtualcell.steps import Step
    from virtualcell.tallies import Tally


class LoaderStats:
    """The `get_*_stats` of a loader: plain numbers and words, ready for JSON. DataError for a step that it has not."""

    fitted: tuple[Step, ...]
    tally: Tally
    notes: tuple[str, ...]

    def get_normalization_stats(self) -> dict[str, Any]:
        """Cells, batches and tokens seen since the last reset, their mean and spread, and what was fitted."""
        seen = self.tally.read()
        tokens = max(seen["tokens"], 1.0)
        mean = seen["values"] / tokens
        spread = float(np.sqrt(max(seen["values_squared"] / tokens - mean**2, 0.0)))
        counted = {name: int(seen[name]) for name in ("cells", "batches", "tokens", "cells_missing_genes")}
        scales = {step.name: self._told(step) for step in self.fitted if step.Options is None}
        return {**counted, "mean": mean, "sd": spread, "steps": scales, "notes": list(self.notes)}

    def reset_normalization_stats(self) -> None:
        """Forget what was seen, in every process; what was fitted stays."""
        self.tally.reset()

    def get_pathway_stats(self) -> dict[str, Any]:
        """Genes in pathways, and in compartments where the loader knows them."""
        found = self._step("pathway")
        beside = [self._told(step) for step in self.fitted if step.name == "compartment"]
        return {**found, "compartments": beside[0]} if beside else found

    def get_temporal_stats(self) -> dict[str, Any]:
        """Knots over time and cells at each."""
        return self._step("temporal")

    def get_regulatory_stats(self) -> dict[str, Any]:
        """Edges, regulators and targets."""
        return self._step("regulatory")

    def get_memory_stats(self) -> dict[str, Any]:
        """Perturbations remembered, and cells in each epigenetic state."""
        return self._step("memory")

    def get_stochastic_stats(self) -> dict[str, Any]:
        """Shares of the variance: technical, intrinsic, extrinsic."""
        return self._step("stochastic")

    def get_resource_stats(self) -> dict[str, Any]:
        """Kinds of resources and their mean states."""
        return self._step("resource")

    def get_multiscale_stats(self) -> dict[str, Any]:
        """Groups, and shares of the variance at each scale."""
        return self._step("scale")

    def get_comprehensive_stats(self) -> dict[str, Any]:
        """All of these, of the steps that this loader has."""
        own = {step.name: self._told(step) for step in self.fitted if step.Options is not None}
        return {"normalization": self.get_normalization_stats(), **own}

    def _step(self, name: str) -> dict[str, Any]:
        found = next((step for step in self.fitted if step.name == name), None)
        if found is None:
            has = ", ".join(step.name for step in self.fitted if step.Options is not None)
            refuse(
                f"{type(self).__name__}: has no {name} step; its own steps: {has or 'none; is it fitted?'}"
            )
        return self._told(found)

    def _told(self, step: Step) -> dict[str, Any]:
        seen = self.tally.read()
        return {**step.told(), **{name: seen[f"{step.name}.{name}"] for name in step.tallied}}
