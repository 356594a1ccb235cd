"""Databases for tests: an SQLite file, and a PostgreSQL server that is started once."""

from __future__ import annotations

import importlib.util
import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from mediacvae.db import upgrade

if TYPE_CHECKING:
    from collections.abc import Iterator

_spec = importlib.util.spec_from_file_location("mediacvae_postgres", Path(__file__).with_name("postgres.py"))
assert _spec is not None
assert _spec.loader is not None
postgres = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(postgres)
_numbers = itertools.count()


@pytest.fixture(scope="session")
def server() -> Iterator[Path]:
    """The socket of a PostgreSQL server."""
    with postgres.running() as socket:
        yield socket


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without tables, on both kinds."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/test.db"
    socket = request.getfixturevalue("server")
    name = f"test{next(_numbers)}"
    with psycopg.connect(f"host={socket} user=postgres dbname=postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return f"postgresql://postgres@/{name}?host={socket}"


@pytest.fixture
def url(empty_url: str) -> str:
    """The URL of a database with empty tables, on both kinds."""
    upgrade(empty_url)
    return empty_url


@pytest.fixture
def file_url(tmp_path: Path) -> str:
    """The URL of an SQLite database with empty tables."""
    made = f"sqlite:///{tmp_path}/test.db"
    upgrade(made)
    return made
