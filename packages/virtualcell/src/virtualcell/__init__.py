"""Transformer cell models: what state a cell is in, and what a perturbation does to it.

Legend, the same in every module: b cells of a batch, n tokens (the CLS slot first), d width, h heads, t token_dim, g
genes, k memberships of a gene, p pathways, c compartments. Masks are bool, True = real. Times are in hours.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from virtualcell.arc import from_arc_state_dict as from_arc_state_dict
    from virtualcell.base import BaseEnhancedModel as BaseEnhancedModel
    from virtualcell.blocks import ShuffledBlocks as ShuffledBlocks
    from virtualcell.cells import Cells as Cells
    from virtualcell.compartments import read_compartments as read_compartments
    from virtualcell.config import EmbeddingConfig as EmbeddingConfig
    from virtualcell.embedding import EmbeddingModel as EmbeddingModel
    from virtualcell.embedding import fit_embedding as fit_embedding
    from virtualcell.faults import DataError as DataError
    from virtualcell.loader_files import batches as batches
    from virtualcell.loader_files import load_loader as load_loader
    from virtualcell.loader_files import model_words as model_words
    from virtualcell.loader_files import save_loader as save_loader
    from virtualcell.loader_options import LoaderConfig as LoaderConfig
    from virtualcell.loaders import BaseEnhancedLoader as BaseEnhancedLoader
    from virtualcell.loaders import FullVirtualCellLoader as FullVirtualCellLoader
    from virtualcell.loaders import HierarchicalDataLoader as HierarchicalDataLoader
    from virtualcell.loaders import HierarchicalRegulatoryDataLoader as HierarchicalRegulatoryDataLoader
    from virtualcell.loaders import HierarchicalTemporalDataLoader as HierarchicalTemporalDataLoader
    from virtualcell.loaders import MemoryDataLoader as MemoryDataLoader
    from virtualcell.loaders import MultiScaleDataLoader as MultiScaleDataLoader
    from virtualcell.loaders import RegulatoryDataLoader as RegulatoryDataLoader
    from virtualcell.loaders import ResourceDataLoader as ResourceDataLoader
    from virtualcell.loaders import StochasticDataLoader as StochasticDataLoader
    from virtualcell.loaders import StochasticResourceDataLoader as StochasticResourceDataLoader
    from virtualcell.loaders import TemporalDataLoader as TemporalDataLoader
    from virtualcell.loaders import TemporalMemoryDataLoader as TemporalMemoryDataLoader
    from virtualcell.loaders import loader_for as loader_for
    from virtualcell.models import MODELS as MODELS
    from virtualcell.models import CellularMemoryModel as CellularMemoryModel
    from virtualcell.models import FullVirtualCellModel as FullVirtualCellModel
    from virtualcell.models import HierarchicalGeneModel as HierarchicalGeneModel
    from virtualcell.models import HierarchicalRegulatoryModel as HierarchicalRegulatoryModel
    from virtualcell.models import HierarchicalTemporalModel as HierarchicalTemporalModel
    from virtualcell.models import MultiScaleModel as MultiScaleModel
    from virtualcell.models import RegulatoryConstrainedModel as RegulatoryConstrainedModel
    from virtualcell.models import ResourceConstrainedModel as ResourceConstrainedModel
    from virtualcell.models import StochasticCellularModel as StochasticCellularModel
    from virtualcell.models import StochasticResourceModel as StochasticResourceModel
    from virtualcell.models import TemporalDynamicsModel as TemporalDynamicsModel
    from virtualcell.models import TemporalMemoryModel as TemporalMemoryModel
    from virtualcell.network import read_network as read_network
    from virtualcell.part import Part as Part
    from virtualcell.pathways import read_gene_sets as read_gene_sets
    from virtualcell.populations import Populations as Populations
    from virtualcell.populations import read_populations as read_populations
    from virtualcell.response import Responder as Responder
    from virtualcell.response import fit_responder as fit_responder
    from virtualcell.response_config import ResponseConfig as ResponseConfig
    from virtualcell.response_data import ResponseData as ResponseData
    from virtualcell.response_data import respond as respond
    from virtualcell.response_files import load_responder as load_responder
    from virtualcell.response_files import save_responder as save_responder
    from virtualcell.response_net import ResponseNet as ResponseNet
    from virtualcell.response_options import ResponseOptions as ResponseOptions
    from virtualcell.saving import load_embedding as load_embedding
    from virtualcell.saving import save_embedding as save_embedding
    from virtualcell.simulation import simulate as simulate
    from virtualcell.simulation_options import SimulationOptions as SimulationOptions
    from virtualcell.sources import CellSource as CellSource
    from virtualcell.sources import open_cells as open_cells
    from virtualcell.state import StateEmbeddingModel as StateEmbeddingModel
    from virtualcell.training_response import train_response as train_response
    from virtualcell.writing import predicted_cells as predicted_cells
    from virtualcell.writing import with_embedding as with_embedding
    from virtualcell.writing import write_cells as write_cells

__version__ = "0.1.0"


_LOADERS = (
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
    "loader_for",
)
_HOME = {
    **dict.fromkeys(_LOADERS, "loaders"),
    "CellSource": "sources",
    "Cells": "cells",
    "DataError": "faults",
    "EmbeddingConfig": "config",
    "EmbeddingModel": "embedding",
    "fit_embedding": "embedding",
    "load_embedding": "saving",
    "save_embedding": "saving",
    "LoaderConfig": "loader_options",
    "ShuffledBlocks": "blocks",
    "SimulationOptions": "simulation_options",
    "batches": "loader_files",
    "from_arc_state_dict": "arc",
    "load_loader": "loader_files",
    "model_words": "loader_files",
    "open_cells": "sources",
    "Populations": "populations",
    "predicted_cells": "writing",
    "read_compartments": "compartments",
    "read_gene_sets": "pathways",
    "read_network": "network",
    "read_populations": "populations",
    "save_loader": "loader_files",
    "simulate": "simulation",
    "with_embedding": "writing",
    "write_cells": "writing",
    "BaseEnhancedModel": "base",
    "CellularMemoryModel": "models",
    "FullVirtualCellModel": "models",
    "HierarchicalGeneModel": "models",
    "HierarchicalRegulatoryModel": "models",
    "HierarchicalTemporalModel": "models",
    "MODELS": "models",
    "MultiScaleModel": "models",
    "Part": "part",
    "RegulatoryConstrainedModel": "models",
    "ResourceConstrainedModel": "models",
    "Responder": "response",
    "ResponseConfig": "response_config",
    "ResponseData": "response_data",
    "fit_responder": "response",
    "load_responder": "response_files",
    "save_responder": "response_files",
    "ResponseNet": "response_net",
    "ResponseOptions": "response_options",
    "respond": "response_data",
    "train_response": "training_response",
    "StateEmbeddingModel": "state",
    "StochasticCellularModel": "models",
    "StochasticResourceModel": "models",
    "TemporalDynamicsModel": "models",
    "TemporalMemoryModel": "models",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Load a public name from its module when it is first asked for: importing the package stays cheap."""
    if name not in _HOME:
        msg = f"module 'virtualcell' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"virtualcell.{_HOME[name]}"), name)
