"""Tissues with known places: layers, radial niches or gradients, cut into sections that are turned and mirrored.

Counts are drawn cell by cell from a gamma-Poisson whose mean is a product of a gene's level, a section's batch effect
and a spatial program; nothing of the model is used. Letters: n cells, g genes, d dimensions, p programs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

if TYPE_CHECKING:
    from stedm.config import SimulationConfig

PROGRAMS = 12  # spatial programs that genes follow
SIZE = 1000.0  # [µm] half the width of a section


def simulate(config: SimulationConfig, seed: int = 0) -> anndata.AnnData:
    """Cells of every section in random order: X counts (n, g) csr, obs section, domain, obsm spatial (n, d) [µm].

    var spatial: whether a gene varies over space.
    """
    rng = np.random.default_rng(seed)
    programs = _programs(config, rng)
    follows = rng.integers(0, PROGRAMS, config.genes)
    strength = np.where(np.arange(config.genes) < config.spatial, rng.uniform(0.8, 2.0, config.genes), 0.0)
    level = rng.normal(0.0, 1.2, config.genes)
    counts, places, domains, labels = [], [], [], []
    for s in range(config.sections):
        place = _cells(config.cells, config.dim, rng)
        signal, domain = _signal(config.pattern, place, programs)
        batch = rng.normal(0.0, config.batch, config.genes)
        rate = np.exp(level + batch + strength * signal[:, follows])
        rate *= config.depth * rng.lognormal(0.0, 0.35, (config.cells, 1)) / rate.sum(axis=1, keepdims=True)
        counts.append(sparse.csr_matrix(rng.poisson(rng.gamma(5.0, rate / 5.0)).astype(np.float32)))
        places.append(SIZE * (_turned(place, rng) if config.turned else place))
        domains.append(domain)
        labels += [f"S{s + 1}"] * config.cells
    cells = [f"{label}_{i}" for i, label in enumerate(labels)]
    return anndata.AnnData(
        X=sparse.csr_matrix(sparse.vstack(counts)),
        obs=pd.DataFrame({"section": labels, "domain": np.concatenate(domains)}, index=pd.Index(cells)),
        var=pd.DataFrame(
            {"spatial": strength > 0}, index=pd.Index([f"gene{i}" for i in range(config.genes)])
        ),
        obsm={"spatial": np.concatenate(places)},
    )


def _cells(n: int, dim: int, rng: np.random.Generator) -> np.ndarray:
    """Places (n, d) in an egg-shaped piece of tissue within [-1, 1]."""
    made = np.zeros((0, dim))
    while len(made) < n:
        some = rng.uniform(-1, 1, (4 * n, dim))
        wide = 0.75 + 0.2 * some[:, :1]
        inside = (some[:, 0] ** 2 + (some[:, 1:] ** 2).sum(axis=1) / wide[:, 0] ** 2) < 1
        made = np.concatenate([made, some[inside]])
    return made[:n]


def _programs(config: SimulationConfig, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """What the programs are: directions, offsets and centres, shared by all sections of a tissue."""
    direction = rng.normal(size=(PROGRAMS, config.dim))
    return {
        "direction": direction / np.linalg.norm(direction, axis=1, keepdims=True),
        "offset": rng.uniform(-0.7, 0.7, PROGRAMS),
        "centre": rng.uniform(-0.7, 0.7, (PROGRAMS, config.dim)),
        "width": rng.uniform(0.25, 0.6, PROGRAMS),
    }


def _signal(
    pattern: str, place: np.ndarray, programs: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Activity (n, p) of the programs, within +-1, and the domain of each cell, (n,) text."""
    if pattern == "layers":  # steps along one bent axis, and slow changes across
        along = place[:, 0] + 0.25 * place[:, 1] ** 2
        steps = np.tanh(6 * (along[:, None] - programs["offset"][None]))
        across = np.sin(2.5 * place @ programs["direction"].T)
        half = PROGRAMS // 2
        domain = np.digitize(along, np.sort(programs["offset"][:half]))
        return np.concatenate([steps[:, :half], across[:, half:]], axis=1), domain.astype(str)
    if pattern == "niches":  # bells around centres
        far = np.linalg.norm(place[:, None] - programs["centre"][None], axis=2)
        bell = 2.0 / (1.0 + (far / programs["width"]) ** 4) - 1.0
        return bell, bell.argmax(axis=1).astype(str)
    ramp = np.clip(place @ programs["direction"].T - programs["offset"] / 4, -1.0, 1.0)
    return ramp, ramp.argmax(axis=1).astype(str)


def _turned(place: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Places under a random rotation, mirrored half of the time."""
    turn, upper = np.linalg.qr(rng.normal(size=(place.shape[1],) * 2))
    return place @ (turn * np.sign(np.diag(upper)))
