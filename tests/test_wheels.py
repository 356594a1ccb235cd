"""Each wheel alone in a clean environment: uv ignores the bounds between members, only this sees them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ["cytosol", *sorted(path.name for path in (ROOT / "packages").iterdir() if path.is_dir())]
UV = shutil.which("uv") or ""

pytestmark = pytest.mark.skipif(not UV, reason="needs uv")

# Every module, not only the package: a dependency that is used and not declared is missing here.
IMPORT_ALL = """
import importlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
    importlib.import_module(found.name)
print(package.__file__)
"""


def uv(*words: str | Path, environment: Path | None = None) -> None:
    """Run uv from its cache, which `uv sync` has filled; from the index only where that fails."""
    variables = os.environ | {"UV_LINK_MODE": "symlink"}  # torch is 5 GB
    variables |= {"VIRTUAL_ENV": str(environment)} if environment else {}
    for offline in ("--offline", "--no-progress"):
        command = [UV, words[0], offline, "--quiet", *words[1:]]
        process = subprocess.run(
            command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False
        )
        if process.returncode == 0:
            return
    pytest.fail(f"{' '.join(map(str, command))}\n{process.stderr}")


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    uv("build", "--all-packages", "--wheel", "--out-dir", folder)
    return folder


@pytest.fixture
def environment(request: pytest.FixtureRequest, wheels: Path, tmp_path: Path) -> Path:
    """What a user gets who installs one wheel: it, the core, and what they declare; nothing of development."""
    folder, lock = tmp_path / "environment", tmp_path / "pylock.toml"
    uv("venv", "--python", sys.executable, folder)
    export = ("export", "--frozen", "--no-dev", "--no-emit-workspace", "--format", "pylock.toml")
    uv(*export, "--package", request.param, "--output-file", lock)
    uv("pip", "install", "--requirements", lock, environment=folder)
    local = ("--no-index", "--no-deps", "--find-links", wheels)
    uv("pip", "install", *local, *{"cytosol", request.param}, environment=folder)
    return folder


@pytest.mark.parametrize("name", PACKAGES)
def test_a_wheel_holds_its_package_only(name: str, wheels: Path) -> None:
    (wheel,) = wheels.glob(f"{name}-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {path.partition("/")[0] for path in names} == {
        name,
        wheel.name.rpartition("-py3")[0] + ".dist-info",
    }
    assert f"{name}/__init__.py" in names


@pytest.mark.parametrize(
    ("environment", "name"), [(name, name) for name in PACKAGES], indirect=["environment"], ids=PACKAGES
)
def test_a_wheel_works_alone(environment: Path, name: str, tmp_path: Path) -> None:
    uv("pip", "check", environment=environment)
    python = [environment / "bin/python", "-I", "-W", "error", "-c", IMPORT_ALL, name]
    process = subprocess.run(python, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    assert Path(process.stdout.strip()).is_relative_to(environment)
    command = [environment / "bin" / name, "--help"]
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    assert name in process.stdout
