"""What people do today, by one protocol: ridge, nearest neighbours, a small MLP, and expression PCA.

1,000 most variable genes of log1p(CP10K), z-scored within section, 50 principal components; coordinates centred and
divided by the section's RMS radius. Sections often lie turned or mirrored on their arrays, which people seldom undo:
the protocol does not either, but `ridge, aligned` does, as the model. Letters: n cells, g genes, d dimensions,
c components.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import sparse
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeCV
from sklearn.neighbors import KNeighborsRegressor
from torch import nn

from stedm.align import align
from stedm.tissue import place_of, rms_radius, shuffled

if TYPE_CHECKING:
    from stedm.tissue import Kind, Section, Tissue

GENES, COMPONENTS = 1000, 50
ROUNDS = 4  # of alignment
PROTOCOL = ("ridge", "kNN", "MLP", "expression PCA")
NAMES = ("ridge", "ridge, aligned", "kNN", "MLP", "expression PCA")


def logged(section: Section, kind: Kind) -> sparse.csr_matrix:
    """log1p(CP10K) of counts, values as they are: (n, g) csr."""
    if kind == "values":
        return section.counts.astype(np.float64)
    total = np.asarray(section.counts.sum(axis=1)).ravel()
    made = sparse.diags(1e4 / np.maximum(total, 1.0)) @ section.counts.astype(np.float64)
    return made.tocsr().log1p()


def unit_place(section: Section) -> np.ndarray:
    """Coordinates (n, d), centred, of RMS radius 1."""
    place = place_of(section)
    place = place - place.mean(axis=0)
    return place / rms_radius(place)


def variable_genes(tissue: Tissue, count: int = GENES) -> np.ndarray:
    """Columns of the most variable genes, (count,) ascending: by mean variance within the sections."""
    parts = [logged(section, tissue.kind) for section in tissue.sections]
    means = [np.asarray(p.mean(axis=0)).ravel() for p in parts]
    squares = [np.asarray(p.multiply(p).mean(axis=0)).ravel() for p in parts]
    variance = np.mean([s - m**2 for s, m in zip(squares, means, strict=True)], axis=0)
    return np.sort(np.argsort(-variance, kind="stable")[:count])


def standard(section: Section, kind: Kind, columns: np.ndarray) -> np.ndarray:
    """Chosen genes z-scored within the section, (n, count); a gene without variance is 0."""
    x = np.asarray(logged(section, kind)[:, columns].todense())
    sd = x.std(axis=0)
    return (x - x.mean(axis=0)) / np.where(sd > 0, sd, 1.0)


def run(train: Tissue, query: Section, *, seed: int = 0) -> dict[str, np.ndarray]:
    """Coordinates (n, d) of the query's cells by every method of `NAMES`, in the query's order.

    The query's genes are those of `train`. Its own coordinates, if it has any, are not looked at. Cells are shuffled
    before fitting. Raises DataError for a training section without coordinates.
    """
    rng = np.random.default_rng(seed)
    sections = [shuffled(section, rng)[0] for section in train.sections]
    hidden, back = shuffled(query.without_coordinates(), rng)
    columns = variable_genes(train)
    x = np.concatenate([standard(section, train.kind, columns) for section in sections])
    y = np.concatenate([unit_place(section) for section in sections])
    z = standard(hidden, train.kind, columns)
    d = y.shape[1]
    pca = PCA(min(COMPONENTS, *x.shape), random_state=seed).fit(x)
    x, z = pca.transform(x), pca.transform(z)
    made = {
        "ridge": _ridge(x, y, z),
        "ridge, aligned": _ridge(x, _aligned(x, [unit_place(section) for section in sections]), z),
        "kNN": KNeighborsRegressor(min(10, len(x))).fit(x, y).predict(z),
        "MLP": _mlp(x, y, z, seed),
    }
    flat = np.pad(z[:, :d], ((0, 0), (0, max(0, d - z.shape[1]))))
    made["expression PCA"] = flat
    return {name: np.asarray(made[name])[back] for name in NAMES}


def _ridge(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    return RidgeCV(np.logspace(-1, 5, 13)).fit(x, y).predict(z)


def _aligned(x: np.ndarray, places: list[np.ndarray]) -> np.ndarray:
    """Places of all sections, each turned onto what ridge on the others predicts for it: (n, d)."""
    ends = np.cumsum([len(place) for place in places])[:-1]
    parts = np.split(x, ends)

    def predict(s: int, others: np.ndarray) -> np.ndarray:
        rest = np.concatenate([part for t, part in enumerate(parts) if t != s])
        return _ridge(rest, others, parts[s])

    return np.concatenate(align(places, predict, ROUNDS)[0])


def _mlp(x: np.ndarray, y: np.ndarray, z: np.ndarray, seed: int) -> np.ndarray:
    """Two hidden layers of 128 with dropout, 150 rounds of AdamW with a falling rate."""
    torch_seed = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Linear(x.shape[1], 128), nn.ReLU(), nn.Dropout(0.3),
            nn.Linear(128, 128), nn.ReLU(), nn.Dropout(0.3),
            nn.Linear(128, y.shape[1]),
        )  # fmt: skip
        scale = float(x.std()) or 1.0
        a, b, c = (torch.as_tensor(v, dtype=torch.float32) for v in (x / scale, y, z / scale))
        optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1e-2)
        rounds, size = 150, 128
        falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, rounds)
        for _ in range(rounds):
            for rows in torch.randperm(len(a), generator=torch_seed).split(size):
                optimizer.zero_grad()
                (net(a[rows]) - b[rows]).square().mean().backward()
                optimizer.step()
            falling.step()
        with torch.no_grad():
            return net.eval()(c).numpy().astype(float)
