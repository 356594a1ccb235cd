"""What the parts of a cell model are told of genes and contexts, made by the model's own loader."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from virtualcell.faults import refuse
from virtualcell.loader_files import model_words
from virtualcell.loaders import ANNOTATIONS, annotation_words, loader_for
from virtualcell.models import MODELS
from virtualcell.response_data import OF_CELLS, OF_GENES
from virtualcell.row_model import PLAIN, Biology

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from virtualcell.loading import BaseEnhancedLoader
    from virtualcell.sources import CellSource

CELLS = 256  # of a context, that its inputs are the mean of
NOT_TOKENS = ("src", "mask", "counts")
OTHERS = ("token_dim", "num_datasets")  # constructor words that the rows of features decide


def biology_of(
    model: str,
    source: CellSource,
    controls: Mapping[str, np.ndarray],
    annotations: Mapping[str, Any],
    *,
    genes: Sequence[str],
) -> tuple[Biology, BaseEnhancedLoader | None]:
    """What a model's parts read, and the loader that made it; controls: rows (n,) of untouched cells by context.

    annotations: files or what was read of them, by `pathways`, `network`, `compartments`; pathways and a network that
    no part reads still tell of perturbations that were never seen. genes: of training, the tokens.
    Raises DataError: an unknown model or annotation, compartments that no part reads, as `BaseEnhancedLoader.fit`.
    """
    if model not in (PLAIN, *MODELS):
        refuse(f"model: expected one of {', '.join(MODELS)} or {PLAIN}, got {model!r}")
    kind = loader_for(model)
    words = annotation_words(kind, annotations)
    if "compartments" in annotations and ANNOTATIONS["compartments"] not in words:
        refuse(f"compartments: no part of {model} reads them: leave them out, or take a model that does")
    if model == PLAIN:
        return Biology(), None
    loader = kind({"tokens": "all", "max_genes": len(genes), "with_src": False}, **words)
    loader.fit(source, genes=genes)
    told: dict[str, Any] = {name: x for name, x in model_words(loader).items() if name not in OTHERS}
    sizes = {name: x for name, x in told.items() if not isinstance(x, Tensor)}
    tables = {name: x for name, x in told.items() if isinstance(x, Tensor)}
    reads = words_read(model)
    of_genes: dict[str, Tensor] = {}
    of_context: dict[str, dict[str, Tensor]] = {}
    for context, rows in controls.items():
        batch = loader(source.__getitems__(rows[:CELLS]))
        of_genes = {w: batch[w][0, 1:] for w in OF_GENES if w in reads and w in batch and w not in NOT_TOKENS}
        of_context[context] = population_words(batch, reads)
    return Biology(model, sizes, tables, of_genes, of_context), loader


def words_read(model: str) -> tuple[str, ...]:
    """The inputs that the parts of a model understand, by the model's name."""
    return tuple(word for part in MODELS[model].parts for word in part.reads)


def population_words(batch: Mapping[str, Tensor], reads: Sequence[str]) -> dict[str, Tensor]:
    """Inputs (...) of a population: the mean of those of its cells (b, ...), of the words that are read."""
    return {
        word: batch[word].float().mean(0)
        for word in OF_CELLS
        if word in reads and word in batch and word != "dataset_nums"
    }
