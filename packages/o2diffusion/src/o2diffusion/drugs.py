"""A drug at a concentration as a vector: the control is one point, each drug leaves it in its own direction.

Letters: b batch, d feature width, n_bits fingerprint bits.
"""

from __future__ import annotations

import difflib
import unicodedata
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Sequence

UNKNOWN = -1  # the index of a drug that the model has not met
DECADES = 8.0  # natural-log units of dose after which the scale flattens (about 3,000-fold)
TOP = 2.0  # level of an infinite dose


class DoseScale(nn.Module):
    """Concentration [uM] as two features: a bounded level, exactly 0 at 0, and a flag for "not given".

    dose = log1p(c / c_ref), level = TOP tanh(dose / DECADES): (..., ) -> (..., 2). NaN means not given:
    level 0, flag 1. c_ref [uM]: ValueError where it is not positive and finite.
    """

    c_ref: Tensor

    def __init__(self, c_ref: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("c_ref", torch.tensor(_positive(c_ref)))

    def forward(self, concentration: Tensor) -> Tensor:
        """Level and flag of each concentration: (..., ) [uM] -> (..., 2); ValueError for a negative one."""
        if not torch.compiler.is_compiling() and bool((concentration < 0).any()):
            msg = f"expected concentrations of at least 0 uM, got {float(concentration.nan_to_num().min()):g}"
            raise ValueError(msg)
        missing = torch.isnan(concentration)
        given = torch.where(missing, torch.zeros_like(concentration), concentration)
        level = TOP * torch.tanh(torch.log1p(given / self.c_ref) / DECADES)
        return torch.stack([level, missing.to(level.dtype)], dim=-1)


def _positive(c_ref: float) -> float:
    if not 0 < c_ref < float("inf"):
        msg = f"expected a positive reference concentration [uM], got {c_ref}"
        raise ValueError(msg)
    return float(c_ref)


def set_dose_reference(module: nn.Module, c_ref: float) -> None:
    """Give every dose scale inside `module` one reference: the smallest positive dose of training [uM].

    Raises ValueError for one that is not positive and finite.
    """
    for part in module.modules():
        if isinstance(part, DoseScale):
            part.c_ref.fill_(_positive(c_ref))


class DrugEncoder(nn.Module):
    """Embedding of (drug index, concentration): control + level (average + offset[drug]).

    `n_drugs` may be 0. Index -1 is an unknown drug: offset zero, so the average of the drugs learnt. At
    level 0 every drug is the control. A missing concentration adds a vector of its own, at a learnt level.
    With `n_bits` > 0 an offset is the drug's own plus a projection of its fingerprint (`describe`). Index
    n_drugs + i is drug i by its structure alone: training shows it now and then, else the own offset takes
    all. Drugs that were not trained on come after these (`meet`).
    """

    structures: Tensor

    def __init__(self, n_drugs: int, d: int, n_bits: int = 0, *, c_ref: float = 1.0) -> None:
        super().__init__()
        self.n_drugs, self.n_bits = n_drugs, n_bits
        self.dose = DoseScale(c_ref)
        self.control = nn.Parameter(torch.zeros(d))
        self.average = nn.Parameter(0.1 * torch.randn(d))
        self.offset = nn.Parameter(0.1 * torch.randn(n_drugs, d))
        self.not_given = nn.Parameter(torch.zeros(d))
        self.typical = nn.Parameter(torch.ones(()))  # the level at which a drug without a concentration acts
        self.structure = nn.Linear(n_bits, d, bias=False) if n_bits else None
        if n_bits:
            self.register_buffer("structures", torch.zeros(2 * n_drugs, n_bits))

    def describe(self, bits: Tensor) -> None:
        """Set the drugs' fingerprints (n_drugs, n_bits), zeros where there is none; ValueError for other shapes."""
        self._check_bits(bits, self.n_drugs)
        self.structures = torch.cat([bits, bits]).to(self.average)

    def meet(self, bits: Tensor) -> None:
        """Add drugs known by fingerprints (m, n_bits) alone as the next m indices; ValueError for other shapes."""
        self._check_bits(bits, len(bits))
        self.structures = torch.cat([self.structures, bits.to(self.structures)])

    def forward(self, drug: Tensor, concentration: Tensor) -> Tensor:
        """Embedding (b, d) of `drug` (b,) int, `concentration` (b,) [uM, NaN = not given].

        Raises ValueError for an index that is no drug's and for a negative concentration.
        """
        self._check(drug)
        level, missing = self.dose(concentration).unsqueeze(-2).unbind(-1)  # (b, 1) each
        level = level + missing * self.typical
        named = torch.where(drug < self.n_drugs, drug, UNKNOWN)
        effect = self.average + torch.cat([self.offset, torch.zeros_like(self.average)[None]])[named]
        if self.structure is not None:
            bits = torch.cat([self.structures, self.structures.new_zeros(1, self.n_bits)])[drug]
            effect = effect + self.structure(bits / bits.norm(dim=-1, keepdim=True).clamp(min=1.0))
        return self.control + level * effect + missing * self.not_given

    def penalty(self) -> Tensor:
        """Mean squared offset (and projection weight): keeps rare drugs near the average. A scalar."""
        parts = [self.offset] if self.structure is None else [self.offset, self.structure.weight]
        zero = self.average.new_zeros(())
        return torch.stack([part.square().mean() if part.numel() else zero for part in parts]).sum()

    def _check_bits(self, bits: Tensor, rows: int) -> None:
        if not self.n_bits or tuple(bits.shape) != (rows, self.n_bits):
            msg = f"expected fingerprints ({rows}, {self.n_bits}), got {tuple(bits.shape)}"
            raise ValueError(msg)

    def _check(self, drug: Tensor) -> None:
        known = len(self.structures) if self.n_bits else self.n_drugs
        if torch.compiler.is_compiling() or not drug.numel():
            return
        if int(drug.min()) < UNKNOWN or int(drug.max()) >= known:
            low, high = int(drug.min()), int(drug.max())
            msg = f"expected drug indices from -1 to {known - 1}, got {low} to {high}"
            raise ValueError(msg)


def _fold(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).split()).casefold()


def match_drug(name: str, vocabulary: Sequence[str]) -> int:
    """Index of a drug's name in the vocabulary; spaces around and inside, and case, do not matter.

    Raises ValueError that names the nearest known drug and the way out for a drug the model has not met, or
    the candidates where two known names differ by case only and neither is spelt as asked.
    """
    if name in vocabulary:
        return list(vocabulary).index(name)
    folded = [_fold(known) for known in vocabulary]
    hits = [i for i, known in enumerate(folded) if known == _fold(name)]
    if len(hits) == 1:
        return hits[0]
    if hits:
        names = ", ".join(repr(vocabulary[i]) for i in hits)
        msg = f"drug {name!r} could be any of {names}: spell it as one of them"
        raise ValueError(msg)
    near = difflib.get_close_matches(_fold(name), folded, n=1, cutoff=0.0)
    known = f"did you mean {vocabulary[folded.index(near[0])]!r}?" if near else "the model knows no drug;"
    msg = (
        f"unknown drug {name!r}: {known} use --unknown-drug for the average of the drugs the model has learnt"
    )
    raise ValueError(msg)


def is_known(name: str, vocabulary: Sequence[str]) -> bool:
    """Whether the vocabulary has the name, in any spelling."""
    return name in vocabulary or _fold(name) in {_fold(known) for known in vocabulary}
