"""What a `ConditionalMediaVAE` is on disk: a bundle of plain arrays, nothing in it that can run."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from cytosol.bundle import BundleError, load_bundle, save_bundle
from cytosol.config import from_dict, to_dict
from mediacvae.config import TrainConfig
from mediacvae.vae_options import VaeOptions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor

    from cytosol.bundle import Bundle

KIND = "mediacvae.vae"
WHOLE = "mediacvae.model"  # kind of a whole model's bundle, that holds its network beside all else
NET = "net."  # what the network's tensors begin with there


class Stored(NamedTuple):
    """All that a network is made of: its options, its widths (ingredients, features), its tensors by name."""

    options: VaeOptions
    media_dim: int
    condition_dim: int
    tensors: dict[str, Tensor]

    @property
    def widths(self) -> dict[str, int]:
        """What is needed to build it anew, beside options and tensors."""
        return {"media_dim": self.media_dim, "condition_dim": self.condition_dim}


def write(stored: Stored, path: Path | str, *, force: bool = False) -> None:
    """Write a network to a directory; BundleError where one is already and not `force`."""
    from mediacvae import __version__

    save_bundle(
        path,
        kind=KIND,
        package="mediacvae",
        version=__version__,
        config=to_dict(stored.options),
        tensors=stored.tensors,
        extra=stored.widths,
        force=force,
    )


def read(path: Path | str) -> Stored:
    """A network, alone or that of a whole model; BundleError for a bundle that is damaged or has none."""
    bundle = load_bundle(path, kinds=[KIND, WHOLE])
    if bundle.kind == KIND:
        options = from_dict(VaeOptions, bundle.config)
        return Stored(options, *_widths(bundle.extra), dict(bundle.tensors))
    found = of_model(bundle)
    if found is None:
        msg = f"{path}: the model was trained without a network (model_type=base)"
        raise BundleError(msg)
    return found


def of_model(bundle: Bundle) -> Stored | None:
    """The network of a whole model, None where it has none; KeyError where its parts are not there."""
    told = bundle.extra["net"]
    if told is None:
        return None
    own = {name.removeprefix(NET): t for name, t in bundle.tensors.items() if name.startswith(NET)}
    return Stored(from_dict(TrainConfig, bundle.config).vae(), *_widths(told), own)


@contextmanager
def fitting(path: Path | str) -> Iterator[None]:
    """What does not fit while a network is built, as a BundleError in one line."""
    try:
        yield
    except BundleError:
        raise
    except (KeyError, TypeError, ValueError, RuntimeError) as fault:
        said = str(fault).splitlines()[0]
        msg = f"{path}: the weights do not fit the configuration ({said}): save it again"
        raise BundleError(msg) from None


def _widths(told: dict[str, int]) -> tuple[int, int]:
    return int(told["media_dim"]), int(told["condition_dim"])
