"""A table's conditions as training material: drugs and scales, masked items, media-change windows.

Letters: p items of the pool, w windows, n samples a window.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from o2diffusion.drugs import UNKNOWN, is_known, match_drug
from o2diffusion.pool import make_pool
from o2diffusion.units import oxygen_unit
from o2diffusion.windows import MediaResponseDataset, collate_windows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from o2diffusion.conditions import Condition
    from o2diffusion.config import Config
    from o2diffusion.model import Batch

CONTROL = ("control", "vehicle", "dmso", "untreated", "blank")
ANY_UNIT = ""
HELD_OUT = 10  # of so many conditions one shows how well the others generalise
FEWEST_TO_HOLD = 6


@dataclass(frozen=True)
class Facts:
    """What a model knows of the table it was trained on; saved with it as plain JSON.

    `drugs` vocabulary, `scales` unit -> (mean, SD) of oxygen in that unit, `c_ref` smallest positive dose [uM],
    `concentrations` met [uM], `units` of the table, `hours` the longest condition [h], `wells` a hash of each
    replicate's curve, by which a table that is scored is known to have been learned from; `strangers` drugs met
    later, by their structure alone.
    """

    drugs: tuple[str, ...] = ()
    scales: dict[str, tuple[float, float]] = field(default_factory=dict)
    c_ref: float = 1.0
    concentrations: tuple[float, ...] = ()
    units: tuple[str, ...] = ()
    hours: float = 1.0
    wells: tuple[str, ...] = ()
    strangers: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        plain = asdict(self)
        plain["scales"] = {k: list(v) for k, v in self.scales.items()}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in plain.items()}

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Facts:
        """The inverse of `as_dict`; KeyError where a fact is missing."""
        return cls(
            drugs=tuple(plain["drugs"]),
            scales={k: (v[0], v[1]) for k, v in plain["scales"].items()},
            c_ref=plain["c_ref"],
            concentrations=tuple(plain["concentrations"]),
            units=tuple(plain["units"]),
            hours=plain["hours"],
            wells=tuple(plain.get("wells", ())),
            strangers=tuple(plain.get("strangers", ())),
        )

    def met(self, conditions: Sequence[Condition]) -> list[str]:
        """Ids of the series of which a replicate was trained on, whatever it is called now."""
        known = set(self.wells)
        return [c.series_id for c in conditions if not known.isdisjoint(_wells(c))]

    def scale(self, unit: str | None) -> tuple[float, float] | None:
        """Level and scale of curves in `unit`, in that unit; None where the model never met it."""
        return self.scales.get(_unit_key(unit))

    def who(self, condition: Condition, *, unknown: bool = False) -> tuple[int, float]:
        """Drug index and concentration of a condition as the network reads them.

        A model without drugs reads none. The control, whatever it is called, is concentration 0. Raises ValueError
        for a drug the model has not met, unless `unknown`: then it gets the learned average (index -1).
        """
        return self.identify(condition.drug, condition.concentration_um, unknown=unknown)

    def note_unknown(self, who: Iterable[tuple[str | None, float | None]]) -> list[str]:
        """One note with the drugs among these (drug, concentration [uM]) that get the average; none: no note."""
        met = (*self.drugs, *self.strangers)
        used = (d for d, dose in who if d and dose != 0 and not _is_control(d))
        strange = [d for d in dict.fromkeys(used) if self.drugs and not is_known(d, met)]
        names = ", ".join(strange)
        return (
            [f"drugs unknown to the model, taken as the average of those it knows: {names}"]
            if strange
            else []
        )

    def identify(
        self, drug: str | None, concentration: float | None, *, unknown: bool = False
    ) -> tuple[int, float]:
        """`who` for a drug's name and a concentration [uM, None = not given]; raises ValueError as it does."""
        if not self.drugs:
            return UNKNOWN, float("nan")
        dose = float("nan") if concentration is None else float(concentration)
        if drug is None or _is_control(drug) or dose == 0.0:
            return UNKNOWN, 0.0 if drug is not None or dose == 0.0 else dose
        try:
            return match_drug(drug, self.drugs), dose
        except ValueError:
            if is_known(drug, self.strangers):  # after the drugs, and the drugs by their structure alone
                return 2 * len(self.drugs) + match_drug(drug, self.strangers), dose
            if not unknown:
                raise
            return UNKNOWN, dose


def _is_control(drug: str) -> bool:
    """Whether a drug's name says that there is none."""
    return drug.strip().casefold() in CONTROL


def _unit_key(unit: str | None) -> str:
    """A unit under its canonical name, so that "%air" and "% air" are one."""
    return (oxygen_unit(unit) or unit) if unit else ANY_UNIT


def facts(conditions: Sequence[Condition], *, use_drugs: bool, keep_wells: bool = True) -> Facts:
    """What a table's conditions have in common. Raises ValueError without any condition."""
    if not conditions:
        msg = "expected at least one series to learn from, got none"
        raise ValueError(msg)
    doses = sorted({c.concentration_um for c in conditions if c.concentration_um is not None})
    named = [c.drug for c in conditions if c.drug and not _is_control(c.drug)]
    values: dict[str, list[np.ndarray]] = {}
    for c in conditions:
        values.setdefault(_unit_key(c.unit), []).append(c.oxygen[np.isfinite(c.oxygen)])
    joined = {unit: np.concatenate(parts) for unit, parts in values.items()}
    scales = {u: (float(v.mean()), max(float(v.std()), 1e-9)) for u, v in joined.items() if v.size}
    positive = [d for d in doses if d > 0]
    return Facts(
        drugs=tuple(dict.fromkeys(named)) if use_drugs else (),
        scales=scales,
        c_ref=positive[0] if positive else 1.0,
        concentrations=tuple(doses) if use_drugs else (),
        units=tuple(u for u in scales if u),
        hours=max(float(np.ptp(c.time_h)) for c in conditions),
        wells=tuple(well for c in conditions for well in _wells(c)) if keep_wells else (),
    )


def _wells(condition: Condition) -> list[str]:
    """A hash of each replicate's samples, from its first on; a replicate of fewer than three has none."""
    out = []
    for values in condition.oxygen.T:
        seen = np.isfinite(values)
        if seen.sum() >= 3:
            time = condition.time_h[seen]
            curve = np.stack([time - time[0], values[seen]]).astype(np.float32)
            out.append(hashlib.blake2b(curve.tobytes(), digest_size=8).hexdigest())
    return out


def training_pool(conditions: Sequence[Condition], known: Facts, config: Config, *, seed: int) -> Batch:
    """The conditions under random masks, with the drug hidden now and then: a batch of p items.

    Raises ValueError where no condition has enough samples, or for one of a drug that is not `known`.
    """
    who = [known.who(c) for c in conditions]
    pool = make_pool(
        conditions,
        masks=config.train.masks,
        everything=config.train.everything,
        fallbacks=[known.scale(c.unit) or (0.0, 1.0) for c in conditions],
        who=who,
        seed=seed,
        cells=config.model.cells,
    )
    rng = np.random.default_rng(seed)
    forget = torch.as_tensor(rng.random(len(pool.drug)) < config.train.unknown_drug)
    nameless = torch.full_like(pool.drug, UNKNOWN)
    if config.model.fingerprint_bits:  # every other one keeps its structure
        by_structure = torch.as_tensor(rng.random(len(pool.drug)) < 0.5) & (pool.drug >= 0)
        nameless = torch.where(by_structure, pool.drug + len(known.drugs), nameless)
    pool.drug = torch.where(forget, nameless, pool.drug)
    return pool


def hold_out(conditions: Sequence[Condition], seed: int) -> tuple[list[Condition], list[Condition]]:
    """Conditions to learn from and to judge by: every tenth, at least one; none of fewer than six."""
    n = len(conditions)
    if n < FEWEST_TO_HOLD:
        return list(conditions), []
    chosen = set(np.random.default_rng([seed, n]).permutation(n)[: max(1, n // HELD_OUT)].tolist())
    return [c for i, c in enumerate(conditions) if i not in chosen], [conditions[i] for i in sorted(chosen)]


@dataclass
class Windows:
    """Media-change windows as tensors: time (w, n) [h], deviation (w, n) [scale of the table], weight (w, n) the
    number of replicates behind it, drug (w,), concentration (w,).
    """

    time: Tensor
    deviation: Tensor
    weight: Tensor
    drug: Tensor
    concentration: Tensor

    def __len__(self) -> int:
        return len(self.time)


def training_windows(conditions: Sequence[Condition], known: Facts) -> Windows | None:
    """Deviation from the level before each media change, averaged over replicates; None where there is no change.

    Raises ValueError for a drug that is not `known`.
    """
    dataset = MediaResponseDataset(conditions)
    windows = [w for w in dataset.windows if known.scale(w.unit) is not None]
    if not windows:
        return None
    batch = {name: value for name, value in collate_windows(windows).items() if isinstance(value, Tensor)}
    scale = torch.tensor([known.scales[_unit_key(w.unit)][1] for w in windows])
    count = batch["observed"].sum(-1)
    mean = (batch["oxygen"] * batch["observed"]).sum(-1) / count.clamp(min=1) / scale[:, None]
    who = [known.identify(w.drug, w.concentration_um) for w in windows]
    return Windows(
        time=batch["time_relative"],
        deviation=mean,
        weight=count.float(),
        drug=torch.tensor([d for d, _ in who]),
        concentration=torch.tensor([c for _, c in who]),
    )
