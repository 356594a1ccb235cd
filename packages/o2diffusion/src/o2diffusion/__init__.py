"""Diffusion of oxygen curves: 1-4 replicates, media changes, drugs.

Legend of the network: b batch, t time cells, r replicates, n draws, d feature width, k quantiles or experts, e events.
A module that needs other letters says so at its top. Times in hours, concentrations in uM, oxygen in the table's unit.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from o2diffusion.conditions import Condition as Condition
    from o2diffusion.conditions import read_conditions as read_conditions
    from o2diffusion.config import Config as Config
    from o2diffusion.fitting import train as train
    from o2diffusion.generating import generate_curves as generate_curves
    from o2diffusion.losses import MaskedReplicateLoss as MaskedReplicateLoss
    from o2diffusion.media import DrugAwareMediaChangeModule as DrugAwareMediaChangeModule
    from o2diffusion.media import MediaChangeSchedule as MediaChangeSchedule
    from o2diffusion.model import FlexibleReplicateDiffusionModel as FlexibleReplicateDiffusionModel
    from o2diffusion.oxygen_model import OxygenModel as OxygenModel
    from o2diffusion.oxygen_model import load as load
    from o2diffusion.parts import ReplicateMaskAttention as ReplicateMaskAttention
    from o2diffusion.replicates import ReplicateGenerator as ReplicateGenerator
    from o2diffusion.replicates import generate_replicate_aware_noise as generate_replicate_aware_noise
    from o2diffusion.simulation import simulate as simulate
    from o2diffusion.tables import DataError as DataError
    from o2diffusion.tables import DataWarning as DataWarning
    from o2diffusion.unet import AdaptiveReplicateUNet as AdaptiveReplicateUNet
    from o2diffusion.validation import (
        validate_drug_specific_media_responses as validate_drug_specific_media_responses,
    )
    from o2diffusion.windows import MediaResponseDataset as MediaResponseDataset

__version__ = "0.1.0"

_HOME = {
    "AdaptiveReplicateUNet": "unet",
    "Condition": "conditions",
    "Config": "config",
    "DataError": "tables",
    "DataWarning": "tables",
    "DrugAwareMediaChangeModule": "media",
    "FlexibleReplicateDiffusionModel": "model",
    "MaskedReplicateLoss": "losses",
    "MediaChangeSchedule": "media",
    "MediaResponseDataset": "windows",
    "OxygenModel": "oxygen_model",
    "ReplicateGenerator": "replicates",
    "ReplicateMaskAttention": "parts",
    "generate_curves": "generating",
    "generate_replicate_aware_noise": "replicates",
    "load": "oxygen_model",
    "read_conditions": "conditions",
    "simulate": "simulation",
    "train": "fitting",
    "validate_drug_specific_media_responses": "validation",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Load a public name from its module when it is first asked for: importing the package stays cheap."""
    if name not in _HOME:
        msg = f"module 'o2diffusion' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"o2diffusion.{_HOME[name]}"), name)
