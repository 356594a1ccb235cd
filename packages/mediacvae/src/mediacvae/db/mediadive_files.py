"""MediaDive's answers as files (one, or a folder of them) into the database."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from mediacvae.db import mediadive
from mediacvae.db.engines import DEFAULT_URL, DatabaseError
from mediacvae.db.frames import Faults
from mediacvae.db.importing import Compounds, cut_recipes
from mediacvae.db.organisms import store_growth
from mediacvae.db.schema import Medium, MediumIngredient
from mediacvae.db.session import writing
from mediacvae.db.writing import Outcome, put

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.engine import Connection

BIGGEST = 64 * 2**20  # bytes of one answer
_NUMBER = re.compile(
    r"(?:medium-strains|medium-composition|medium|strains|composition)?[-_]?([A-Za-z]?\d+[a-z]?)"
)
_SAYS = {
    "share_unknown": "are in a solution whose share in the medium is not told",
    "volume_unknown": "are in a solution whose volume is not told",
    "amount_unknown": "have no mass (a volume, or nothing)",
    "solution_unknown": "are solutions whose recipe is not told",
    "summed": "are sums of which a part is not known",
}


@dataclass
class Answers:
    """What files hold, by the medium they speak of.

    listed: rows of `media`. composed: compositions as they came, with the file. strains: growth records. left_out: how
    many strains could not be stored.
    """

    listed: dict[str, dict[str, Any]] = field(default_factory=dict)
    recipes: dict[str, mediadive.Recipe] = field(default_factory=dict)
    composed: dict[str, tuple[Any, str]] = field(default_factory=dict)
    strains: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    left_out: int = 0


def import_answers(path: Path, url: str = DEFAULT_URL, *, replace: bool = False) -> Outcome:
    """Store media, recipes and growth from MediaDive's JSON: a file, or every .json below a folder.

    Answers are told apart by what they hold; lists of strains and compositions carry the medium in their file's name
    (`medium-strains/1.json`). A composition is used where there is no recipe. Raises DatabaseError, with the file.
    """
    files = sorted(path.rglob("*.json")) if path.is_dir() else [path]
    if not files:
        msg = f"{path}: expected .json files of MediaDive, there is none"
        raise DatabaseError(msg)
    answers = Answers()
    for file in files:
        _take(answers, file)
    for medium, (data, where) in answers.composed.items():
        told = answers.recipes.get(medium)
        if told is None or not told.lines:
            plain = {"medium_id": medium, "name": medium, "source": mediadive.SOURCE}
            row = answers.listed.get(medium) or (plain if told is None else told.medium)
            answers.recipes[medium] = mediadive.composition(data, row, where)
    return _store(answers, url, replace=replace)


def load(file: Path) -> Any:
    """The JSON of a file. DatabaseError for what is none or larger than an answer can be, OSError without a file."""
    try:
        if file.stat().st_size > BIGGEST:
            msg = f"{file}: expected an answer of at most {BIGGEST >> 20} MiB, got {file.stat().st_size >> 20} MiB"
            raise DatabaseError(msg)
        return json.loads(file.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as fault:
        msg = f"{file}: expected JSON, it cannot be read ({fault})"
        raise DatabaseError(msg) from None


def _take(answers: Answers, file: Path) -> None:
    """Take up one file."""
    answer = load(file)
    if isinstance(answer, dict) and answer.get("status") == 404:
        return  # what the client keeps of what is not there
    data = mediadive.data_of(answer, str(file))
    if isinstance(data, dict):
        found = mediadive.recipe(data, str(file))
        answers.recipes[found.medium["medium_id"]] = found
        return
    first = next((one for one in data if isinstance(one, dict)), None) if isinstance(data, list) else None
    if first is None:
        if data not in ([], None):
            msg = f"{file}: expected a medium, or a list of media, ingredients or strains, got {str(data)[:80]!r}"
            raise DatabaseError(msg)
        return
    if "complex_medium" in first:
        for given in data:
            row = mediadive.medium_row(given, str(file))
            answers.listed[row["medium_id"]] = row
    elif "species" in first:
        medium = _medium_of(file)
        answers.strains[medium], left = mediadive.strains(data, medium, str(file))
        answers.left_out += left
    elif "name" in first:
        answers.composed[_medium_of(file)] = (data, str(file))
    else:
        msg = f"{file}: expected media, ingredients or strains, got a list of {', '.join(list(first)[:6])}"
        raise DatabaseError(msg)


def _medium_of(file: Path) -> str:
    """The medium that a file's name speaks of."""
    found = _NUMBER.fullmatch(file.stem)
    if found is None:
        msg = f"{file}: expected a name that ends in MediaDive's number of the medium, such as medium-strains/1.json"
        raise DatabaseError(msg)
    return mediadive.medium_id(found[1])


def _store(answers: Answers, url: str, *, replace: bool) -> Outcome:
    done = Outcome()
    media = answers.listed | {name: one.medium for name, one in answers.recipes.items()}
    names = {name for row in media.values() for name in row}
    rows = [dict.fromkeys(names) | row for _, row in sorted(media.items())]
    with writing(url, create=True) as connection:
        done.written.append(
            put(connection, Medium, rows, keep=("collection", "link", "medium_type", "min_ph", "max_ph"))
        )
        _store_recipes(connection, [answers.recipes[name] for name in sorted(answers.recipes)], done)
    records = [record for _, found in sorted(answers.strains.items()) for record in found]
    if records:
        faults = Faults()
        with writing(url) as connection:
            known = set(connection.execute(select(Medium.medium_id)).scalars())
            numbered = [(at, one) for at, one in enumerate(records, start=1) if one["medium_id"] in known]
            store_growth(connection, numbered, faults, done, where="strains: ", replace=replace)
        done.notes += faults.notes("strains")
        if len(numbered) < len(records):
            done.notes.append(
                f"strains: {len(records) - len(numbered)} of media that are not there were left out"
            )
    if answers.left_out:
        done.notes.append(f"strains: {answers.left_out} without species, domain or answer were left out")
    return done


def _store_recipes(connection: Connection, recipes: list[mediadive.Recipe], done: Outcome) -> None:
    compounds = Compounds()
    for one in recipes:
        for line in one.lines:
            compounds.add(line["ingredient"], molar_mass=one.masses.get(line["ingredient"]))
    compounds.make(connection)
    written = put(connection, MediumIngredient, [line for one in recipes for line in one.lines])
    counts = {one.medium["medium_id"]: len(one.lines) for one in recipes}
    written.changed += cut_recipes(connection, counts)
    done.written += [compounds.finish(connection), written]
    for flag, count in sorted(mediadive.unknown(recipes).items()):
        done.notes.append(f"{count} lines of recipes {_SAYS[flag]}: no amount in g/L")
