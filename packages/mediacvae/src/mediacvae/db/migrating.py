"""Bringing a database to the tables of this version, by Alembic and without its ini file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mediacvae.db.engines import DEFAULT_URL, DatabaseError, file_of, normal, shown, write_ahead
from mediacvae.db.schema import VERSION
from mediacvae.db.transactions import unchecked, version_of

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy.engine import Connection

FOLDER = Path(__file__).parent / "migrations"


def upgrade(url: str = DEFAULT_URL) -> tuple[str | None, str]:
    """Make or alter the tables, in one transaction; the versions before (None: it was empty) and after.

    Raises DatabaseError for tables of another program, a version that is not known here, a missing folder, and whatever
    else a driver refuses.
    """
    file = file_of(normal(url))
    if file is not None and not file.absolute().parent.is_dir():
        msg = f"{shown(url)}: expected a folder to write into, {file.absolute().parent} does not exist"
        raise DatabaseError(msg)
    with unchecked(url) as connection:
        before = version_of(connection)
        if before is not None and before not in known():
            other = "its tables are another program's" if not before else f"its version is {before!r}"
            msg = f"{shown(url)}: expected a database of mediacvae at version {VERSION} or older, {other}"
            raise DatabaseError(msg)
        if before != VERSION:
            _run(connection)
    if file is not None and before != VERSION:
        write_ahead(url)
    return before, VERSION


def known() -> list[str]:
    """The versions there are, newest first."""
    from alembic.script import ScriptDirectory

    return [script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()]


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", FOLDER.as_posix().replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _run(connection: Connection) -> None:
    from alembic import command

    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, VERSION)
