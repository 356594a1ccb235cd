"""Fitted loaders on disk: a manifest and safetensors, nothing in them that can run; and what a model takes of them."""

from __future__ import annotations

import dataclasses
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from cytosol.bundle import BundleError, load_bundle, save_bundle
from cytosol.manifest import MANIFEST
from cytosol.stream import data_loader
from virtualcell.blocks import ShuffledBlocks
from virtualcell.faults import refuse
from virtualcell.fitting import Features
from virtualcell.loaders import LOADERS
from virtualcell.scaling import BatchScale, CellScale, CellTypeScale, GeneScale, ModalityScale

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from torch.utils.data import DataLoader

    from virtualcell.loading import BaseEnhancedLoader
    from virtualcell.sources import CellSource
    from virtualcell.steps import Step

LOADER = "loader"  # the folder of a loader's bundle, in that of its model
_KINDS = {loader.__name__: loader for loader in LOADERS.values()}
_BASE: tuple[type[Step], ...] = (CellScale, ModalityScale, BatchScale, CellTypeScale, GeneScale)
_VECTORS = "vectors"


def save_loader(loader: BaseEnhancedLoader, path: str | os.PathLike[str], *, force: bool = False) -> Path:
    """Write a fitted loader to the directory `path`. DataError for one that is not fitted, BundleError else."""
    if not loader.features.genes:
        refuse(f"{type(loader).__name__}: expected to be fitted before it is saved")
    tensors = {_VECTORS: torch.from_numpy(loader.vectors)}
    steps = []
    for step in loader.fitted:
        tensors |= {f"{step.name}/{name}": torch.from_numpy(array) for name, array in step.arrays.items()}
        steps.append({"name": step.name, "words": step.words, "notes": list(step.notes)})
    extra = {
        "genes": list(loader.features.genes),
        "extra": list(loader.features.extra),
        "datasets": list(loader.datasets),
        "notes": list(loader.notes),
        "steps": steps,
    }
    return save_bundle(
        path,
        kind=type(loader).__name__,
        package="virtualcell",
        version=version("virtualcell"),
        config=_settings(loader),
        tensors=tensors,
        extra=extra,
        force=force,
    )


def refuse_held(root: Path, *, force: bool) -> None:
    """BundleError where a model is already and not `force`: before its loader, which is written first."""
    if (root / MANIFEST).exists() and not force:
        msg = f"{root} already holds a model; pass force to replace it, or choose another directory"
        raise BundleError(msg)


def _settings(loader: BaseEnhancedLoader) -> dict[str, Any]:
    """Settings as plain values; annotation files are not read again, what came of them is in the steps."""
    made: dict[str, Any] = {}
    for options in (loader.config, loader.normalization, *loader.options.values()):
        for field in dataclasses.fields(options):
            value = getattr(options, field.name)
            if field.name.endswith("_file"):
                continue
            if dataclasses.is_dataclass(value) and not isinstance(value, type):
                value = dataclasses.asdict(value)
            made[field.name] = list(value) if isinstance(value, tuple) else value
    return made


def load_loader(path: str | os.PathLike[str]) -> BaseEnhancedLoader:
    """A loader as it was saved, ready to make batches. BundleError, in one line, for whatever is damaged.

    DataError for one that an older version saved, with steps or settings that its class has no more.
    """
    bundle = load_bundle(path, kinds=_KINDS)
    cls, extra = _KINDS[bundle.kind], bundle.extra
    settings = {name: tuple(v) if isinstance(v, list) else v for name, v in bundle.config.items()}
    loader = cls(settings)
    kinds = {step.name: step for step in (*_BASE, *cls.steps)}
    fitted = []
    for told in extra["steps"]:
        if told["name"] not in kinds:
            refuse(f"{path}: step {told['name']!r} is not one of {cls.__name__}: save the loader again")
        prefix = f"{told['name']}/"
        own = {name: tensor for name, tensor in bundle.tensors.items() if name.startswith(prefix)}
        arrays = {name.removeprefix(prefix): tensor.numpy() for name, tensor in own.items()}
        fitted.append(kinds[told["name"]](arrays, told["words"], tuple(told["notes"])))
    features = Features(tuple(extra["genes"]), tuple(extra["extra"]), loader.config.modality_key)
    vectors = bundle.tensors[_VECTORS].numpy()
    loader.take(features, vectors, tuple(fitted), tuple(extra["datasets"]), tuple(extra["notes"]))
    return loader


def model_words(loader: BaseEnhancedLoader) -> dict[str, int | Tensor]:
    """Constructor words of the model that reads these batches: sizes and the tables of genes.

    token_dim; num_pathways, pathway_info (g, p); num_compartments, compartment_info (g, c);
    gene_interaction_matrix (g, g), row on column; num_pathway_groups; memory_dim; energy_dim, num_resource_types.
    """
    found: dict[str, int | Tensor] = {"token_dim": int(loader.vectors.shape[1])}
    for step in loader.fitted:
        if step.name in ("pathway", "compartment") and "ids" in step.arrays:
            member = _member(step.arrays["ids"], len(step.words["genes_in"]))
            found |= {f"num_{step.name}s": member.shape[1], f"{step.name}_info": torch.from_numpy(member)}
        elif step.name == "regulatory" and "source" in step.arrays:
            found["gene_interaction_matrix"] = torch.from_numpy(step.interactions())  # type: ignore[attr-defined]
        elif step.name == "scale":
            found["num_pathway_groups"] = max(step.words["groups"])
        elif step.name == "memory" and step.words:
            found["memory_dim"] = step.words["width"]
        elif step.name == "resource":
            found |= {"energy_dim": step.words["energy_dim"], "num_resource_types": len(step.words["types"])}
    if loader.datasets:
        found["num_datasets"] = len(loader.datasets)
    return found


def _member(ids: np.ndarray, count: int) -> np.ndarray:
    made = np.zeros((len(ids), count + 1), dtype=np.float32)
    made[np.arange(len(ids))[:, None], ids] = 1.0
    return np.ascontiguousarray(made[:, :count])


def batches(
    loader: BaseEnhancedLoader,
    source: CellSource,
    *,
    steps: int | None = None,
    start: int = 0,
    workers: int = 0,
) -> DataLoader[Any]:
    """Shuffled batches of `cfg.model.batch_size` cells: steps start..steps, one epoch without.

    What is in a batch depends on the seed and the step alone, not on the number of workers.
    """
    config = loader.config
    order = ShuffledBlocks(
        len(source),
        config.model.batch_size,
        seed=config.seed,
        start=start,
        stop=steps,
        lanes=2,
    )
    return data_loader(source, order, collate=loader, workers=workers, pin=False)
