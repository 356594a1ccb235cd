"""Units and meaning of a dataclass's fields stand in comments beside them: here they become what the reference says."""

from __future__ import annotations

import io
import tokenize
from typing import Any

from griffe import Attribute, Docstring, Extension


class FieldComments(Extension):
    """A field or constant without a docstring has the comment of its own lines for one."""

    def on_attribute_instance(self, *, attr: Attribute, **_: Any) -> None:
        """Take the comment from the lines that griffe has just read."""
        if (
            attr.docstring is None
            and attr.lineno
            and (said := comment("\n".join(attr.lines) if attr.lines else ""))
        ):
            attr.docstring = Docstring(said, lineno=attr.lineno, parent=attr)


def comment(source: str) -> str:
    """The comments of a statement, without marks for tools."""
    found = [
        token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    ]
    return " ".join(words for words in found if not words.startswith(("noqa", "type:", "pyright:", "fmt:")))
