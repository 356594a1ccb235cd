"""The error of everything a user's data can be wrong in, and the ways of saying it in one line."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SHOWN = 5


class DataError(ValueError):
    """A fault in the user's data, in one line: file, key, cell or gene, value, what is allowed."""


def refuse(message: str) -> NoReturn:
    """Raise DataError with a message in one line of at most 500 letters."""
    raise DataError(" ".join(message.split())[:500]) from None


def few(names: Sequence[object] | Iterable[object], shown: int = _SHOWN) -> str:
    """The first names of many, and how many more there are."""
    listed = [str(name) for name in names]
    rest = f" and {len(listed) - shown} more" if len(listed) > shown else ""
    return (", ".join(listed[:shown]) or "nothing") + rest


def nearest_first(name: str, known: Iterable[str]) -> list[str]:
    """All names, those most like `name` first."""
    return sorted(known, key=lambda one: -difflib.SequenceMatcher(None, name, one).ratio())


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a name that is not known: the nearest one, or what there is."""
    names = list(known)
    longer = [
        one for one in names if name and name.lower() in one.lower()
    ]  # typed in part: CD14 of CD14+Mono
    near = longer[:1] or difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else f"there is {few(names)}"
