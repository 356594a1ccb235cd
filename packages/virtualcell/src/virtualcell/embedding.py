"""A model that embeds cells, from AnnData to vectors: fitted once, then any cells with its genes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from virtualcell import models
from virtualcell.coexpression import coexpression_vectors
from virtualcell.config import EmbeddingConfig
from virtualcell.embedding_net import EmbeddingNet, Seen
from virtualcell.faults import refuse
from virtualcell.fitting import chosen
from virtualcell.hiding import dense
from virtualcell.loader_files import model_words
from virtualcell.loader_options import LoaderConfig
from virtualcell.loaders import ANNOTATIONS, annotation_words, loader_for
from virtualcell.loading import BaseEnhancedLoader
from virtualcell.sources import CellSource, open_cells
from virtualcell.state import StateEmbeddingModel
from virtualcell.vectors import name_vectors

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData

    from virtualcell.vectors import Vectors

__all__ = ["EmbeddingModel", "fit_embedding"]

BLOCK = 256  # cells that are embedded at once
FEW = 8  # cells by which it is seen what learns
SOME = 4096  # cells by which a network is scaled when it is made
_KINDS = {"log": "log values", "linear": "normalised values"}


@dataclass
class EmbeddingModel:
    """A trained network with the loader that makes its batches. history: of the training, None in a loaded one."""

    net: EmbeddingNet  # in evaluation mode
    loader: BaseEnhancedLoader
    config: EmbeddingConfig  # as it was trained
    facts: dict[str, Any]  # plain JSON: cells, batches, steps
    history: pd.DataFrame | None = None

    def to(self, device: torch.device | str) -> EmbeddingModel:
        """The same, its weights on a device."""
        self.net.to(device)
        return self

    @torch.no_grad()
    def embed(self, source: CellSource | AnnData | Path | str, *, block: int = BLOCK) -> np.ndarray:
        """Embeddings (n, d) float32 of length 1, in the order of the cells; what a cell gets hangs on it alone.

        Log values are taken as log1p of counts per any total, and brought to the model's.
        Raises DataError: no gene of the model there, NaN, empty cells.
        """
        source = source if isinstance(source, CellSource) else open_cells(source)
        if block < 1:
            refuse(f"block: expected a whole number >= 1, got {block}")
        net = self.net.eval()
        table = net.table()
        found = []
        for cells in source.blocks(block):
            batch = self.loader(cells)
            if cells.about.kind == "log":
                total = torch.from_numpy(np.asarray(cells.counts.expm1().sum(axis=1), dtype=np.float32))
                batch["counts"] = torch.log1p(
                    torch.expm1(batch["counts"]) * self.loader.config.target_sum / total
                )
            seen = self.seen(batch, self.loader.features.places(cells.about) >= 0)
            found.append(net.quick(seen, table).cpu().numpy())
        return np.concatenate(found)

    def seen(self, batch: dict[str, torch.Tensor], present: np.ndarray) -> Seen:
        """All of a batch of cells, with the loader's words; present (g,) bool: the genes that their file has."""
        at = {word: x.to(self.net.log_rate.device) for word, x in batch.items()}
        values = dense(at["counts"], at["gene_ids"], len(self.net.log_rate))
        known = torch.from_numpy(present).to(values.device).expand_as(values)
        words = {word: at[word] for word in reads_of(self.net.cell) if word in at}
        return Seen(at["gene_ids"], at["mask"], at["counts"], values, known, words)


def fit_embedding(
    source: CellSource | AnnData | Path | str,
    config: EmbeddingConfig,
    *,
    out: Path | str,
    annotations: dict[str, Any] | None = None,
    vectors: Vectors | Path | str | None = None,
    held: CellSource | AnnData | Path | str | None = None,
    resume: bool = False,
    force: bool = False,
) -> EmbeddingModel:
    """Train a model on counts, without any label but the batch where `config.batch_key` names it.

    out: directory of the run (history, checkpoints). annotations: files or what was read of them, by `pathways`,
    `network`, `compartments`. vectors: of genes, by name (npz). held: cells by which weights are chosen
    (`trainer.patience`). Raises DataError, or as `cytosol.trainer.fit`.
    """
    from cytosol.trainer import fit
    from virtualcell.settling import settle
    from virtualcell.training import EmbeddingTraining

    source = source if isinstance(source, CellSource) else open_cells(source)
    held = held if held is None or isinstance(held, CellSource) else open_cells(held)
    for one in (source, held):
        if one is not None and one.about.kind != "counts":
            got = f"got {_KINDS[one.about.kind]}; layer= says where counts are"
            refuse(f"{one.about.name}: expected counts to learn from, {got}")
    loader = made_loader(source, config, annotations or {}, vectors)
    net = made_net(loader, config, *moments(source, loader, config), batches=len(loader.datasets))
    module = EmbeddingTraining(
        net,
        config.objective,
        reads=reads_of(net.cell),
        target_sum=loader.config.target_sum,
        seed=config.seed,
        steps=config.trainer.max_steps,
    )
    few = loader(source.__getitems__(np.arange(min(len(source), FEW))))
    settle(module, lambda: module.loss(few, step=0))
    rows: Any = source
    held_rows: Any = held
    history = fit(
        module, rows, options=config.trainer, out=out, seed=config.seed,
        val_data=held_rows, resume=resume, force=force, collate=loader,
    )  # fmt: skip
    net.eval().requires_grad_(requires_grad=False)
    facts = {"cells": len(source), "batches": list(loader.datasets)}
    facts["steps"] = 0 if history.empty else int(history["step"].iloc[-1])
    loader.config = replace(loader.config, dataset_key=None)  # cells to embed may be of any batch
    loader.vectors = net.vectors.detach().numpy().copy()
    return EmbeddingModel(net, loader, config, facts, history)


def made_loader(
    source: CellSource, config: EmbeddingConfig, annotations: dict[str, Any], vectors: Any
) -> BaseEnhancedLoader:
    """The loader of the configuration's model, fitted; its counts are log1p of counts per total and nothing else.

    Raises DataError for annotations that the model does not read, and as `BaseEnhancedLoader.fit`.
    """
    kind = loader_for(config.model)
    words = annotation_words(kind, annotations)
    for name in annotations:
        if ANNOTATIONS[name] not in words:
            refuse(f"{name}: {config.model} does not read them; `virtualcell models` says which does")
    cells = source.sample(config.fit_cells, seed=config.seed)
    picked, notes = chosen(cells, LoaderConfig(max_genes=config.genes), None)
    loader = kind(
        {
            "seed": config.seed,
            "dataset_key": config.batch_key,
            "tokens": "expressed",
            "max_genes": config.genes,
            "token_dim": config.network.token_dim,
            "target_sum": config.target_sum,
            "fit_cells": config.fit_cells,
            "with_src": False,
        },
        normalization_type="total_count",
        biological_normalization=False,
        batch_aware_normalization=False,
        **words,
    )
    loader.fit(source, genes=picked.genes, vectors=vectors)
    loader.notes = (*loader.notes, *notes)
    if vectors is None:
        loader.vectors = _vectors(loader, cells, config)
    return loader


def made_net(
    loader: BaseEnhancedLoader,
    config: EmbeddingConfig,
    share: torch.Tensor,
    values: torch.Tensor,
    *,
    batches: int = 0,
) -> EmbeddingNet:
    """A fresh network of the configuration, as the seed has it; share (g,) and values (m, g): of `moments`."""
    words: dict[str, Any] = {w: value for w, value in model_words(loader).items() if w != "num_datasets"}
    own = config.network
    cls = models.MODELS.get(config.model, StateEmbeddingModel)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        cell = cls(
            **words, d_model=own.d_model, nhead=own.nhead, d_hid=own.d_hid, nlayers=own.nlayers,
            output_dim=own.output_dim, dropout=own.dropout, norm_first=True,
            checkpointing=own.checkpointing, compile=own.compile,
        )  # fmt: skip
        return EmbeddingNet(
            cell, torch.from_numpy(loader.vectors), share, values,
            batches=batches, learn=config.learn_vectors, pooled=own.pooled,
        )  # fmt: skip


def reads_of(cell: StateEmbeddingModel) -> tuple[str, ...]:
    """The words of a batch that a model's parts understand."""
    return tuple(getattr(cell, "reads", ()))


def _vectors(loader: BaseEnhancedLoader, cells: Any, config: EmbeddingConfig) -> np.ndarray:
    genes, width = loader.features.genes, config.network.token_dim
    if config.vectors == "names":
        return name_vectors(genes, width)
    places = loader.features.places(cells.about)
    return coexpression_vectors(cells, places, width, target_sum=loader.config.target_sum)


def moments(
    source: CellSource, loader: BaseEnhancedLoader, config: EmbeddingConfig
) -> tuple[torch.Tensor, torch.Tensor]:
    """Each gene's share of all counts (g,), with half a count where there is none; log values of some cells (m, g)."""
    cells = source.sample(config.fit_cells, seed=config.seed)
    counts = np.asarray(cells.counts.sum(axis=0), dtype=np.float64).ravel()
    own = counts[loader.features.places(cells.about)] + 0.5
    share = torch.from_numpy(own / (counts.sum() + 0.5 * len(counts)))
    return share, torch.from_numpy(loader.values(cells.take(np.arange(min(len(cells), SOME)))))
