"""The tables of a simulated world, with the columns and types of the collected ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mediacvae.options import SimulationConfig
    from mediacvae.simulated_media import Medium
    from mediacvae.simulated_strains import Strain

SOURCE = "simulation"
ASSAY, COLLECTION, NAMED = "simulation: assay", "simulation: collection", "medium_name:simulation"
_TEXT, _LONG = pa.string(), pa.large_string()
MEDIA = pa.schema(
    [
        *((name, _LONG) for name in ("medium_id", "name", "source", "collection", "category", "medium_type")),
        *((name, pa.float64()) for name in ("min_ph", "max_ph")),
        ("physical_state", _LONG),
        ("n_ingredients", pa.int64()),
        ("total_g_per_l", pa.float64()),
        ("link", _LONG),
    ]
)
AMOUNTS = pa.schema(
    [
        *((name, _LONG) for name in ("medium_id", "ingredient", "ingredient_as_written", "chebi")),
        *((name, pa.float64()) for name in ("g_per_l", "raw_value")),
        *((name, _LONG) for name in ("raw_unit", "flag")),
    ]
)
GROWTH = pa.schema(
    [
        *((name, _TEXT) for name in ("genus", "species", "strain")),
        ("taxid", pa.int64()),
        *((name, _TEXT) for name in ("assembly", "organism_type", "medium_id")),
        ("growth", pa.bool_()),
        ("max_od", pa.float64()),
        *((name, _TEXT) for name in ("source", "rank")),
    ]
)
TAXA = pa.schema(
    [
        ("genus", _LONG),
        *((name, pa.float64()) for name in ("gc", "genome_size")),
        ("n_assemblies", pa.int64()),
        ("lineage", _LONG),
        *((name, _TEXT) for name in ("domain", "group", "subgroup")),
    ]
)
_AGAIN = 0.08  # share of the tries that the other source repeats, with errors of its own
_STOCK = 0.3  # share of the media whose trace elements are noted as a stock's strength
_CATEGORY = {"bacteria": "bacterial", "archaea": "archaea", "fungi": "fungal", "protist": "specialized"}
_CHEBI = {
    "NaCl": "CHEBI:26710",
    "MgSO4 x 7 H2O": "CHEBI:31795",
    "KH2PO4": "CHEBI:63036",
    "NH4Cl": "CHEBI:31206",
    "Glucose": "CHEBI:17234",
    "Lactose": "CHEBI:17716",
    "Cellobiose": "CHEBI:17057",
    "Na-acetate": "CHEBI:32954",
    "Biotin": "CHEBI:15956",
    "Agar": "CHEBI:2509",
}
_WRITTEN = {"NaCl": "Sodium chloride", "Glucose": "D-Glucose", "yeast extract": "Yeast extract"}  # by some


def write_taxa(strains: Sequence[Strain], folder: Path) -> None:
    """genomes.tsv (the genomes that are given) and taxa.parquet (every genus)."""
    rows = []
    for strain in strains:
        letters = b"".join(strain.contigs.values())
        gc = 100.0 * (letters.count(b"G") + letters.count(b"C")) / len(letters)
        rows.append((strain, len(letters), gc))
    table = pd.DataFrame(
        {
            "genome_id": [s.genome_id for s, _, _ in rows],
            "accession": [s.genome_id for s, _, _ in rows],
            "species": [s.species for s, _, _ in rows],
            "genus": [s.genus for s, _, _ in rows],
            "organism_type": [s.organism_type for s, _, _ in rows],
            "lineage": [s.lineage for s, _, _ in rows],
            "taxid": [s.taxid for s, _, _ in rows],
            "n_contigs": [len(s.contigs) for s, _, _ in rows],
            "length": [length for _, length, _ in rows],
            "gc": [round(gc, 3) for _, _, gc in rows],
            "repo": "",
            "commit": "",
            "path": "",
            "repo_licence": "",
        }
    )
    given = table[[strain.given for strain in strains]]
    given.to_csv(folder / "genomes.tsv", sep="\t", index=False, lineterminator="\n")
    groups = table.groupby("genus", sort=True)
    taxa = pd.DataFrame(
        {
            "gc": groups["gc"].median(),
            "genome_size": groups["length"].median().astype(float),
            "n_assemblies": groups.size(),
            "lineage": groups["lineage"].first(),
        }
    ).reset_index()
    parts = taxa["lineage"].str.split(";", expand=True)
    taxa = taxa.assign(domain=parts[0], group=parts[1], subgroup=parts[2])
    _write(taxa, TAXA, folder / "taxa.parquet")


def write_media(media: Sequence[Medium], ids: Sequence[str], rng: np.random.Generator, folder: Path) -> None:
    """media.parquet and media_ingredients.parquet; some trace elements are noted as a stock's strength, and flagged."""
    heads: list[dict[str, object]] = []
    rows: list[dict[str, object]] = []
    counts: dict[str, int] = {}
    for key, medium in zip(ids, media, strict=True):
        name = f"{medium.genus} MEDIUM".upper() if medium.genus else f"SIMULATED MEDIUM {int(key[4:])}"
        counts[name] = counts.get(name, 0) + 1
        heads.append(
            {
                "medium_id": key,
                "name": name if counts[name] == 1 else f"{name} {counts[name]}",
                "source": SOURCE,
                "collection": SOURCE,
                "category": _CATEGORY[medium.made_for],
                "medium_type": "DEFINED" if medium.defined else "COMPLEX",
                "min_ph": medium.ph,
                "max_ph": medium.ph,
                "physical_state": "SOLID_AGAR" if medium.solid else "LIQUID",
                "n_ingredients": len(medium.amounts),
                "total_g_per_l": sum(medium.amounts.values()),
                "link": None,
            }
        )
        stock = rng.random() < _STOCK
        rows += [_amount(key, *one, stock=stock, spelt=rng.random() < 0.2) for one in medium.amounts.items()]
    _write(pd.DataFrame(heads), MEDIA, folder / "media.parquet")
    _write(pd.DataFrame(rows), AMOUNTS, folder / "media_ingredients.parquet")


def _amount(key: str, name: str, g_per_l: float, *, stock: bool, spelt: bool) -> dict[str, object]:
    """A row of media_ingredients.parquet: amounts below 1 mg/L come in mg/L or as a stock's strength."""
    small = g_per_l < 1e-3
    times, unit = (1000.0, "G_PER_L" if stock else "MG_PER_L") if small else (1.0, "G_PER_L")
    return {
        "medium_id": key,
        "ingredient": name,
        "ingredient_as_written": _WRITTEN.get(name, name) if spelt else name,
        "chebi": _CHEBI.get(name),
        "g_per_l": g_per_l,
        "raw_value": g_per_l * times,
        "raw_unit": unit,
        "flag": "stock_x0.001" if small and stock else "",
    }


def write_growth(
    config: SimulationConfig,
    strains: Sequence[Strain],
    media: Sequence[Medium],
    ids: Sequence[str],
    grows: np.ndarray,
    rng: np.random.Generator,
    folder: Path,
) -> None:
    """growth.parquet: tries with a strain from two sources, and links read from names of media, without a strain.

    ids: of the media. grows: (strains, media) bool, the truth. Tries with growth are among the media that suit, those
    without among the others; then some results are turned round.
    """
    rows: list[dict[str, object]] = []
    for strain, row in zip(strains, grows, strict=True):
        yes, no = rng.permutation(np.flatnonzero(row)), rng.permutation(np.flatnonzero(~row))
        yes = yes[: max(1, round(config.tries * (1 - config.no_growth)))]
        wanted = len(yes) * config.no_growth / max(1 - config.no_growth, 1e-9) if len(yes) else config.tries
        no = no[: min(config.tries, round(wanted))]
        for j in rng.permutation(np.concatenate([yes, no])):
            first = ASSAY if rng.random() < 0.7 else COLLECTION
            sources = [first, COLLECTION if first == ASSAY else ASSAY][: 1 + int(rng.random() < _AGAIN)]
            for source in sources:
                result = bool(row[j]) ^ bool(rng.random() < config.noise)
                rows.append(_record(strain, str(ids[int(j)]), source, rng, growth=result))
    named = [
        (strain, key)
        for key, medium in zip(ids, media, strict=True)
        for strain in strains
        if medium.genus == strain.genus
    ]
    count = round(len(rows) * config.weak / (1 - config.weak))
    for i in rng.permutation(len(named))[:count]:
        strain, key = named[i]
        rows.append(_link(strain, key, genus=bool(rng.random() < 0.7)))
    frame = pd.DataFrame(rows, columns=GROWTH.names)
    frame = frame.drop_duplicates(["species", "strain", "medium_id", "source", "rank"])
    _write(frame.astype({"taxid": "Int64"}), GROWTH, folder / "growth.parquet")


def _record(
    strain: Strain, medium_id: str, source: str, rng: np.random.Generator, *, growth: bool
) -> dict[str, object]:
    """A result with a strain; the assay also has an optical density."""
    density = round(float(rng.uniform(0.2, 1.4) if growth else rng.uniform(0.0, 0.08)), 3)
    return {
        "genus": strain.genus,
        "species": strain.species,
        "strain": strain.strain,
        "taxid": strain.taxid,
        "assembly": strain.genome_id if strain.given else "",
        "organism_type": strain.organism_type,
        "medium_id": medium_id,
        "growth": growth,
        "max_od": density if source == ASSAY else np.nan,
        "source": source,
        "rank": "strain",
    }


def _link(strain: Strain, medium_id: str, *, genus: bool) -> dict[str, object]:
    """A weak positive: the medium is named after the genus."""
    return {
        "genus": strain.genus,
        "species": strain.genus if genus else strain.species,
        "strain": "",
        "taxid": None if genus else strain.taxid,
        "assembly": "",
        "organism_type": strain.organism_type,
        "medium_id": medium_id,
        "growth": True,
        "max_od": np.nan,
        "source": NAMED,
        "rank": "genus" if genus else "species",
    }


def _write(frame: pd.DataFrame, schema: pa.Schema, path: Path) -> None:
    """A parquet file with the collected one's types."""
    table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
    parquet.write_table(table, path)
