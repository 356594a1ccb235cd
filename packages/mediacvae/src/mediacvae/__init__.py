"""Growth media for a microbe from its genome: what to try first, with what odds, and new recipes with reasons.

Legend, the same in every module: n media or pairs, m ingredients, d features of a condition, l features of the latent,
b media of a library, o organisms. Media are in g/L, GC in percent, genomes in bases.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mediacvae.conditions import Organism as Organism
    from mediacvae.config import TrainConfig as TrainConfig
    from mediacvae.constraints import Constraints as Constraints
    from mediacvae.db.store import store_genome_growth_observation as store_genome_growth_observation
    from mediacvae.db.store import store_genome_metadata as store_genome_metadata
    from mediacvae.features import build_genome_media_dataset as build_genome_media_dataset
    from mediacvae.features import compute_all_genome_embeddings as compute_all_genome_embeddings
    from mediacvae.features import get_ingredient_names as get_ingredient_names
    from mediacvae.features import load_genome_embedding as load_genome_embedding
    from mediacvae.metrics import reconstruction_metrics as reconstruction_metrics
    from mediacvae.model import ConditionalMediaVAE as ConditionalMediaVAE
    from mediacvae.predictor import MediaModel as MediaModel
    from mediacvae.saving import load as load
    from mediacvae.saving import save as save
    from mediacvae.simulation import simulate as simulate
    from mediacvae.training import fit as fit
    from mediacvae.training import train as train

__version__ = "0.1.0"

_HOME = {
    "ConditionalMediaVAE": "model",
    "Constraints": "constraints",
    "MediaModel": "predictor",
    "Organism": "conditions",
    "TrainConfig": "config",
    "build_genome_media_dataset": "features",
    "compute_all_genome_embeddings": "features",
    "fit": "training",
    "get_ingredient_names": "features",
    "load": "saving",
    "load_genome_embedding": "features",
    "reconstruction_metrics": "metrics",
    "save": "saving",
    "simulate": "simulation",
    "store_genome_growth_observation": "db.store",
    "store_genome_metadata": "db.store",
    "train": "training",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Load a public name from its module when it is first asked for: importing the package stays cheap."""
    if name not in _HOME:
        msg = f"module 'mediacvae' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"mediacvae.{_HOME[name]}"), name)
