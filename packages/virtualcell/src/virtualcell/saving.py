"""A model that embeds cells on disk: two bundles of plain arrays and JSON, the network and its loader."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from cytosol.bundle import BundleError, load_bundle, load_weights, save_bundle
from cytosol.config import from_dict, to_dict
from cytosol.manifest import read_manifest
from virtualcell.config import EmbeddingConfig
from virtualcell.embedding import EmbeddingModel, made_net
from virtualcell.loader_files import LOADER, load_loader, refuse_held, save_loader

if TYPE_CHECKING:
    import os

KIND = "virtualcell.embedding"


def save_embedding(model: EmbeddingModel, path: str | os.PathLike[str], *, force: bool = False) -> Path:
    """Write a model to a directory. BundleError where one is already and not `force`."""
    root = Path(path)
    refuse_held(root, force=force)
    save_loader(model.loader, root / LOADER, force=True)
    facts: dict[str, Any] = {**model.facts, "loader": _written(root)}
    return save_bundle(
        root,
        kind=KIND,
        package="virtualcell",
        version=version("virtualcell"),
        config=to_dict(model.config),
        tensors=model.net.state_dict(),
        extra=facts,
        force=force,
    )


def load_embedding(path: str | os.PathLike[str]) -> EmbeddingModel:
    """Read and check a model. BundleError, in one line, for whatever is wrong with it."""
    root = Path(path)
    bundle = load_bundle(root, kinds=[KIND])
    loader = load_loader(root / LOADER)
    facts = dict(bundle.extra)
    try:
        config = from_dict(EmbeddingConfig, bundle.config)
        if facts.pop("loader") != _written(root):
            msg = f"{root / LOADER} is not the loader that this network was saved with: save the model again"
            raise BundleError(msg)
        genes = len(loader.features.names)
        net = made_net(
            loader, config, torch.ones(genes), torch.zeros(1, genes), batches=len(facts["batches"])
        )
        load_weights(net, bundle.tensors)
    except (KeyError, TypeError) as missing:
        msg = f"{root}: the manifest lacks {missing}: save the model again"
        raise BundleError(msg) from None
    except BundleError:
        raise
    except (ValueError, RuntimeError) as fault:
        msg = f"{root}: the weights do not fit the configuration ({str(fault).splitlines()[0]}): save the model again"
        raise BundleError(msg) from None
    net.eval().requires_grad_(requires_grad=False)
    return EmbeddingModel(net, loader, config, facts)


def _written(root: Path) -> str:
    """What the loader's files are known by: both bundles belong together."""
    (told,) = read_manifest(root / LOADER)["files"].values()
    return str(told["sha256"])
