"""What the tests share: a small simulated tissue, a quick recipe, and the collected sections where they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def quick():
    from cytosol.options import TrainerOptions
    from stedm.config import BaseConfig, Config, NetworksConfig, PairConfig, SimulationConfig
    from stedm.options import EncoderOptions, NetOptions, PatchOptions

    return Config(
        base=BaseConfig(genes=80, components=(6,), penalties=(0.1,), landmarks=200, rounds=2),
        pairs=PairConfig(near=30, alike=15, trees=30, embed=30),
        networks=NetworksConfig(encoder_steps=4, encoder_cells=64, refiner_steps=3, draws=2),
        encoder=EncoderOptions(width=32, features=8, blocks=1),
        net=NetOptions(width=16, heads=2, inducing=4, context_width=16, score_blocks=1, neighbours=4),
        patches=PatchOptions(least=40, most=80, rounds=1),
        # large batches: what is held out is looked at in as few calls
        trainer=TrainerOptions(max_steps=4, batch_size=8, val_every=4, checkpoint_every=100, patience=2),
        simulation=SimulationConfig(sections=3, cells=120, genes=80, spatial=50),
    )


@pytest.fixture(scope="session")
def cells(quick):
    """Simulated sections as AnnData. Not to be changed."""
    from stedm.simulation import simulate

    return simulate(quick.simulation, seed=1)


@pytest.fixture(scope="session")
def tissue(cells):
    from stedm.h5ad import tissue_of

    return tissue_of(cells)


@pytest.fixture(scope="session")
def model(tissue, quick):
    """Learned from the first two sections."""
    from stedm.learning import fit

    return fit(tissue.without(["S3"]), quick)


@pytest.fixture(scope="session")
def sections_folder() -> Path:
    """The folder of collected sections; tests that ask for it skip where it is absent."""
    given = os.environ.get("STEDM_DATA")
    folders = [Path(given)] if given else [p / "shared/data/stedm" for p in Path(__file__).parents[3:5]]
    for folder in folders:
        if (folder / "her2st_A.h5ad").exists():
            return folder
    pytest.skip("the collected sections are not here: set STEDM_DATA")
