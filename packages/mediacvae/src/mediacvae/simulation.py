"""A world with known rules: genomes with marker families, media, and growth that follows the markers.

`simulate` writes the files that `mediacvae db import` and `db add-genomes` read, and `rules.json`: the truth. Organisms
come from `simulated_strains` and `simulated_genomes`, rules and media from `simulated_media`, tables from
`simulated_tables`; no part of the model has a share in it.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mediacvae import simulated_genomes as genomes
from mediacvae import simulated_tables as tables
from mediacvae.simulated_genomes import Region
from mediacvae.simulated_media import MARKERS, RULES, Needs, Rule, any_needs, medium_for, suits
from mediacvae.simulated_strains import strains_of

if TYPE_CHECKING:
    from pathlib import Path

    from mediacvae.options import SimulationConfig
    from mediacvae.simulated_media import Medium
    from mediacvae.simulated_strains import Strain

FORMAT = "mediacvae.rules/1"


@dataclass(frozen=True)
class Truth:
    """What the simulator knows: rules, and by genome id the rules on, where markers lie, and media that suit.

    words: by marker, the words of six and of four bases of its unit on both strands, the most enriched first (mean
    share in genomes that carry it over mean share in the others).
    """

    rules: tuple[Rule, ...]
    organisms: dict[str, tuple[str, ...]]
    regions: dict[str, tuple[Region, ...]]
    grows_on: dict[str, tuple[str, ...]]
    words: dict[str, dict[int, tuple[str, ...]]]


def simulate(config: SimulationConfig, seed: int, folder: Path) -> Truth:
    """Write genomes/*.fna.gz, genomes.tsv, taxa, media, media_ingredients and growth.parquet, and rules.json.

    The same config and seed write the same bytes. Raises OSError where the folder cannot be written to. Gives the truth
    that is in rules.json.
    """
    streams = np.random.SeedSequence(seed).spawn(4)
    trees, inserts, kitchen, assays = (np.random.default_rng(stream) for stream in streams)
    units = genomes.families(MARKERS, inserts)
    strains = strains_of(config, units, trees)
    media = _media(config, strains, kitchen)
    ids = [f"SIM:{i + 1:04d}" for i in range(len(media))]
    needs = [Needs.of(strain.organism_type, set(strain.carried)) for strain in strains]
    grows = np.array([[suits(need, medium) for medium in media] for need in needs], dtype=bool)
    truth = Truth(
        rules=RULES,
        organisms={s.genome_id: s.rules for s in strains},
        regions={s.genome_id: s.regions for s in strains},
        grows_on={
            s.genome_id: tuple(ids[j] for j in np.flatnonzero(row))
            for s, row in zip(strains, grows, strict=True)
        },
        words={marker: _words(marker, unit, strains) for marker, unit in units.items()},
    )
    (folder / "genomes").mkdir(parents=True, exist_ok=True)
    for strain in strains:
        if strain.given:
            _write_genome(strain, folder / "genomes" / f"{strain.genome_id}.fna.gz")
    tables.write_taxa(strains, folder)
    tables.write_media(media, ids, kitchen, folder)
    tables.write_growth(config, strains, media, ids, grows, assays, folder)
    _write_truth(truth, config, seed, folder / "rules.json")
    return truth


def read_truth(path: Path) -> Truth:
    """The truth of a `rules.json`. Raises ValueError where the file is another, or lacks a part."""
    try:
        given: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if given["format"] == FORMAT:
            return _truth(given)
        said = f"of format {given['format']!r}, expected {FORMAT!r}"
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        said = repr(error)
    msg = f"{path}: not the rules of a simulation ({said})"
    raise ValueError(msg)


def _truth(given: dict[str, Any]) -> Truth:
    """What `_write_truth` wrote."""
    rules = tuple(
        Rule(r["name"], r["marker"], r["organism_type"], tuple((n, d) for n, d in r["moves"]), r["ph"])
        for r in given["rules"]
    )
    who = given["organisms"]
    return Truth(
        rules=rules,
        organisms={key: tuple(one["rules"]) for key, one in who.items()},
        regions={key: tuple(Region(*place) for place in one["regions"]) for key, one in who.items()},
        grows_on={key: tuple(one["grows_on"]) for key, one in who.items()},
        words={m: {int(k): tuple(some) for k, some in by.items()} for m, by in given["words"].items()},
    )


def _media(config: SimulationConfig, strains: list[Strain], rng: np.random.Generator) -> list[Medium]:
    """The library: most were made for a species, the others for needs that nobody has to have."""
    media: list[Medium] = []
    for _ in range(config.media):
        strain = strains[int(rng.integers(len(strains)))]
        if rng.random() < config.made:
            media.append(medium_for(Needs.of(strain.organism_type, set(strain.carried)), strain.genus, rng))
        else:
            media.append(medium_for(any_needs(strain.organism_type, rng), None, rng))
    return media


def _words(marker: str, unit: np.ndarray, strains: list[Strain]) -> dict[int, tuple[str, ...]]:
    """The words of a marker's unit, the most enriched first."""
    found: dict[int, tuple[str, ...]] = {}
    for k in (6, 4):
        ratio = _enrichment(marker, k, strains)
        codes = sorted(
            sum(b * 4 ** (k - 1 - i) for i, b in enumerate(word)) for word in genomes.words(unit, k)
        )
        codes.sort(key=lambda code: -ratio[code])
        found[k] = tuple("".join("ACGT"[code // 4 ** (k - 1 - i) % 4] for i in range(k)) for code in codes)
    return found


def _enrichment(marker: str, k: int, strains: list[Strain]) -> np.ndarray:
    """Mean share of each word of k bases in genomes with a marker over that in those without, (4**k,)."""
    shares = {True: np.full(4**k, 1e-9), False: np.full(4**k, 1e-9)}
    for strain in strains:
        counts = np.zeros(4**k)
        for bases in strain.contigs.values():
            codes = np.searchsorted(genomes.BASES, np.frombuffer(bases, dtype=np.uint8))
            if len(codes) >= k:
                rolled = sum(codes[i : len(codes) - k + 1 + i] * 4 ** (k - 1 - i) for i in range(k))
                counts += np.bincount(rolled, minlength=4**k)
        shares[marker in strain.carried] += counts / counts.sum()
    with_it = sum(marker in strain.carried for strain in strains)
    return (shares[True] / max(with_it, 1)) / (shares[False] / max(len(strains) - with_it, 1))


def _write_genome(strain: Strain, path: Path) -> None:
    """FASTA, 80 bases a line, compressed without a time in it."""
    lines: list[str] = []
    for i, (name, bases) in enumerate(strain.contigs.items(), start=1):
        lines.append(f">{name} {strain.species} {strain.strain} contig {i}, simulated")
        text = bases.decode("ascii")
        lines += [text[at : at + 80] for at in range(0, len(text), 80)]
    path.write_bytes(gzip.compress("\n".join([*lines, ""]).encode("ascii"), 3, mtime=0))


def _write_truth(truth: Truth, config: SimulationConfig, seed: int, path: Path) -> None:
    """The truth as JSON."""
    made = {
        "format": FORMAT,
        "seed": seed,
        "config": asdict(config),
        "rules": [asdict(rule) for rule in truth.rules],
        "words": truth.words,
        "organisms": {
            key: {
                "rules": rules,
                "regions": [[r.marker, r.contig, r.start, r.end] for r in truth.regions[key]],
                "grows_on": truth.grows_on[key],
            }
            for key, rules in truth.organisms.items()
        },
    }
    path.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
