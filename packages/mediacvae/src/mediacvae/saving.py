"""A model on disk: a bundle of plain arrays and text, nothing in it that can run."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from cytosol.bundle import BundleError, load_bundle, save_bundle
from cytosol.config import from_dict, to_dict
from cytosol.manifest import MANIFEST
from mediacvae import vae_file
from mediacvae.base import KernelBase, Settings
from mediacvae.conditions import Conditioner
from mediacvae.config import TrainConfig
from mediacvae.growth import GrowthModel, Who
from mediacvae.kernels import Kernel
from mediacvae.model import ConditionalMediaVAE
from mediacvae.predictor import MediaModel
from mediacvae.ranking import Ranker

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from cytosol.bundle import Bundle

LIBRARY = ("medium_id", "name", "source", "medium_type", "min_ph", "max_ph", "physical_state")


def save(model: MediaModel, path: Path, *, force: bool = False) -> None:
    """Write a model to a directory; BundleError where one is already and not `force`."""
    from mediacvae import __version__

    text = torch.frombuffer(bytearray(json.dumps(_text(model)).encode()), dtype=torch.uint8)
    tensors = {"text": text, **_tensors(_arrays(model))}
    extra: dict[str, Any] = {
        "settings": list(model.base.settings),
        "blend": model.ranker.blend,
        "odds": list(model.ranker.odds),
        "facts": model.facts,
        "share": model.share,
        "net": None,
    }
    if model.vae is not None:
        tensors |= {f"{vae_file.NET}{name}": t.detach().cpu() for name, t in model.vae.state_dict().items()}
        extra["net"] = model.vae.stored.widths
    save_bundle(
        path, kind=vae_file.WHOLE, package="mediacvae", version=__version__, config=to_dict(model.config),
        tensors=tensors, extra=extra, force=force,
    )  # fmt: skip


def _arrays(model: MediaModel) -> dict[str, np.ndarray]:
    """The numbers of a model, but for the network's."""
    base, ranker, growth = model.base, model.ranker, model.growth
    arrays = {
        "kernel.shift": base.kernel.shift,
        "kernel.scale": base.kernel.scale,
        "base.landmarks": base.landmarks,
        "base.basis": base.basis,
        "base.mean": base.mean,
        "base.weights": base.weights,
        "ranker.landmarks": ranker.landmarks,
        "ranker.counts": ranker.counts,
        "ranker.media": ranker.media,
        "media": model.media,
        "conditions": model.conditions,
        "pairs": model.pairs,
    }
    if growth is not None:
        arrays |= {
            "growth.organism": growth.organism,
            "growth.medium": growth.medium,
            "growth.grew": growth.grew,
            "growth.conditions": growth.who.conditions,
        }
    return arrays


def _text(model: MediaModel) -> dict[str, Any]:
    """The names of a model, as plain JSON."""
    text: dict[str, Any] = {
        "ingredients": list(model.ingredients),
        "condition": model.conditioner.plain(),
        "library": _plain(model.library.filter(LIBRARY)),
        "organisms": _plain(model.organisms),
    }
    growth = model.growth
    if growth is not None:
        text["growth"] = {
            "ids": list(growth.who.ids),
            "genus": list(growth.who.genus),
            "species": list(growth.who.species),
            "media": list(growth.media),
            "recipes": {name: sorted(held) for name, held in growth.recipes.items()},
        }
    return text


def _tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """Arrays as a bundle takes them: what is not known is NaN here, and there a flag beside a zero."""
    tensors: dict[str, Tensor] = {}
    for name, array in arrays.items():
        own = np.array(array, order="C")  # a copy: what a dataset's file shows may not be written to
        if own.dtype.kind == "f" and np.isnan(own).any():
            tensors[f"{name}.unknown"] = torch.as_tensor(np.isnan(own))
            own = np.nan_to_num(own)
        tensors[name] = torch.as_tensor(own)
    return tensors


def refuse_existing(path: Path) -> None:
    """BundleError where a model is in a directory already."""
    if (path / MANIFEST).exists():
        msg = f"{path} already holds a model; pass force to replace it, or choose another directory"
        raise BundleError(msg)


def load(path: Path) -> MediaModel:
    """Read and check a model. BundleError, in one line, for whatever is wrong with it."""
    bundle = load_bundle(path, kinds=[vae_file.WHOLE])
    try:
        return _model(bundle)
    except KeyError as missing:
        msg = f"{path}: the manifest lacks {missing}: save the model again"
        raise BundleError(msg) from None
    except (AttributeError, IndexError, TypeError, ValueError, RuntimeError) as fault:
        msg = f"{path}: the parts do not fit each other ({str(fault).splitlines()[0]}): save the model again"
        raise BundleError(msg) from None


def _model(bundle: Bundle) -> MediaModel:
    """What a bundle holds. KeyError for a part that is not there, and many another error for one that does not fit."""
    extra: dict[str, Any] = bundle.extra
    text = json.loads(bundle.tensors["text"].numpy().tobytes())
    config = from_dict(TrainConfig, bundle.config)
    conditioner = Conditioner.from_plain(text["condition"])
    array = partial(_array, bundle)
    kernel = Kernel(conditioner, array("kernel.shift"), array("kernel.scale"), extra["settings"][2])
    own = [array(f"base.{name}") for name in ("landmarks", "basis", "mean", "weights")]
    seen = [array(f"ranker.{name}") for name in ("landmarks", "counts", "media")]
    growth = _growth(bundle, text["growth"], kernel) if "growth" in text else None
    net = vae_file.of_model(bundle)
    return MediaModel(
        ingredients=tuple(text["ingredients"]),
        conditioner=conditioner,
        base=KernelBase(kernel, *own, settings=Settings(*extra["settings"])),
        vae=None if net is None else ConditionalMediaVAE.of(net),
        ranker=Ranker(kernel, *seen, odds=tuple(extra["odds"]), blend=float(extra["blend"])),
        growth=growth,
        library=pd.DataFrame(text["library"]),
        media=array("media"),
        organisms=pd.DataFrame(text["organisms"]),
        conditions=array("conditions"),
        pairs=array("pairs"),
        config=config,
        facts=extra["facts"],
        share=float(extra["share"]),
    )


def _growth(bundle: Bundle, said: Mapping[str, Any], kernel: Kernel) -> GrowthModel:
    """The odds of growth of a bundle. said: their names."""
    array = partial(_array, bundle)
    return GrowthModel(
        kernel=kernel,
        who=Who(said["ids"], said["genus"], said["species"], array("growth.conditions")),
        media=tuple(said["media"]),
        recipes={name: frozenset(held) for name, held in said["recipes"].items()},
        organism=array("growth.organism"),
        medium=array("growth.medium"),
        grew=array("growth.grew"),
    )


def _array(bundle: Bundle, name: str) -> np.ndarray:
    """An array as `_tensors` was given it."""
    own = bundle.tensors[name].numpy()
    unknown = bundle.tensors.get(f"{name}.unknown")
    return own if unknown is None else np.where(unknown.numpy(), np.nan, own)


def _plain(frame: pd.DataFrame) -> dict[str, list[Any]]:
    """Columns as lists of JSON types, None for what is not known."""
    columns = {}
    for name in frame.columns:
        cells = [None if pd.isna(cell) else cell for cell in frame[name].tolist()]
        columns[str(name)] = cells
    return columns
