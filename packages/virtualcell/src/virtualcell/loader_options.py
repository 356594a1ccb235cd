"""Every setting of the loaders, typed and range-checked: the only truth about their defaults. Loads no torch.

A setting may be a file or what was read from it; both are marked `Any` here.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from virtualcell.checked import Checked, above, at_least, between, rising
from virtualcell.faults import nearest, refuse

Normalization = Literal["z_score", "robust", "quantile", "total_count", "none", "adaptive"]
Strategy = Literal["uniform", "log", "quantile"]
Unit = Literal["min", "h", "d"]


@dataclass(frozen=True, kw_only=True)
class BatchSection(Checked):
    """The section `model` of a configuration, as far as loaders read it."""

    batch_size: int = 32  # cells a batch of `loader.batches`


@dataclass(frozen=True, kw_only=True)
class LoaderConfig(Checked):
    """What all loaders are told of the data: the keyword `cfg`."""

    seed: int = 0  # of the cells that are fitted on, and of shuffled batches
    batch_key: str | None = None  # column of obs within which genes are brought together
    dataset_key: str | None = (
        None  # column of obs; its number is dataset_nums, -1 for one not seen in fitting
    )
    cell_type_key: str | None = None  # column of obs within which cells are normalised
    time_key: str = "time"  # column of obs with a number
    time_unit: Unit = "h"  # of that column
    history_key: str = "history"  # column of obs: earlier perturbations, `A@24+B@6`, hours ago
    memory_key: str | None = None  # obsm: states that an earlier call has left
    energy_key: str | None = None  # obsm: energy states, likewise
    resource_key: str | None = None  # obsm: resource states, likewise
    modality_key: str | None = None  # obsm: a second modality (protein counts), as further tokens
    tokens: Literal["all", "expressed"] = "all"  # of a cell: the same genes in each, or those it expresses
    max_genes: int = 2047  # tokens beside the CLS slot
    token_dim: int = 64  # of vectors made from gene names, where none are given
    target_sum: float = 1e4  # counts a cell is brought to
    fit_cells: int = 20_000  # cells that statistics are fitted on, drawn evenly over the file
    with_src: bool = True  # False: gene_ids alone, for a model that holds the vectors
    model: BatchSection = field(default_factory=BatchSection)

    def ranges(self) -> None:
        """Refuse values outside their range."""
        at_least(self, 0, "seed")
        at_least(self, 1, "max_genes", "token_dim", "fit_cells")
        above(self, 0.0, "target_sum")


@dataclass(frozen=True, kw_only=True)
class NormalizationOptions(Checked):
    """How expression is normalised."""

    normalization_type: Normalization = "z_score"  # of genes; total_count, none: they are not scaled
    per_gene_normalization: bool = True  # False: genes are not scaled, whatever the type
    per_cell_normalization: bool = True  # totals brought to `target_sum`, then log1p; False: values as stored
    robust_normalization: bool = False  # median and MAD in place of mean and standard deviation
    quantile_normalization: bool = False  # ranks among the training cells as normal quantiles
    batch_aware_normalization: bool = True  # where cfg names a batch_key
    biological_normalization: bool = (
        True  # cell types where cfg names their key, and the loader's own biology
    )

    @property
    def gene_scale(self) -> str:
        """How genes are scaled: z_score, robust, quantile, adaptive or none."""
        kind = self.normalization_type
        if not self.per_gene_normalization or kind in ("total_count", "none"):
            return "none"
        if self.robust_normalization or self.quantile_normalization:
            return "robust" if self.robust_normalization else "quantile"
        return kind

    def ranges(self) -> None:
        """Refuse words that contradict each other."""
        if self.robust_normalization and self.quantile_normalization:
            refuse("robust_normalization and quantile_normalization: expected at most one of them")
        if self.normalization_type == "total_count" and not self.per_cell_normalization:
            refuse("per_cell_normalization: expected true with normalization_type='total_count', got false")


@dataclass(frozen=True, kw_only=True)
class PathwayOptions(Checked):
    """Pathways."""

    num_pathways: int = 1000  # at most: those with most of the genes
    pathway_annotation_file: Any = None  # GMT, npz, parquet, or GeneSets
    max_pathways_per_gene: int = 8  # its smallest ones


@dataclass(frozen=True, kw_only=True)
class CompartmentOptions(Checked):
    """Compartments."""

    num_compartments: int = 5  # at most: those with most of the genes
    compartment_annotation_file: Any = None  # table gene, compartment, or GeneSets
    max_compartments_per_gene: int = 3  # its smallest ones


@dataclass(frozen=True, kw_only=True)
class TemporalOptions(Checked):
    """Times."""

    time_steps: int = 5  # knots between which statistics over time are interpolated
    max_sequence_length: int = 100  # distinct times that are looked at
    temporal_sampling_strategy: Strategy = "uniform"  # where knots lie: even in time, in its log, or in cells


@dataclass(frozen=True, kw_only=True)
class RegulatoryOptions(Checked):
    """Regulators and targets."""

    interaction_matrix_file: Any = None  # table tf, target, mode | mor; npz; or Network
    gene_type_annotation_file: Any = None  # table gene, type
    regulatory_strength_threshold: float = 0.5  # weaker edges are no edges

    def ranges(self) -> None:
        """Refuse values outside their range."""
        at_least(self, 0, "regulatory_strength_threshold")


@dataclass(frozen=True, kw_only=True)
class MemoryOptions(Checked):
    """Earlier perturbations."""

    memory_dim: int = 64  # of `previous_states`
    memory_size: int = 1000  # different perturbations that are remembered, the most frequent
    num_memory_types: int = 5  # from short to long memory: each forgets four times slower than the one before
    num_epigenetic_states: int = 3  # levels of what the longest memory still holds
    memory_decay_rate: float = 0.9  # share of the shortest memory that is left after an hour

    def ranges(self) -> None:
        """Refuse values outside their range."""
        super().ranges()
        between(self, 0.0, 1.0, "memory_decay_rate")
        if self.num_memory_types > self.memory_dim:
            refuse(
                f"num_memory_types: expected at most memory_dim = {self.memory_dim}, got {self.num_memory_types}"
            )


@dataclass(frozen=True, kw_only=True)
class NoiseOptions(Checked):
    """Noise."""

    noise_dim: int = 64  # intrinsic and extrinsic together
    num_noise_types: int = 3  # technical, intrinsic, extrinsic; 2: the last two together
    intrinsic_noise_dim: int = 32  # bins of mean expression over which the noise of single genes is followed
    extrinsic_noise_dim: int = 32  # components of the cells that genes share
    noise_strength_range: tuple[float, float] = (
        0.1,
        0.9,
    )  # share of a gene's spread that may be called noise

    def ranges(self) -> None:
        """Refuse values outside their range."""
        super().ranges()
        if self.num_noise_types not in (2, 3):
            refuse(f"num_noise_types: expected 2 or 3, got {self.num_noise_types}")
        parts = self.intrinsic_noise_dim + self.extrinsic_noise_dim
        if parts != self.noise_dim:
            refuse(
                f"noise_dim: expected intrinsic_noise_dim + extrinsic_noise_dim = {parts}, got {self.noise_dim}"
            )
        rising(self, 0.0, 1.0, "noise_strength_range")


@dataclass(frozen=True, kw_only=True)
class ResourceOptions(Checked):
    """Energy and resources."""

    resource_dim: int = 32  # energy_dim and nutrient_dim together
    num_resource_types: int = 5  # columns of `previous_resource_state`
    energy_dim: int = 1  # columns of `previous_energy_state`
    nutrient_dim: int = 31  # genes by which a resource is read where no genes of its kind are known
    resource_efficiency_range: tuple[float, float] = (0.1, 1.0)  # of a full store: poorest and richest cells

    def ranges(self) -> None:
        """Refuse values outside their range."""
        super().ranges()
        parts = self.energy_dim + self.nutrient_dim
        if parts != self.resource_dim:
            refuse(f"resource_dim: expected energy_dim + nutrient_dim = {parts}, got {self.resource_dim}")
        if self.num_resource_types > 5:
            refuse(f"num_resource_types: expected at most 5 kinds, got {self.num_resource_types}")
        rising(self, 0.0, 1.0, "resource_efficiency_range")


@dataclass(frozen=True, kw_only=True)
class ScaleOptions(Checked):
    """Molecules, pathways and the cell."""

    pathway_annotation_file: Any = None  # GMT, npz, parquet, or GeneSets; without, groups come from the cells
    molecular_scale_dim: int = 128  # most variable genes by which the molecular scale is told
    pathway_scale_dim: int = 256  # pathways that are brought together in groups
    cellular_scale_dim: int = 512  # components of the cells, at most
    num_hierarchy_levels: int = 3  # from molecules to the cell: those between are groups of pathways
    num_scales: int = 3  # molecular; pathway; cellular: so many of them are told apart
    num_pathway_groups: int = 50  # at most, on the first level; half as many on each further one

    def ranges(self) -> None:
        """Refuse values outside their range."""
        super().ranges()
        if self.num_hierarchy_levels < 3:
            refuse(f"num_hierarchy_levels: expected 3 or more, got {self.num_hierarchy_levels}")
        if self.num_scales > 3:
            refuse(f"num_scales: expected 1 to 3, got {self.num_scales}")


@dataclass(frozen=True, kw_only=True)
class WeightOptions(Checked):
    """How the biology of several kinds is joined."""

    adaptive_weighting: bool = True  # kinds that scale the same gene share its change between them


def split(values: dict[str, Any], classes: tuple[type[Any], ...], owner: str) -> list[Any]:
    """One object of each class from flat settings; a setting of several classes is given to each.

    DataError for a setting that no class has, with the nearest one.
    """
    known = {cls: {f.name for f in dataclasses.fields(cls)} for cls in classes}
    every = [name for names in known.values() for name in sorted(names)]
    for name in values:
        if name not in every:
            refuse(f"{owner} has no setting {name!r}; {nearest(name, every)}")
    return [cls(**{name: v for name, v in values.items() if name in known[cls]}) for cls in classes]


def plain(cfg: Any) -> dict[str, Any]:
    """A mapping, a DictConfig or a LoaderConfig as a dict of plain values, None as an empty one; DataError else."""
    if cfg is None:
        return {}
    if dataclasses.is_dataclass(cfg) and not isinstance(cfg, type):
        return {f.name: getattr(cfg, f.name) for f in dataclasses.fields(cfg)}
    if not hasattr(cfg, "items"):
        refuse(f"cfg: expected a mapping or a DictConfig, got {type(cfg).__name__}")
    values = {str(key): _plain(value) for key, value in cfg.items()}
    section = values.get("model")
    if isinstance(section, dict):
        (values["model"],) = split(section, (BatchSection,), "cfg.model")
    return values


def _plain(value: Any) -> Any:
    if hasattr(value, "items") and not dataclasses.is_dataclass(value):
        return {str(key): _plain(item) for key, item in value.items()}
    is_list = type(value).__name__ == "ListConfig" or isinstance(value, list | tuple)
    return tuple(_plain(item) for item in value) if is_list else value
