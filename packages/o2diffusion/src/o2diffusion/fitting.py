"""From a table to a trained model: what is learned from, what is held out, what is begun with."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import torch

from cytosol import ranks
from cytosol.bundle import BundleError
from cytosol.manifest import MANIFEST
from o2diffusion import chem
from o2diffusion.conditions import Condition, read_conditions
from o2diffusion.config import Config
from o2diffusion.corpus import Facts, facts, hold_out, training_pool, training_windows
from o2diffusion.oxygen_model import OxygenModel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike

    from o2diffusion.model import FlexibleReplicateDiffusionModel
    from o2diffusion.oxygen_model import Table


def train(
    data: Table | Sequence[Condition],
    events: Table | None = None,
    *,
    config: Config | None = None,
    out: str | PathLike[str] | None = None,
    start: OxygenModel | None = None,
    smiles: Mapping[str, str] | None = None,
    seed: int | None = None,
    resume: bool = False,
    force: bool = False,
    notes: list[str] | None = None,
) -> OxygenModel:
    """Train on a table; `out` gets the bundle, checkpoints and history (a temporary directory without it).

    data: a table, or conditions that were read from one, events included. start: a model whose weights to begin with
    (adapting the default one to a plate). smiles: structures of the table's drugs {name: SMILES}, so that drugs it does
    not hold can be introduced later (`OxygenModel.meet`). seed: that of `config` by default. notes: gets what was said.
    Raises DataError for a faulty table, ValueError where it holds nothing to learn from, for structures that do not fit
    and a `start` of another shape, BundleError where `out` holds a model already and neither `force` nor `resume` is
    given.
    """
    from o2diffusion.training import build, train_network  # Lightning is slow to load and only needed here

    writes = out is not None and ranks.first()
    if out is not None and writes and (Path(out) / MANIFEST).exists() and not (force or resume):
        msg = f"{out} already holds a model; pass force to replace it, or choose another directory"
        raise BundleError(msg)
    config = Config() if config is None else config
    seed = config.seed if seed is None else seed
    config = replace(config, model=config.model.resolved(), seed=seed)
    notes = [] if notes is None else notes
    conditions = _read(data, events, seed, notes)
    known = facts(conditions, use_drugs=config.train.use_drugs, keep_wells=config.train.keep_wells)
    config, structures = _described(config, known, smiles, notes)
    with torch.random.fork_rng(devices=[]):  # the first weights come from the seed, whatever ran before
        torch.default_generator.manual_seed(seed)
        net = build(config, known)
    if start is not None:
        adopt(net, start.net)
    if structures is not None:
        net.drug_encoder.describe(structures)
    learned, judged = hold_out(conditions, seed) if config.trainer.patience else (list(conditions), [])
    pool = training_pool(learned, known, config, seed=seed)
    held = training_pool(judged, known, config, seed=seed + 1) if judged else None
    if config.trainer.patience and held is None:
        notes.append(f"{len(conditions)} series are too few to hold some out: the last weights are kept")
    windows = training_windows(learned, known)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch if out is None else out)
        history = train_network(
            net, pool, windows, config, out=folder, seed=seed, held=held, resume=resume, force=force
        )
        model = OxygenModel(net.eval(), config, known, history)
        model.notes = notes
        if out is not None and writes:
            model.save(out, force=True)
    return model


def _read(
    data: Table | Sequence[Condition], events: Table | None, seed: int, notes: list[str]
) -> Sequence[Condition]:
    """The conditions of a table and its events; conditions as they are."""
    if isinstance(data, pd.DataFrame | str | Path):
        return read_conditions(data, events, notes=notes, seed=seed)
    if events is not None:
        msg = "events: expected none beside conditions, which hold their own, got some; leave them out"
        raise ValueError(msg)
    return data


def _described(
    config: Config, known: Facts, smiles: Mapping[str, str] | None, notes: list[str]
) -> tuple[Config, torch.Tensor | None]:
    """The configuration with fingerprints switched on where `smiles` asks for them, and those of the drugs."""
    bits = config.model.fingerprint_bits
    if smiles is None:
        if bits:
            msg = f"model.fingerprint_bits = {bits}: needs the drugs' structures; give smiles"
            raise ValueError(msg)
        return config, None
    if not known.drugs:
        msg = "smiles: expected a table with drugs to train on (and train.use_drugs on), got none"
        raise ValueError(msg)
    rows = chem.fingerprints_of(known.drugs, smiles, bits or chem.BITS, notes=notes)
    return replace(config, model=replace(config.model, fingerprint_bits=rows.shape[1])), torch.as_tensor(rows)


def adopt(net: FlexibleReplicateDiffusionModel, other: FlexibleReplicateDiffusionModel) -> None:
    """Take over another network's weights, except what belongs to its own drugs and units.

    Raises ValueError where the two differ in shape.
    """
    own = net.state_dict()
    private = {
        "drug_encoder.offset",
        "drug_encoder.structures",
        "media_dynamics.oxygen_scale",
        "media_dynamics.time_scale_h",
    }
    for name, value in other.state_dict().items():
        if name in private or name.endswith("c_ref"):
            continue
        if name not in own or own[name].shape != value.shape:
            msg = (
                f"expected a model of the same shape to start from, {name} differs: use its model.* settings"
            )
            raise ValueError(msg)
        own[name] = value
    net.load_state_dict(own)
