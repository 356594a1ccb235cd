"""Where the database is and how it is talked to: transactions that wait for each other, faults in one line.

SQLite: foreign keys on, write-ahead log, writers queue (BEGIN IMMEDIATE) for up to a minute instead of failing.
PostgreSQL: any `postgresql://` URL, by psycopg 3. A password never comes into a message.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from mediacvae.db.engines import DEFAULT_URL, DatabaseError, file_of, normal, shown
from mediacvae.db.migrating import upgrade
from mediacvae.db.schema import VERSION
from mediacvae.db.transactions import transaction, version_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Connection


@contextmanager
def reading(url: str = DEFAULT_URL) -> Iterator[Connection]:
    """A connection that sees one state of the database throughout. DatabaseError for one that is not ready."""
    refuse_absent(url)
    with transaction(url, "BEGIN") as connection:
        refuse_unready(connection, url)
        yield connection


@contextmanager
def writing(url: str = DEFAULT_URL, *, create: bool = False) -> Iterator[Connection]:
    """A transaction: committed at the end, or undone by an exception; waits its turn.

    create: make the tables where there is nothing yet, for those who fill the database.
    Raises DatabaseError for a database that is not ready, locked for a minute, or read-only.
    """
    file = file_of(normal(url))
    if create and file is not None and not file.exists():
        upgrade(url)
    refuse_absent(url)
    with ExitStack() as stack:
        connection = stack.enter_context(transaction(url, "BEGIN IMMEDIATE"))
        if create and version_of(connection) is None:
            stack.close()
            upgrade(url)
            connection = stack.enter_context(transaction(url, "BEGIN IMMEDIATE"))
        refuse_unready(connection, url)
        yield connection


def refuse_absent(url: str) -> None:
    """DatabaseError where the file of an SQLite database is not there."""
    file = file_of(normal(url))
    if file is not None and not file.exists():
        msg = f"{shown(url)}: there is no database: `mediacvae db init` makes one"
        raise DatabaseError(msg)


def refuse_unready(connection: Connection, url: str) -> None:
    """DatabaseError, with the word to say, unless a database has the tables of this version."""
    version = version_of(connection)
    if version == VERSION:
        return
    if version is None:
        said = "the database is empty: `mediacvae db init` makes the tables"
    elif not version:
        said = "expected a database of mediacvae, its tables are another program's"
    elif version.isdigit() and version < VERSION:
        said = f"its schema is version {version}, expected {VERSION}: `mediacvae db upgrade` brings it there"
    else:
        said = f"its schema is version {version!r}, expected {VERSION}: a newer mediacvae may know it"
    msg = f"{shown(url)}: {said}"
    raise DatabaseError(msg)
