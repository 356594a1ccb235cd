"""A perturbation predictor on disk: a bundle of plain arrays, and its loader's in a folder beside."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import sparse

from cytosol.bundle import BundleError, load_bundle, load_weights, save_bundle
from cytosol.config import from_dict, to_dict
from virtualcell.correcting import Correction
from virtualcell.experience import Experience
from virtualcell.known import Known
from virtualcell.loader_files import LOADER, load_loader, refuse_held, save_loader
from virtualcell.populations import Populations
from virtualcell.predictor import ResponseModel
from virtualcell.response import Responder
from virtualcell.response_config import ResponseConfig
from virtualcell.row_model import Biology, build
from virtualcell.row_net import RowNet
from virtualcell.row_trees import trees_of

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from torch import Tensor

KIND = "virtualcell.response"
MOMENTS = ("mean", "variance", "detected", "cells")


def save_responder(made: Responder, path: str | os.PathLike[str], *, force: bool = False) -> Path:
    """Write a predictor to a directory. BundleError where there is a model already and not `force`."""
    root, model = Path(path), made.model
    refuse_held(root, force=force)
    if made.loader is not None:
        save_loader(made.loader, root / LOADER, force=True)
    pops, known = model.seen.populations, model.seen.known
    arrays: dict[str, np.ndarray] = {name: getattr(pops, name) for name in MOMENTS}
    arrays |= {"axes": model.seen.axes, "centre": model.seen.centre, "dispersion": model.dispersion}
    for i, block in enumerate(known.blocks):
        arrays |= {f"known.{i}.{name}": getattr(block, name) for name in ("data", "indices", "indptr")}
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
    tensors |= _weights(model.correction)
    own = model.biology
    tensors |= {f"tables.{name}": x for name, x in own.tables.items()}
    tensors |= {f"of_genes.{name}": x for name, x in own.of_genes.items()}
    for i, words in enumerate(own.of_context.values()):
        tensors |= {f"of_context.{i}.{name}": x for name, x in words.items()}
    extra = {
        "genes": [str(gene) for gene in pops.genes],
        "contexts": [str(one) for one in pops.contexts],
        "perturbations": [str(one) for one in pops.perturbations],
        "control": pops.control,
        "known": {
            "names": list(known.names),
            "tables": list(known.tables),
            "widths": [int(block.shape[1]) for block in known.blocks],
        },
        "correction": _told(model.correction),
        "model": own.model,
        "sizes": own.sizes,
        "of_context": list(own.of_context),
        "loader": made.loader is not None,
        "keys": made.keys,
        "facts": model.facts,
    }
    return save_bundle(
        root,
        kind=KIND,
        package="virtualcell",
        version=version("virtualcell"),
        config=to_dict(model.config),
        tensors=tensors,
        extra=extra,
        force=force,
    )


def load_responder(path: str | os.PathLike[str]) -> Responder:
    """Read and check a predictor. BundleError, in one line, for whatever is wrong with it."""
    root = Path(path)
    bundle = load_bundle(root, kinds=[KIND])
    extra, tensors = bundle.extra, bundle.tensors
    try:
        config = replace(from_dict(ResponseConfig, bundle.config), model=extra["model"])
        arrays = {name: tensors[name].numpy() for name in (*MOMENTS, "axes", "centre", "dispersion")}
        names = (np.array(extra[name], dtype=object) for name in ("contexts", "perturbations"))
        moments = [arrays[name] for name in MOMENTS]
        pops = Populations(np.array(extra["genes"]), *names, *moments, extra["control"])
        seen = Experience(pops, arrays["axes"], arrays["centre"], _known(extra["known"], tensors))
        biology = Biology(
            extra["model"],
            extra["sizes"],
            _named(tensors, "tables."),
            _named(tensors, "of_genes."),
            {name: _named(tensors, f"of_context.{i}.") for i, name in enumerate(extra["of_context"])},
        )
        correction = _correction(extra["correction"], tensors, biology, config)
        model = ResponseModel(seen, correction, biology, config, extra["facts"], arrays["dispersion"])
        return Responder(model, load_loader(root / LOADER) if extra["loader"] else None, extra["keys"])
    except (KeyError, TypeError) as missing:
        msg = f"{root}: the manifest lacks {missing}: save the model again"
        raise BundleError(msg) from None
    except BundleError:
        raise
    except (ValueError, RuntimeError, IndexError) as fault:
        msg = f"{root}: the arrays do not fit the configuration ({str(fault).splitlines()[0]}): save the model again"
        raise BundleError(msg) from None


def _told(correction: Correction) -> dict[str, Any]:
    """What of a correction is no array."""
    return {
        "share": correction.share,
        "forests": 0 if correction.trees is None else len(correction.trees.forests),
        "nets": [{"unit": net.unit, "together": net.together} for net in correction.nets],
    }


def _weights(correction: Correction) -> dict[str, Tensor]:
    made: dict[str, Tensor] = {}
    if correction.trees is not None:
        arrays = correction.trees.arrays("trees")
        made |= {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
    for i, net in enumerate(correction.nets):
        name = f"net.{i}."
        made |= {f"{name}genes": torch.from_numpy(net.genes), f"{name}scale": torch.from_numpy(net.scale)}
        made |= {f"{name}net.{key}": x for key, x in net.net.state_dict().items()}
    return made


def _correction(
    told: dict[str, Any], tensors: Mapping[str, Tensor], biology: Biology, config: ResponseConfig
) -> Correction:
    arrays = {name: x.numpy() for name, x in tensors.items() if name.startswith("trees.")}
    trees = trees_of(arrays, "trees", told["forests"]) if told["forests"] else None
    nets = []
    for i, one in enumerate(told["nets"]):
        own = _named(tensors, f"net.{i}.")
        genes, scale = own["genes"].numpy(), own["scale"].numpy()
        net = build(biology, len(scale), genes, config.network)
        load_weights(net, _named(own, "net."))
        net.eval().requires_grad_(requires_grad=False)
        nets.append(RowNet(net, genes, scale, float(one["unit"]), biology.words(genes), int(one["together"])))
    return Correction(trees, tuple(nets), float(told["share"]))


def _known(told: dict[str, Any], tensors: Mapping[str, Tensor]) -> Known:
    blocks = []
    for i, width in enumerate(told["widths"]):
        data, indices, indptr = (
            tensors[f"known.{i}.{name}"].numpy() for name in ("data", "indices", "indptr")
        )
        blocks.append(sparse.csr_matrix((data, indices, indptr), shape=(len(told["names"]), width)))
    return Known(tuple(told["names"]), tuple(blocks), tuple(told["tables"]))


def _named(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): x for name, x in tensors.items() if name.startswith(prefix)}
