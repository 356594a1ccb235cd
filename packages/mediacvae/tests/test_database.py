"""The database itself: made, brought up to date, and every state that it may be found in."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from mediacvae import db
from mediacvae.db import DatabaseError, engines, migrating
from mediacvae.db.engines import shown
from mediacvae.db.schema import VERSION, Base
from mediacvae.db.session import reading, writing
from mediacvae.db.transactions import unchecked, version_of

TABLES = {
    "genomes", "genome_embeddings", "genome_growth", "media", "ingredients", "media_ingredients", "taxa",
}  # fmt: skip


def test_migrations_make_what_the_schema_says(empty_url):
    assert db.upgrade(empty_url) == (None, VERSION)
    assert db.upgrade(empty_url) == (VERSION, VERSION)
    with reading(empty_url) as connection:
        options = {"compare_type": True, "compare_server_default": connection.dialect.name == "postgresql"}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata) == []
    assert set(db.info(empty_url)["rows"]) == TABLES


def test_the_newest_migration_is_the_version_that_is_asked_for():
    assert migrating.known()[0] == VERSION


def test_an_old_schema_is_told_and_brought_up_with_what_it_holds(empty_url):
    with unchecked(empty_url) as connection:
        config = migrating._config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(text("INSERT INTO media (medium_id, name) VALUES ('m1', 'one')"))
    with pytest.raises(DatabaseError, match=r"version 0001, expected 0002: `mediacvae db upgrade`"):
        db.read(empty_url)
    with pytest.raises(DatabaseError, match="db upgrade"):
        db.store_genome_metadata("g", "G", "bacteria", url=empty_url)
    assert db.upgrade(empty_url) == ("0001", VERSION)
    assert db.read(empty_url).media["name"].tolist() == ["one"]


def test_a_schema_of_tomorrow_is_left_alone(url):
    with unchecked(url) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for act in (db.read, db.upgrade):
        with pytest.raises(DatabaseError, match="9999"):
            act(url)


def test_tables_of_another_program_are_left_alone(empty_url):
    with unchecked(empty_url) as connection:
        connection.execute(text("CREATE TABLE music (title TEXT)"))
    for act in (db.read, db.upgrade):
        with pytest.raises(DatabaseError, match="another program's"):
            act(empty_url)
    with unchecked(empty_url) as connection:
        assert version_of(connection) == ""


def test_who_fills_an_empty_database_makes_its_tables(empty_url):
    db.store_genome_metadata("g1", "Escherichia coli", "bacteria", url=empty_url)
    assert db.read(empty_url).genomes["genus"].tolist() == ["Escherichia"]


def test_an_empty_file_is_told(tmp_path):
    (tmp_path / "a.db").touch()
    with pytest.raises(DatabaseError, match="is empty: `mediacvae db init`"):
        db.read(f"sqlite:///{tmp_path}/a.db")


def test_reading_makes_no_file(tmp_path):
    with pytest.raises(DatabaseError, match="there is no database: `mediacvae db init`"):
        db.read(f"sqlite:///{tmp_path}/a.db")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(DatabaseError, match="does not exist"):
        db.upgrade(f"sqlite:///{tmp_path}/no/a.db")


@pytest.mark.parametrize("content", [b"not a database, but text of some length" * 40, bytes(range(256)) * 20])
def test_a_file_that_is_no_database_is_told(tmp_path, content):
    file = tmp_path / "a.db"
    file.write_bytes(content)
    for act in (db.read, db.upgrade):
        with pytest.raises(DatabaseError, match="expected an SQLite database"):
            act(f"sqlite:///{file}")
    assert file.read_bytes() == content


def test_a_damaged_file_is_told(file_url):
    for n in range(200):
        db.store_genome_metadata(f"g{n}", "G" * 200, "bacteria", url=file_url)
    file = Path(file_url.removeprefix("sqlite:///"))
    engines.forget()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(file.read_bytes())
    data[8192:] = b"\xff" * (len(data) - 8192)
    copy = file.with_name("copy.db")
    copy.write_bytes(data)
    with pytest.raises(DatabaseError, match=r"copy\.db: "):
        db.read(f"sqlite:///{copy}")


def test_a_locked_file_is_told(file_url, monkeypatch):
    monkeypatch.setattr(engines, "WAIT", 0.05)
    engines.forget()
    with closing(sqlite3.connect(file_url.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseError, match="has held it locked"):
            db.store_genome_metadata("g", "G", "bacteria", url=file_url)
        assert db.read(file_url).genomes.empty  # readers need not wait
        other.execute("ROLLBACK")
    db.store_genome_metadata("g", "G", "bacteria", url=file_url)
    engines.forget()


def test_a_database_that_may_only_be_read_is_read_and_told(file_url):
    db.store_genome_metadata("g", "G", "bacteria", url=file_url)
    only = f"{file_url}?mode=ro"
    assert len(db.read(only).genomes) == 1
    with pytest.raises(DatabaseError, match="is read-only"):
        db.store_genome_metadata("h", "H", "bacteria", url=only)


def test_a_folder_that_may_only_be_read_is_read_and_told(file_url, monkeypatch):
    db.store_genome_metadata("g", "G", "bacteria", url=file_url)
    engines.forget()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert len(db.read(file_url).genomes) == 1
    with pytest.raises(DatabaseError, match="is read-only"):
        db.store_genome_metadata("h", "H", "bacteria", url=file_url)
    engines.forget()


def test_a_file_that_was_replaced_is_opened_anew(file_url):
    db.store_genome_metadata("g", "G", "bacteria", url=file_url)
    file = Path(file_url.removeprefix("sqlite:///"))
    for one in file.parent.glob("test.db*"):
        one.unlink()
    with pytest.raises(DatabaseError, match="there is no database"):
        db.read(file_url)
    db.upgrade(file_url)
    assert db.read(file_url).genomes.empty


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "nonsense",
        "sqlite://",
        "sqlite:///:memory:",
        "mysql://u@h/d",
        "mediacvae.db",
        "postgresql",
        "sqlite:///",
    ],
)
def test_other_urls_are_refused(bad):
    with pytest.raises(DatabaseError, match="expected sqlite:///FILE or postgresql"):
        db.read(bad)


@pytest.mark.parametrize(
    "secret_url",
    [
        "postgresql://me:s3cret@127.0.0.1:1/x", "postgresql+psycopg://me:s3cret@127.0.0.1:1/x", "mysql://me:s3cret@h/x",
        "postgresql://me@127.0.0.1:1/x?password=s3cret", "me:s3cret@host", "postgresql://me:s3cret@127.0.0.1:port/x",
        "postgres://me:s3cret@127.0.0.1:1/x?sslpassword=s3cret",
    ],
)  # fmt: skip
def test_a_password_is_never_shown(secret_url):
    assert "s3cret" not in shown(secret_url)
    with pytest.raises(DatabaseError) as told:
        db.read(secret_url)
    assert "s3cret" not in str(told.value)
    assert "\n" not in str(told.value)


def test_sqlite_keeps_foreign_keys_and_lets_readers_read(file_url):
    with reading(file_url) as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 60_000


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO media_ingredients (medium_id, position, ingredient, guessed) VALUES ('no', 0, 'no', false)",
        "INSERT INTO genomes (genome_id, organism_name, organism_type) VALUES ('g', 'G', 'plant')",
        "INSERT INTO genomes (genome_id, organism_name, organism_type, gc_content) VALUES ('g', 'G', 'fungi', 101)",
        "INSERT INTO media (medium_id, name, min_ph, max_ph) VALUES ('m', 'M', 8, 7)",
        "INSERT INTO ingredients (name, molar_mass) VALUES ('x', 0)",
    ],
)
def test_the_database_itself_refuses_what_may_not_be(url, statement):
    with pytest.raises(DatabaseError), writing(url) as connection:
        connection.execute(text(statement))
    assert sum(db.info(url)["rows"].values()) == 0


def test_an_exception_undoes_a_transaction(url):
    def half():
        with writing(url) as connection:
            connection.execute(text("INSERT INTO taxa (genus) VALUES ('Bacillus')"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert db.read(url).taxa.empty


def test_several_may_make_the_same_database(tmp_path):
    code = f"from mediacvae.db import upgrade; upgrade('sqlite:///{tmp_path}/a.db')"
    started = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) for _ in range(3)]
    said = [one.communicate()[1] for one in started]
    assert [one.returncode for one in started] == [0, 0, 0], said
    assert db.info(f"sqlite:///{tmp_path}/a.db")["schema"] == VERSION
