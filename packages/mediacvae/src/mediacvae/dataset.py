"""A dataset on disk: what organisms grow on, as arrays that a model learns from.

A folder of X_/C_/y_ arrays for train, val and test (media [g/L], conditions, organism types), `samples.parquet` (a row
a pair of them), the library of media that can be ranked, and `dataset.json`, which says what the columns are.
Letters: n pairs, m ingredients, d condition features, b media of the library, o organisms.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from tokenize import TokenError
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pyarrow.lib import ArrowException

from cytosol.files import write_atomically
from mediacvae.conditions import Conditioner
from mediacvae.names import ORGANISM_TYPES

if TYPE_CHECKING:
    from pathlib import Path

SPLITS = ("train", "val", "test")
ABOUT, SAMPLES = "dataset.json", "samples.parquet"
TABLES = {  # each a .parquet and a field of `Dataset`, with what it must hold
    "library": ("medium_id", "name"),
    "organisms": ("genome_id", "organism_name", "organism_type", "genus", "species", "genome", "split"),
    "pairs": ("organism", "medium", "source", "rank"),
    "records": ("organism", "medium_id", "growth", "source"),
    "recipes": ("medium_id", "ingredient"),
}
FORMAT = 1
_DAMAGED = (SyntaxError, TokenError, MemoryError, ArrowException)  # of readers, beside what one would expect
CHUNK = 4096  # media looked at together


class DatasetError(ValueError):
    """A dataset that cannot be built or read; one line that names the file or the key."""


@dataclass(frozen=True)
class Dataset:
    """Everything a model learns from.

    ingredients: names in the order of the columns of `media`. conditioner: organisms to rows of conditions.
    organisms: a row an organism: genome_id, organism_name, organism_type, genus, species, split, and in `genome` whose
    its features are (`own`, `species`, `genus`, `none`). conditions: (o, d), NaN where not known.
    library: medium_id, name, min_ph, max_ph, ..., of media (b, m) [g/L].
    pairs: organism, medium (row numbers), source, rank: the organism grows on it.
    records: organism (row number), medium_id, growth, source: what was tried, in the library or not.
    recipes: medium_id, ingredient: what media of the records hold.
    about: how it was built, and names by id of media that were tried and are not in the library, as JSON types.
    notes: what was left out, and why.
    """

    ingredients: tuple[str, ...]
    conditioner: Conditioner
    organisms: pd.DataFrame
    conditions: np.ndarray
    library: pd.DataFrame
    media: np.ndarray
    pairs: pd.DataFrame
    records: pd.DataFrame
    recipes: pd.DataFrame
    about: dict[str, Any]
    notes: tuple[str, ...] = ()

    def rows(self, split: str) -> np.ndarray:
        """The pairs of a split, by number, (n,); none for a split that there is not."""
        return np.flatnonzero(self.pair_splits == split)

    @property
    def pair_splits(self) -> np.ndarray:
        """The split of each pair, (n,): that of its organism."""
        return self.organisms["split"].to_numpy()[self.pairs["organism"].to_numpy()]

    def arrays(self, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Media (n, m) [g/L], conditions (n, d) and organism types (n,), numbers in `ORGANISM_TYPES`, of a split."""
        own = self.pairs.iloc[self.rows(split)]
        at = own["organism"].to_numpy()
        kinds = self.organisms["organism_type"].map(ORGANISM_TYPES.index).to_numpy(np.int64)
        return self.media[own["medium"].to_numpy()], self.conditions[at], kinds[at]

    def samples(self) -> pd.DataFrame:
        """A row a pair, in the order of X_train, X_val, X_test: what it is and where it is from."""
        parts = []
        for split in SPLITS:
            own = self.pairs.iloc[self.rows(split)]
            one = self.organisms.iloc[own["organism"]].reset_index(drop=True)
            media = self.library.iloc[own["medium"]].reset_index(drop=True)
            parts.append(
                pd.DataFrame(
                    {
                        "split": split,
                        "row": np.arange(len(own)),
                        "genome_id": one["genome_id"],
                        "organism_name": one["organism_name"],
                        "organism_type": one["organism_type"],
                        "genus": one["genus"],
                        "species": one["species"],
                        "genome": one["genome"],
                        "medium_id": media["medium_id"],
                        "medium_name": media["name"],
                        "source": own["source"].to_numpy(),
                        "rank": own["rank"].to_numpy(),
                    }
                )
            )
        return pd.concat(parts, ignore_index=True)


def write(data: Dataset, folder: Path) -> None:
    """Write a dataset; what was there under the same names is replaced, `dataset.json` last.

    Raises OSError where the folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ABOUT).unlink(missing_ok=True)  # until it is there again, the folder is no dataset
    for split in SPLITS:
        for name, array in zip("XCy", data.arrays(split), strict=True):
            _array(folder / f"{name}_{split}.npy", array if name == "y" else array.astype(np.float32))
    _array(folder / "library.npy", data.media.astype(np.float32))
    _array(folder / "conditions.npy", data.conditions.astype(np.float32))
    write_atomically(folder / SAMPLES, data.samples().to_parquet(index=False))
    for name in TABLES:
        write_atomically(folder / f"{name}.parquet", getattr(data, name).to_parquet(index=False))
    said = {
        "format": FORMAT,
        "ingredients": list(data.ingredients),
        "condition": data.conditioner.plain(),
        "about": data.about,
        "notes": list(data.notes),
    }
    write_atomically(folder / ABOUT, (json.dumps(said, indent=1) + "\n").encode())


def read(folder: Path) -> Dataset:
    """Read and check a dataset. Its media and conditions stay on disk until they are looked at.

    Raises DatasetError (a ValueError) for a folder that is none, or whose files do not fit each other.
    """
    if not (folder / ABOUT).is_file():
        msg = f"{folder}: expected a dataset made by `mediacvae build`, it has no {ABOUT}"
        raise DatasetError(msg)
    try:
        said = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        if said["format"] != FORMAT:
            msg = f"of format {said['format']!r}, this program reads {FORMAT}"
            raise ValueError(msg)
        tables = {name: pd.read_parquet(folder / f"{name}.parquet") for name in TABLES}
        media, conditions = (
            np.load(folder / name, mmap_mode="r", allow_pickle=False)
            for name in ("library.npy", "conditions.npy")
        )
        data = Dataset(
            ingredients=tuple(said["ingredients"]),
            conditioner=Conditioner.from_plain(said["condition"]),
            conditions=conditions,
            media=media,
            about=dict(said["about"]),
            notes=tuple(said["notes"]),
            **tables,
        )
        _check(data)
    except (OSError, EOFError, LookupError, TypeError, AttributeError, ValueError, *_DAMAGED) as fault:
        why = f"there is no {fault}" if isinstance(fault, KeyError) else str(fault).split("\n")[0]
        msg = f"{folder}: not a dataset that can be read ({why}); build it again"
        raise DatasetError(msg) from None
    return data


def _check(data: Dataset) -> None:
    """Refuse parts that do not fit each other; ValueError."""
    for name, columns in TABLES.items():
        if missing := [column for column in columns if column not in getattr(data, name)]:
            msg = f"{name}.parquet: no column {missing[0]!r}"
            raise ValueError(msg)
    n_media, n_organisms = len(data.library), len(data.organisms)
    for name, array, shape in (
        ("library.npy", data.media, (n_media, len(data.ingredients))),
        ("conditions.npy", data.conditions, (n_organisms, data.conditioner.width)),
    ):
        if array.shape != shape or array.dtype != np.float32:
            msg = f"{name}: expected float32 {shape}, got {array.dtype} {array.shape}"
            raise ValueError(msg)
    for at in range(0, n_media, CHUNK):
        own = data.media[at : at + CHUNK]
        if not (np.isfinite(own) & (own >= 0)).all():
            msg = f"library.npy: rows {at} to {at + len(own) - 1}: expected finite amounts of at least 0 g/L"
            raise ValueError(msg)
    for table, column, most in (
        ("pairs", "organism", n_organisms),
        ("pairs", "medium", n_media),
        ("records", "organism", n_organisms),
    ):
        if not getattr(data, table)[column].between(0, most - 1).all():
            msg = f"{table}.parquet: {column}: expected rows from 0 to {most - 1}"
            raise ValueError(msg)
    for column, allowed in (("split", SPLITS), ("organism_type", ORGANISM_TYPES)):
        if strange := set(data.organisms[column]) - set(allowed):
            msg = (
                f"organisms.parquet: {column}: expected {', '.join(allowed)}, got {min(map(str, strange))!r}"
            )
            raise ValueError(msg)


def _array(path: Path, array: np.ndarray) -> None:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    write_atomically(path, stream.getvalue())
