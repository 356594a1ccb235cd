"""The dotted keys of nested configuration dataclasses, and what to say of them to a user."""

from __future__ import annotations

import dataclasses
import difflib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from collections.abc import Mapping

WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text (in quotes)",
    Path: "a path",
}


def key_types(cls: type, prefix: str = "") -> dict[str, Any]:
    """Every dotted key of a dataclass with its type; the key of a section has a dataclass as type.

    prefix: what stands before each key.
    """
    hints = get_type_hints(cls)
    types: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        key, kind = prefix + field.name, hints[field.name]
        types[key] = kind
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            types |= key_types(kind, f"{key}.")
    return types


def wants_text(kind: Any) -> bool:
    """Whether a type is `str` or a choice of words."""
    return kind is str or (
        get_origin(kind) is Literal and all(isinstance(word, str) for word in get_args(kind))
    )


def describe(kind: Any) -> str:
    """A type in a user's words."""
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(map(repr, get_args(kind)))
    return WORDS.get(kind) or str(kind).replace("typing.", "")


def hint(key: str, types: Mapping[str, Any]) -> str:
    """The nearest known key (the same name elsewhere first), or the keys of the same section."""
    section, dot, name = key.rpartition(".")
    elsewhere = [known for known in types if name and known.rpartition(".")[2] == name]
    near = difflib.get_close_matches(key, elsewhere or types, n=1, cutoff=0.0 if elsewhere else 0.6)
    if name and near:
        return f"did you mean {near[0]!r}?"
    level = [known for known in types if known.startswith(section + dot)]
    return "such as " + ", ".join(level[:6])


def explain(message: str, section: str, types: Mapping[str, Any], sources: Mapping[str, str]) -> str:
    """A range error of a section in one line: who set the keys it speaks of, the full key, the message.

    `section` is its dotted key, "" for the whole; `sources` names the layer of each key that a user set.
    """
    prefix = f"{section}." if section else ""
    text = " ".join(message.split()).removeprefix(prefix)
    own = {key[len(prefix) :]: key for key in types if key.rpartition(".")[0] == section}
    leading = [name for name in own if re.match(rf"{re.escape(name)}\b", text)]
    spoken_of = [name for name in own if re.search(rf"(?<![\w.]){re.escape(name)}\b", text)]
    layers: list[str] = []
    for names in (leading, spoken_of, own):
        layers = layers or [sources[own[name]] for name in names if own[name] in sources]
    if section and not leading:
        prefix = f"{section}: "
    return f"{' and '.join(dict.fromkeys(layers)) or 'defaults'}: {prefix}{text}"
