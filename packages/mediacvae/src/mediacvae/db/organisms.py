"""Growth records of organisms: from the collected tables, where an organism may have no genome, and from one's own."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from mediacvae.db import values
from mediacvae.db.engines import DEFAULT_URL, DatabaseError
from mediacvae.db.frames import Column, Faults, cleaned, frame_of, good_rows, parquet
from mediacvae.db.schema import Genome, Growth, Medium
from mediacvae.db.session import writing
from mediacvae.db.store import KEPT, refuse_contradictions, refuse_unknown
from mediacvae.db.writing import Outcome, put

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.engine import Connection

GROWTH = (
    Column("medium_id", values.medium_id, needed=True),
    Column("growth", values.flag, needed=True),
    Column("organism_type", values.organism_type, needed=True),
    Column("genus", values.text(128), default=""),
    Column("species", values.text(), default=""),
    Column("strain", values.text(), default=""),
    Column("taxid", values.whole(1)),
    Column("assembly", values.genome_id, default=""),
    Column("genome_id", values.genome_id, default=""),
    Column("max_od", values.number(0)),
    Column("confidence", values.number(0, 1), default=1.0),
    Column("source", values.text(255), default="table"),
    Column("rank", values.text(64), default=""),
)
OWN = (
    Column("genome_id", values.genome_id, needed=True),
    Column("medium_id", values.medium_id, needed=True),
    Column("growth", values.flag, needed=True),
    Column("confidence", values.number(0, 1), default=1.0),
    Column("source", values.text(255), default="own"),
    Column("max_od", values.number(0)),
)
_SLUG = 80  # characters of a name in an id


def import_growth(file: Path, url: str, done: Outcome, *, replace: bool = False) -> None:
    """Growth of organisms by name. Who has no genome yet gets a row without a sequence; so do media without a recipe.

    Rows that contradict each other are left out, both of them. Raises DatabaseError for a record against the one that
    is stored, unless `replace`.
    """
    notes, batches = parquet(file, GROWTH)
    frame, numbers = frame_of(batches)
    faults = Faults()
    clean, numbers = cleaned(frame, GROWTH, numbers, faults)
    records = list(zip(numbers.tolist(), clean.to_dict("records"), strict=True))
    with writing(url, create=True) as connection:
        store_growth(connection, records, faults, done, where=f"{file.name}: ", replace=replace)
    done.notes += notes + faults.notes(file.name)


def store_growth(
    connection: Connection,
    records: list[tuple[int, dict[Any, Any]]],
    faults: Faults,
    done: Outcome,
    *,
    where: str,
    replace: bool,
) -> None:
    """Clean records (row, columns of GROWTH) into genomes, media and genome_growth, within a transaction.

    Rows that are left out go into `faults`, what was written and is to be said into `done`. where: what notes begin
    with. Raises DatabaseError for a record against the one that is stored, unless `replace`.
    """
    named = []
    for row, record in records:
        record["genome_id"] = record["genome_id"] or record["assembly"] or organism_id(record)
        if record["genome_id"]:
            named.append((row, record))
        else:
            faults.add(row, "expected one of genome_id, assembly, strain, species, genus, all are empty")
    rows = _agreed(named, faults, done, where)
    if not replace:
        refuse_contradictions(connection, rows, where)
    organisms = {record["genome_id"]: organism(record) for _, record in reversed(named)}
    done.written.append(_add_organisms(connection, organisms))
    _add_media(connection, {row["media_id"] for row in rows}, done, where)
    done.written.append(put(connection, Growth, rows))


def organism_id(record: dict[Any, Any]) -> str:
    """A stable id of an organism without a genome, from the most exact name there is: `organism:Genus_species`.

    A name that does not fit, or was changed to fit, is followed by a hash of what it was.
    """
    species, strain = record["species"] or record["genus"], record["strain"]
    name = strain if not species or strain.startswith(species) else f"{species} {strain}".strip()
    if not name:
        return ""
    slug = re.sub(r"\.{2,}", ".", re.sub(r"[^A-Za-z0-9.+-]+", "_", name))[:_SLUG].strip("_.")
    exact = "_" not in name and slug == re.sub(r"\s+", "_", name)
    mark = "" if exact else "." + hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"organism:{slug}{mark}"


def organism(record: dict[Any, Any]) -> dict[str, Any]:
    """A row of `genomes` without a sequence; GC and size are not made up."""
    return {
        "genome_id": record["genome_id"],
        "organism_name": record["strain"] or record["species"] or record["genus"] or record["genome_id"],
        "organism_type": record["organism_type"],
        "genus": record["genus"],
        "species": record["species"],
        "strain": record["strain"],
        "taxid": record["taxid"],
    }


def _agreed(
    named: list[tuple[int, dict[Any, Any]]], faults: Faults, done: Outcome, where: str
) -> list[dict[str, Any]]:
    """One row a genome, medium and source; rows that contradict each other are left out, repeats counted."""
    said: dict[tuple[str, str, str], list[tuple[int, dict[Any, Any]]]] = {}
    for row, record in named:
        said.setdefault((record["genome_id"], record["medium_id"], record["source"]), []).append(
            (row, record)
        )
    rows, repeats = [], 0
    for key, found in said.items():
        if len({record["growth"] for _, record in found}) > 1:
            for row, _ in found:
                what = f"{key[0]!r} on {key[1]!r} by {key[2]!r}"
                faults.add(row, f"expected one answer a genome, medium and source, got both for {what}")
            continue
        repeats += len(found) - 1
        record = found[0][1]
        names = ("genome_id", "growth", "confidence", "source", "max_od", "rank")
        rows.append({"media_id": record["medium_id"]} | {name: record[name] for name in names})
    if repeats:
        done.notes.append(f"{where}{repeats} rows repeat others of the same genome, medium and source")
    return rows


def _add_organisms(connection: Connection, organisms: dict[str, dict[str, Any]]) -> Any:
    """Rows for organisms; one that has a sequence keeps what is known of it."""
    sequenced = set(
        connection.execute(select(Genome.genome_id).where(Genome.fasta_path.is_not(None))).scalars()
    )
    rows = [row for name, row in sorted(organisms.items()) if name not in sequenced]
    return put(connection, Genome, rows, keep=KEPT)


def _add_media(connection: Connection, named: set[str], done: Outcome, where: str) -> None:
    """Rows for media that only growth knows."""
    new = sorted(named - set(connection.execute(select(Medium.medium_id)).scalars()))
    if new:
        done.written.append(put(connection, Medium, [{"medium_id": one, "name": one} for one in new]))
        listed = ", ".join(new[:8]) + (", ..." if len(new) > 8 else "")
        done.notes.append(f"{where}{len(new)} media have no recipe here, only growth: {listed}")


def add_growth(file: Path, url: str = DEFAULT_URL, *, replace: bool = False) -> Outcome:
    """One's own observations: .csv or .tsv with genome_id, medium_id, growth, confidence, source[, max_od].

    All or nothing. Raises DatabaseError, with the row: a bad value, an unknown genome or medium (with the nearest
    known), two answers for the same genome, medium and source, in the file or (unless `replace`) against the database.
    """
    notes, records = good_rows(file, OWN)
    faults, done = Faults(), Outcome(notes=notes)
    for _, record in records:
        record["rank"] = ""
    rows = _agreed(records, faults, done, f"{file.name}: ")
    for reason, bad in faults.rows.items():
        msg = f"{file}: rows {bad[0]} and {bad[1]}: {reason}"
        raise DatabaseError(msg)
    with writing(url) as connection:
        for column, name in ((Genome.genome_id, "genome_id"), (Medium.medium_id, "medium_id")):
            refuse_unknown(
                connection, column, {one[name]: f"{file}: row {row}: " for row, one in reversed(records)}
            )
        if not replace:
            refuse_contradictions(connection, rows, f"{file}: ")
        done.written.append(put(connection, Growth, rows))
    return done
