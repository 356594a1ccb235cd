"""Genomes from a folder of FASTA files into the database: GC, length and a hash of each, the rest from a table."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mediacvae import fasta
from mediacvae.db import values
from mediacvae.db.engines import DEFAULT_URL, DatabaseError
from mediacvae.db.frames import Column, good_rows
from mediacvae.db.schema import Genome
from mediacvae.db.session import writing
from mediacvae.db.store import KEPT, checked_genome, names_of
from mediacvae.db.writing import Outcome, Written, put

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SUFFIXES = (".fna", ".fa", ".fasta")
TABLE = (
    Column("genome_id", values.genome_id, needed=True),
    Column("organism_type", values.organism_type, needed=True),
    Column("organism_name", values.text()),
    Column("genus", values.text(128), default=""),
    Column("species", values.text(), default=""),
    Column("strain", values.text(), default=""),
    Column("lineage", values.text(), default=""),
    Column("taxid", values.whole(1)),
)


@dataclass
class Added(Outcome):
    """What came in, and in `refused` the genomes that did not, one line each."""

    refused: list[str] = field(default_factory=list)


def add_genomes(
    folder: Path,
    url: str = DEFAULT_URL,
    *,
    table: Path | None = None,
    organism: str | None = None,
    on_step: Callable[[int, int], None] = lambda done, of: None,
) -> Added:
    """Store the genomes of a folder (.fna, .fa, .fasta, each plain or .gz); the id is the file's name without suffixes.

    table: .tsv or .csv with genome_id, organism_type[, organism_name, genus, species, strain, lineage, taxid].
    organism: the type of genomes that the table does not tell. Genomes that cannot be stored are in `refused`, the
    others are stored one by one. on_step is told (genomes done, genomes in all). Raises DatabaseError for a folder
    without genomes and for a bad table, ValueError for another organism type.
    """
    files = genome_files(folder)
    told, notes = _told(table)
    kind = None if organism is None else values.organism_type(organism)
    done = Added(notes=notes)
    total = Written(Genome.__tablename__)
    for at, (name, found) in enumerate(sorted(files.items()), start=1):
        try:
            row = _row(name, found, told, kind, table)
        except (fasta.GenomeError, DatabaseError, OSError) as fault:
            done.refused.append(_one_line(fault, found[0]))
        else:
            with writing(url, create=True) as connection:
                part = put(connection, Genome, [row], keep=KEPT)
            total.new, total.changed, total.given = (
                total.new + part.new, total.changed + part.changed, total.given + part.given,
            )  # fmt: skip
        on_step(at, len(files))
    absent = sorted(told.keys() - files.keys())
    if absent:
        listed = ", ".join(absent[:5]) + (", ..." if len(absent) > 5 else "")
        done.notes.append(f"{table}: {len(absent)} genomes have no file in {folder}: {listed}")
    done.written.append(total)
    return done


def genome_files(folder: Path) -> dict[str, list[Path]]:
    """The FASTA files of a folder by the id that their name gives. DatabaseError where there is none."""
    if not folder.is_dir():
        msg = f"{folder}: expected a folder of FASTA files, there is none"
        raise DatabaseError(msg)
    found: dict[str, list[Path]] = {}
    for file in sorted(folder.iterdir()):
        plain = file.name[:-3] if file.name.lower().endswith(".gz") else file.name
        stem, dot, suffix = plain.rpartition(".")
        if dot and f".{suffix.lower()}" in SUFFIXES and file.is_file():
            found.setdefault(stem, []).append(file)
    if not found:
        msg = f"{folder}: expected files ending in {', '.join(SUFFIXES)} (or these and .gz), there is none"
        raise DatabaseError(msg)
    return found


def _told(table: Path | None) -> tuple[dict[str, dict[Any, Any]], list[str]]:
    """The rows of a table by genome; DatabaseError, with the row, for a bad one."""
    if table is None:
        return {}, []
    notes, rows = good_rows(table, TABLE)
    told: dict[str, dict[Any, Any]] = {}
    for row, record in rows:
        if record["genome_id"] in told:
            msg = f"{table}: row {row}: expected each genome once, got {record['genome_id']!r} again"
            raise DatabaseError(msg)
        told[record["genome_id"]] = record
    return told, notes


def _row(
    name: str, files: list[Path], told: dict[str, dict[Any, Any]], kind: str | None, table: Path | None
) -> dict[str, Any]:
    """A row of `genomes`, length and GC as `fasta` counts. Raises DatabaseError or GenomeError, naming the file."""
    if len(files) > 1:
        msg = f"{files[0]}: expected one file a genome, {files[1].name} has the same id"
        raise DatabaseError(msg)
    (file,) = files
    try:
        values.genome_id(name)
    except ValueError as fault:
        msg = f"{file}: {fault}: rename the file"
        raise DatabaseError(msg) from None
    given = dict(told.get(name, {}))
    if not given:
        if kind is None:
            why = f"{table.name} does not name it" if table else "there is no --table"
            msg = f"{file}: organism type: {why}: give --organism TYPE"
            raise DatabaseError(msg)
        given = {"genome_id": name, "organism_type": kind}
    given["organism_name"] = given.get("organism_name") or given.get("species") or name
    genus, species = names_of(given["organism_name"])
    given["genus"], given["species"] = given.get("genus") or genus, given.get("species") or species
    genome = fasta.read(file)
    seen = {"sequence_length": genome.length, "gc_content": genome.gc}
    return checked_genome(given | seen | {"fasta_path": str(file.resolve()), "fasta_hash": file_hash(file)})


def file_hash(file: Path | str) -> str:
    """SHA-256 of a file as it lies there, in 64 hexadecimal digits; OSError for one that cannot be read."""
    with open(file, "rb") as stream:  # noqa: PTH123 - a path from the database is text
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _one_line(fault: Exception, file: Path) -> str:
    said = " ".join(str(fault).split())
    return said if str(file) in said or file.name in said else f"{file}: {said}"
