"""A `ConditionalMediaVAE` on disk: a bundle of plain arrays, nothing in it that can run."""

from __future__ import annotations

from pathlib import Path

from cytosol.bundle import BundleError, load_bundle, save_bundle
from cytosol.config import from_dict, to_dict
from mediacvae.model import ConditionalMediaVAE
from mediacvae.vae_options import VaeOptions

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
        extra={"media_dim": model.media_dim, "condition_dim": model.condition_dim},
        force=force,
    )


def load(path: Path | str) -> ConditionalMediaVAE:
    """Read and check a network; BundleError for whatever is wrong with it."""
    bundle = load_bundle(Path(path), kinds=[KIND])
    try:
        shape = (int(bundle.extra["media_dim"]), int(bundle.extra["condition_dim"]))
        model = ConditionalMediaVAE(*shape, from_dict(VaeOptions, bundle.config))
        model.load_state_dict(bundle.tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as fault:
        msg = (
            f"{path}: the weights do not fit the configuration ({str(fault).splitlines()[0]}): save it again"
        )
        raise BundleError(msg) from None
    return model.requires_grad_(requires_grad=False).eval()
