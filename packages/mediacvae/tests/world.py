"""A small world of tables: clades of organisms that like different media, and what was tried with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

# clade: organism type, lineage, genera, GC [percent], genome size [bases]
CLADES = {
    "firm": ("bacteria", "Bacteria;Firmicutes", ("Bacillus", "Weissella", "Listeria", "Gemella"), 38.0, 3.4e6),
    "prot": ("bacteria", "Bacteria;Proteobacteria", ("Pseudomonas", "Vibrio", "Escherichia", "Lysobacter"), 58.0, 5e6),
    "halo": ("archaea", "Archaea;Euryarchaeota;Halobacteria", ("Haloferax", "Halorubrum", "Haloarcula"), 65.0, 3.8e6),
    "asco": ("fungi", "Eukaryota;Fungi;Ascomycota", ("Candida", "Pichia"), 41.0, 1.3e7),
    "cili": ("protist", "Eukaryota;Ciliophora", ("Paramecium",), 28.0, 7e7),
}  # fmt: skip
# clade: what most of its media hold [g/L]
BASES: dict[str, dict[str, float]] = {
    "firm": {"Peptone": 10, "Yeast extract": 5, "NaCl": 5, "Glucose": 2, "K2HPO4": 2},
    "prot": {
        "Glucose": 4,
        "NH4Cl": 1,
        "KH2PO4": 3,
        "MgSO4 x 7 H2O": 0.2,
        "FeSO4 x 7 H2O": 0.004,
        "NaCl": 0.5,
    },
    "halo": {"NaCl": 200, "MgSO4 x 7 H2O": 20, "Yeast extract": 5, "KCl": 2, "Casamino acids": 7},
    "asco": {"Malt extract": 20, "Glucose": 20, "Peptone": 5},
    "cili": {"Yeast extract": 1, "Soil extract": 10, "Glucose": 0.5, "Vitamin B12": 1e-6},
}
EXTRAS = {
    "Agar": 15.0,
    "Na2CO3": 1.0,
    "Vitamin B12": 1e-6,
    "CaCl2 x 2 H2O": 0.1,
    "Sodium acetate": 1.0,
    "Biotin": 2e-5,
}
MEDIA_PER_CLADE = 8


def make(seed: int = 0) -> Any:
    """The tables of a database: 14 genera of 3 species, one of which has two strains."""
    from mediacvae.db import Tables

    rng = np.random.default_rng(seed)
    genomes, taxa = _organisms()
    media, amounts = _media(rng)
    return Tables(genomes, taxa, media, amounts, _growth(genomes, media, rng))


def clade_of(genus: str) -> str:
    return next(name for name, one in CLADES.items() if genus in one[2])


def _organisms() -> tuple[pd.DataFrame, pd.DataFrame]:
    genomes, taxa = [], []
    for clade, (kind, lineage, genera, gc, size) in CLADES.items():
        for at, genus in enumerate(genera):
            taxa.append((genus, f"{lineage};{clade}aceae", gc + at, size * (1 + 0.1 * at)))
            for species in ("alba", "alba", "rubra", "nova"):
                number = len(genomes)
                name = f"{genus} {species}"
                strain = f"S{number}"
                genomes.append((f"G{number:03d}", f"{name} {strain}", kind, genus, name, strain))
    frame = pd.DataFrame(
        genomes, columns=["genome_id", "organism_name", "organism_type", "genus", "species", "strain"]
    )
    frame["taxid"] = pd.array([pd.NA] * len(frame), dtype="Int64")
    frame["lineage"] = None
    frame["gc_content"] = np.nan
    frame["sequence_length"] = pd.array([pd.NA] * len(frame), dtype="Int64")
    frame["has_sequence"] = False
    return frame, pd.DataFrame(taxa, columns=["genus", "lineage", "gc", "genome_size"])


def _media(rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    media, amounts = [], []
    for clade, base in BASES.items():
        for number in range(MEDIA_PER_CLADE):
            name = f"{clade}{number}"
            held = {key: value for key, value in base.items() if number < 2 or rng.random() < 0.9}
            held |= {key: value for key, value in EXTRAS.items() if number == 1 or rng.random() < 0.3}
            media.append((name, f"Medium {name}", "MediaDive", 6.5, 7.5))
            for key, value in held.items():
                grams = value * float(np.exp(0.2 * rng.standard_normal()))
                amounts.append((name, key, grams, key == "KCl"))
    media.append(("other", "Of another source", "KOMODO", np.nan, np.nan))
    amounts.append(("other", "Glucose", 1.0, False))
    media.append(("mine", "My medium", "own", np.nan, np.nan))
    amounts += [("mine", "Glucose", 3.0, False), ("mine", "Peptone", 8.0, False)]
    frame = pd.DataFrame(media, columns=["medium_id", "name", "source", "min_ph", "max_ph"])
    for column in ("collection", "category", "medium_type", "physical_state", "link"):
        frame[column] = None
    recipes = pd.DataFrame(amounts, columns=["medium_id", "ingredient", "g_per_l", "guessed"])
    recipes["chebi"] = None
    recipes["raw_value"], recipes["raw_unit"] = recipes["g_per_l"], "g/L"
    return frame, recipes


def _growth(genomes: pd.DataFrame, media: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """By `names` what grows only; by `plate` also what does not."""
    rows = []
    own = media.loc[media["source"] == "MediaDive", "medium_id"].to_numpy()
    for genome, genus in zip(genomes["genome_id"], genomes["genus"], strict=True):
        liked = [name for name in own if name.startswith(clade_of(genus))]
        rows += [(genome, name, True, "names") for name in rng.choice(liked, 3, replace=False)]
        for name in rng.choice(own, 6, replace=False):
            if name not in [row[1] for row in rows if row[0] == genome]:
                rows.append((genome, name, name in liked, "plate"))
    frame = pd.DataFrame(rows, columns=["genome_id", "medium_id", "growth", "source"])
    frame["confidence"], frame["rank"] = 1.0, "strain"
    return frame.sort_values(["genome_id", "medium_id", "source"], ignore_index=True)
