"""Every constructor word of the network and its parts, typed and range-checked: the only truth about their defaults.

Loads no torch. Letters in comments: g genes of a vocabulary, p pathways, c compartments.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, NoReturn

Table = Any  # a torch.Tensor of two axes or None: not named, so that who reads defaults loads no torch

WHOLE, SHARE, POSITIVE = "a whole number of 1 or more", "a number from 0 to below 1", "a number above 0"


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """The state embedding network, beside what every call of its constructor names."""

    dropout: float = 0.0  # share of activations hidden in training
    num_datasets: int | None = None  # datasets told apart by a token of their own; None: no such token
    own_tokens: bool = True  # the CLS and dataset vectors are learned here; False: they come in `src`
    norm_first: bool = False  # layer norm before each half of a layer, not after it
    checkpointing: bool = False  # activations of a layer are computed again in the backward pass
    compile: bool = False  # layers are compiled at their first use

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        _share(self, "dropout")
        if self.num_datasets is not None:
            _whole(self, "num_datasets")


@dataclass(frozen=True, kw_only=True)
class HierarchyOptions:
    """Pathways and compartments."""

    num_pathways: int = 1000  # pathways that ids may name
    num_compartments: int = 5  # compartments, likewise
    pathway_info: Table = None  # (g, p) genes in pathways, above 0 = member; read with `gene_ids`
    compartment_info: Table = None  # (g, c) genes in compartments, likewise
    pathway_dim: int = 64  # width of a pathway's state

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        _whole(self, "num_pathways", "num_compartments", "pathway_dim")
        if self.pathway_dim % 4:
            refuse("pathway_dim", self.pathway_dim, "a multiple of 4")
        _table(self, "pathway_info", self.num_pathways)
        _table(self, "compartment_info", self.num_compartments)


@dataclass(frozen=True, kw_only=True)
class TemporalOptions:
    """Fast and slow responses over time."""

    time_steps: int = 5  # steps in which the kinetics go from 0 to the time asked for
    temporal_dim: int = 64  # width of a gene's fast and of its slow response
    horizon_hours: float = 24.0  # [h] the time meant where none is given

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        _whole(self, "time_steps", "temporal_dim")
        _positive(self, "horizon_hours")
        if self.temporal_dim % 2:
            refuse("temporal_dim", self.temporal_dim, "an even number")


@dataclass(frozen=True, kw_only=True)
class RegulationOptions:
    """Known edges from regulators to their targets."""

    gene_interaction_matrix: Table = None  # (g, g) signed; row = regulator, column = target
    num_gene_types: int = 4  # 0 other, 1 regulator, 2 target, 3 both
    min_strength: float = 0.0  # edges weaker than this are no edges

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        _whole(self, "num_gene_types")
        if not self.min_strength >= 0:
            refuse("min_strength", self.min_strength, "0 or more")
        matrix = self.gene_interaction_matrix
        if matrix is not None and (matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]):
            refuse("gene_interaction_matrix", f"shape {tuple(matrix.shape)}", "a square (genes, genes)")


@dataclass(frozen=True, kw_only=True)
class MemoryOptions:
    """What a cell has been through."""

    memory_size: int = 1000  # slots of the bank
    memory_dim: int = 512  # numbers that a cell carries from call to call
    num_memory_types: int = 5  # kinds of these, from short to long memory
    num_epigenetic_states: int = 3  # a cell has a chance of being in each
    memory_decay: float = (
        0.9  # share that the shortest memory keeps a call; each kind forgets four times slower
    )
    carry_memory: bool = (
        False  # calls without `previous_states` go on from the last call, till `reset_memory`
    )

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        _whole(self, "memory_size", "memory_dim", "num_memory_types", "num_epigenetic_states")
        _share(self, "memory_decay")
        if self.num_memory_types > self.memory_dim:
            refuse("num_memory_types", self.num_memory_types, f"at most memory_dim = {self.memory_dim}")


@dataclass(frozen=True, kw_only=True)
class StochasticOptions:
    """Noise of genes and of whole cells."""

    noise_dim: int = 64  # independent sources: half of each gene (intrinsic), half of the cell (extrinsic)

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        _whole(self, "noise_dim")
        if self.noise_dim % 2:
            refuse("noise_dim", self.noise_dim, "an even number")


@dataclass(frozen=True, kw_only=True)
class ResourceOptions:
    """Stores of energy and resources, in units of one full store."""

    resource_dim: int = 32  # width of the activity that a shortage holds back
    num_resource_types: int = 5  # such as nucleotides, amino acids, lipids, ribosomes, polymerases
    energy_dim: int = 1  # carriers of energy

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        _whole(self, "resource_dim", "num_resource_types", "energy_dim")


@dataclass(frozen=True, kw_only=True)
class ScaleOptions:
    """Molecules, pathways and the cell, each with a width of its own."""

    molecular_scale_dim: int = 128  # width of a gene's state
    pathway_scale_dim: int = 256  # width inside the map of a group
    cellular_scale_dim: int = 512  # width inside the map of the cell
    num_pathway_groups: int = 50  # groups that ids may name

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        _whole(self, *(field.name for field in fields(self)))
        if self.molecular_scale_dim % 4:
            refuse("molecular_scale_dim", self.molecular_scale_dim, "a multiple of 4")


def refuse(name: str, value: object, expected: str) -> NoReturn:
    """Raise the ValueError of a value outside its range."""
    msg = f"{name}: expected {expected}, got {value}"
    raise ValueError(msg)


def _whole(options: Any, *names: str) -> None:
    for name in names:
        value = getattr(options, name)
        if type(value) is not int or value < 1:
            refuse(name, repr(value), WHOLE)


def _share(options: Any, name: str) -> None:
    value = getattr(options, name)
    if not 0 <= value < 1:
        refuse(name, repr(value), SHARE)


def _positive(options: Any, name: str) -> None:
    value = getattr(options, name)
    if not 0 < value < float("inf"):
        refuse(name, repr(value), POSITIVE)


def _table(options: Any, name: str, columns: int) -> None:
    table = getattr(options, name)
    if table is not None and (table.ndim != 2 or table.shape[1] != columns):
        refuse(name, f"shape {tuple(table.shape)}", f"a table (genes, {columns})")
