"""Rows into tables, many at a time: new ones added, changed ones changed, equal ones left alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, or_, select
from sqlalchemy.dialects import postgresql, sqlite

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Table
    from sqlalchemy.engine import Connection

    from mediacvae.db.schema import Base


@dataclass
class Written:
    """How many rows of a table were added and changed, of those that were given."""

    table: str
    new: int = 0
    changed: int = 0
    given: int = 0

    def __str__(self) -> str:
        same = self.given - self.new - self.changed
        return f"{self.table}: {self.new} new, {self.changed} changed, {same} as they were"


@dataclass
class Outcome:
    """What an import has done: rows written, and what there is to say of the others."""

    written: list[Written] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def put(
    connection: Connection, model: type[Base], rows: list[dict[str, Any]], *, keep: Iterable[str] = ()
) -> Written:
    """Add rows or change those that differ; every row has the same keys, and each primary key once.

    keep: columns of which an empty value (None or '') leaves what is stored. Raises what SQLAlchemy raises: within a
    transaction of `db.session` this becomes a DatabaseError.
    """
    table: Table = model.__table__  # type: ignore[assignment]
    done = Written(table.name, given=len(rows))
    if not rows:
        return done
    before = _count(connection, table)
    insert = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)
    keys = [column.name for column in table.primary_key]
    kept = set(keep)
    new: dict[str, Any] = {}
    for name in rows[0]:
        if name in keys:
            continue
        given = insert.excluded[name]
        if name in kept:
            given = func.coalesce(_blank_as_null(given, table, name), table.c[name])
        new[name] = given
    statement = insert.on_conflict_do_nothing()
    if new:
        differs = or_(*(table.c[name].is_distinct_from(value) for name, value in new.items()))
        statement = insert.on_conflict_do_update(index_elements=keys, set_=new, where=differs)
    touched = connection.execute(statement, rows, execution_options={"preserve_rowcount": True}).rowcount
    done.new = _count(connection, table) - before
    done.changed = max(0, touched - done.new)
    return done


def _blank_as_null(value: Any, table: Table, name: str) -> Any:
    return func.nullif(value, "") if table.c[name].type.python_type is str else value


def _count(connection: Connection, table: Table) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalar_one()
