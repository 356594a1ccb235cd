"""Words that stand in files: organism types, ids that may become file names, and names that are nearly right."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

ORGANISM_TYPES = ("bacteria", "archaea", "fungi", "protist", "virus")
_SPELT = {"archea": "archaea", "fungus": "fungi", "protists": "protist", "viruses": "virus"}
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,127}")


def organism_type(text: str) -> str:
    """An organism type as it is stored; `archea`, other plurals and capitals are understood.

    Raises ValueError for another word.
    """
    word = str(text).strip().lower()
    word = _SPELT.get(word, word)
    if word not in ORGANISM_TYPES:
        msg = f"organism type: expected one of {', '.join(ORGANISM_TYPES)}, got {text!r}"
        raise ValueError(msg)
    return word


def checked_id(text: str, what: str) -> str:
    """An id that is safe in a file name and in a table; ValueError, naming `what`, for another."""
    if not _ID.fullmatch(text) or ".." in text:
        allowed = "up to 128 of A-Z a-z 0-9 . _ : + -, a letter or digit first, no '..'"
        msg = f"{what}: expected {allowed}, got {text!r}"
        raise ValueError(msg)
    return text


def folded(name: str) -> str:
    """A name in lower case, with one space between words: how spellings are compared."""
    return " ".join(str(name).lower().split())


def closest(
    name: str, known: Iterable[str], *, least: float = 0.0, as_read: Callable[[str], str] = str
) -> str | None:
    """The known name that is most like a given one; None where none is as like as `least`, from 0 to 1.

    as_read: what is compared of a name.
    """
    read = {as_read(one): one for one in known}
    close = difflib.get_close_matches(as_read(name), read, n=1, cutoff=least)
    return read[close[0]] if close else None


def nearest(
    name: str, known: Iterable[str], *, least: float = 0.0, as_read: Callable[[str], str] = str
) -> str:
    """A hint, `; did you mean 'x'?`, at the `closest` name; nothing where there is none."""
    close = closest(name, known, least=least, as_read=as_read)
    return "" if close is None else f"; did you mean {close!r}?"


def nearest_medium(text: str, names: Mapping[str, str]) -> str:
    """A hint, `; did you mean 'id' (name)?`, at the medium whose name or else whose id is meant. names: by id.

    The shortest name that holds all words of `text` comes first, then what is most like it among names and ids.
    """
    words = set(folded(text).split())
    holding = [one for one, name in names.items() if words and words <= set(folded(name).split())]
    meant = min(holding, key=lambda one: (len(names[one]), one), default=None)
    if meant is None:
        own = {name: one for one, name in names.items() if name} | {one: one for one in names}
        close = closest(text, own, as_read=folded)
        meant = None if close is None else own[close]
    if meant is None:
        return ""
    return f"; did you mean {meant!r}{f' ({names[meant]})' if names[meant] else ''}?"
