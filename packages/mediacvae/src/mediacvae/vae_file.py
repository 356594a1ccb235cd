"""A `ConditionalMediaVAE` on disk: a bundle of plain arrays, nothing in it that can run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cytosol.bundle import BundleError, load_bundle, save_bundle
from cytosol.config import from_dict, to_dict
from mediacvae.model import ConditionalMediaVAE
from mediacvae.parts import Reading
from mediacvae.vae_options import VaeOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

KIND = "mediacvae.vae"


def save(model: ConditionalMediaVAE, path: Path | str, *, force: bool = False) -> None:
    """Write a network to a directory; BundleError where one is already and not `force`."""
    from mediacvae import __version__

    save_bundle(
        path,
        kind=KIND,
        package="mediacvae",
        version=__version__,
        config=to_dict(model.options),
        tensors=model.state_dict(),
        extra=shape_of(model),
        force=force,
    )


def load(path: Path | str) -> ConditionalMediaVAE:
    """Read and check a network; BundleError for whatever is wrong with it."""
    bundle = load_bundle(Path(path), kinds=[KIND])
    try:
        return network(bundle.extra, from_dict(VaeOptions, bundle.config), bundle.tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as fault:
        msg = (
            f"{path}: the weights do not fit the configuration ({str(fault).splitlines()[0]}): save it again"
        )
        raise BundleError(msg) from None


def shape_of(model: ConditionalMediaVAE) -> dict[str, int]:
    """What is needed to build the network anew, beside its options."""
    return {"media_dim": model.media_dim, "condition_dim": model.condition_dim}


def network(
    shape: Mapping[str, Any], options: VaeOptions, tensors: Mapping[str, Tensor]
) -> ConditionalMediaVAE:
    """A network of `shape_of`, its options and its tensors; KeyError, RuntimeError where they do not fit."""
    own = [tensors[f"reader.{name}"].numpy() for name in ("shift", "scale", "loadings", "block")]
    dims = (int(shape["media_dim"]), int(shape["condition_dim"]))
    model = ConditionalMediaVAE(*dims, options, reading=Reading(*own))
    model.load_state_dict(dict(tensors))
    return model.requires_grad_(requires_grad=False).eval()
