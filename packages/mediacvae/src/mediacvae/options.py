"""What the parts of `mediacvae` are told, typed and range-checked. Loads nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

SimulatedType = Literal["bacteria", "archaea", "fungi", "protist"]


@dataclass(frozen=True, kw_only=True)
class SimulationConfig:
    """What `simulate` makes: genomes along a tree with markers, media, and growth that follows the markers."""

    genera: int = 20  # shared out over the types, each of which gets one at least
    species: int = 2  # of a genus
    strains: int = 1  # of a species, near clones of each other
    types: tuple[str, ...] = get_args(SimulatedType)  # of organisms, each once
    length: int = 100_000  # [bases] of a typical genome, markers included
    contigs: int = 6  # of a typical genome
    marker: float = 0.02  # share of a genome that one marker family takes up
    marked: float = 0.4  # share of the genera that carry a marker which is no alternative of others
    drift: float = 0.1  # chance that a species has lost or won a marker that its genus has or lacks
    media: int = 200  # of the library
    made: float = 0.7  # share of the media that were made for a species; the others are made for none
    tries: int = 24  # media that were tried with a strain
    no_growth: float = 0.35  # share of the tries that are chosen among media it does not grow on
    noise: float = 0.03  # share of the results written down wrongly
    weak: float = 0.15  # share of all records that are read from the names of media, without a strain
    without_genome: float = 0.0  # share of the strains whose genome is not given

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        lows = {"genera": 1, "species": 1, "strains": 1, "length": 5000, "contigs": 1, "media": 1, "tries": 1}
        for name, low in lows.items():
            _at_least(name, getattr(self, name), low)
        for name in ("drift", "made", "no_growth", "noise", "without_genome"):
            _share(name, getattr(self, name))
        if not 0.0 < self.marker <= 0.05:
            _refuse("marker", self.marker, "a share in (0, 0.05]: six families may meet in one genome")
        if not 0.0 < self.marked < 1.0:
            _refuse("marked", self.marked, "a share in (0, 1)")
        if not 0.0 <= self.weak < 1.0:
            _refuse("weak", self.weak, "a share in [0, 1)")
        known = get_args(SimulatedType)
        if not self.types or set(self.types) - set(known) or len(set(self.types)) < len(self.types):
            _refuse("types", self.types, f"different ones of {', '.join(known)}")
        if self.genera < len(self.types):
            _refuse("genera", self.genera, f"at least one of each type: {len(self.types)}")


def _at_least(name: str, value: float, low: float) -> None:
    """Refuse a value below `low`."""
    if value < low:
        _refuse(name, value, f"a number >= {low:g}")


def _share(name: str, value: float) -> None:
    """Refuse a value outside [0, 1]."""
    if not 0.0 <= value <= 1.0:
        _refuse(name, value, "a share in [0, 1]")


def _refuse(name: str, value: object, expected: str) -> None:
    msg = f"{name}: expected {expected}, got {value!r}"
    raise ValueError(msg)
