"""What an import and a `--help` may load: seconds count on a cluster's file system."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "lightning",
    "pandas",
    "scipy",
    "sklearn",
    "matplotlib",
    "anndata",
    "rdkit",
    "sympy",
    "scipy.stats",
    "numba",
    "sqlalchemy",
)


def loaded(code: str) -> set[str]:
    """Which heavy libraries a fresh interpreter has loaded after `code`."""
    code += f"\nimport sys; print('loaded', *(name for name in {HEAVY} if name in sys.modules))"
    process = subprocess.run(
        [sys.executable, "-c", code], env=os.environ, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    return set(process.stdout.splitlines()[-1].split()[1:])


@pytest.mark.parametrize("package", ["cytosol", "o2diffusion", "virtualcell", "mediacvae", "stedm"])
def test_importing_a_package_is_light(package: str) -> None:
    assert loaded(f"import {package}") == set()


@pytest.mark.parametrize("module", ["cytosol.config", "cytosol.cli", "cytosol.options", "o2diffusion.config"])
def test_what_a_command_line_needs_at_once_is_light(module: str) -> None:
    assert loaded(f"import {module}") == set()


@pytest.mark.parametrize("package", ["cytosol", "o2diffusion", "virtualcell", "mediacvae", "stedm"])
def test_help_is_light(package: str) -> None:
    start = f"from importlib.metadata import entry_points; import sys; sys.argv = [{package!r}, '--help']\n"
    run = f"(main,) = entry_points(group='console_scripts', name={package!r})\n"
    assert loaded(f"{start}{run}try: main.load()()\nexcept SystemExit as end: assert end.code == 0") == set()


def test_names_of_o2diffusion_come_when_asked_for() -> None:
    found = loaded("import o2diffusion; o2diffusion.FlexibleReplicateDiffusionModel")
    assert "torch" in found
    assert "lightning" not in found


def test_who_stores_a_genome_loads_neither_networks_nor_tables() -> None:
    found = loaded("import mediacvae; mediacvae.store_genome_metadata; mediacvae.TrainConfig")
    assert "sqlalchemy" in found
    assert not found & {"torch", "lightning", "pandas", "scipy", "sklearn", "matplotlib"}


def test_who_places_cells_loads_no_trainer() -> None:
    found = loaded("import stedm; stedm.load; stedm.Model")
    assert "torch" in found
    assert not found & {"lightning", "sklearn", "matplotlib", "scipy.stats"}


def test_placing_cells_does_not_load_torchs_compiler() -> None:
    """torch's optimizers do, by way of sympy: seconds, before the first step."""
    cells = "np.random.default_rng(0).normal(size=(20, 2)), np.arange(20)[:, None] // 2, np.ones((20, 1))"
    words = "steps=2, anchor=1.0, error=0.5, gaussian=False, seed=0"
    found = loaded(f"import numpy as np; from stedm.embed import embed; embed({cells}, {words})")
    assert "torch" in found
    assert "sympy" not in found
