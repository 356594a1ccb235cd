"""URLs of databases, what may be shown of them, and an engine for each."""

from __future__ import annotations

import atexit
import os
import random
import sqlite3
import time
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, event, exc
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.pool import QueuePool

DEFAULT_URL = "sqlite:///mediacvae.db"
WAIT = 60.0  # seconds that a writer waits for the others
ENGINES = 4  # databases that a process keeps open
_SECRET = ("password", "sslpassword", "passfile")
_SAYS = {
    "database is locked": f"another program has held it locked for {WAIT:g} s: try again later",
    "attempt to write a readonly database": "the database is read-only",
    "readonly database": "the database is read-only",
    "unable to open database file": "it cannot be opened: is its folder there, and yours to write?",
    "file is not a database": "expected an SQLite database, the file is something else",
    "database disk image is malformed": "the file is damaged: bring back a copy",
    "database or disk is full": "the disk is full",
}


class DatabaseError(ValueError):
    """What is wrong with a database or with what was to be stored in it, in one line."""


def normal(url: str) -> URL:
    """A URL with the driver that is used.

    Raises DatabaseError for one that is no SQLite file and no PostgreSQL, or for PostgreSQL without psycopg.
    """
    try:
        found = make_url(url)
    except (exc.ArgumentError, ValueError):
        msg = f"--db: expected sqlite:///FILE or postgresql://..., got {_scheme(url)}"
        raise DatabaseError(msg) from None
    kind = found.drivername.partition("+")[0]
    if kind in ("postgresql", "postgres"):
        if find_spec("psycopg") is None:
            msg = f"{shown(url)}: needs psycopg, which is not installed: pip install 'mediacvae[postgres]'"
            raise DatabaseError(msg)
        return found.set(drivername="postgresql+psycopg")
    if kind != "sqlite" or not found.database or found.database == ":memory:":
        msg = f"--db: expected sqlite:///FILE or postgresql://..., got {shown(url)}"
        raise DatabaseError(msg)
    return found.set(drivername="sqlite", database=str(Path(found.database).absolute()))


def shown(url: str) -> str:
    """A URL as it may stand in a message: without a password."""
    try:
        found = make_url(url)
    except (exc.ArgumentError, ValueError):
        return _scheme(url)
    kept = {key: value for key, value in found.query.items() if key.lower() not in _SECRET}
    return found.set(query=kept).render_as_string(hide_password=True)


def _scheme(url: str) -> str:
    """What of a text that is no URL may be shown: nothing that could hold a password."""
    return (
        repr(url[:200]) if "@" not in url and "password" not in url else "a text that is no URL (not shown)"
    )


def file_of(url: URL) -> Path | None:
    """The file of an SQLite database; None for a server."""
    return Path(str(url.database)) if url.drivername == "sqlite" else None


def message_of(fault: exc.SQLAlchemyError, url: str) -> str:
    """What a driver says, in one line, in our words where we have them, never with a password."""
    said = " ".join(str(getattr(fault, "orig", None) or fault).split())
    said = _ours(said)
    place = make_url(url)
    values = [place.password, *(place.query.get(key) for key in place.query if key.lower() in _SECRET)]
    for secret in filter(None, values):
        said = said.replace(str(secret), "***")
    return said[:300]


def _ours(said: str) -> str:
    """Our words for what a driver says, where we have them."""
    return next((ours for theirs, ours in _SAYS.items() if theirs in said), said)


def write_ahead(url: str) -> None:
    """Let readers and a writer of an SQLite file work side by side; kept in the file, so done once.

    SQLite does not wait for other connections here, so this asks again. DatabaseError after a minute.
    """
    end = time.monotonic() + WAIT
    while True:
        try:
            with closing(sqlite3.connect(str(normal(url).database), isolation_level=None)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.Error as fault:
            if "locked" not in str(fault) or time.monotonic() > end:
                msg = f"{shown(url)}: {_ours(str(fault))}"
                raise DatabaseError(msg) from None
        time.sleep(0.02)


_kept: dict[tuple[URL, int, bool], Engine] = {}


def engine_of(url: URL, *, create: bool) -> Engine:
    """An engine, one of a few that are kept with their open connections; not shared with a fork.

    create: make an SQLite file where there is none.
    """
    key = (url, os.getpid(), create)
    if key not in _kept:
        _kept[key] = _engine(url, create=create)
        while len(_kept) > ENGINES:
            old = next(iter(_kept))
            engine = _kept.pop(old)
            if old[1] == os.getpid():  # a parent's connections are the parent's to close
                engine.dispose()
    return _kept[key]


def forget() -> None:
    """Close every connection that waits for its next use."""
    for key in list(_kept):
        engine = _kept.pop(key)
        if key[1] == os.getpid():
            engine.dispose()


atexit.register(forget)


def _engine(url: URL, *, create: bool) -> Engine:
    file = file_of(url)
    if file is None:
        engine = create_engine(url, pool_pre_ping=True, hide_parameters=True)
    else:
        only_read = url.query.get("mode") == "ro"

        def connect() -> sqlite3.Connection:
            return sqlite3.connect(_uri(file, only_read=only_read, create=create), uri=True, timeout=WAIT)

        engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool, hide_parameters=True)
        event.listen(engine, "connect", _settings)
        event.listen(engine, "connect", lambda _, record: record.info.update(file=_identity(file)))
        event.listen(engine, "checkout", lambda _, record, __: _refuse_replaced(record, file))
        event.listen(engine, "begin", _begin)
    return engine


def _uri(file: Path, *, only_read: bool, create: bool) -> str:
    """A file for SQLite. What lies in a folder that no one may write needs no lock files, and could not make them."""
    path = file.absolute()
    frozen = path.exists() and not os.access(path.parent, os.W_OK)
    only_read = only_read or frozen or (path.exists() and not os.access(path, os.W_OK))
    mode = "ro" if only_read else ("rwc" if create else "rw")
    beside = path.with_name(f"{path.name}-wal").exists()
    return f"{path.as_uri()}?mode={mode}" + ("&immutable=1" if frozen and not beside else "")


def _settings(connection: Any, record: object) -> None:
    """Transactions are begun by `_begin`, not by the driver; foreign keys hold."""
    connection.isolation_level = None
    connection.execute(_patience())
    connection.execute("PRAGMA foreign_keys = ON")


def _identity(file: Path) -> tuple[int, int] | None:
    """What tells a file from another of the same name; None where there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _refuse_replaced(record: Any, file: Path) -> None:
    """Have a connection made anew whose file was deleted or replaced: it would write into nowhere.

    The number of a file that is open here is not given to another.
    """
    if record.info.get("file") != _identity(file):
        msg = f"{file} has been replaced"
        raise exc.DisconnectionError(msg)


def _begin(connection: Connection) -> None:
    """A writer takes its turn at once: one that first reads and then writes would fail, not wait.

    SQLite's own waiting asks ever more rarely, up to ten times a second: many writers would mostly sleep.
    """
    word = connection.get_execution_options().get("begin", "BEGIN")
    raw: Any = connection.connection.dbapi_connection
    if word == "BEGIN":
        connection.exec_driver_sql(word)
        return
    end = time.monotonic() + WAIT
    raw.execute("PRAGMA busy_timeout = 0")
    try:
        while not _taken(raw, word) and time.monotonic() < end:
            time.sleep(random.uniform(0.001, 0.008))
        if not raw.in_transaction:
            connection.exec_driver_sql(word)  # in earnest: what is wrong is told
    finally:
        raw.execute(_patience())


def _taken(raw: sqlite3.Connection, word: str) -> bool:
    """Whether there is nothing to wait for: the turn came, or something else is wrong."""
    try:
        raw.execute(word)
    except sqlite3.Error as fault:
        return "locked" not in str(fault)
    return True


def _patience() -> str:
    return f"PRAGMA busy_timeout = {int(WAIT * 1000)}"
