"""Twelve cell models: a docstring and a line each. A new one is the same."""

from __future__ import annotations

from virtualcell.base import BaseEnhancedModel
from virtualcell.parts import Hierarchy, Memory, Regulation, Resources, Scales, Stochastic, Temporal


class HierarchicalGeneModel(BaseEnhancedModel):
    """Pathways and compartments: for cells whose genes are annotated."""

    parts = (Hierarchy,)


class TemporalDynamicsModel(BaseEnhancedModel):
    """Fast and slow responses: for cells seen at several times after a perturbation."""

    parts = (Temporal,)


class RegulatoryConstrainedModel(BaseEnhancedModel):
    """Known regulators and targets: where a table of them is at hand."""

    parts = (Regulation,)


class CellularMemoryModel(BaseEnhancedModel):
    """What a cell has been through: for perturbations one after the other."""

    parts = (Memory,)


class StochasticCellularModel(BaseEnhancedModel):
    """Noise of genes and of cells: where the spread of a population is asked for."""

    parts = (Stochastic,)


class ResourceConstrainedModel(BaseEnhancedModel):
    """Energy and resources: for cells that run short of something."""

    parts = (Resources,)


class MultiScaleModel(BaseEnhancedModel):
    """Molecules, pathways and the cell."""

    parts = (Scales,)


class HierarchicalTemporalModel(BaseEnhancedModel):
    """Pathways and compartments, with fast and slow responses."""

    parts = (Hierarchy, Temporal)


class HierarchicalRegulatoryModel(BaseEnhancedModel):
    """Pathways and compartments, with known regulators and targets."""

    parts = (Hierarchy, Regulation)


class TemporalMemoryModel(BaseEnhancedModel):
    """Fast and slow responses of cells that remember."""

    parts = (Temporal, Memory)


class StochasticResourceModel(BaseEnhancedModel):
    """Noisy cells that may run short."""

    parts = (Stochastic, Resources)


class FullVirtualCellModel(BaseEnhancedModel):
    """All seven parts."""

    parts = (Hierarchy, Temporal, Regulation, Memory, Stochastic, Resources, Scales)


MODELS: dict[str, type[BaseEnhancedModel]] = {
    model.__name__: model
    for model in (
        HierarchicalGeneModel,
        TemporalDynamicsModel,
        RegulatoryConstrainedModel,
        CellularMemoryModel,
        StochasticCellularModel,
        ResourceConstrainedModel,
        MultiScaleModel,
        HierarchicalTemporalModel,
        HierarchicalRegulatoryModel,
        TemporalMemoryModel,
        StochasticResourceModel,
        FullVirtualCellModel,
    )
}
