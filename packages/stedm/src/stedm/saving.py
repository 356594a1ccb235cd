"""A model on disk: a bundle of plain arrays, nothing in it that can run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cytosol.bundle import BundleError, load_bundle, save_bundle
from cytosol.config import from_dict, to_dict
from cytosol.trees import from_arrays
from stedm.base import Regression
from stedm.components import Components
from stedm.confidence import ErrorModel
from stedm.config import Config
from stedm.encoder import ExpressionEncoder
from stedm.kernels import Kernel
from stedm.networks import Networks
from stedm.place import Model
from stedm.related import PairStage
from stedm.structure import StructureNet

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

KIND = "stedm.model"
NET, ENCODER = "net.", "encoder."  # what the networks' tensors begin with


def save(model: Model, path: Path, *, force: bool = False) -> None:
    """Write a model to a directory. Raises BundleError where one is already and not `force`, or where it holds NaN."""
    from stedm import __version__

    own, error = model.regression, model.error
    arrays: dict[str, np.ndarray] = {
        "columns": own.components.columns,
        "weights": own.components.weights,
        "loadings": own.components.loadings,
        "landmarks": own.kernel.landmarks,
        "widths": own.kernel.widths,
        "root": own.kernel.root,
        "coefficients": own.coefficients,
        "error.mean": error.mean,
        "error.size": error.size,
        "error.landmarks": error.kernel.landmarks,
        "error.widths": error.kernel.widths,
        "error.root": error.kernel.root,
        "error.coefficients": error.coefficients,
        **({} if model.pair is None else model.pair.forest.arrays("pair")),
    }
    extra = {
        "genes": [str(gene) for gene in model.genes],
        "kind": own.components.kind,
        "count": own.count,
        "error_level": error.level,
        "unit": model.unit,
        "pair": None
        if model.pair is None
        else {"error": model.pair.error, "radius": model.pair.radius, "gaussian": model.pair.gaussian},
        "facts": model.facts,
        "networks": None if model.networks is None else _networks_facts(model.networks),
    }
    tensors = {name: torch.as_tensor(np.ascontiguousarray(array)) for name, array in arrays.items()}
    if model.networks is not None:
        tensors |= _networks_tensors(model.networks)
    save_bundle(
        path,
        kind=KIND,
        package="stedm",
        version=__version__,
        config=to_dict(model.config),
        tensors=tensors,
        extra=extra,
        force=force,
    )


def load(path: Path) -> Model:
    """Read and check a model; raises BundleError, in one line, for whatever is wrong with it."""
    bundle = load_bundle(path, kinds=[KIND])
    arrays = {name: t.numpy() for name, t in bundle.tensors.items() if not name.startswith((NET, ENCODER))}
    extra: dict[str, Any] = bundle.extra
    try:
        config = from_dict(Config, bundle.config)
        parts = Components(extra["kind"], arrays["columns"], arrays["weights"], arrays["loadings"])
        kernel = Kernel(arrays["landmarks"], arrays["widths"], arrays["root"])
        return Model(
            genes=np.array(extra["genes"]),
            regression=Regression(parts, kernel, arrays["coefficients"], int(extra["count"])),
            pair=None
            if extra["pair"] is None
            else PairStage(from_arrays(arrays, "pair"), config=config.pairs, **extra["pair"]),
            networks=_networks(extra["networks"], bundle.tensors, config),
            error=ErrorModel(
                arrays["error.mean"],
                arrays["error.size"],
                Kernel(arrays["error.landmarks"], arrays["error.widths"], arrays["error.root"]),
                arrays["error.coefficients"],
                float(extra["error_level"]),
            ),
            unit=float(extra["unit"]),
            config=config,
            facts=extra["facts"],
        )
    except (KeyError, TypeError) as missing:
        msg = f"{path}: the manifest lacks {missing}: save the model again"
        raise BundleError(msg) from None
    except (ValueError, RuntimeError) as fault:
        msg = f"{path}: the weights do not fit the configuration ({str(fault).splitlines()[0]}): save the model again"
        raise BundleError(msg) from None


def _networks_facts(nets: Networks) -> dict[str, Any]:
    """What is needed to build the networks anew, and what held-out cells said of them."""
    encoder = nets.encoder
    return {
        "features": nets.net.features,
        "dim": nets.net.dim,
        "sigma_data": nets.net.sigma_data,
        "spread": nets.net.spread,
        "encoder_inputs": None if encoder is None else encoder.inputs,
        "scale": nets.scale,
        "held": nets.held,
        "believed": nets.believed,
    }


def _networks_tensors(nets: Networks) -> dict[str, Tensor]:
    """The weights by name."""
    made = {f"{NET}{name}": t for name, t in nets.net.state_dict().items()}
    if nets.encoder is not None:
        made |= {f"{ENCODER}{name}": t for name, t in nets.encoder.state_dict().items()}
    return {name: t.detach().cpu().contiguous() for name, t in made.items()}


def _networks(facts: dict[str, Any] | None, tensors: Mapping[str, Tensor], config: Config) -> Networks | None:
    """The networks of a bundle."""
    if facts is None:
        return None

    def part(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}

    shape = (int(facts["features"]), int(facts["dim"]), config.net)
    net = StructureNet(*shape, sigma_data=facts["sigma_data"], spread=facts["spread"])
    net.load_state_dict(part(NET))
    encoder = None
    if facts["encoder_inputs"] is not None:
        encoder = ExpressionEncoder(int(facts["encoder_inputs"]), shape[1], config.encoder)
        encoder.load_state_dict(part(ENCODER))
        encoder = encoder.requires_grad_(requires_grad=False).eval()
    net = net.requires_grad_(requires_grad=False).eval()
    return Networks(net, encoder, facts["scale"], config, facts["held"], bool(facts["believed"]))
