"""The names of the first design, and where they live now; rows of packages without content come with them."""

from __future__ import annotations

import importlib

import pytest

NAMES = {
    "o2diffusion": (
        "AdaptiveReplicateUNet",
        "DrugAwareMediaChangeModule",
        "FlexibleReplicateDiffusionModel",
        "MaskedReplicateLoss",
        "MediaChangeSchedule",
        "MediaResponseDataset",
        "ReplicateGenerator",
        "ReplicateMaskAttention",
        "generate_curves",
        "generate_replicate_aware_noise",
        "validate_drug_specific_media_responses",
    ),
    "mediacvae": (
        "ConditionalMediaVAE",
        "TrainConfig",
        "build_genome_media_dataset",
        "compute_all_genome_embeddings",
        "get_ingredient_names",
        "load_genome_embedding",
        "reconstruction_metrics",
        "store_genome_growth_observation",
        "store_genome_metadata",
        "train",
    ),
    "virtualcell": (
        "BaseEnhancedLoader",
        "BaseEnhancedModel",
        "CellularMemoryModel",
        "FullVirtualCellLoader",
        "FullVirtualCellModel",
        "HierarchicalDataLoader",
        "HierarchicalGeneModel",
        "HierarchicalRegulatoryModel",
        "HierarchicalTemporalModel",
        "MemoryDataLoader",
        "MultiScaleDataLoader",
        "MultiScaleModel",
        "RegulatoryConstrainedModel",
        "RegulatoryDataLoader",
        "ResourceConstrainedModel",
        "ResourceDataLoader",
        "StateEmbeddingModel",
        "StochasticCellularModel",
        "StochasticDataLoader",
        "StochasticResourceModel",
        "TemporalDataLoader",
        "TemporalDynamicsModel",
        "TemporalMemoryModel",
    ),
}
MODULES = {
    "mediacvae.db": ("store_genome_growth_observation", "store_genome_metadata"),
    "mediacvae.evaluation": ("reconstruction_metrics",),
    "mediacvae.features": (
        "build_genome_media_dataset",
        "compute_all_genome_embeddings",
        "get_ingredient_names",
        "load_genome_embedding",
    ),
    "mediacvae.model": ("ConditionalMediaVAE",),
    "mediacvae.training": ("TrainConfig", "train"),
    "virtualcell.base": ("BaseEnhancedModel", "StateEmbeddingModel"),
    "virtualcell.loaders": (
        "BaseEnhancedLoader",
        "FullVirtualCellLoader",
        "HierarchicalDataLoader",
        "MemoryDataLoader",
        "MultiScaleDataLoader",
        "RegulatoryDataLoader",
        "ResourceDataLoader",
        "StochasticDataLoader",
        "TemporalDataLoader",
    ),
    "virtualcell.models": (
        "CellularMemoryModel",
        "FullVirtualCellModel",
        "HierarchicalGeneModel",
        "HierarchicalRegulatoryModel",
        "HierarchicalTemporalModel",
        "MultiScaleModel",
        "RegulatoryConstrainedModel",
        "ResourceConstrainedModel",
        "StochasticCellularModel",
        "StochasticResourceModel",
        "TemporalDynamicsModel",
        "TemporalMemoryModel",
    ),
}
STATS = (
    "get_comprehensive_stats",
    "get_memory_stats",
    "get_multiscale_stats",
    "get_normalization_stats",
    "get_pathway_stats",
    "get_regulatory_stats",
    "get_resource_stats",
    "get_stochastic_stats",
    "get_temporal_stats",
    "reset_normalization_stats",
)


@pytest.mark.parametrize(
    ("package", "name"), [(package, name) for package, names in NAMES.items() for name in names]
)
def test_a_name_of_the_first_design_is_where_the_table_says(package: str, name: str) -> None:
    module = importlib.import_module(package)
    found = getattr(module, name)
    assert found.__name__ == name
    assert found.__module__.partition(".")[0] == package
    assert found.__doc__
    assert name in module.__all__


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module, names in MODULES.items() for name in names]
)
def test_a_module_of_the_table_holds_its_names(module: str, name: str) -> None:
    found = getattr(importlib.import_module(module), name)
    assert found is getattr(importlib.import_module(module.partition(".")[0]), name)


def test_the_tables_of_the_first_design_are_in_the_database() -> None:
    schema = importlib.import_module("mediacvae.db.schema")
    first = {"genomes", "genome_embeddings", "genome_growth"}
    assert first <= set(schema.Base.metadata.tables)


@pytest.mark.parametrize("name", STATS)
def test_loaders_tell_of_themselves_by_the_names_of_the_first_design(name: str) -> None:
    loader = importlib.import_module("virtualcell.loaders").BaseEnhancedLoader
    assert callable(getattr(loader, name))
    assert getattr(loader, name).__doc__
