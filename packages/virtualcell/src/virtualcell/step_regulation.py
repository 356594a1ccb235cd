"""The step of regulators and targets: their types, and spreads that lean on those of genes under one regulator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from virtualcell.genes import key_of
from virtualcell.loader_options import RegulatoryOptions
from virtualcell.network import TARGET, TF, Network, read_gene_types, read_network
from virtualcell.steps import GroupStep, Seen, Tokens, group_factors

if TYPE_CHECKING:
    from virtualcell.cells import Cells


class Regulation(GroupStep):
    """Who is a regulator and who a target.

    arrays: regulator (g,) and target (g,) bool, edges source, goal (e,), effect (e,) signed, 0 for an unknown sign.
    """

    name: ClassVar[str] = "regulatory"
    Options: ClassVar[type[Any] | None] = RegulatoryOptions
    reads: ClassVar[tuple[str, ...]] = ("gene_ids", "gene_types", "tf_mask", "target_mask")

    @classmethod
    def fit(cls, seen: Seen, options: RegulatoryOptions) -> Regulation:
        """Edges among the genes seen, and types from them or from their own file."""
        g, notes = len(seen.features), []
        types = np.zeros(g, dtype=np.int64)
        arrays: dict[str, np.ndarray] = {}
        words: dict[str, Any] = {"edges": 0, "threshold": float(options.regulatory_strength_threshold)}
        given = options.interaction_matrix_file
        if given is not None:
            network = given if isinstance(given, Network) else read_network(given)
            edges = network.edges(seen.features, at_least=options.regulatory_strength_threshold)
            notes += [*network.notes, *edges.notes]
            types = edges.types()
            arrays |= {"source": edges.source, "goal": edges.target, "effect": edges.sign * edges.strength}
            signs = {name: int((edges.sign == sign).sum()) for name, sign in _SIGNS.items()}
            words |= {"edges": len(edges.source), **signs}
            if seen.normalization.biological_normalization:
                arrays["factor"] = group_factors(seen.values, _under_one(edges.source, edges.target, g))
        if options.gene_type_annotation_file is not None:
            known = read_gene_types(options.gene_type_annotation_file)
            own = np.array([known.get(key_of(gene), -1) for gene in seen.features])
            types = np.where(own >= 0, own, types)
            notes.append(f"gene_type_annotation_file: {int((own >= 0).sum())} of {g} genes have a type")
        if given is None and options.gene_type_annotation_file is None:
            return cls({}, {}, ("interaction_matrix_file (--network): none is given: no gene_types",))
        arrays |= {"regulator": (types & TF) > 0, "target": (types & TARGET) > 0}
        words |= {"regulators": int(arrays["regulator"].sum()), "targets": int(arrays["target"].sum())}
        return cls(arrays, words, tuple(notes))

    def context(self, tokens: Tokens, cells: Cells) -> dict[str, np.ndarray]:
        """gene_types (b, n) int64: 0 other, 1 regulator, 2 target that is none; tf_mask, target_mask (b, n) bool."""
        del cells
        if "regulator" not in self.arrays:
            return {}
        tf, target = self.arrays["regulator"], self.arrays["target"]
        types = np.where(tf, 1, np.where(target, 2, 0))
        masks = {"tf_mask": tf, "target_mask": target}
        found = {name: tokens.look_up(mask, fill=0) for name, mask in masks.items()}
        return {"gene_types": tokens.look_up(types, fill=0), **found}

    def interactions(self) -> np.ndarray:
        """Effects of row on column (g, g) float32, for a model; an unknown sign counts as +."""
        g = len(self.arrays["regulator"])
        made = np.zeros((g, g), dtype=np.float32)
        if "source" in self.arrays:
            effect = self.arrays["effect"]
            made[self.arrays["source"], self.arrays["goal"]] = np.where(effect == 0, 1.0, effect)
        return made


_SIGNS = {"activations": 1.0, "repressions": -1.0, "unknown_signs": 0.0}


def _under_one(source: np.ndarray, target: np.ndarray, g: int) -> np.ndarray:
    """Targets by regulator (g, regulators) bool."""
    regulators, column = np.unique(source, return_inverse=True)
    member = np.zeros((g, len(regulators)), dtype=bool)
    member[target, column] = True
    return member
