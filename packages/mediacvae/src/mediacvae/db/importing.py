"""Tables of media, recipes, growth and taxa (Parquet, in one folder) into the database, one transaction a table.

Importing twice changes nothing. What cannot be stored is left out, counted and told; raw values are kept beside g/L,
and an amount whose stock strength the source guessed (flag `stock_*` or `merged_rest_*`) is marked as guessed.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import delete, func, select

from mediacvae import units
from mediacvae.db import values
from mediacvae.db.engines import DEFAULT_URL, DatabaseError
from mediacvae.db.frames import Column, Faults, cleaned, parquet
from mediacvae.db.organisms import import_growth
from mediacvae.db.schema import Ingredient, Medium, MediumIngredient, Taxon
from mediacvae.db.session import writing
from mediacvae.db.writing import Outcome, Written, put

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sqlalchemy.engine import Connection

GUESSED = ("stock_", "merged_rest_")  # flags of amounts that a source has guessed
NAMES = ("media", "media_ingredients", "taxa", "growth")  # in the order in which they need each other

MEDIA = (
    Column("medium_id", values.medium_id, needed=True),
    Column("name", values.text()),
    Column("source", values.text(), default=""),
    Column("collection", values.text()),
    Column("category", values.text()),
    Column("medium_type", values.text()),
    Column("min_ph", values.number(0, 14)),
    Column("max_ph", values.number(0, 14)),
    Column("physical_state", values.text()),
    Column("link", values.text()),
)
AMOUNTS = (
    Column("medium_id", values.medium_id, needed=True),
    Column("ingredient", values.text(300), needed=True),
    Column("ingredient_as_written", values.text(), default=""),
    Column("chebi", values.text(64)),
    Column("g_per_l", values.number(0)),
    Column("raw_value", values.number()),
    Column("raw_unit", values.text(64), default=""),
    Column("flag", values.text(64), default=""),
)
TAXA = (
    Column("genus", values.text(128), needed=True),
    Column("lineage", values.text(), default=""),
    Column("gc", values.number(0, 100)),
    Column("genome_size", values.number(1)),
    Column("n_assemblies", values.whole()),
)
UNUSED = {
    "media": ("n_ingredients", "total_g_per_l"),
    "taxa": ("domain", "group", "subgroup"),
}  # follow from others


def import_folder(folder: Path, url: str = DEFAULT_URL, *, replace: bool = False) -> Outcome:
    """Import what there is of media, media_ingredients, taxa and growth `.parquet` in a folder.

    replace: growth records may change their mind. Raises DatabaseError: none of the tables, a missing column, a file
    that is no Parquet, a growth record against the one that is stored.
    """
    there = [name for name in NAMES if (folder / f"{name}.parquet").is_file()]
    if not there:
        wanted = ", ".join(f"{name}.parquet" for name in NAMES)
        msg = f"{folder}: expected one or more of {wanted}, there is none"
        raise DatabaseError(msg)
    done = Outcome()
    for name in there:
        file = folder / f"{name}.parquet"
        if name == "growth":
            import_growth(file, url, done, replace=replace)
        else:
            with writing(url, create=True) as connection:
                {"media": _media, "media_ingredients": _amounts, "taxa": _taxa}[name](connection, file, done)
    return done


def _media(connection: Connection, file: Path, done: Outcome) -> None:
    done.written.append(_once_a_key(connection, file, Medium, MEDIA, done, UNUSED["media"]))


def _taxa(connection: Connection, file: Path, done: Outcome) -> None:
    done.written.append(_once_a_key(connection, file, Taxon, TAXA, done, UNUSED["taxa"]))


def _once_a_key(
    connection: Connection,
    file: Path,
    model: Any,
    columns: tuple[Column, ...],
    done: Outcome,
    unused: tuple[str, ...],
) -> Written:
    """A table whose first column is its key."""
    notes, batches = parquet(file, columns, unused)
    faults, seen, total, key = Faults(), set[str](), Written(model.__tablename__), columns[0].name
    for first, frame in batches:
        clean, rows = cleaned(frame, columns, np.arange(first, first + len(frame)), faults)
        good = []
        for row, record in zip(rows, clean.to_dict("records"), strict=True):
            reason = _fault_of(record, key, seen)
            if reason is not None:
                faults.add(int(row), reason)
                continue
            seen.add(record[key])
            good.append(record)
        _add(total, put(connection, model, good))
    done.notes += notes + faults.notes(file.name)
    return total


def _fault_of(record: dict[Any, Any], key: str, seen: set[str]) -> str | None:
    """Why a row that is good cell by cell cannot be stored; gives a medium without a name its id."""
    if record[key] in seen:
        return f"column {key!r}: expected each once, got {record[key]!r} again"
    if "name" in record and record["name"] is None:
        record["name"] = record[key]
    low, high = record.get("min_ph"), record.get("max_ph")
    if low is not None and high is not None and low > high:
        return f"column 'min_ph': expected at most max_ph, got {low:g} above {high:g}"
    return None


def _amounts(connection: Connection, file: Path, done: Outcome) -> None:
    """Recipes: the rows of a medium in the file's order take the place of those that are stored."""
    notes, batches = parquet(file, AMOUNTS)
    known = set(connection.execute(select(Medium.medium_id)).scalars())
    faults, total = Faults(), Written(MediumIngredient.__tablename__)
    compounds, lines = Compounds(), Counter[str]()
    for first, frame in batches:
        clean, rows = cleaned(frame, AMOUNTS, np.arange(first, first + len(frame)), faults)
        good = []
        for row, record in zip(rows, clean.to_dict("records"), strict=True):
            if record["medium_id"] not in known:
                faults.add(
                    int(row),
                    f"column 'medium_id': expected a medium of media.parquet, got {record['medium_id']!r}",
                )
                continue
            good.append(recipe_line(record, lines))
            compounds.add(record["ingredient"], record["chebi"])
        compounds.make(connection)
        _add(total, put(connection, MediumIngredient, good))
    total.changed += cut_recipes(connection, lines)
    done.written += [compounds.finish(connection), total]
    done.notes += notes + faults.notes(file.name)


def recipe_line(record: dict[Any, Any], lines: Counter[str]) -> dict[str, Any]:
    """A row of media_ingredients, amounts in g/L; `lines` counts those of each medium, and is counted on."""
    position = lines[record["medium_id"]]
    lines[record["medium_id"]] += 1
    return {
        "medium_id": record["medium_id"],
        "position": position,
        "ingredient": record["ingredient"],
        "as_written": record["ingredient_as_written"],
        "g_per_l": record["g_per_l"],
        "raw_value": record["raw_value"],
        "raw_unit": record["raw_unit"],
        "flag": record["flag"],
        "guessed": record["flag"].startswith(GUESSED),
    }


def cut_recipes(connection: Connection, lines: Mapping[str, int]) -> int:
    """Take away what recipes held beyond the lines that they have now (by medium); how many lines that were."""
    stored = select(MediumIngredient.medium_id, func.max(MediumIngredient.position)).group_by(
        MediumIngredient.medium_id
    )
    gone = 0
    for medium, last in connection.execute(stored).all():
        if medium in lines and last >= lines[medium]:
            beyond = MediumIngredient.position >= lines[medium]
            gone += connection.execute(
                delete(MediumIngredient).where(MediumIngredient.medium_id == medium, beyond)
            ).rowcount
    return gone


class Compounds:
    """The ingredients that recipes name: made before their rows, told of ChEBI and molar mass after."""

    def __init__(self) -> None:
        self.chebi: dict[str, Counter[str]] = {}
        self.mass: dict[str, float] = {}
        self._made: set[str] = set()
        self._total = Written(Ingredient.__tablename__)

    def add(self, name: str, chebi: str | None = None, molar_mass: float | None = None) -> None:
        """Note an ingredient, and its ChEBI id and molar mass [g/mol] where a row tells them."""
        found = self.chebi.setdefault(name, Counter())
        if chebi is not None:
            found[chebi] += 1
        if molar_mass is not None:
            self.mass.setdefault(name, molar_mass)

    def make(self, connection: Connection) -> None:
        """Make the rows that recipes are about to name."""
        new = sorted(self.chebi.keys() - self._made)
        _add(self._total, put(connection, Ingredient, [{"name": name} for name in new]))
        self._made.update(new)

    def finish(self, connection: Connection) -> Written:
        """Add the ChEBI id that most rows give, and the molar mass where the name says it [g/mol]."""
        rows = [
            {
                "name": name,
                "chebi": min(found, key=lambda c, f=found: (-f[c], c)) if found else None,
                "molar_mass": self.mass.get(name) or units.molar_mass(name),
            }
            for name, found in sorted(self.chebi.items())
        ]
        told = put(connection, Ingredient, rows, keep=("chebi", "molar_mass"))
        self._total.changed = max(0, told.changed - self._total.new)
        return self._total


def _add(total: Written, part: Written) -> None:
    total.new += part.new
    total.changed += part.changed
    total.given += part.given
