"""A `ConditionalMediaVAE` on disk: a bundle of plain arrays, nothing in it that can run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cytosol.bundle import BundleError, load_bundle, save_bundle
from cytosol.config import from_dict, to_dict
from mediacvae.config import TrainConfig
from mediacvae.model import ConditionalMediaVAE
from mediacvae.parts import Reading
from mediacvae.vae_options import VaeOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from cytosol.bundle import Bundle

KIND = "mediacvae.vae"
WHOLE = "mediacvae.model"  # kind of a whole model's bundle, that holds its network beside all else
NET = "net."  # what the network's tensors begin with there


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
    """Read and check a network, alone or that of a whole model; BundleError for whatever is wrong with it."""
    bundle = load_bundle(Path(path), kinds=[KIND, WHOLE])
    try:
        if bundle.kind == KIND:
            return network(bundle.extra, from_dict(VaeOptions, bundle.config), bundle.tensors)
        found = of_model(bundle)
    except (KeyError, TypeError, ValueError, RuntimeError) as fault:
        msg = (
            f"{path}: the weights do not fit the configuration ({str(fault).splitlines()[0]}): save it again"
        )
        raise BundleError(msg) from None
    if found is None:
        msg = f"{path}: the model was trained without a network (model_type=base)"
        raise BundleError(msg)
    return found


def of_model(bundle: Bundle) -> ConditionalMediaVAE | None:
    """The network of a whole model, None where it has none; KeyError, RuntimeError where its parts do not fit."""
    shape = bundle.extra["net"]
    if shape is None:
        return None
    own = {name.removeprefix(NET): t for name, t in bundle.tensors.items() if name.startswith(NET)}
    return network(shape, from_dict(TrainConfig, bundle.config).vae(), own)


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
