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
}


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
