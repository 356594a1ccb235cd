"""What tests share: databases (an SQLite file, a PostgreSQL server that is started once), tables, a trained model."""

from __future__ import annotations

import importlib.util
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from mediacvae.db import upgrade

if TYPE_CHECKING:
    from collections.abc import Iterator


def _beside(name: str) -> Any:
    """A file of this folder as a module; the folder is no package."""
    spec = importlib.util.spec_from_file_location(f"mediacvae_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


postgres, small_world, ruled_world = _beside("postgres"), _beside("world"), _beside("ruled")
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


@pytest.fixture(scope="session")
def world() -> Any:
    """The module that makes small tables, for tests that want their own."""
    return small_world


@pytest.fixture(scope="session")
def tables() -> Any:
    """A small world. Not to be changed."""
    return small_world.make()


@pytest.fixture(scope="session")
def dataset(tables: Any) -> Any:
    """Built of it. Not to be changed."""
    from mediacvae.building import BuildOptions, build

    return build(tables, BuildOptions())


@pytest.fixture(scope="session")
def quick() -> Any:
    """A training of a second."""
    from mediacvae.config import TrainConfig

    return TrainConfig(epochs=40, batch_size=32, latent_dim=8, hidden_dims=(32,), draws=16, device="cpu")


@pytest.fixture(scope="session")
def model(dataset: Any, quick: Any) -> Any:
    """A small trained model. Not to be changed."""
    from mediacvae.training import fit

    return fit(dataset, quick)[0]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a simulated world (world/), its database (w.db), dataset (d/) and model (m/). Not to be changed."""
    from cytosol.cli import run
    from mediacvae.cli import app

    folder = tmp_path_factory.mktemp("tiny")
    url = f"sqlite:///{folder}/w.db"
    world = folder / "world"
    lines: list[list[object]] = [
        ["simulate", "--out", world, "--seed", 3, "genera=10", "length=12000", "media=60", "tries=12"],
        ["db", "import", world, "--db", url],
        ["db", "add-genomes", world / "genomes", "--table", world / "genomes.tsv", "--db", url],
        ["embed", "--method", "kmer4", "--workers", 1, "--db", url],
        ["build", "--method", "kmer4", "--condition", "kmer4,lineage,names,stats", "--out", folder / "d", "--db", url],
        ["train", "--dataset", folder / "d", "--out", folder / "m", "epochs=4", "latent_dim=4", "hidden_dims=[16]",
         "draws=8", "--device", "cpu"],
    ]  # fmt: skip
    for words in lines:
        assert run(app, [str(word) for word in words]) == 0, words
    return folder


@pytest.fixture(scope="session")
def ruled() -> Any:
    """A small simulated world with models trained on it (ruled.py)."""
    return ruled_world
