"""The model as a user holds it: trained on a table, saved as a directory, filling and generating curves.

DataFrames or files in, DataFrames out, everything in the input's units.
"""

from __future__ import annotations

import tempfile
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from cytosol.bundle import BundleError, load_bundle, load_weights, save_bundle
from cytosol.config import from_dict, to_dict
from cytosol.device import pick_device
from cytosol.manifest import MANIFEST
from o2diffusion import __version__, chem
from o2diffusion.conditions import Condition, iter_conditions, read_conditions
from o2diffusion.config import Config
from o2diffusion.corpus import Facts, facts, hold_out, training_pool, training_windows
from o2diffusion.drugs import is_known
from o2diffusion.generating import generate_table
from o2diffusion.imputing import Filled, add_times, impute_conditions
from o2diffusion.model import FlexibleReplicateDiffusionModel
from o2diffusion.tables import DataWarning

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from os import PathLike

    from o2diffusion.media import MediaChangeSchedule

Table = pd.DataFrame | str | Path
KIND = "o2diffusion.oxygen_model"
QUANTILES = {"q05": 0.05, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q95": 0.95}
BLIND = (0.0, 1.0)  # level and scale where nothing is known of either
BATCH = 8  # conditions imputed together: bounds memory
DEFAULT = Path(__file__).with_name("default_model")


class OxygenModel:
    """A trained model: `train` or `load` makes one, `impute` and `generate` use it.

    `history` is the training's table of losses; `facts` what it knows of its training table; `notes` what was said of
    the last table read.
    """

    def __init__(
        self,
        net: FlexibleReplicateDiffusionModel,
        config: Config,
        known: Facts,
        history: pd.DataFrame | None = None,
    ) -> None:
        self.net = net
        self.config = config
        self.facts = known
        self.history = pd.DataFrame() if history is None else history
        self.notes: list[str] = []

    def to(self, device: str) -> OxygenModel:
        """Move to auto, cpu, cuda or mps; returns itself."""
        self.net.to(pick_device(device))
        return self

    def save(self, path: str | PathLike[str], *, force: bool = False) -> Path:
        """Write a bundle; raises BundleError where one is already, unless `force`."""
        return save_bundle(
            path,
            kind=KIND,
            package="o2diffusion",
            version=__version__,
            config=to_dict(self.config),
            tensors=self.net.state_dict(),
            extra={"facts": self.facts.as_dict()},
            force=force,
        )

    def meet(self, smiles: Mapping[str, str]) -> OxygenModel:
        """Introduce drugs that the model was not trained on by their structures {name: SMILES}; returns itself.

        Names that it was trained on keep what was learned. Raises ValueError for a model that was trained without
        structures or a SMILES that cannot be read, ImportError where RDKit is absent.
        """
        bits = self.config.model.fingerprint_bits
        if not bits:
            msg = "expected a model trained with its drugs' structures (`train --smiles F`), this one was not"
            raise ValueError(msg)
        met = (*self.facts.drugs, *self.facts.strangers)
        new = {name: text for name, text in smiles.items() if not is_known(name, met)}
        if new:
            found = chem.fingerprints(new, bits)
            self.net.drug_encoder.meet(torch.as_tensor(np.stack(list(found.values()))))
            self.facts = replace(self.facts, strangers=(*self.facts.strangers, *found))
        return self

    def impute(
        self,
        data: Table,
        events: Table | None = None,
        *,
        draws: int = 100,
        every: float | None = None,
        seed: int = 0,
        unknown_drug: bool = False,
    ) -> pd.DataFrame:
        """Every missing or added time filled: the input's keys, time_h, mean, q05 to q95 in the input's units.

        every: also predict at multiples of this step [h]. Raises DataError for a faulty table, ValueError for a drug
        the model has not met (unless `unknown_drug`). Warns once (DataWarning) of each of the `notes`.
        """
        parts = [
            summary(one)
            for one in self.impute_iter(
                data, events, draws=draws, every=every, seed=seed, unknown_drug=unknown_drug
            )
        ]
        found = pd.concat(parts, ignore_index=True)
        if found.empty:
            self.notes.append("no oxygen is missing: nothing filled (every=H predicts at added times)")
        for note in self.notes:
            warnings.warn(note, DataWarning, stacklevel=2)
        return found

    def impute_iter(
        self,
        data: Table,
        events: Table | None = None,
        *,
        draws: int = 100,
        every: float | None = None,
        seed: int = 0,
        unknown_drug: bool = False,
    ) -> Iterator[Filled]:
        """The same, one condition at a time and as draws, for tables larger than memory."""
        if draws < 2:
            msg = f"draws: expected at least 2, got {draws!r}"
            raise ValueError(msg)
        self.notes = []
        waiting: list[Condition] = []
        for number, condition in enumerate(iter_conditions(data, events, notes=self.notes, seed=seed)):
            waiting.append(condition if every is None else add_times(condition, every))
            if len(waiting) == BATCH:
                yield from self._impute(waiting, draws, seed + number, unknown=unknown_drug)
                waiting = []
        if waiting:
            yield from self._impute(waiting, draws, seed, unknown=unknown_drug)

    def _impute(
        self, conditions: Sequence[Condition], draws: int, seed: int, *, unknown: bool
    ) -> list[Filled]:
        known = facts(conditions, use_drugs=False)
        fallbacks = [self.facts.scale(c.unit) or known.scale(c.unit) or BLIND for c in conditions]
        self._say_unused(conditions)
        self._say_blind(conditions, fallbacks)
        who = [self.facts.who(c, unknown=unknown) for c in conditions]
        asked = ((c.drug, c.concentration_um) for c in conditions)
        self.notes += [n for n in self.facts.note_unknown(asked) if n not in self.notes]
        return impute_conditions(self.net, conditions, fallbacks=fallbacks, who=who, draws=draws, seed=seed)

    def _say_unused(self, conditions: Sequence[Condition]) -> None:
        """Tell once that a model without drugs does not use the table's."""
        note = "the model was trained without drugs: the table's drugs and concentrations are unused"
        if not self.facts.drugs and any(c.drug for c in conditions) and note not in self.notes:
            self.notes.append(note)

    def _say_blind(self, conditions: Sequence[Condition], fallbacks: Sequence[tuple[float, float]]) -> None:
        """Tell of series that show nothing in a unit that nobody knows the usual level of."""
        for condition, fallback in zip(conditions, fallbacks, strict=True):
            if fallback == BLIND and not np.isfinite(condition.oxygen).any() and condition.wanted.any():
                unit = condition.unit or "not stated"
                self.notes.append(
                    f"series {condition.series_id}: no oxygen observed and unit {unit} not known to the model: "
                    "filled around 0 with a spread of 1, which says nothing"
                )

    def generate(
        self,
        drug: str | None,
        concentration_um: float | None,
        *,
        replicates: int = 4,
        media_changes: Sequence[float] | MediaChangeSchedule = (),
        hours: float | None = None,
        draws: int = 1,
        unit: str | None = None,
        seed: int = 0,
        unknown_drug: bool = False,
    ) -> pd.DataFrame:
        """Whole curves of a condition that was not run: draw, replicate, time_h, oxygen, unit.

        hours: duration [h], the training table's longest by default. unit: one of the model's (its first by default).
        """
        who = self.facts.identify(drug, concentration_um, unknown=unknown_drug)
        return generate_table(
            self.net,
            self.facts,
            who,
            replicates=replicates,
            media_changes=media_changes,
            hours=self.facts.hours if hours is None else hours,
            draws=draws,
            unit=unit,
            seed=seed,
        )


def summary(filled: Filled) -> pd.DataFrame:
    """Mean and quantiles of the draws at each wanted sample, with the condition's keys."""
    c = filled.condition
    table = keys(filled)
    if len(table):
        table["mean"] = filled.draws.mean(axis=0)
        table[list(QUANTILES)] = np.quantile(filled.draws, list(QUANTILES.values()), axis=0).T
    if c.unit is not None:
        table["unit"] = c.unit
    return table


def keys(filled: Filled) -> pd.DataFrame:
    """The input's keys and time of each wanted sample."""
    c = filled.condition
    fixed: dict[str, Any] = {"experiment_id": c.experiment_id, "series_id": c.series_id}
    if c.drug is not None:
        fixed["drug"] = c.drug
    if c.concentration_um is not None:
        fixed["concentration_um"] = c.concentration_um
    labels = np.asarray(c.replicates, dtype=object)[filled.column]
    return pd.DataFrame(fixed | {"replicate": labels, "time_h": c.time_h[filled.row]})


def load(path: str | PathLike[str] | None = None) -> OxygenModel:
    """A saved model; without a path the default one, which comes with the package.

    Raises BundleError for a damaged or foreign directory.
    """
    bundle = load_bundle(DEFAULT if path is None else path, kinds={KIND})
    config = from_dict(Config, bundle.config)
    known = Facts.from_dict(bundle.extra["facts"])
    net = FlexibleReplicateDiffusionModel(config.model, n_drugs=len(known.drugs))
    if known.strangers:
        net.drug_encoder.meet(torch.zeros(len(known.strangers), config.model.fingerprint_bits))
    load_weights(net, bundle.tensors)
    history = Path(path) / "history.csv" if path is not None else None
    return OxygenModel(
        net.eval(), config, known, pd.read_csv(history) if history and history.exists() else None
    )


def train(
    data: Table | Sequence[Condition],
    events: Table | None = None,
    *,
    config: Config | None = None,
    out: str | PathLike[str] | None = None,
    start: OxygenModel | None = None,
    smiles: Mapping[str, str] | None = None,
    seed: int = 0,
    resume: bool = False,
    force: bool = False,
    notes: list[str] | None = None,
) -> OxygenModel:
    """Train on a table; `out` gets the bundle, checkpoints and history (a temporary directory without it).

    start: a model whose weights to begin with (adapting the default one to a plate). smiles: structures of the table's
    drugs {name: SMILES}, so that drugs it does not hold can be introduced later (`OxygenModel.meet`).
    Raises DataError for a faulty table, ValueError where it holds nothing to learn from, BundleError where `out` holds
    a model already and neither `force` nor `resume` is given.
    """
    from o2diffusion.training import build, train_network  # Lightning is slow to load and only needed here

    if out is not None and (Path(out) / MANIFEST).exists() and not (force or resume):
        msg = f"{out} already holds a model; pass force to replace it, or choose another directory"
        raise BundleError(msg)
    config = Config() if config is None else config
    config = replace(config, model=config.model.resolved())
    notes = [] if notes is None else notes
    if isinstance(data, pd.DataFrame | str | Path):
        conditions: Sequence[Condition] = read_conditions(data, events, notes=notes, seed=seed)
    else:
        conditions = data
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
        if out is not None:
            model.save(out, force=True)
    return model


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


__all__ = ["OxygenModel", "adopt", "load", "summary", "train"]
