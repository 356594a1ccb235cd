"""MediaDive's REST answers (JSON) as media, recipes and growth: https://mediadive.dsmz.de/rest.

`/medium/{id}`: a medium and its solutions, each with a volume [ml] and a recipe; a line of a recipe is a compound, or
another solution and how many ml of it go in. `g_l` is grams per litre of that solution, not of the medium: the share
of each solution in the medium is worked out here, along every way it takes in. A share that cannot be known, because a
volume is missing, is not guessed: the line keeps its raw value and has no amount in g/L.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from mediacvae import units
from mediacvae.db import values
from mediacvae.db.engines import DatabaseError

PREFIX = "mediadive.medium:"
DOMAINS = {"B": "bacteria", "A": "archaea", "F": "fungi", "Y": "fungi", "P": "protist", "V": "virus"}
SOURCE = "MediaDive"
DEEPEST = 20  # solutions within solutions
_COMPLEX = {
    "yes": "COMPLEX",
    "no": "DEFINED",
    "1": "COMPLEX",
    "0": "DEFINED",
    "true": "COMPLEX",
    "false": "DEFINED",
}
_GRAMS = {"g": 1.0, "mg": 1e-3, "ug": 1e-6, "µg": 1e-6, "μg": 1e-6, "kg": 1e3}
_ML = {"ml": 1.0, "l": 1000.0, "ul": 1e-3, "µl": 1e-3, "μl": 1e-3}


@dataclass
class Recipe:
    """A medium as MediaDive tells it: columns of `media`, rows of `media_ingredients`, molar masses [g/mol] by name."""

    medium: dict[str, Any]
    lines: list[dict[str, Any]]
    masses: dict[str, float] = field(default_factory=dict)


def data_of(answer: Any, where: str) -> Any:
    """What an answer carries: `{"status": 200, "count": n, "data": ...}`. DatabaseError for another form."""
    if isinstance(answer, dict) and "data" in answer and answer.get("status", 200) == 200:
        return answer["data"]
    kind = f"status {answer.get('status')!r}" if isinstance(answer, dict) else type(answer).__name__
    msg = f"{where}: expected an answer of MediaDive with status 200 and data, got {kind}"
    raise DatabaseError(msg)


def medium_id(number: Any) -> str:
    """The id of a medium here: `mediadive.medium:` and MediaDive's own. ValueError for one that may be none."""
    return values.medium_id(f"{PREFIX}{number}")


def recipe(data: Any, where: str) -> Recipe:
    """A medium of `/medium/{id}`. DatabaseError, naming solution and line, for what it cannot be."""
    if not isinstance(data, dict) or not isinstance(data.get("medium"), dict):
        msg = f"{where}: expected a medium with solutions, got {type(data).__name__}"
        raise DatabaseError(msg)
    found = Recipe(medium_row(data["medium"], where), [])
    solutions = data.get("solutions")
    if isinstance(solutions, dict):
        solutions = list(solutions.values())
    solutions = _dicts(solutions)
    by_id = {str(one.get("id")): one for one in solutions}
    parts = {
        str(line.get("solution_id")) for one in solutions for line in _lines(one) if line.get("solution_id")
    }
    mains = [one for one in solutions if str(one.get("id")) not in parts]
    if solutions and not mains:
        msg = f"{where}: expected a main solution, each of {len(solutions)} is part of another"
        raise DatabaseError(msg)
    mains.sort(key=lambda one: not str(one.get("name")).lower().startswith("main"))
    for main in mains[:1]:
        _pour(found, main, by_id, 1.0, (), where)
    for other in mains[1:]:  # neither the main solution nor in it: how much of it goes in is not said
        _pour(found, other, by_id, None, (), where)
    found.lines = _summed(found.lines)
    return found


def medium_row(given: Any, where: str) -> dict[str, Any]:
    """The columns of `media`, of what MediaDive tells of one.

    Raises DatabaseError, naming the medium, for what is none, and a value that may not be stored.
    """
    if not isinstance(given, dict):
        msg = f"{where}: expected a medium, got {type(given).__name__}"
        raise DatabaseError(msg)
    text, ph = values.text(), values.number(0, 14)
    try:
        low, high = (None if values.empty(given.get(key)) else ph(given[key]) for key in ("min_pH", "max_pH"))
        made = {
            "medium_id": medium_id(given.get("id")),
            "name": text(given["name"])
            if not values.empty(given.get("name"))
            else f"{PREFIX}{given.get('id')}",
            "source": SOURCE,
            "collection": None if values.empty(given.get("source")) else text(given["source"]),
            "medium_type": _COMPLEX.get(str(given.get("complex_medium")).lower()),
            "min_ph": low,
            "max_ph": high,
            "link": None if values.empty(given.get("link")) else text(given["link"]),
        }
    except ValueError as fault:
        msg = f"{where}: medium {given.get('id')!r}: {fault}"
        raise DatabaseError(msg) from None
    if low is not None and high is not None and low > high:
        msg = f"{where}: medium {given.get('id')!r}: expected min_pH at most max_pH, got {low:g} and {high:g}"
        raise DatabaseError(msg)
    return made


def _lines(solution: dict[str, Any]) -> list[dict[str, Any]]:
    return _dicts(solution.get("recipe"))


def _dicts(found: Any) -> list[dict[str, Any]]:
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _pour(
    found: Recipe,
    solution: dict[str, Any],
    by_id: dict[str, dict[str, Any]],
    share: float | None,
    way: tuple[str, ...],
    where: str,
) -> None:
    """Add the lines of a solution, of which `share` litres are in a litre of medium (None: not known)."""
    name = str(solution.get("id"))
    at = f"{where}: solution {solution.get('name')!r}"
    if name in way or len(way) > DEEPEST:
        msg = f"{at}: expected solutions within solutions to end, it holds itself"
        raise DatabaseError(msg)
    volume = _number(solution, "volume", at)
    for line in _lines(solution):
        if line.get("compound"):
            _compound(found, line, share, volume, at)
        elif line.get("solution_id"):
            amount = _number(line, "amount", at)
            ml = _ML.get(str(line.get("unit")).lower())
            known = share is not None and amount is not None and ml is not None and bool(volume)
            inner = share * amount * ml / volume if known else None  # type: ignore[operator]
            child = by_id.get(str(line["solution_id"]))
            if child is None:
                _missing(found, line, at)
            else:
                _pour(found, child, by_id, inner, (*way, name), where)


def _number(given: dict[str, Any], key: str, at: str) -> float | None:
    """A number from 0 up, or None where there is none."""
    if values.empty(given.get(key)):
        return None
    try:
        return values.number(0)(given[key])
    except ValueError as fault:
        msg = f"{at}: {key}: {fault}"
        raise DatabaseError(msg) from None


def _compound(
    found: Recipe, line: dict[str, Any], share: float | None, volume: float | None, at: str
) -> None:
    """Add a compound: its grams per litre of medium where they follow from what is told."""
    try:
        name = values.text(300)(line["compound"])
    except ValueError as fault:
        msg = f"{at}: compound: {fault}"
        raise DatabaseError(msg) from None
    here = f"{at}: {name}"
    amount, inside = _number(line, "amount", here), _number(line, "g_l", here)
    unit = "" if values.empty(line.get("unit")) else str(line["unit"])
    millimolar = _number(line, "mmol_l", here)
    if inside and millimolar:
        found.masses.setdefault(name, 1000.0 * inside / millimolar)
    if inside is None and amount is not None:
        inside = _inside(name, amount, unit, volume)
    flag = "" if share is not None else "share_unknown"
    if inside is None:
        flag = flag or (
            "volume_unknown" if unit.lower() in _GRAMS and amount is not None else "amount_unknown"
        )
    _add(found, name, None if inside is None or share is None else inside * share, amount, unit, flag)


def _inside(name: str, amount: float, unit: str, volume: float | None) -> float | None:
    """Grams per litre of a solution, from an amount that MediaDive gives no g_l for; None where it does not follow."""
    if unit.lower() in _GRAMS:
        return amount * _GRAMS[unit.lower()] * 1000.0 / volume if volume else None
    try:
        return units.to_g_per_l(amount, unit, units.molar_mass(name))
    except units.UnitError:
        return None


def _missing(found: Recipe, line: dict[str, Any], at: str) -> None:
    """A solution that is named and not told: kept as an ingredient without an amount."""
    name = line.get("solution") or f"solution {line['solution_id']}"
    unit = "" if values.empty(line.get("unit")) else str(line["unit"])
    _add(found, str(name)[:300], None, _number(line, "amount", at), unit, "solution_unknown")


def _add(found: Recipe, name: str, g_per_l: float | None, raw: float | None, unit: str, flag: str) -> None:
    line = {
        "medium_id": found.medium["medium_id"], "position": len(found.lines), "ingredient": name, "as_written": name,
        "g_per_l": g_per_l, "raw_value": raw, "raw_unit": unit, "flag": flag, "guessed": False,
    }  # fmt: skip
    found.lines.append(line)


def _summed(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One line an ingredient: what comes in by several solutions is added up, unless a part of it is not known."""
    made: dict[str, dict[str, Any]] = {}
    for line in lines:
        first = made.setdefault(line["ingredient"], line)
        if first is line:
            continue
        parts = (first["g_per_l"], line["g_per_l"])
        known = None not in parts
        first["g_per_l"] = parts[0] + parts[1] if known else None
        first |= {"raw_value": first["g_per_l"], "raw_unit": "g/L" if known else ""}
        first["flag"] = "summed" if known else (line["flag"] or first["flag"])
    for position, line in enumerate(made.values()):
        line["position"] = position
    return list(made.values())


def composition(data: Any, medium: dict[str, Any], where: str) -> Recipe:
    """The recipe of `/medium-composition/{id}`: lines with name and g_l, per litre of the medium.

    medium: its row. Raises DatabaseError, naming the line, for an amount that is none.
    """
    found = Recipe(medium, [])
    for line in _dicts(data):
        if not values.empty(line.get("name")):
            _compound(
                found,
                line | {"compound": line["name"], "amount": line.get("g_l"), "unit": "g/L"},
                1.0,
                None,
                where,
            )
    found.lines = _summed(found.lines)
    return found


def strains(data: Any, medium: str, where: str) -> tuple[list[dict[str, Any]], int]:
    """Growth records (columns of organisms.GROWTH) of `/medium-strains/{id}`, and how many strains were left out.

    medium: its id here. A strain without a species, a domain (B, A, F, ...) or an answer cannot be stored. Raises
    DatabaseError for what is no list, and, with the strain, for a value that may not be stored.
    """
    if not isinstance(data, list):
        msg = f"{where}: expected a list of strains, got {type(data).__name__}"
        raise DatabaseError(msg)
    made, left = [], 0
    for at, given in enumerate(data, start=1):
        kind = DOMAINS.get(str(given.get("domain")).upper()[:1]) if isinstance(given, dict) else None
        if kind is None or values.empty(given.get("species")) or values.empty(given.get("growth")):
            left += 1
            continue
        try:
            species = values.text()(given["species"])
            number = "" if values.empty(given.get("ccno")) else values.text(128)(given["ccno"])
            growth = values.flag(given.get("growth"))
        except ValueError as fault:
            msg = f"{where}: strain {at}: {fault}"
            raise DatabaseError(msg) from None
        made.append(
            {
                "medium_id": medium, "growth": growth, "genus": species.split()[0], "species": species,
                "organism_type": kind, "strain": f"{species} {number}" if number else "", "taxid": None,
                "assembly": "", "genome_id": "", "max_od": None, "confidence": 1.0, "source": SOURCE,
                "rank": "strain" if number else "species",
            }
        )  # fmt: skip
    return made, left


def unknown(recipes: list[Recipe]) -> Counter[str]:
    """How many lines have no amount, by the reason."""
    return Counter(line["flag"] for one in recipes for line in one.lines if line["g_per_l"] is None)
