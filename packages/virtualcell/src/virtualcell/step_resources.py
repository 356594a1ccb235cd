"""The step of resources: how rich a cell is, as far as its transcripts tell, in shares of a full store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from virtualcell.faults import refuse
from virtualcell.loader_options import ResourceOptions
from virtualcell.steps import Seen, Step, Tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtualcell.cells import Cells

KINDS = ("transcripts", "genes", "ribosomes", "mitochondria", "diversity")
_GENES = {"ribosomes": ("RPL", "RPS"), "mitochondria": ("MT-",)}
_ENERGY = KINDS.index("mitochondria")


class Resources(Step):
    """States of energy and resources: those an earlier call has left in obsm, or what transcripts tell.

    Read from transcripts are: their total (log), the share of genes seen, the shares of ribosomal and mitochondrial
    transcripts, and their diversity (entropy); each is placed between the 1st and 99th percentile of the training
    cells. Where no ribosomal or mitochondrial gene is known, the genes that follow the total most stand in for them.
    """

    name: ClassVar[str] = "resource"
    Options: ClassVar[type[Any] | None] = ResourceOptions
    reads: ClassVar[tuple[str, ...]] = ("previous_energy_state", "previous_resource_state")
    tallied: ClassVar[tuple[str, ...]] = ("energy_sum", "resource_sum")

    @classmethod
    def fit(cls, seen: Seen, options: ResourceOptions) -> Resources:
        """Where poor and rich cells lie, and how genes follow the total.

        Raises DataError for states in obsm of another width.
        """
        config, about = seen.config, seen.cells.about
        for key, width in (
            (config.energy_key, options.energy_dim),
            (config.resource_key, options.num_resource_types),
        ):
            if key is not None and about.array(key).shape[1] != width:
                refuse(f"obsm[{key!r}]: expected {width} columns, got {about.array(key).shape[1]}")
        total = np.log(np.asarray(seen.cells.counts.sum(axis=1)).ravel())
        stand_in = _followers(seen, total, options.nutrient_dim)
        words: dict[str, Any] = {
            "types": list(KINDS[: options.num_resource_types]),
            "energy_dim": options.energy_dim,
            "range": list(map(float, options.resource_efficiency_range)),
            "energy_key": config.energy_key,
            "resource_key": config.resource_key,
            "stand_in": stand_in,
        }
        step = cls({}, words)
        read = step._read(seen.cells)
        arrays = {"low": np.percentile(read, 1, axis=0), "high": np.percentile(read, 99, axis=0)}
        if seen.normalization.biological_normalization:
            centred = total - total.mean()
            slope = centred @ seen.values / max(float(centred @ centred), 1e-9)
            arrays |= {"slope": slope, "mean": np.array([total.mean()])}
        named = [kind for kind, names in _GENES.items() if about.genes_like(names).any()]
        missing = [kind for kind in _GENES if kind not in named]
        notes = (f"resources: no genes of {', '.join(missing)} by name: {len(stand_in)} others stand in",)
        return cls({n: a.astype(np.float32) for n, a in arrays.items()}, words, notes if missing else ())

    def scale(self, values: np.ndarray, cells: Cells) -> np.ndarray:
        """(b, g) without what each gene follows of the log total."""
        if "slope" not in self.arrays:
            return values
        total = np.log(np.asarray(cells.counts.sum(axis=1)).ravel())
        away = (total - self.arrays["mean"][0]).astype(np.float32)
        return values - away[:, None] * self.arrays["slope"][None, :]

    def context(self, tokens: Tokens, cells: Cells) -> dict[str, np.ndarray]:
        """previous_energy_state (b, energy_dim) and previous_resource_state (b, num_resource_types), float32."""
        del tokens
        energy, resources = self.states(cells)
        return {"previous_energy_state": energy, "previous_resource_state": resources}

    def states(self, cells: Cells) -> tuple[np.ndarray, np.ndarray]:
        """Energy (b, energy_dim) and resources (b, num_resource_types) of each cell, float32, in full stores."""
        words, low, high = self.words, self.arrays["low"], self.arrays["high"]
        least, most = words["range"]
        gap = np.where(high > low, high - low, 1.0)
        share = np.where(high > low, np.clip((self._read(cells) - low) / gap, 0.0, 1.0), 0.5)
        level = (least + (most - least) * share).astype(np.float32)
        energy = np.repeat(level[:, _ENERGY : _ENERGY + 1], words["energy_dim"], axis=1)
        resources = level[:, : len(words["types"])]
        if words["energy_key"] is not None:
            energy = cells.array(words["energy_key"])
        if words["resource_key"] is not None:
            resources = cells.array(words["resource_key"])
        return energy, resources

    def tally(self, cells: Cells) -> Sequence[float]:
        """Sums of the states, for their means."""
        energy, resources = self.states(cells)
        return float(energy.mean(axis=1).sum()), float(resources.mean(axis=1).sum())

    def _read(self, cells: Cells) -> np.ndarray:
        """The five readings of each cell, (b, 5) float64."""
        counts, about = cells.counts, cells.about
        total = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
        share = counts.multiply(1 / total[:, None]).tocsr()
        share.data = -share.data * np.log(np.maximum(share.data, 1e-300))
        found = {
            "transcripts": np.log(total),
            "genes": np.diff(counts.indptr) / counts.shape[1],
            "diversity": np.asarray(share.sum(axis=1)).ravel(),
        }
        for kind, names in _GENES.items():
            which = about.genes_like(names)
            if not which.any():
                which = np.isin(about.genes, self.words["stand_in"])
            found[kind] = np.asarray(counts[:, which].sum(axis=1)).ravel() / total
        return np.stack([found[kind] for kind in KINDS], axis=1)


def _followers(seen: Seen, total: np.ndarray, most: int) -> list[str]:
    """The genes whose counts follow the log total most."""
    centred = total - total.mean()
    raw = seen.raw[:, : seen.n_genes].astype(np.float64)
    spread = raw.std(axis=0)
    following = np.where(spread > 0, centred @ raw / np.where(spread > 0, spread, 1.0), -np.inf)
    return [seen.features[i] for i in np.argsort(-following, kind="stable")[:most]]
