"""Steps of genes that belong together: pathways, compartments, and groups of pathways as a scale of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from virtualcell.compartments import read_compartments
from virtualcell.loader_options import CompartmentOptions, PathwayOptions, ScaleOptions
from virtualcell.pathways import GeneSets, Membership, groups_of, read_gene_sets
from virtualcell.steps import GroupStep, Seen, Tokens, group_factors

if TYPE_CHECKING:
    from virtualcell.cells import Cells

_CELLS = 1000  # by which components are found


class Pathways(GroupStep):
    """Pathways of each gene; a gene's spread leans on that of its pathways."""

    name: ClassVar[str] = "pathway"
    Options: ClassVar[type[Any] | None] = PathwayOptions
    reads: ClassVar[tuple[str, ...]] = ("pathway_ids",)

    @classmethod
    def fit(cls, seen: Seen, options: PathwayOptions) -> Pathways:
        """Membership of the genes seen."""
        sets = _sets(options.pathway_annotation_file, read_gene_sets)
        if sets is None:
            return cls({}, {}, ("pathway_annotation_file (--pathways): none is given: no pathway_ids",))
        made = sets.membership(
            seen.features, most_sets=options.num_pathways, most_per_gene=options.max_pathways_per_gene
        )
        return cls(*_fitted(made, seen), (*sets.notes, *made.notes))

    def context(self, tokens: Tokens, cells: Cells) -> dict[str, np.ndarray]:
        """pathway_ids (b, n, k) int64, -1 for none."""
        del cells
        return {"pathway_ids": tokens.look_up(self.arrays["ids"])} if "ids" in self.arrays else {}


class Compartments(GroupStep):
    """Compartments of each gene; a gene's spread leans on that of its compartments."""

    name: ClassVar[str] = "compartment"
    Options: ClassVar[type[Any] | None] = CompartmentOptions
    reads: ClassVar[tuple[str, ...]] = ("compartment_ids",)

    @classmethod
    def fit(cls, seen: Seen, options: CompartmentOptions) -> Compartments:
        """Membership of the genes seen."""
        sets = _sets(options.compartment_annotation_file, read_compartments)
        if sets is None:
            return cls(
                {},
                {},
                ("compartment_annotation_file (--compartments): none is given: no compartment_ids",),
            )
        made = sets.membership(
            seen.features, most_sets=options.num_compartments, most_per_gene=options.max_compartments_per_gene
        )
        return cls(*_fitted(made, seen), (*sets.notes, *made.notes))

    def context(self, tokens: Tokens, cells: Cells) -> dict[str, np.ndarray]:
        """compartment_ids (b, n, k) int64, -1 for none."""
        del cells
        return {"compartment_ids": tokens.look_up(self.arrays["ids"])} if "ids" in self.arrays else {}


def _sets(given: Any, read: Any) -> GeneSets | None:
    return given if given is None or isinstance(given, GeneSets) else read(given)


def _fitted(made: Membership, seen: Seen) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and words of a membership."""
    member = made.matrix()
    arrays = {"ids": made.ids}
    if seen.normalization.biological_normalization:
        arrays["factor"] = group_factors(seen.values, member)
    sizes = {name: int(size) for name, size in zip(made.names, member.sum(axis=0), strict=True)}
    return arrays, {"genes_in": sizes, "genes_in_none": int((~member.any(axis=1)).sum())}


class Scales(GroupStep):
    """Molecules, groups of pathways and the cell: one group a gene, and how much of the variance is of each scale."""

    name: ClassVar[str] = "scale"
    Options: ClassVar[type[Any] | None] = ScaleOptions
    reads: ClassVar[tuple[str, ...]] = ("pathway_groups",)

    @classmethod
    def fit(cls, seen: Seen, options: ScaleOptions) -> Scales:
        """Groups from pathways that share genes, or from the components of the cells where no pathways are given."""
        sets = _sets(options.pathway_annotation_file, read_gene_sets)
        counts = [
            max(options.num_pathway_groups // 2**level, 1)
            for level in range(options.num_hierarchy_levels - 2)
        ]
        if sets is not None:
            made = sets.membership(seen.features, most_sets=options.pathway_scale_dim, most_per_gene=10**6)
            levels, notes = [groups_of(made, count) for count in counts], made.notes
        else:
            levels = [_by_components(seen.values, count) for count in counts]
            notes = (
                "pathway_annotation_file (--pathways): none is given, genes are grouped by the components of the cells",
            )
        ids = np.stack(levels, axis=1)
        arrays = {"ids": ids}
        member = (ids[:, :1] == np.arange(counts[0])[None, :]) & (ids[:, :1] >= 0)
        if seen.normalization.biological_normalization:
            arrays["factor"] = group_factors(seen.values, member)
        groups = [int(level.max()) + 1 for level in levels]
        return cls(arrays, {"groups": groups, "variance": _shares(seen.values, member, options)}, notes)

    def context(self, tokens: Tokens, cells: Cells) -> dict[str, np.ndarray]:
        """pathway_groups (b, n) int64, or (b, n, levels) where there are several between molecules and the cell."""
        del cells
        found = tokens.look_up(self.arrays["ids"])
        return {"pathway_groups": found[..., 0] if found.shape[-1] == 1 else found}


def components(values: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Variances (c,) and loadings (g, c) of the components of z-scored cells above what noise alone would give.

    At most `most`, by at most a thousand cells; the edge is that of Marchenko and Pastur 1967.
    """
    x = values[:: max(len(values) // _CELLS, 1)][:_CELLS].astype(np.float64)
    x = x - x.mean(axis=0)
    sd = x.std(axis=0)
    x = x[:, sd > 0] / sd[sd > 0] if (sd > 0).any() else x
    m, g = x.shape
    if m < 3 or g < 2:
        return np.zeros(0), np.zeros((values.shape[1], 0))
    variances, left = np.linalg.eigh(x @ x.T / m)
    order = np.argsort(-variances)[:most]
    order = order[variances[order] > (1 + np.sqrt(g / m)) ** 2]
    loadings = np.zeros((values.shape[1], len(order)))
    loadings[sd > 0 if (sd > 0).any() else slice(None)] = x.T @ left[:, order] / np.sqrt(m * variances[order])
    return variances[order], loadings


def _by_components(values: np.ndarray, most: int) -> np.ndarray:
    """The component that each gene loads on most, (g,) int64, -1 for one that is constant."""
    variances, loadings = components(values, most)
    if not len(variances):
        return np.where(values.std(axis=0) > 0, 0, -1)
    weight = np.abs(loadings) * np.sqrt(variances)
    return np.where(weight.max(axis=1) > 0, weight.argmax(axis=1), -1)


def _shares(values: np.ndarray, member: np.ndarray, options: ScaleOptions) -> dict[str, float]:
    """How much of the variance of the most variable genes is of the cell, of pathways beyond that, of single genes."""
    x = values[:: max(len(values) // _CELLS, 1)][:_CELLS].astype(np.float64)
    chosen = np.argsort(-x.var(axis=0), kind="stable")[: options.molecular_scale_dim]
    x = x[:, chosen] - x[:, chosen].mean(axis=0)
    total = float((x**2).sum()) or 1.0
    loadings = components(x, options.cellular_scale_dim)[1]
    cell = _explained(x, x @ loadings)
    means = x @ (member[chosen] / np.maximum(member[chosen].sum(axis=0), 1))
    both = _explained(x, np.concatenate([x @ loadings, means[:, member[chosen].any(axis=0)]], axis=1))
    shares = {"molecular": 1 - both / total, "pathway": (both - cell) / total, "cellular": cell / total}
    return {name: round(share, 4) for name, share in list(shares.items())[: options.num_scales]}


def _explained(x: np.ndarray, by: np.ndarray) -> float:
    """The sum of squares of x that lies in the span of other columns."""
    if not by.shape[1]:
        return 0.0
    left, sizes, _ = np.linalg.svd(by, full_matrices=False)
    left = left[:, sizes > 1e-9 * sizes.max(initial=1e-300)]
    return float(((left.T @ x) ** 2).sum())
