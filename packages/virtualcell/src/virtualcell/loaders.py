"""The nine loaders and those of the combined models: each a docstring and the steps it is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from virtualcell.faults import nearest, refuse
from virtualcell.loading import BaseEnhancedLoader
from virtualcell.step_memory import Memory
from virtualcell.step_noise import Noise
from virtualcell.step_regulation import Regulation
from virtualcell.step_resources import Resources
from virtualcell.step_sets import Compartments, Pathways, Scales
from virtualcell.step_time import Times

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtualcell.steps import Step

__all__ = [
    "ANNOTATIONS",
    "LOADERS",
    "BaseEnhancedLoader",
    "FullVirtualCellLoader",
    "HierarchicalDataLoader",
    "HierarchicalRegulatoryDataLoader",
    "HierarchicalTemporalDataLoader",
    "MemoryDataLoader",
    "MultiScaleDataLoader",
    "RegulatoryDataLoader",
    "ResourceDataLoader",
    "StochasticDataLoader",
    "StochasticResourceDataLoader",
    "TemporalDataLoader",
    "TemporalMemoryDataLoader",
    "annotation_words",
    "loader_for",
]

Steps = tuple[type["Step"], ...]


class HierarchicalDataLoader(BaseEnhancedLoader):
    """Pathways and compartments of each gene, for HierarchicalGeneModel."""

    steps: Steps = (Pathways, Compartments)


class TemporalDataLoader(BaseEnhancedLoader):
    """Times of cells, for TemporalDynamicsModel."""

    steps: Steps = (Times,)


class RegulatoryDataLoader(BaseEnhancedLoader):
    """Regulators and targets, for RegulatoryConstrainedModel."""

    steps: Steps = (Regulation,)


class MemoryDataLoader(BaseEnhancedLoader):
    """Traces of earlier perturbations, for CellularMemoryModel."""

    steps: Steps = (Memory,)


class StochasticDataLoader(BaseEnhancedLoader):
    """Genes weighed by what of their spread is noise, for StochasticCellularModel."""

    steps: Steps = (Noise,)


class ResourceDataLoader(BaseEnhancedLoader):
    """Energy and resources of cells, for ResourceConstrainedModel."""

    steps: Steps = (Resources,)


class MultiScaleDataLoader(BaseEnhancedLoader):
    """Groups of pathways between molecules and the cell, for MultiScaleModel."""

    steps: Steps = (Scales,)


class HierarchicalTemporalDataLoader(BaseEnhancedLoader):
    """Pathways, compartments and times, for HierarchicalTemporalModel."""

    steps: Steps = (Pathways, Compartments, Times)


class HierarchicalRegulatoryDataLoader(BaseEnhancedLoader):
    """Pathways, compartments, regulators and targets, for HierarchicalRegulatoryModel."""

    steps: Steps = (Pathways, Compartments, Regulation)


class TemporalMemoryDataLoader(BaseEnhancedLoader):
    """Times and earlier perturbations, for TemporalMemoryModel."""

    steps: Steps = (Times, Memory)


class StochasticResourceDataLoader(BaseEnhancedLoader):
    """Noise and resources, for StochasticResourceModel."""

    steps: Steps = (Noise, Resources)


class FullVirtualCellLoader(BaseEnhancedLoader):
    """Everything, for FullVirtualCellModel."""

    steps: Steps = (Pathways, Compartments, Times, Regulation, Memory, Noise, Resources, Scales)


LOADERS: dict[str, type[BaseEnhancedLoader]] = {
    "StateEmbeddingModel": BaseEnhancedLoader,
    "HierarchicalGeneModel": HierarchicalDataLoader,
    "TemporalDynamicsModel": TemporalDataLoader,
    "RegulatoryConstrainedModel": RegulatoryDataLoader,
    "CellularMemoryModel": MemoryDataLoader,
    "StochasticCellularModel": StochasticDataLoader,
    "ResourceConstrainedModel": ResourceDataLoader,
    "MultiScaleModel": MultiScaleDataLoader,
    "HierarchicalTemporalModel": HierarchicalTemporalDataLoader,
    "HierarchicalRegulatoryModel": HierarchicalRegulatoryDataLoader,
    "TemporalMemoryModel": TemporalMemoryDataLoader,
    "StochasticResourceModel": StochasticResourceDataLoader,
    "FullVirtualCellModel": FullVirtualCellLoader,
}

ANNOTATIONS = {  # by the settings of loaders that read them
    "pathways": "pathway_annotation_file",
    "network": "interaction_matrix_file",
    "compartments": "compartment_annotation_file",
}


def annotation_words(kind: type[BaseEnhancedLoader], given: Mapping[str, Any]) -> dict[str, Any]:
    """Annotations (files, or what was read of them) as settings of a loader; those that it does not read are absent.

    Raises DataError for a name that is none of `ANNOTATIONS`.
    """
    for name in given:
        if name not in ANNOTATIONS:
            refuse(f"annotations: expected {', '.join(ANNOTATIONS)}, got {name!r}")
    known = {name for step in kind.steps for name in getattr(step.Options, "__dataclass_fields__", ())}
    return {ANNOTATIONS[name]: file for name, file in given.items() if ANNOTATIONS[name] in known}


def loader_for(model: str) -> type[BaseEnhancedLoader]:
    """The loader whose batches a model reads; DataError for a name that no model has."""
    if model not in LOADERS:
        refuse(f"model {model!r}: {nearest(model, LOADERS)}")
    return LOADERS[model]
