"""Perturbations with a dose, `name@dose`: doses between those seen are interpolated on the logarithm of 1 + dose."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from virtualcell.faults import refuse

if TYPE_CHECKING:
    from collections.abc import Iterable

MARK, JOINT = "@", "+"  # before a dose; between perturbations that were done at once


def with_dose(name: str, dose: float | None) -> str:
    """`name@dose`, or the name alone. DataError for a dose that is negative or not finite, or of several at once."""
    if dose is None:
        return name
    if JOINT in name:
        refuse(
            f"dose of {name!r}: several at once have no common dose: name each with its own, as A{MARK}1{JOINT}B{MARK}2"
        )
    if not 0 <= dose < float("inf"):
        refuse(f"dose of {name!r}: expected a number of 0 and more, got {dose:g}")
    return f"{name}{MARK}{np.format_float_positional(dose, trim='-')}"  # no exponent: its + joins names


def dose_of(name: str) -> tuple[str, float | None]:
    """The name without its dose, and the dose if it has one: a number of 0 and more."""
    head, mark, tail = name.rpartition(MARK)
    try:
        dose = float(tail) if mark and head else -1.0
    except ValueError:
        dose = -1.0
    return (head, dose) if 0 <= dose < float("inf") else (name, None)


def levels_of(drug: str, seen: Iterable[str]) -> dict[float, str]:
    """The doses of a drug among seen names, and these names."""
    told = ((*dose_of(other), other) for other in seen)
    return {level: other for head, level, other in told if head == drug and level is not None}


def beyond(name: str, seen: Iterable[str]) -> str:
    """What is to be said of a dose above all that were seen; nothing of any other."""
    drug, dose = dose_of(name)
    top = max(levels_of(drug, seen), default=None)
    if dose is None or top is None or dose <= top:
        return ""
    return (
        f"dose {dose:g} of {drug} is above {top:g}, the highest that was seen: the change of {top:g} is taken"
    )


def between(name: str, seen: Iterable[str]) -> list[tuple[str | None, float]]:
    """Seen names of the same drug, and their weights, that stand for a dose not seen; none where there is none.

    Linear in log(1 + dose) between the nearest doses below and above. Dose 0 changes nothing (None). Above the highest
    dose its own change is taken.
    """
    drug, dose = dose_of(name)
    levels = levels_of(drug, seen)
    if dose is None or not levels:
        return []
    points: list[tuple[float, str | None]] = sorted(
        [(0.0, None), *((d, o) for d, o in levels.items() if d > 0)]
    )
    for (low, first), (high, second) in itertools.pairwise(points):
        if low <= dose <= high:
            share = float((np.log1p(dose) - np.log1p(low)) / (np.log1p(high) - np.log1p(low)))
            return [(first, 1 - share), (second, share)]
    return [(points[-1][1], 1.0)]
