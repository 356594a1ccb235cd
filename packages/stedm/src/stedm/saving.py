"""A model on disk: a bundle of plain arrays, nothing in it that can run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cytosol.bundle import BundleError, load_bundle, save_bundle
from cytosol.config import from_dict, to_dict
from stedm.base import Regression
from stedm.components import Components
from stedm.config import Config
from stedm.kernels import Kernel
from stedm.place import Model
from stedm.trees import from_arrays

if TYPE_CHECKING:
    from pathlib import Path

KIND = "stedm.base"


def save(model: Model, path: Path, *, force: bool = False) -> None:
    """Write a model to a directory; BundleError where one is already and not `force`."""
    from stedm import __version__

    own = model.regression
    arrays: dict[str, np.ndarray] = {
        "columns": own.components.columns,
        "weights": own.components.weights,
        "loadings": own.components.loadings,
        "landmarks": own.kernel.landmarks,
        "widths": own.kernel.widths,
        "root": own.kernel.root,
        "coefficients": own.coefficients,
        **model.error.arrays("error"),
        **({} if model.pair is None else model.pair.arrays("pair")),
    }
    extra = {
        "genes": [str(gene) for gene in model.genes],
        "kind": own.components.kind,
        "count": own.count,
        "factor": model.factor,
        "unit": model.unit,
        "gaussian": model.gaussian,
        "facts": model.facts,
    }
    save_bundle(
        path,
        kind=KIND,
        package="stedm",
        version=__version__,
        config=to_dict(model.config),
        tensors={name: torch.as_tensor(np.ascontiguousarray(array)) for name, array in arrays.items()},
        extra=extra,
        force=force,
    )


def load(path: Path) -> Model:
    """Read and check a model. BundleError, in one line, for whatever is wrong with it."""
    bundle = load_bundle(path, kinds=[KIND])
    arrays = {name: tensor.numpy() for name, tensor in bundle.tensors.items()}
    extra: dict[str, Any] = bundle.extra
    try:
        parts = Components(extra["kind"], arrays["columns"], arrays["weights"], arrays["loadings"])
        kernel = Kernel(arrays["landmarks"], arrays["widths"], arrays["root"])
        return Model(
            genes=np.array(extra["genes"]),
            regression=Regression(parts, kernel, arrays["coefficients"], int(extra["count"])),
            pair=from_arrays(arrays, "pair") if "pair.base" in arrays else None,
            error=from_arrays(arrays, "error"),
            factor=float(extra["factor"]),
            unit=float(extra["unit"]),
            gaussian=bool(extra["gaussian"]),
            config=from_dict(Config, bundle.config),
            facts=extra["facts"],
        )
    except KeyError as missing:
        msg = f"{path}: the manifest lacks {missing}: save the model again"
        raise BundleError(msg) from None
