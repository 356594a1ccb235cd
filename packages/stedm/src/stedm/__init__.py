"""Tissue geometry from gene expression: where dissociated cells sat, learned from sections, with honest confidence.

Legend, the same in every module: n cells, g genes, d dimensions (2 or 3), v views of the expression, c components,
m landmarks, k neighbours or partners, e pairs. Coordinates inside are in RMS radii of a section.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stedm.config import Config as Config
    from stedm.learning import fit as fit
    from stedm.metrics import score as score
    from stedm.place import Model as Model
    from stedm.place import Place as Place
    from stedm.saving import load as load
    from stedm.saving import save as save
    from stedm.simulation import simulate as simulate

__version__ = "0.1.0"

_HOME = {
    "Config": "config",
    "Model": "place",
    "Place": "place",
    "fit": "learning",
    "load": "saving",
    "save": "saving",
    "score": "metrics",
    "simulate": "simulation",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Load a public name from its module when it is first asked for: importing the package stays cheap."""
    if name not in _HOME:
        msg = f"module 'stedm' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"stedm.{_HOME[name]}"), name)
