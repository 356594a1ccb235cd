"""The model as a user holds it: saved as a directory, filling and generating curves. `fitting.train` makes one.

DataFrames or files in, DataFrames out, everything in the input's units.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from cytosol.bundle import load_bundle, load_weights, save_bundle
from cytosol.config import from_dict, to_dict
from cytosol.device import pick_device
from o2diffusion import __version__, chem
from o2diffusion.conditions import Condition, iter_conditions
from o2diffusion.config import Config
from o2diffusion.corpus import Facts, facts
from o2diffusion.drugs import is_known
from o2diffusion.generating import generate_table
from o2diffusion.imputing import Filled, add_times, impute_conditions
from o2diffusion.model import FlexibleReplicateDiffusionModel
from o2diffusion.tables import DataWarning
from o2diffusion.unseen import unseen_note, unseen_responses

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

    `net` the network, `config` what it was trained with, `facts` what it knows of its training table, `history` that
    training's table of losses, `notes` what was said of the last table read.
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
        """Move to auto, cpu, cuda or mps; returns itself. ValueError for another, or one that is not there."""
        self.net.to(pick_device(device))
        return self

    def save(self, path: str | PathLike[str], *, force: bool = False) -> Path:
        """Write a bundle, a directory, and give its path; raises BundleError where one is already, unless `force`."""
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

        every: also predict at multiples of this step [h]. Raises as `impute_iter` does. Warns once (DataWarning) of
        each of the `notes`.
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
        """The same, one condition at a time and as draws (d, m), for tables larger than memory.

        Raises, when the first is asked for, DataError for a faulty table, ValueError for fewer than two draws, a step
        that makes no sense, or a drug the model has not met (unless `unknown_drug`).
        """
        if draws < 2:
            msg = f"draws: expected at least 2, got {draws!r}"
            raise ValueError(msg)
        self.notes = []
        waiting: list[Condition] = []
        unseen: dict[str, list[float]] = {}
        for number, condition in enumerate(iter_conditions(data, events, notes=self.notes, seed=seed)):
            waiting.append(condition if every is None else add_times(condition, every))
            unseen.setdefault(condition.series_id, []).extend(unseen_responses(waiting[-1]))
            if len(waiting) == BATCH:
                yield from self._impute(waiting, draws, seed + number, unknown=unknown_drug)
                waiting = []
        if waiting:
            yield from self._impute(waiting, draws, seed, unknown=unknown_drug)
        self.notes += unseen_note(unseen)

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
        """Whole curves of a condition that was not run: draw and replicate (from 1), time_h, oxygen, unit.

        media_changes: times [h]. hours: duration [h], the training table's longest by default. unit: one of the model's
        (its first by default). Raises ValueError for a drug it has not met (unless `unknown_drug`: the average), for
        another unit, and for other than 1 to 4 replicates, a positive duration, and changes within it. Warns
        (DataWarning) of a drug or concentration given to a model that was trained without drugs.
        """
        if not self.facts.drugs and (drug is not None or concentration_um is not None):
            note = "the model was trained without drugs: drug and concentration_um are unused"
            warnings.warn(note, DataWarning, stacklevel=2)
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
    """Mean and quantiles (`QUANTILES`) of the draws at each wanted sample, a row each, with the condition's keys."""
    c = filled.condition
    table = keys(filled)
    table["mean"] = filled.draws.mean(axis=0)
    table[list(QUANTILES)] = np.quantile(filled.draws, list(QUANTILES.values()), axis=0).T
    if c.unit is not None:
        table["unit"] = c.unit
    return table


def keys(filled: Filled) -> pd.DataFrame:
    """The input's keys and time_h of each wanted sample, a row each; a drug or concentration where it has one."""
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


__all__ = ["OxygenModel", "load", "summary"]
