"""What may stand in a cell: functions from what a file holds to what is stored, ValueError for the rest.

An empty cell (None, NaN, '') never comes here. Messages say what was expected and what came; who calls adds the rest.
"""

from __future__ import annotations

import math
import re
import unicodedata
from typing import TYPE_CHECKING, Any

from mediacvae.names import checked_id
from mediacvae.names import organism_type as _type

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST = 2000  # characters of a text
CLOSE = 0.6  # likeness from which a name may have been meant
BIGGEST = 2**62
_MEDIUM = re.compile(r"[^\s/\\'\"`;<>|](?:[^/\\'\"`;<>|]{0,253}[^\s/\\'\"`;<>|])?")
_TRUE, _FALSE = ("true", "yes", "1", "1.0", "t", "y", "+"), ("false", "no", "0", "0.0", "f", "n", "-")


def empty(value: Any) -> bool:
    """Whether a cell holds nothing."""
    return value is None or value != value or (isinstance(value, str) and not value.strip())


def genome_id(value: Any) -> str:
    """An id that may become a file name; ValueError for another."""
    return checked_id(_word(value), "genome id")


def medium_id(value: Any) -> str:
    """An id of a medium: the sources' own, with blanks and commas, but nothing that means something to a shell.

    Raises ValueError for another.
    """
    word = _word(value)
    if not _MEDIUM.fullmatch(word) or ".." in word or _unprintable(word):
        allowed = "up to 255 printable characters without / \\ quotes ; < > | or '..', no blank at the ends"
        msg = f"medium id: expected {allowed}, got {word!r}"
        raise ValueError(msg)
    return word


def organism_type(value: Any) -> str:
    """One of bacteria, archaea, fungi, protist, virus; ValueError for another word."""
    return _type(_word(value))


def text(longest: int = LONGEST) -> Callable[[Any], str]:
    """A check of text without control characters, up to a length; it raises ValueError for another."""

    def check(value: Any) -> str:
        word = _word(value)
        if len(word) > longest or _unprintable(word):
            msg = f"expected up to {longest} printable characters, got {word[:80]!r}"
            raise ValueError(msg)
        return word

    return check


def number(least: float = -math.inf, most: float = math.inf) -> Callable[[Any], float]:
    """A check of a finite number in a range, both ends included; it raises ValueError for another."""
    room = f" from {least:g}" + (f" to {most:g}" if most < math.inf else " up") if least > -math.inf else ""

    def check(value: Any) -> float:
        try:
            found = float(value)
        except (TypeError, ValueError, OverflowError):
            found = math.nan
        if isinstance(value, bool) or not (math.isfinite(found) and least <= found <= most):
            msg = f"expected a number{room}, got {_short(value)}"
            raise ValueError(msg)
        return found

    return check


def whole(least: int = 0, most: int = BIGGEST) -> Callable[[Any], int]:
    """A check of a whole number in a range, both ends included; it raises ValueError for another."""
    inner = number(least, most)

    def check(value: Any) -> int:
        try:
            found = int(value) if isinstance(value, str) else inner(value)
            good = found == int(found) and least <= found <= most
        except ValueError:
            good, found = False, 0
        if isinstance(value, str) and not good:
            try:  # 158879.0, as tables that once held a gap write it
                found = inner(value)
                good = found == int(found)
            except ValueError:
                good = False
        if not good:
            msg = f"expected a whole number from {least}, got {_short(value)}"
            raise ValueError(msg)
        return int(found)

    return check


def flag(value: Any) -> bool:
    """True or false, as words, letters, digits or signs; ValueError for another word."""
    word = str(value).strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    msg = f"expected true or false, got {_short(value)}"
    raise ValueError(msg)


def _word(value: Any) -> str:
    if isinstance(value, bool | bytes | list | dict) or not isinstance(value, str | int | float):
        msg = f"expected text, got {_short(value)}"
        raise ValueError(msg)
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _unprintable(word: str) -> bool:
    return any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in word if not " " <= c <= "~")


def _short(value: Any) -> str:
    said = repr(value)
    return said if len(said) <= 80 else f"{said[:77]}..."
