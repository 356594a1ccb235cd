"""Transformer cell models: what state a cell is in, and what a perturbation does to it.

Legend of the models, the same in every module: b cells, n tokens (the CLS slot first), d width, h heads, g genes of a
vocabulary. Masks are bool, True = real. Times are in hours.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from virtualcell.base import BaseEnhancedModel as BaseEnhancedModel
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
    from virtualcell.part import Part as Part
    from virtualcell.state import StateEmbeddingModel as StateEmbeddingModel

__version__ = "0.1.0"

_HOME = {
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
