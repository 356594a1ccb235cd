"""Perturbation response from AnnData to AnnData: learned from cells at rest and perturbed ones, asked of the former."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from virtualcell.biology import CELLS, biology_of, population_words, words_read
from virtualcell.cells import Cells
from virtualcell.counting import overdispersion
from virtualcell.doses import with_dose
from virtualcell.experience import Profile, experience
from virtualcell.faults import few, nearest, refuse
from virtualcell.genes import match_genes
from virtualcell.known import known_of, refuse_foreign
from virtualcell.labels import columns_of, context_columns, contexts_of, treatments
from virtualcell.loading import BaseEnhancedLoader
from virtualcell.names import CONTROL
from virtualcell.network import Network, read_network
from virtualcell.pathways import GeneSets, read_gene_sets
from virtualcell.populations import canonical, condition_column, done_to, log_values, populations_of
from virtualcell.predictor import ResponseModel
from virtualcell.sources import CellSource, open_cells
from virtualcell.transport import lifted, moved
from virtualcell.writing import predicted_cells

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anndata import AnnData

    from virtualcell.response_config import ResponseConfig

CELLS_OF_MOMENTS = 1000  # of a population, that overdispersion is measured on
TIMES = 2  # cells that are made of each that is given, where no number is asked for


@dataclass(frozen=True, eq=False)
class Responder:
    """A predictor with the loader of its cell model's inputs (None for the plain one). keys: of obs, as trained."""

    model: ResponseModel
    loader: BaseEnhancedLoader | None
    keys: dict[str, Any]

    def perturb(
        self,
        data: CellSource | AnnData | Path | str,
        perturbation: str,
        *,
        dose: float | None = None,
        context: str | None = None,
        cells: int | None = None,
        controls: bool = False,
        seed: int = 0,
    ) -> AnnData:
        """Cells at rest as a perturbation leaves them, with the genes of training in their order.

        data: untouched cells of one context; of a file with more, those that its columns, named as in training, call
        untouched and of this context. context: its name; without one it is taken as new.
        cells: how many, drawn from those given, each as often as the others; twice as many without: a prediction need
        not be short of cells. controls: the untouched cells too, with the control's word, behind the others: tools that
        compare the two want them in one file. From counts come counts; from log values come log values, a gene that
        rises turned on in more cells. Raises DataError: an unknown perturbation, none of the genes, no untouched cells.
        """
        source = data if isinstance(data, CellSource) else open_cells(data)
        control = self.model.seen.populations.control
        name = self.named(perturbation, dose)
        named = context_columns(context, self._columns)
        genes = [str(gene) for gene in self.model.genes]
        rows, rest, notes = self._rest(source, context)
        after = self.model.mean(name, rest.profile(context), self._words(source, rows))
        generator = np.random.default_rng(seed)
        drawn = _drawn(len(rows), cells, generator)
        made = rest.moved(drawn, after, self.model.dispersion, generator)
        done = np.full(len(drawn), name, dtype=object)
        whence = source.about.obs.index[rows].astype(str).to_numpy()
        obs = pd.DataFrame({"from": whence[drawn]}, index=[f"predicted_{i}" for i in range(len(drawn))])
        if controls:
            made = sparse.vstack([made, rest.values if rest.counts is None else rest.counts], format="csr")
            done = np.append(done, np.full(len(rows), control, dtype=object))
            own = whence if len({*whence, *obs.index}) == len(whence) + len(obs) else _numbered(len(whence))
            obs = pd.concat([obs, pd.DataFrame({"from": whence}, index=own)])
        for column, label in named.items():
            obs[column] = label
        notes += self.model.notes(name)
        words = {"perturbation": name, "context": context or "", "notes": notes, "seed": seed}
        return predicted_cells(made, genes, done.tolist(), counts=rest.counts is not None, obs=obs, how=words)

    def named(self, perturbation: str, dose: float | None = None) -> str:
        """The one name of what is asked for. DataError for what is neither seen nor known, nor the sum of such."""
        control = self.model.seen.populations.control
        name = canonical(with_dose(canonical(perturbation, control=control), dose), control=control)
        self.model.terms(name)
        return name

    def asked(
        self, data: CellSource | AnnData | Path | str, context: str | None = None
    ) -> tuple[Profile, Mapping[str, Any], list[str]]:
        """The untouched cells as a predictor is asked of them, what its cell model reads of them, and notes."""
        source = data if isinstance(data, CellSource) else open_cells(data)
        rows, rest, notes = self._rest(source, context)
        return rest.profile(context), self._words(source, rows), notes

    def _rest(self, source: CellSource, context: str | None) -> tuple[np.ndarray, _Rest, list[str]]:
        """Rows of the untouched cells of a context, these cells with the genes of training, and notes."""
        genes = [str(gene) for gene in self.model.genes]
        match = match_genes(genes, source.about.genes.tolist(), source.about.others, what=source.about.name)
        rows = self.at_rest(source, context)
        rest = _aligned(source, rows, match.index, counts=len(self.model.dispersion) > 0)
        return rows, rest, [*match.notes, *self._unchecked(source, len(rows))]

    def _unchecked(self, source: CellSource, count: int) -> list[str]:
        """What the file does not tell of its cells, and what is therefore taken of them."""
        keys = [self.keys["condition_key"], *self._columns]
        missing = [key for key in keys if not source.about.has(key)]
        taken = f"all {count} cells are taken as untouched and of one context"
        return [f"{source.about.name}: no obs[{key!r}]: {taken}" for key in missing]

    def at_rest(self, source: CellSource, context: str | None) -> np.ndarray:
        """Rows (n,) int64 of the untouched cells of a context.

        Raises DataError: no such cells, several contexts and none named, a context that the model cannot tell apart.
        """
        about, keys = source.about, self.keys
        keep = np.ones(len(source), dtype=bool)
        if about.has(keys["condition_key"]):
            keep &= done_to(about, keys["condition_key"], control=keys["control"]) == keys["control"]
            if not keep.any():
                column = f"obs[{keys['condition_key']!r}]"
                refuse(f"{about.name}: {column}: no cell is {keys['control']!r}: give untouched cells")
        columns = self._columns
        context_columns(context, columns)
        if columns and all(about.has(column) for column in columns):
            own = contexts_of(about, columns)
            there = sorted(set(own[keep].tolist()))
            if context is not None and context not in there:
                refuse(f"{about.name}: no untouched cells of context {context!r}; {nearest(context, there)}")
            if context is None and len(there) > 1:
                refuse(f"{about.name}: untouched cells of {few(there)}: --context says of which to predict")
            keep &= own == (context if context is not None else there[0])
        return np.flatnonzero(keep)

    @property
    def _columns(self) -> list[str]:
        """The columns of obs that name a context, as in training."""
        return columns_of(self.keys["context_key"])

    def _words(self, source: CellSource, rows: np.ndarray) -> Mapping[str, Any]:
        if self.loader is None:
            return {}
        batch = self.loader(source.__getitems__(rows[:CELLS]))
        return population_words(batch, words_read(self.model.biology.model))


def fit_responder(
    data: CellSource | AnnData | Path | str,
    config: ResponseConfig,
    *,
    out: Path | str,
    condition_key: str | None = None,
    control: str = CONTROL,
    context_key: str | None = None,
    dose_key: str | None = None,
    annotations: Mapping[str, Any] | None = None,
    vectors: Mapping[str, np.ndarray] | None = None,
    resume: bool = False,
) -> Responder:
    """Learn from cells at rest and perturbed ones.

    out: directory of the runs of its networks (history, checkpoints).
    condition_key: the column of obs that says what was done to a cell, as `populations.condition_column` has it.
    context_key: a column, or several with commas between (`cell_type,time`). dose_key: a column of numbers.
    annotations: files or what was read of them, by `pathways`, `network`, `compartments`; pathways and network also say
    which perturbations are alike, so that one that was never seen can be asked for. vectors: (d,) of perturbations, by
    name. Raises DataError: no such columns, no control cells beside perturbed ones, tables that share no name.
    """
    from virtualcell.learning import learn  # with Lightning: who predicts does not wait for it

    source = data if isinstance(data, CellSource) else open_cells(data)
    given = dict(annotations or {})
    condition_key = condition_column(source.about, condition_key)
    labels = treatments(source.about, condition_key, control, dose_key)
    contexts = contexts_of(source.about, columns_of(context_key))
    populations = populations_of(source, labels, contexts, control=control, key=condition_key)
    is_control = labels == control
    tables = _tables(given, "network"), _sets(given), vectors
    parts = [part for one in populations.perturbation_names for part in populations.parts(one)]
    refuse_foreign([*map(str, populations.genes), *parts], *tables)
    known = known_of(*tables)
    seen = experience(source, populations, is_control, known)
    controls = {c: np.flatnonzero(is_control & (contexts == c)) for c in populations.context_names}
    controls = {context: rows for context, rows in controls.items() if len(rows)}
    genes = [str(gene) for gene in populations.genes]
    biology, loader = biology_of(config.model, source, controls, given, genes=genes)
    spread = _overdispersion(source, labels, contexts) if source.about.kind == "counts" else None
    made = learn(seen, config, biology, out=Path(out), dispersion=spread, resume=resume)
    keys = {
        "condition_key": condition_key,
        "control": control,
        "context_key": context_key,
        "dose_key": dose_key,
    }
    return Responder(made, loader, keys)


def _tables(given: Mapping[str, Any], name: str) -> list[Network]:
    one = given.get(name)
    if one is None:
        return []
    return [one if isinstance(one, Network) else read_network(one)]


def _sets(given: Mapping[str, Any]) -> list[GeneSets]:
    one = given.get("pathways")
    if one is None:
        return []
    return [one if isinstance(one, GeneSets) else read_gene_sets(one)]


def _overdispersion(source: CellSource, labels: np.ndarray, contexts: np.ndarray) -> np.ndarray:
    """Of each gene over all populations, a thousand cells of each at most."""
    names = np.array([f"{c}\n{p}" for c, p in zip(contexts, labels, strict=True)])
    rows = [np.flatnonzero(names == name)[:CELLS_OF_MOMENTS] for name in np.unique(names)]
    return overdispersion(source.__getitems__(own).counts for own in rows)


@dataclass(frozen=True, eq=False)
class _Rest:
    """Untouched cells with the genes of training: log values (n, g), and whole counts where they are known."""

    values: np.ndarray
    counts: sparse.csr_matrix | None

    def profile(self, context: str | None) -> Profile:
        values = self.values
        error = values.std(axis=0) / np.sqrt(len(values))
        return Profile(values.mean(axis=0), (values > 0).mean(axis=0), error, context or "")

    def moved(
        self, rows: np.ndarray, after: np.ndarray, dispersion: np.ndarray, generator: np.random.Generator
    ) -> sparse.csr_matrix:
        """Cells (r, g) that have the predicted mean (g,)."""
        before = self.values.mean(axis=0)
        if self.counts is not None:
            return moved(self.counts[rows], before, after, dispersion, generator=generator)
        return sparse.csr_matrix(lifted(self.values, rows, after, generator=generator))


def _numbered(n: int) -> np.ndarray:
    """Names of untouched cells whose own would not tell them apart."""
    return np.array([f"{CONTROL}_{i}" for i in range(n)], dtype=object)


def _drawn(n: int, cells: int | None, generator: np.random.Generator) -> np.ndarray:
    """Places of the cells that are moved, each as often as the others."""
    cells = TIMES * n if cells is None else cells
    if cells < 1:
        refuse(f"cells: expected a whole number of 1 and more, got {cells}")
    return np.resize(generator.permutation(n), cells)


def _aligned(source: CellSource, rows: np.ndarray, index: np.ndarray, *, counts: bool) -> _Rest:
    """Cells with the genes of training, 0 for missing ones; counts: where the file has them, keep them."""
    cells, about = source.__getitems__(rows), source.about
    there = index >= 0
    ones = np.ones(int(there.sum()), dtype=np.float32)
    shape = (len(about.genes), len(index))
    pick = sparse.csr_matrix((ones, (index[there], np.flatnonzero(there))), shape=shape)
    kept = sparse.csr_matrix(cells.counts @ pick)
    empty = np.asarray(kept.sum(axis=1)).ravel() == 0
    if empty.any():
        cell = about.obs.index[rows[int(empty.argmax())]]
        refuse(
            f"{about.name}: cell {cell} has no count in the genes of training ({int(empty.sum())} such): take them out"
        )
    log = log_values(Cells(kept, cells.rows, about)).toarray().astype(np.float64)  # per 10,000 of these genes
    return _Rest(log, kept if counts and about.kind == "counts" else None)
