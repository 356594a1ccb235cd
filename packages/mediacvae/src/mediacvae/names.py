"""Words that stand in files: organism types, and ids that may become file names."""

from __future__ import annotations

import re

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
