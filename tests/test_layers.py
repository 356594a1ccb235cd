"""Who may import whom, and which library may be touched where."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted([*ROOT.glob("shared/src/**/*.py"), *ROOT.glob("packages/*/src/**/*.py")])

# A library, and the only places that may import it: paths relative to a package's folder, by their beginning.
RESERVED = {
    "omegaconf": ("cytosol/config.py",),
    "yaml": ("cytosol/config.py",),
    "typer": ("cytosol/cli.py", "cytosol/commands.py", "cytosol/many.py", "*/cli", "*/verbs"),
    "lightning": (
        "cytosol/trainer.py",
        "cytosol/run.py",
        "cytosol/processes.py",
        "cytosol/sharding.py",
        "*/training",
    ),
}


def imports(path: Path) -> set[str]:
    """The top-level names of everything a file imports, inside functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def place(path: Path) -> str:
    """A source file as `package/file.py`."""
    return path.as_posix().rpartition("/src/")[2]


def allowed(path: Path, places: tuple[str, ...]) -> bool:
    package, _, rest = place(path).partition("/")
    return any(
        owner in ("*", package) and rest.startswith(start)
        for owner, _, start in (p.partition("/") for p in places)
    )


def test_import_contracts_hold() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    process = subprocess.run(
        [linter, "--no-cache", "--no-logo"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stdout + process.stderr


@pytest.mark.parametrize("library", RESERVED)
def test_a_library_is_imported_in_its_places_only(library: str) -> None:
    users = {path for path in SOURCES if library in imports(path)}
    assert [place(path) for path in users if not allowed(path, RESERVED[library])] == []
    assert users, f"no one imports {library}: take the row out"


def test_the_core_names_no_library() -> None:
    names = [path.name for path in (ROOT / "packages").iterdir() if path.is_dir()]
    code = {path: path.read_text(encoding="utf-8") for path in SOURCES if place(path).startswith("cytosol/")}
    assert [(place(path), name) for path, text in code.items() for name in names if name in text] == []


@pytest.mark.parametrize("name", ["src", "shared", "packages", "configs"])
def test_no_folder_of_the_repository_is_importable(name: str, tmp_path: Path) -> None:
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({name!r}) is not None)"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0


def test_every_member_is_importable_by_its_own_name() -> None:
    for folder in [ROOT / "shared", *(ROOT / "packages").iterdir()]:
        (package,) = (folder / "src").iterdir()
        spec = importlib.util.find_spec(package.name)
        assert spec is not None
        assert Path(str(spec.origin)).parent == package
