"""One's own media: a table of recipes (.csv, .tsv) with amounts in the units that people write."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from mediacvae import units
from mediacvae.db import values
from mediacvae.db.engines import DEFAULT_URL, DatabaseError
from mediacvae.db.frames import Column, good_rows
from mediacvae.db.importing import Compounds, cut_recipes
from mediacvae.db.schema import Ingredient, Medium, MediumIngredient
from mediacvae.db.session import writing
from mediacvae.db.writing import Outcome, put

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.engine import Connection

MOST = 10_000.0  # g/L: more is a mistaken unit
RECIPES = (
    Column("medium_id", values.medium_id, needed=True),
    Column("name", values.text()),
    Column("ingredient", values.text(300), needed=True),
    Column("amount", values.number(0), needed=True),
    Column("unit", values.text(64), needed=True),
    Column("molar_mass", values.number(1, 1e7)),
    Column("ph", values.number(0, 14)),
)


def import_recipes(file: Path, url: str = DEFAULT_URL) -> Outcome:
    """Store the media of a table with medium_id, name, ingredient, amount, unit[, molar_mass, ph]; all or nothing.

    Units: g/L, mg/L, ug/L, % (w/v), M, mM, uM, nM; those that count molecules take molar_mass [g/mol] or, for common
    compounds and formulas, the one that follows from the name. An ingredient that a medium names twice is summed, and
    said. The recipe takes the place of one that is stored. Raises DatabaseError, with the row: a value that may not be
    stored, a unit or a molar mass that is not known, more than `MOST` g/L, rows that contradict each other.
    """
    notes, rows = good_rows(file, RECIPES)
    if not rows:
        msg = f"{file}: expected at least one row below the heading"
        raise DatabaseError(msg)
    media: dict[str, dict[str, Any]] = {}
    lines: dict[tuple[str, str], dict[str, Any]] = {}
    compounds = Compounds()
    for number, record in rows:
        where = f"{file}: row {number}: "
        _tell_medium(media, record, where)
        amount, mass = _amount(record, where)
        compounds.add(record["ingredient"], molar_mass=mass)
        _tell_line(lines, record, amount, notes, f"{file.name}: row {number}: ")
    return _store(list(media.values()), list(lines.values()), compounds, url, notes)


def _tell_medium(media: dict[str, dict[str, Any]], record: dict[Any, Any], where: str) -> None:
    """Take up what a row says of its medium; DatabaseError where it contradicts an earlier row."""
    medium = media.setdefault(
        record["medium_id"],
        {"medium_id": record["medium_id"], "name": None, "source": "own", "min_ph": None, "max_ph": None},
    )
    for key, column in (("name", "name"), ("min_ph", "ph")):
        given = record[column]
        if given is not None and medium[key] not in (None, given):
            msg = f"{where}medium {record['medium_id']!r}: {column}: expected {medium[key]!r} as above, got {given!r}"
            raise DatabaseError(msg)
        medium[key] = medium[key] if given is None else given
    medium["max_ph"] = medium["min_ph"]


def _amount(record: dict[Any, Any], where: str) -> tuple[float, float | None]:
    """An amount in g/L, and the molar mass that the row gives or was counted with."""
    mass = record["molar_mass"]
    try:
        if mass is None and units.is_molar(record["unit"]):
            mass = units.molar_mass(record["ingredient"])
        amount = units.to_g_per_l(record["amount"], record["unit"], mass)
    except units.UnitError as fault:
        hint = " (column molar_mass)" if "molar mass" in str(fault) else ""
        msg = f"{where}ingredient {record['ingredient']!r}: {fault}{hint}"
        raise DatabaseError(msg) from None
    if amount > MOST:
        said = f"{record['amount']:g} {record['unit']}"
        msg = f"{where}ingredient {record['ingredient']!r}: expected at most {MOST:g} g/L, got {said} = {amount:g} g/L"
        raise DatabaseError(msg)
    return amount, mass


def _tell_line(
    lines: dict[tuple[str, str], dict[str, Any]],
    record: dict[Any, Any],
    amount: float,
    notes: list[str],
    where: str,
) -> None:
    """Take up a line of a recipe; one for the same ingredient is added to it, and said."""
    key = (record["medium_id"], record["ingredient"])
    if key not in lines:
        lines[key] = {
            "medium_id": key[0], "position": 0, "ingredient": key[1], "as_written": key[1], "g_per_l": amount,
            "raw_value": record["amount"], "raw_unit": record["unit"], "flag": "", "guessed": False,
        }  # fmt: skip
        return
    line = lines[key]
    line["g_per_l"] += amount
    line |= {"raw_value": line["g_per_l"], "raw_unit": "g/L", "flag": "summed"}
    notes.append(f"{where}medium {key[0]!r} names {key[1]!r} again: summed to {line['g_per_l']:g} g/L")


def _store(
    media: list[dict[str, Any]], lines: list[dict[str, Any]], compounds: Compounds, url: str, notes: list[str]
) -> Outcome:
    places = Counter[str]()
    for line in lines:
        line["position"] = places[line["medium_id"]]
        places[line["medium_id"]] += 1
    for medium in media:
        medium["name"] = medium["name"] or medium["medium_id"]
    with writing(url, create=True) as connection:
        notes = notes + _other_spellings(connection, compounds)
        written = [put(connection, Medium, media)]
        compounds.make(connection)
        recipes = put(connection, MediumIngredient, lines)
        recipes.changed += cut_recipes(connection, places)
        written += [compounds.finish(connection), recipes]
    return Outcome(written, notes)


def _other_spellings(connection: Connection, compounds: Compounds) -> list[str]:
    """Notes of ingredients that are new here and known by another spelling."""
    known = list(connection.execute(select(Ingredient.name)).scalars())
    folded = {name.casefold(): name for name in known}
    new = sorted(compounds.chebi.keys() - set(known))
    return [
        f"ingredient {name!r} is new: {folded[name.casefold()]!r} is known"
        for name in new
        if name.casefold() in folded
    ]
