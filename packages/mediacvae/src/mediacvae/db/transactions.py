"""Transactions on a database in whatever state it is, what a driver raises in one line, the version of its tables."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import exc, inspect, text

from mediacvae.db.engines import DatabaseError, engine_of, message_of, normal, shown
from mediacvae.db.schema import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Connection


@contextmanager
def unchecked(url: str) -> Iterator[Connection]:
    """A writing transaction on a database in whatever state it is; an SQLite file is made where there is none."""
    with transaction(url, "BEGIN IMMEDIATE", create=True) as connection:
        yield connection


@contextmanager
def faults(url: str) -> Iterator[None]:
    """What a driver raises, as a DatabaseError in one line."""
    try:
        yield
    except exc.SQLAlchemyError as fault:
        msg = f"{shown(url)}: {message_of(fault, url)}"
        raise DatabaseError(msg) from None


@contextmanager
def transaction(url: str, begin: str, *, create: bool = False) -> Iterator[Connection]:
    """A transaction that begins with the SQL `begin`. DatabaseError for what a driver raises.

    create: make an SQLite file where there is none.
    """
    place = normal(url)
    with faults(url):
        engine = engine_of(place, create=create)
        with engine.connect().execution_options(begin=begin) as connection, connection.begin():
            yield connection


def version_of(connection: Connection) -> str | None:
    """The revision that a database is at: None where it is empty, '' where its tables are not ours."""
    if not connection.info.get("ours"):  # once seen in this file, not searched for again
        inspector = inspect(connection)
        if not inspector.has_table("alembic_version"):
            return "" if inspector.get_table_names() else None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
    if found == [VERSION]:
        connection.info["ours"] = True
    return str(found[0]) if len(found) == 1 else ("" if found else None)
