"""Transformer cell models: what state a cell is in, and what a perturbation does to it.

Legend of the models, the same in every module: b cells, n tokens (the CLS slot first), d width, h heads, g genes of a
vocabulary. Masks are bool, True = real. Times are in hours.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from virtualcell.base import BaseEnhancedModel as BaseEnhancedModel
    from virtualcell.network import StateEmbeddingModel as StateEmbeddingModel

__version__ = "0.1.0"

_HOME = {
    "BaseEnhancedModel": "base",
    "StateEmbeddingModel": "network",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Load a public name from its module when it is first asked for: importing the package stays cheap."""
    if name not in _HOME:
        msg = f"module 'virtualcell' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"virtualcell.{_HOME[name]}"), name)
