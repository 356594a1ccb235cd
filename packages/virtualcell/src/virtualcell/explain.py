"""What the parts of a trained model say of cells: attention by pathway, memory, resources, noise, times and scales.

What a part tells counts as far as its gate is open: the table `parts` says how far. Letters: n cells, g genes.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from virtualcell.base import BaseEnhancedModel
from virtualcell.faults import refuse
from virtualcell.sources import CellSource, open_cells

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from anndata import AnnData

    from virtualcell.embedding import EmbeddingModel
    from virtualcell.loading import BaseEnhancedLoader

BLOCK = 16  # cells at once: what is told in detail is large
CELLS = 256  # cells that are looked at
# What is told of groups (b, groups), or of them by each token (b, tokens, groups): its table and its column there.
OF_GROUPS = {
    ("hierarchy", "pathway_activity"): ("pathways", "activity"),
    ("hierarchy", "pathway_attention"): ("pathways", "attention"),
    ("hierarchy", "compartment_activity"): ("compartments", "activity"),
    ("hierarchy", "compartment_attention"): ("compartments", "attention"),
    ("memory", "slots"): ("slots", "attention"),
    ("scales", "pathway"): ("groups", "size"),
    ("scales", "scale_attention"): ("groups", "attention"),
}
OF_CELLS = {  # what is told of cells in several numbers
    ("resources", "energy_state"): "energy",
    ("resources", "resource_state"): "resource",
    ("memory", "epigenetic"): "epigenetic",
}


def explain(
    model: EmbeddingModel,
    source: CellSource | AnnData | Path | str,
    *,
    cells: int = CELLS,
    by: str | None = None,
    seed: int = 0,
) -> dict[str, pd.DataFrame]:
    """Tables of at most `cells` cells drawn from a source, by name; those of which no part tells are absent.

    parts: how open each gate is. cells: a row a cell: states, and means over its genes. genes: a row a gene: means over
    the cells that have it as a token. pathways, compartments, groups (of pathways), slots (of memory): means over cells
    of how strongly each speaks and how far the cell token attends to it. by: a column of obs: `cells_by` and
    `pathways_by` are means within its labels. Raises DataError for a network without parts, and for no cells.
    """
    net = model.net.eval()
    if cells < 1:
        refuse(f"cells: expected a whole number >= 1, got {cells}")
    if not isinstance(net.cell, BaseEnhancedModel):
        refuse(
            f"{model.config.model}: has no parts that could tell anything: train one of `virtualcell models`"
        )
    source = source if isinstance(source, CellSource) else open_cells(source)
    labels = None if by is None else source.about.labels(by)
    rows = np.arange(len(source))
    if len(rows) > cells:
        rows = np.sort(np.random.default_rng(seed).permutation(rows)[:cells])
    seen = Told(model.loader.features.names, model.loader)
    with torch.no_grad(), net.cell.detailed():
        for start in range(0, len(rows), BLOCK):
            some = source.__getitems__(rows[start : start + BLOCK])
            net.cell.reset_memory()
            batch = model.seen(model.loader(some), model.loader.features.places(some.about) >= 0)
            seen.add(net.told(batch), batch.ids.cpu().numpy(), batch.mask.cpu().numpy())
    names = source.about.obs.index[rows].astype(str)
    return seen.tables(net.cell, names, None if labels is None else labels[rows])


class Told:
    """What parts have told so far, as arrays. genes: what the ids of tokens count; loader: whose groups have names."""

    def __init__(self, genes: Sequence[str], loader: BaseEnhancedLoader) -> None:
        self.genes = list(genes)
        self.steps = {step.name: step for step in loader.fitted}
        self.count = np.zeros(len(self.genes))
        self.of_genes: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(len(self.genes)))
        self.of_cells: dict[str, list[np.ndarray]] = defaultdict(list)
        self.of_groups: dict[tuple[str, str], list[np.ndarray]] = defaultdict(list)

    def add(self, told: dict[str, dict[str, torch.Tensor]], ids: np.ndarray, mask: np.ndarray) -> None:
        """What was told of a batch; ids (b, n): the gene of each token, -1 for none; mask (b, n) bool, True = real."""
        real = mask & (ids >= 0)
        np.add.at(self.count, ids[real], 1)
        for part, info in told.items():
            for name, values in info.items():
                self._add(part, name, values.float().cpu().numpy(), ids, real)

    def _add(self, part: str, name: str, x: np.ndarray, ids: np.ndarray, real: np.ndarray) -> None:
        word = f"{part}.{name}"
        if (part, name) in OF_GROUPS:
            self.of_groups[OF_GROUPS[part, name]].append(x[:, 0] if x.ndim == 3 else x)
        elif (part, name) in OF_CELLS:
            for i, column in enumerate(x.T):
                self.of_cells[f"{part}.{self._called(OF_CELLS[part, name], i)}"].append(column)
        elif x.shape == ids.shape:
            np.add.at(self.of_genes[word], ids[real], x[real])
            self.of_cells[word].append((x * real).sum(axis=1) / np.maximum(real.sum(axis=1), 1))
        elif x.ndim == 1:
            self.of_cells[word].append(x)

    def _called(self, word: str, i: int) -> str:
        kinds: list[Any] = list(self.steps["resource"].words["types"]) if "resource" in self.steps else []
        return str(kinds[i]) if word == "resource" and i < len(kinds) else f"{word}_{i + 1}"

    def tables(
        self, cell: BaseEnhancedModel, names: pd.Index | None, labels: np.ndarray | None
    ) -> dict[str, pd.DataFrame]:
        """All tables. names: of the n cells; labels (n,): their groups, for the tables `cells_by` and `pathways_by`."""
        made = {"parts": gates_of(cell)}
        cells = pd.DataFrame({word: np.concatenate(own) for word, own in self.of_cells.items()}, index=names)
        if cells.shape[1]:
            made["cells"] = cells.rename_axis("cell")
        if self.of_genes:
            own = {word: total / np.maximum(self.count, 1) for word, total in self.of_genes.items()}
            table = pd.DataFrame({"cells": self.count.astype(int), **own}, index=pd.Index(self.genes))
            made["genes"] = table[self.count > 0].rename_axis("gene")
        groups = {key: np.concatenate(own) for key, own in self.of_groups.items()}
        for table in dict.fromkeys(table for table, _ in groups):
            columns = {column: x for (name, column), x in groups.items() if name == table}
            if (found := self._groups(table, columns)) is not None:
                made[table] = found
        if labels is not None:
            made |= self._by(cells, groups, labels)
        return made

    def _groups(self, table: str, columns: dict[str, np.ndarray]) -> pd.DataFrame | None:
        """A row a group: means over cells; of its size and activity, over the cells that have it."""
        own = {}
        cell_first = table == "groups" and "attention" in columns
        for column, x in columns.items():
            there = (x > 0).sum(axis=0)
            mean = x.sum(axis=0) / (len(x) if column == "attention" else np.maximum(there, 1))
            own[column] = np.concatenate([[np.nan], mean]) if cell_first and column != "attention" else mean
        names = self._names(table, len(next(iter(own.values()))))
        if not names:
            return None
        made = pd.DataFrame(own, index=pd.Index(names)).rename_axis(table.removesuffix("s"))
        return made.sort_values("attention", ascending=False, kind="stable") if "attention" in made else made

    def _names(self, table: str, count: int) -> list[str]:
        step = self.steps.get(table.removesuffix("s"))
        if table in ("pathways", "compartments"):
            known = list(step.words.get("genes_in", {})) if step is not None else []
            return known if len(known) == count else []
        first = ["cell"] if table == "groups" else []
        return [*first, *(f"{table.removesuffix('s')}_{i + 1}" for i in range(count - len(first)))]

    def _by(
        self, cells: pd.DataFrame, groups: dict[tuple[str, str], np.ndarray], labels: np.ndarray
    ) -> dict[str, pd.DataFrame]:
        """Means within labels, of cells and of the attention to pathways."""
        made = {}
        if cells.shape[1]:
            made["cells_by"] = cells.groupby(labels).mean().rename_axis("label")
        attention = groups.get(("pathways", "attention"))
        if attention is not None and (names := self._names("pathways", attention.shape[1])):
            table = pd.DataFrame(attention, columns=pd.Index(names))
            made["pathways_by"] = table.groupby(labels).mean().rename_axis("label")
        return made


def gates_of(cell: BaseEnhancedModel) -> pd.DataFrame:
    """How open the gate of each part is: mean and largest of its numbers, 0 is shut."""
    stage = {name: part.stage.value for name, part in cell.part.items()}  # type: ignore[union-attr]
    rows = {
        name: (stage[name], float(gate.detach().abs().mean()), float(gate.detach().abs().max()))
        for name, gate in cell.gates.items()
    }
    columns = pd.Index(["stage", "gate", "gate_largest"])
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("part")
