"""A cell type of Kang 2018 left out: what is learned without its stimulated cells, and ways to predict them."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import pandas as pd

from virtualcell import baselines, metrics
from virtualcell.correcting import Correction
from virtualcell.counting import overdispersion
from virtualcell.experience import experience
from virtualcell.known import Known
from virtualcell.learning import learn
from virtualcell.populations import log_values, read_populations
from virtualcell.response_config import ResponseConfig
from virtualcell.row_model import Biology
from virtualcell.rows import lessons, seen_rows
from virtualcell.sources import open_cells
from virtualcell.training_rows import fit_net
from virtualcell.transport import moved
from virtualcell.writing import log_per, predicted_cells

FILE, CONDITION, CONTEXT, DONE = "kang_ifnb.h5ad", "condition", "cell_type", "stimulated"
OWN = "virtualcell (default)"


def all_of(folder: Path):
    source = open_cells(folder / FILE)
    populations = read_populations(source, perturbation_key=CONDITION, context_key=CONTEXT)
    control = source.about.labels(CONDITION) == "control"
    return source, experience(source, populations, control, Known())


def dispersion(source, hidden: str) -> np.ndarray:
    """Of all populations but the hidden one."""
    labels, types = source.about.labels(CONDITION), source.about.labels(CONTEXT)
    pairs = sorted(set(zip(types, labels, strict=True)) - {(hidden, DONE)})
    rows = [np.flatnonzero((types == t) & (labels == c)) for t, c in pairs]
    return overdispersion(source.__getitems__(own).counts for own in rows)


def scores(made: np.ndarray, truth: np.ndarray, control: np.ndarray) -> dict[str, float]:
    return metrics.score(made, truth, control).as_dict()


def of_cells(made: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    return {
        "gene-gene": metrics.correlation_agreement(made, truth),
        "energy": metrics.energy_distance(made, truth),
        "spread": metrics.spread(made, truth),
    }


class Fold:
    """One type left out: what is learned without it, once for all seeds and parts."""

    def __init__(self, source, whole, hidden: str) -> None:
        self.source, self.hidden = source, hidden
        populations = whole.populations
        self.seen = whole.without(np.array([whole.conditions.index((hidden, DONE))]))
        self.asked = whole.profile(hidden)
        self.truth = populations.mean[populations.where(hidden, DONE)]
        config = ResponseConfig()
        bare = replace(config, network=replace(config.network, use=False))
        self.model = learn(self.seen, bare, Biology(), out=Path("unused"))
        self.lessons = list(lessons(self.seen))
        self.rows = seen_rows(self.seen, DONE, self.asked)
        types, labels = source.about.labels(CONTEXT), source.about.labels(CONDITION)
        self.at_rest = np.flatnonzero((types == hidden) & (labels == "control"))
        self.real = np.flatnonzero((types == hidden) & (labels == DONE))
        self.controls = {
            t: np.flatnonzero((types == t) & (labels == "control"))
            for t in dict.fromkeys(populations.contexts)
        }
        self.dispersion = dispersion(source, hidden)

    def simple(self) -> dict[str, np.ndarray]:
        """Means by methods that draw nothing."""
        told = baselines.run(self.seen.populations, self.hidden, DONE)
        stages = self.model.correction.stages(self.rows)
        ridge, similar = self.rows.simple
        own = {
            "ridge, own axes": ridge,
            "like contexts, shrunk": similar,
            "both": self.rows.base,
            "+ trees": stages["trees"],
        }
        return told | {name: self.after(change) for name, change in own.items()}

    def after(self, change: np.ndarray) -> np.ndarray:
        return np.maximum(self.asked.mean + change, 0.0)

    def nets(self, biology: Biology, seed: int, members: int) -> tuple:
        config = ResponseConfig(seed=seed)
        with tempfile.TemporaryDirectory() as folder:
            return tuple(
                fit_net(self.lessons, biology, config, out=Path(folder) / str(i), seed=seed * 1000 + i)
                for i in range(members)
            )

    def answers(self, nets: tuple, words: dict) -> dict[str, np.ndarray]:
        """Network alone, and the model's answer."""
        whole = self.model.correction
        told = Correction(whole.trees, nets, whole.share).stages(self.rows, words)
        return {"network": self.after(told["network"]), "answer": self.after(told["answer"])}

    def cells(self, after: np.ndarray, seed: int):
        """Untouched cells moved to a mean, each twice, as `perturb` does."""
        counts = self.source.__getitems__(np.tile(self.at_rest, 2)).counts
        return moved(counts, self.asked.mean, after, self.dispersion, generator=np.random.default_rng(seed))

    def populations(self, answer: np.ndarray, seed: int):
        """Ways of making cells, (n, g) log values each; and the counts of ours."""
        real = log_values(self.source.__getitems__(self.real)).toarray()
        rest = log_values(self.source.__getitems__(self.at_rest)).toarray()
        made = self.cells(answer, seed)
        others = np.setdiff1d(list(self.seen.populations.seen_in(DONE)), [self.hidden]).tolist()
        own = self.asked.mean
        near = min(others, key=lambda t: float(np.linalg.norm(self.seen.profile(t).mean - own)))
        types, labels = self.source.about.labels(CONTEXT), self.source.about.labels(CONDITION)
        donors = log_values(
            self.source.__getitems__(np.flatnonzero((types == near) & (labels == DONE)))
        ).toarray()
        ways = {
            "cells: control cells as they are": rest,
            "cells: control cells + predicted change": np.maximum(rest + answer - own, 0.0),
            "cells: nearest type's": donors,
            f"cells: {OWN}": log_per(made).toarray(),
        }
        return {name: of_cells(x, real) for name, x in ways.items()}, made


def write(folder: Path, fold: Fold, counts, seed: int) -> None:
    """Predicted cells as `perturb` writes them, and the real ones with the controls."""
    folder.mkdir(parents=True, exist_ok=True)
    genes = [str(gene) for gene in fold.seen.populations.genes]
    name = fold.hidden.replace("/", "_")
    predicted_cells(counts, genes, DONE).write_h5ad(folder / f"{name}.{seed}.predicted.h5ad")
    rows = np.concatenate([fold.real, fold.at_rest])
    cells = fold.source.__getitems__(rows)
    obs = pd.DataFrame({"perturbation": fold.source.about.labels(CONDITION)[rows]})
    obs.index = [f"cell_{i}" for i in range(len(obs))]
    made = anndata.AnnData(log_per(cells.counts), obs=obs)
    made.var_names = genes
    made.write_h5ad(folder / f"{name}.real.h5ad")
