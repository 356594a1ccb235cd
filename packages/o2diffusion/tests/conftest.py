"""What the tests of the network share: conditions made by hand, and a network small enough for one core."""

from __future__ import annotations

import numpy as np
import pytest

from o2diffusion.conditions import Condition
from o2diffusion.events import Events


def make_condition(time, oxygen, *, wanted=None, changes=(), kinds=None, **fields) -> Condition:
    """A condition from times (n,) [h] and oxygen (n,) or (n, r); what is NaN is wanted unless said otherwise."""
    oxygen = np.asarray(oxygen, dtype=float)
    oxygen = oxygen[:, None] if oxygen.ndim == 1 else oxygen
    kinds = tuple(kinds or ["media_change"] * len(changes))
    known = {
        "experiment_id": "e",
        "series_id": "s",
        "drug": None,
        "concentration_um": None,
        "unit": "%air",
        "replicates": tuple(str(i) for i in range(oxygen.shape[1])),
    }
    return Condition(
        time_h=np.asarray(time, dtype=float),
        oxygen=oxygen,
        wanted=np.isnan(oxygen) if wanted is None else np.asarray(wanted, dtype=bool),
        events=Events(np.asarray(changes, dtype=float), kinds, np.ones(len(changes), dtype=bool)),
        **(known | fields),
    )


def make_curves(seed=0, *, n=60, r=3, hours=50.0, irregular=True) -> tuple[np.ndarray, np.ndarray]:
    """Times (n,) [h] and smooth replicates (n, r) with an offset and noise each."""
    rng = np.random.default_rng(seed)
    time = np.sort(rng.uniform(0, hours, n)) if irregular else np.linspace(0, hours, n)
    base = 40 + 20 * np.sin(2 * np.pi * time / hours) + 10 * time / hours
    return time, base[:, None] + rng.normal(0, 3, r) + rng.normal(0, 0.5, (n, r))


@pytest.fixture(scope="session")
def condition():
    return make_condition


@pytest.fixture(scope="session")
def curves():
    return make_curves


@pytest.fixture(scope="session")
def tiny_config():
    from o2diffusion.config import ModelConfig

    return ModelConfig(
        widths=(8, 12),
        denoiser_widths=(8, 12),
        cond_width=8,
        seen_width=4,
        drug_width=4,
        dynamics_width=4,
        cells=32,
    )


@pytest.fixture(scope="session")
def tiny_net(tiny_config):
    """An untrained network away from its careful start, so that every part of it speaks. Not to be changed."""
    import torch

    from o2diffusion.model import FlexibleReplicateDiffusionModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = FlexibleReplicateDiffusionModel(tiny_config, n_drugs=2)
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return net.eval()
