"""Settings checked by their types and ranges, each fault in one line that names the setting."""

from __future__ import annotations

import dataclasses
from numbers import Integral, Real
from typing import Any, Literal, get_args, get_origin, get_type_hints

from virtualcell.faults import nearest, refuse


class Checked:
    """Fields are checked by their types, then by `ranges`; DataError names the setting."""

    def __post_init__(self) -> None:
        """Refuse values of another type or outside their range."""
        hints = get_type_hints(type(self))
        for known in dataclasses.fields(self):  # type: ignore[arg-type]
            value = _plain(getattr(self, known.name))
            object.__setattr__(self, known.name, value)
            _of_type(known.name, value, hints[known.name])
        self.ranges()

    def ranges(self) -> None:
        """Refuse values outside their range; whole numbers are 1 or more without a word of their own."""
        at_least(self, 1, *(f.name for f in dataclasses.fields(self) if f.type == "int"))  # type: ignore[arg-type]


def at_least(options: Any, low: float, *names: str) -> None:
    """Refuse a setting below `low`, or not finite."""
    for name in names:
        if not low <= getattr(options, name) < float("inf"):
            refuse(f"{name}: expected a number >= {low:g}, got {getattr(options, name)!r}")


def above(options: Any, low: float, *names: str) -> None:
    """Refuse a setting that is not above `low`, or not finite."""
    for name in names:
        if not low < getattr(options, name) < float("inf"):
            refuse(f"{name}: expected a number > {low:g}, got {getattr(options, name)!r}")


def between(options: Any, low: float, high: float, name: str) -> None:
    """Refuse a setting unless it is above `low` and at most `high`."""
    if not low < getattr(options, name) <= high:
        refuse(f"{name}: expected a number above {low:g} to {high:g}, got {getattr(options, name)!r}")


def rising(options: Any, low: float, high: float, name: str) -> None:
    """Refuse a pair that is not rising within low..high."""
    pair = getattr(options, name)
    if len(pair) != 2 or not low <= pair[0] < pair[1] <= high:
        refuse(f"{name}: expected two rising numbers from {low:g} to {high:g}, got {tuple(pair)!r}")


def _plain(value: Any) -> Any:
    """Numbers of numpy as Python's, single ones and those of a tuple: a manifest holds no others."""
    if type(value) is tuple:
        return tuple(map(_plain, value))
    if not isinstance(value, Real) or type(value) in (bool, int, float):
        return value
    return int(value) if isinstance(value, Integral) else float(value)


_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def _of_type(name: str, value: Any, kind: Any) -> None:
    """Refuse a value that is not of its setting's type; whole numbers are numbers, true is no number."""
    choices = get_args(kind)
    if get_origin(kind) is Literal:
        if value not in choices:
            refuse(
                f"{name}: expected one of {', '.join(map(str, choices))}, got {value!r}; {nearest(str(value), choices)}"
            )
    elif kind in _WORDS:
        allowed = (int, float) if kind is float else (kind,)
        if type(value) not in allowed:
            refuse(f"{name}: expected {_WORDS[kind]}, got {value!r}")
    elif get_origin(kind) is tuple:
        if not isinstance(value, tuple) or any(type(item) not in (int, float) for item in value):
            refuse(f"{name}: expected numbers, got {value!r}")
    elif type(None) in choices and not isinstance(value, str | None):
        refuse(f"{name}: expected text or nothing, got {value!r}")
