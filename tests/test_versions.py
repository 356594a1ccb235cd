"""Versions, changelogs and bounds of the members agree."""

from __future__ import annotations

import importlib
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
MEMBERS = [ROOT / "shared", *sorted(path for path in (ROOT / "packages").iterdir() if path.is_dir())]


def project(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_workspace_depends_on_every_member() -> None:
    names = {project(folder)["name"] for folder in MEMBERS}
    assert set(project(ROOT)["dependencies"]) == names


@pytest.mark.parametrize("folder", MEMBERS, ids=lambda path: path.name)
def test_the_newest_changelog_heading_is_the_version(folder: Path) -> None:
    version = project(folder)["version"]
    headings = re.findall(
        r"^## \[?(\S+?)\]? - \S+$", (folder / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert headings[:1] == [version]
    assert headings == sorted(
        headings, key=lambda text: [int(part) for part in text.split(".")], reverse=True
    )


@pytest.mark.parametrize("folder", MEMBERS, ids=lambda path: path.name)
def test_the_import_package_bears_the_same_version(folder: Path) -> None:
    module = importlib.import_module(project(folder)["name"])
    assert getattr(module, "__version__", project(folder)["version"]) == project(folder)["version"]


@pytest.mark.parametrize("folder", MEMBERS[1:], ids=lambda path: path.name)
def test_the_core_is_bound_from_below_and_above(folder: Path) -> None:
    core = [int(part) for part in project(MEMBERS[0])["version"].split(".")]
    (bound,) = [need for need in project(folder)["dependencies"] if need.startswith("cytosol")]
    found = re.fullmatch(r"cytosol>=(\d+(?:\.\d+)*),<(\d+(?:\.\d+)*)", bound)
    assert found, bound
    low, high = ([int(part) for part in text.split(".")] for text in found.groups())
    assert low <= core < high


@pytest.mark.parametrize("folder", [ROOT, *MEMBERS], ids=lambda path: path.name)
def test_no_bound_is_exact_and_every_member_has_its_papers(folder: Path) -> None:
    assert not [need for need in project(folder)["dependencies"] if "==" in need]
    assert project(folder)["requires-python"] == ">=3.11"
    if folder != ROOT:
        assert (folder / "README.md").stat().st_size > 100
        assert project(folder)["license"] == "MIT"
