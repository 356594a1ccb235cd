"""Ranges of what the parts are told."""

import pytest

from mediacvae.options import SimulationConfig


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("genera", 0),
        ("genera", 3),
        ("species", 0),
        ("strains", 0),
        ("types", ()),
        ("types", ("virus",)),
        ("types", ("fungi", "fungi")),
        ("length", 100),
        ("contigs", 0),
        ("marker", 0.0),
        ("marker", 0.2),
        ("marked", 1.0),
        ("drift", -0.1),
        ("media", 0),
        ("made", 1.1),
        ("tries", 0),
        ("no_growth", 2.0),
        ("noise", float("nan")),
        ("weak", 1.0),
        ("without_genome", -1.0),
    ],
)
def test_a_value_outside_its_range_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{name}: expected .* got "):
        SimulationConfig(**{name: value})  # type: ignore[arg-type]


def test_the_config_survives_the_way_through_a_file() -> None:
    from cytosol.config import from_dict, to_dict

    config = SimulationConfig(genera=7, types=("archaea", "fungi"))
    assert from_dict(SimulationConfig, to_dict(config)) == config
