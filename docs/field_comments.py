"""Units and meaning of a dataclass's fields stand in comments beside them: here they become a table."""

from __future__ import annotations

import io
import re
import tokenize
from typing import Any

from griffe import Class, Docstring, Extension

MARKS = ("noqa", "type:", "pyright:", "fmt:")  # comments for tools


class FieldComments(Extension):
    """The docstring of a dataclass gets a table of its fields: default, and what their comments say."""

    def on_class_members(self, *, cls: Class, **_: Any) -> None:
        """Add the table, where a field has a comment."""
        if not any("dataclass" in str(one.value) for one in cls.decorators):
            return
        rows = [
            f"| `{name}` | {default(str(one.value or ''))} | {comment(source(one.lines))} |"
            for name, one in cls.attributes.items()
            if one.annotation is not None and "property" not in one.labels
        ]
        if any(not row.endswith("|  |") for row in rows):
            said = cls.docstring.value if cls.docstring else ""
            table = "\n".join(["| field | default | what it is |", "|---|---|---|", *rows])
            cls.docstring = Docstring(f"{said}\n\n{table}", lineno=cls.lineno, parent=cls)


def default(value: str) -> str:
    """A default as code; what a factory makes as its call."""
    made = re.fullmatch(r"field\(default_factory=(\w+)\)", value)
    return f"`{made[1]}()`" if made else f"`{value}`" if value else ""


def source(lines: list[str]) -> str:
    """A statement as it stands in a file, without its indent."""
    return "\n".join(line.strip() for line in lines) + "\n"


def comment(statement: str) -> str:
    """The comments of a statement, without those for tools."""
    tokens = tokenize.generate_tokens(io.StringIO(statement).readline)
    found = [token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT]
    return " ".join(words.replace("|", "\\|") for words in found if not words.startswith(MARKS))
