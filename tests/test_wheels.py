"""Each wheel alone in a clean environment: uv ignores the bounds between members, only this sees them.

Slow: the shortest way through each library there, pip's way of installing, and other Pythons, with the pandas that the
lock gives them (2 on 3.11, 3 on 3.12 and 3.13).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from cytosol.testing import imported

ROOT = Path(__file__).parents[1]
flows: Any = imported(Path(__file__).with_name("flows.py"))
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


def declared(folder: Path, name: str, python: str = sys.executable) -> Path:
    """An environment with what a member and the core declare, as locked; nothing of development, no member."""
    lock = folder.with_name("pylock.toml")  # uv takes no other name
    uv("venv", "--clear", "--python", python, folder)
    export = ("export", "--frozen", "--no-dev", "--no-emit-workspace", "--format", "pylock.toml")
    uv(*export, "--package", name, "--output-file", lock)
    uv("pip", "install", "--requirements", lock, environment=folder)
    return folder


def installed(folder: Path, wheels: Path, name: str, python: str = sys.executable) -> Path:
    """What a user gets who installs one wheel: it, the core, and what they declare."""
    declared(folder, name, python)
    local = ("--no-index", "--no-deps", "--find-links", wheels)
    uv("pip", "install", *local, *{"cytosol", name}, environment=folder)
    return folder


@pytest.fixture
def environment(request: pytest.FixtureRequest, wheels: Path) -> Path:
    """Always in the same place: what is compiled for one wheel (`said`) is there for the next."""
    return installed(wheels.with_name("environment"), wheels, request.param)


def said(command: list[str | Path], folder: Path, compiled: Path | None = None) -> str:
    """What a command prints; it must end well. A child's imports are compiled once, whatever the tests' own are."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    variables |= {} if compiled is None else {"PYTHONPYCACHEPREFIX": str(compiled)}
    process = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    assert process.returncode == 0, f"{' '.join(map(str, command))}\n{process.stderr}"
    return process.stdout


def goes_its_way(environment: Path, name: str, folder: Path) -> None:
    """Data, a model, a prediction, by the command line that is installed."""
    folder.mkdir(exist_ok=True)
    flow = flows.FLOWS[name]
    steps = [*flow.prepare, flows.train(name, "model"), flows.predict(name, "model", flow.made)]
    for words in steps:
        said([environment / "bin" / name, *words], folder)
    assert (folder / flow.made).stat().st_size > 0


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
    assert any(path.endswith("licenses/LICENSE") for path in names)


@pytest.mark.parametrize(
    ("environment", "name"), [(name, name) for name in PACKAGES], indirect=["environment"], ids=PACKAGES
)
def test_a_wheel_works_alone(environment: Path, name: str, tmp_path: Path) -> None:
    uv("pip", "check", environment=environment)
    compiled = environment.with_name("compiled")
    isolated = ["-I", "-X", f"pycache_prefix={compiled}", "-W", "error"]
    python = [environment / "bin/python", *isolated, "-c", IMPORT_ALL, name]
    assert Path(said(python, tmp_path).strip()).is_relative_to(environment)
    assert name in said([environment / "bin" / name, "--help"], tmp_path, compiled)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "name"),
    [(name, name) for name in flows.FLOWS],
    indirect=["environment"],
    ids=list(flows.FLOWS),
)
def test_a_wheel_trains_and_predicts_alone(environment: Path, name: str, tmp_path: Path) -> None:
    goes_its_way(environment, name, tmp_path / "work")


@pytest.mark.slow
@pytest.mark.parametrize("name", flows.FLOWS)
def test_pip_installs_from_the_folders(name: str, tmp_path: Path) -> None:
    """`pip install ./shared ./packages/X` as the README says: pip builds both and judges all bounds.

    What they declare is there already, as locked: pip would fetch torch anew for each library.
    """
    folder = declared(tmp_path / "environment", name)
    said([folder / "bin/python", "-m", "ensurepip"], ROOT)
    said([folder / "bin/python", "-m", "pip", "install", "--quiet", "./shared", f"./packages/{name}"], ROOT)
    uv("pip", "check", environment=folder)
    goes_its_way(folder, name, tmp_path / "work")


def other_python(version: str) -> str:
    """Where that Python is; a skip that says so where uv neither has nor may fetch it."""
    found = subprocess.run(
        [UV, "python", "find", "--no-project", version], capture_output=True, text=True, check=False
    )
    places = [found.stdout.strip(), *map(str, Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))]
    for place in filter(None, places):
        asked = subprocess.run([place, "-V"], capture_output=True, text=True, check=False)
        if asked.returncode == 0 and asked.stdout.startswith(f"Python {version}."):
            return place
    pytest.skip(f"no Python {version} here: `uv python install {version}` fetches one")


@pytest.mark.slow
@pytest.mark.parametrize("name", flows.FLOWS)
@pytest.mark.parametrize(("version", "pandas"), [("3.11", "2"), ("3.12", "3"), ("3.13", "3")])
def test_other_pythons_and_both_pandas(
    version: str, pandas: str, name: str, wheels: Path, tmp_path: Path
) -> None:
    environment = installed(tmp_path / "environment", wheels, name, other_python(version))
    told = said([environment / "bin/python", "-c", "import pandas; print(pandas.__version__)"], tmp_path)
    if pandas == "2" and told.startswith("3."):  # where nothing holds it back, the newest is locked
        uv("pip", "install", "pandas<3", environment=environment)
        told = said([environment / "bin/python", "-c", "import pandas; print(pandas.__version__)"], tmp_path)
    assert told.startswith(f"{pandas}.")
    goes_its_way(environment, name, tmp_path / "work")
