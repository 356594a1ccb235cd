"""The organisms of a simulated world: a tree of types, genera, species and strains, their names and their markers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mediacvae import simulated_genomes as genomes
from mediacvae.simulated_genomes import Region
from mediacvae.simulated_media import CARBON, RULES

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from mediacvae.options import SimulationConfig

SHARES = {"bacteria": 0.5, "archaea": 0.25, "fungi": 0.15, "protist": 0.1}  # of the genera
_USERS = tuple(f"{name}_user" for name in CARBON)  # a genus has one of these
_PH = ("acidophile", "alkaliphile")  # and one of these at most, where it is no fungus
_ONLY_PROKARYOTES = ("anaerobe", "thermophile")
_ACID_OR_ALKALINE = 0.35  # share of the genera that carry either, at most
_SALTIER = 0.3  # that much larger is the share of halophiles among archaea
_LINEAGES = {
    "bacteria": (
        "Bacteria;Proteobacteria;Gammaproteobacteria",
        "Bacteria;Proteobacteria;Alphaproteobacteria",
        "Bacteria;Terrabacteria group;Firmicutes",
        "Bacteria;Terrabacteria group;Actinobacteria",
        "Bacteria;FCB group;Bacteroidetes/Chlorobi group",
    ),
    "archaea": ("Archaea;Euryarchaeota;Stenosarchaea group", "Archaea;TACK group;Crenarchaeota"),
    "fungi": ("Eukaryota;Fungi;Ascomycota", "Eukaryota;Fungi;Basidiomycota"),
    "protist": ("Eukaryota;Alveolata;Ciliophora", "Eukaryota;Amoebozoa;Discosea"),
}
_PREFIXES = {
    "halophile": "Halo",
    "acidophile": "Acidi",
    "alkaliphile": "Alkali",
    "thermophile": "Thermo",
    "anaerobe": "Anaero",
    "lactose_user": "Lacti",
    "cellobiose_user": "Cello",
}
_ENDINGS = {
    "bacteria": ("bacter", "coccus", "vibrio", "spira", "bacillus"),
    "archaea": ("archaeum", "globus", "plasma"),
    "fungi": ("myces", "spora"),
    "protist": ("amoeba", "phrys", "nema"),
}
_SYLLABLES = ("ba", "ro", "mi", "ve", "lu", "ta", "ne", "qui", "so", "zi", "du", "pa")
_EPITHETS = ("primus", "secundus", "tertius", "quartus", "quintus", "sextus")


@dataclass(frozen=True)
class Strain:
    """An organism of the simulated world."""

    genome_id: str
    genus: str
    species: str
    strain: str
    organism_type: str
    lineage: str
    taxid: int  # of the species
    carried: frozenset[str]  # markers
    contigs: dict[str, bytes]  # in ACGT, by name
    regions: tuple[Region, ...]  # where the markers lie
    given: bool  # whether its genome is among the files

    @property
    def rules(self) -> tuple[str, ...]:
        """Names of the rules that are on."""
        return tuple(
            r.name for r in RULES if r.marker in self.carried or r.organism_type == self.organism_type
        )


def strains_of(
    config: SimulationConfig, units: dict[str, np.ndarray], rng: np.random.Generator
) -> list[Strain]:
    """All organisms, genus by genus. units: (18,) bases 0 to 3 of each marker's unit."""
    types = _types(config)
    carried = _carried(config, types, rng)
    root = genomes.root(rng)
    usage = {name: genomes.of_type(root, rng) for name in config.types}
    names = _genus_names(types, carried, rng)
    made: list[Strain] = []
    for g, (organism_type, genus) in enumerate(zip(types, names, strict=True)):
        lineage = _lineage(organism_type, rng)
        ancestor = genomes.genus_of(usage[organism_type], organism_type, config.length, rng)
        for s in range(config.species):
            species = genomes.turned(ancestor, "species", rng)
            own = _drifted(carried[g], organism_type, config.drift, rng)
            epithet = _epithet(s)
            for _ in range(config.strains):
                number = len(made) + 1
                genome_id = f"SIMG_{number:05d}.1"
                contigs, regions = genomes.assemble(
                    genomes.turned(species, "strain", rng),
                    {name: unit for name, unit in units.items() if name in own},
                    config,
                    genome_id,
                    rng,
                )
                made.append(
                    Strain(
                        genome_id=genome_id,
                        genus=genus,
                        species=f"{genus} {epithet}",
                        strain=f"SIM {number}",
                        organism_type=organism_type,
                        lineage=lineage,
                        taxid=9_000_000 + config.species * g + s + 1,
                        carried=frozenset(own),
                        contigs=contigs,
                        regions=regions,
                        given=bool(rng.random() >= config.without_genome),
                    )
                )
    return made


def _types(config: SimulationConfig) -> list[str]:
    """The type of each genus: one of each at least, then by the largest share still missing."""
    types = list(config.types)
    while len(types) < config.genera:
        types.append(max(config.types, key=lambda name: SHARES[name] / (types.count(name) + 0.5)))
    return sorted(types, key=config.types.index)


def _carried(config: SimulationConfig, types: list[str], rng: np.random.Generator) -> list[set[str]]:
    """The markers of each genus: as many genera as asked carry one, and alternatives are shared out evenly."""
    carried: list[set[str]] = [set() for _ in types]
    for i, g in enumerate(rng.permutation(len(types))):
        carried[g].add(_USERS[i % len(_USERS)])
    able = [g for g, name in enumerate(types) if name != "fungi"]
    each = max(1, round(min(config.marked, _ACID_OR_ALKALINE) * len(able)))
    for i, g in enumerate(rng.permutation(able)[: max(1, min(2 * each, len(able) - 1))]):
        carried[g].add(_PH[i % 2])
    for marker in ("auxotroph", *_ONLY_PROKARYOTES):
        _share_out(
            marker, [g for g, name in enumerate(types) if _may(marker, name)], config.marked, carried, rng
        )
    archaea = [g for g, name in enumerate(types) if name == "archaea"]
    others = [g for g, name in enumerate(types) if name != "archaea"]
    _share_out("halophile", archaea, min(config.marked + _SALTIER, 1.0), carried, rng, all_of_them=True)
    _share_out("halophile", others, config.marked, carried, rng)
    return carried


def _share_out(
    marker: str,
    able: Sequence[int],
    share: float,
    carried: Sequence[set[str]],
    rng: np.random.Generator,
    *,
    all_of_them: bool = False,
) -> None:
    """Give a marker to a share of the genera that may carry it: one at least, and not all unless told so."""
    most = len(able) if all_of_them else max(1, len(able) - 1)
    for g in rng.permutation(able)[: min(max(1, round(share * len(able))), most)]:
        carried[int(g)].add(marker)


def _drifted(carried: set[str], organism_type: str, drift: float, rng: np.random.Generator) -> set[str]:
    """The markers of a species: those of its genus, but for what was lost, won or swapped."""
    own = set(carried)
    for marker in ("halophile", "auxotroph", *_ONLY_PROKARYOTES):
        if _may(marker, organism_type) and rng.random() < drift:
            own ^= {marker}
    if rng.random() < drift:
        own = own - set(_USERS) | {str(rng.choice(_USERS))}
    return own


def _may(marker: str, organism_type: str) -> bool:
    """Whether organisms of a type ever carry a marker."""
    return marker not in _ONLY_PROKARYOTES or organism_type in ("bacteria", "archaea")


def _genus_names(types: Sequence[str], carried: Sequence[set[str]], rng: np.random.Generator) -> list[str]:
    """Different names that no real genus has; half of them tell of a marker, as real ones do."""
    names: list[str] = []
    tried = 0  # names that were taken already make the next ones longer
    while len(names) < len(types):
        g = len(names)
        tells = [prefix for marker, prefix in _PREFIXES.items() if marker in carried[g]]
        start = str(rng.choice(tells)) if tells and rng.random() < 0.5 else ""
        middle = "".join(rng.choice(_SYLLABLES, 2 + tried // 50))
        name = (start + middle + str(rng.choice(_ENDINGS[types[g]]))).capitalize()
        tried += name in names
        if name not in names:
            names.append(name)
    return names


def _epithet(number: int) -> str:
    """The second half of a species' name."""
    return _EPITHETS[number] if number < len(_EPITHETS) else f"species{number + 1}"


def _lineage(organism_type: str, rng: np.random.Generator) -> str:
    """Domain, group and subgroup of a genus."""
    return str(rng.choice(_LINEAGES[organism_type]))
