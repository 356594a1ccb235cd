"""Public names say what they are: shapes of what is an array, and the errors that they raise themselves."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
SOURCES = [ROOT / "shared/src/cytosol", *sorted(ROOT.glob("packages/*/src/*"))]
ARRAY = re.compile(r"\b(Tensor|NDArray|ndarray|csr_matrix)\b")
SHAPE = re.compile(r"\(\)|\([\w*+\-/ .:]+,[\w*+\-/ .,:]*\)|\bscalar\b")  # (), (n,), (b, t, r), a scalar
COMMANDS = {"verbs", "cli.py", "commands.py"}  # their docstrings are help texts

Named = ast.FunctionDef | ast.ClassDef


def public(tree: ast.Module) -> Iterator[tuple[str, Named, str]]:
    """Name and node of every public class, function and method, and what the class says of its methods."""
    for node in tree.body:
        if isinstance(node, Named) and not node.name.startswith("_"):
            yield node.name, node, ""
            own = ast.get_docstring(node) or ""
            for inner in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_"):
                    yield f"{node.name}.{inner.name}", inner, own


def raised(node: ast.FunctionDef) -> set[str]:
    """The names of exceptions that a function raises in its own lines."""
    found = [one.exc for one in ast.walk(node) if isinstance(one, ast.Raise)]
    return {call.func.id for call in found if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)}


def unsaid(node: Named, outer: str, *, command: bool) -> list[str]:
    """What the docstring of a public name leaves out."""
    said = ast.get_docstring(node)
    if said is None:
        return ["no docstring"]
    if isinstance(node, ast.ClassDef):
        return []
    types = [one.annotation for one in (*node.args.args, *node.args.kwonlyargs)] + [node.returns]
    arrays = any(ARRAY.search(ast.unparse(one)) for one in types if one is not None)
    missing = ["no shape"] if arrays and not SHAPE.search(said + outer) else []
    faults = set() if command else raised(node) - {"NotImplementedError"}
    return missing + [f"raises {name}" for name in sorted(faults) if name not in said]


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_public_names_say_shapes_and_errors(source: Path) -> None:
    found = {}
    for path in sorted(source.rglob("*.py")):
        command = bool(COMMANDS & set(path.relative_to(source).parts))
        for name, node, outer in public(ast.parse(path.read_text(encoding="utf-8"))):
            if missing := unsaid(node, outer, command=command):
                found[f"{path.relative_to(ROOT)}:{node.lineno} {name}"] = missing
    assert found == {}


def test_the_reader_sees_what_is_left_out() -> None:
    text = '''
        def mean(x: Tensor) -> Tensor:
            """The mean."""
            raise ValueError(x)

        def said(x: Tensor) -> Tensor:
            """(b, n) to (b,). Raises ValueError."""
            raise ValueError(x)

        class Net:
            def run(self): pass
    '''
    tree = ast.parse(re.sub(r"^ {8}", "", text, flags=re.MULTILINE))
    found = {name: unsaid(node, outer, command=False) for name, node, outer in public(tree)}
    assert found == {
        "mean": ["no shape", "raises ValueError"],
        "said": [],
        "Net": ["no docstring"],
        "Net.run": ["no docstring"],
    }
