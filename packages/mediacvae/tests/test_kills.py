"""Many genomes in one command, which is killed on its way and said again: nothing is lost and nothing differs."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

KEYS = {"genomes": "genome_id", "genome_embeddings": "genome_id, embedding_model"}


def genomes(folder: Path, count: int, length: int) -> Path:
    """Made-up genomes of two contigs in FASTA files."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        letters = rng.choice(np.frombuffer(b"ACGT", np.uint8), length).tobytes()
        cut = length // 3
        text = b">a\n%b\n>b\n%b\n" % (letters[:cut], letters[cut:])
        (folder / f"g{number:04d}.fna").write_bytes(text)
    return folder


def rows(file: Path, table: str) -> list[tuple[object, ...]]:
    """What a table holds, in the order of its keys; nothing where it is not there yet."""
    if not file.exists():
        return []
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=60)) as connection:
        there = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        query = f"SELECT * FROM {table} ORDER BY {KEYS[table]}"  # noqa: S608
        return connection.execute(query).fetchall() if there else []


def command(file: Path, *words: object) -> subprocess.Popen[str]:
    """`mediacvae` on a database, in a process of its own."""
    whole = [sys.executable, "-m", "mediacvae", *map(str, words), "--db", f"sqlite:///{file}"]
    return subprocess.Popen(whole, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(file: Path, *words: object) -> str:
    """What a command says; it goes through."""
    process = command(file, *words)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    return out


def killed(file: Path, table: str, least: int, *words: object) -> list[tuple[object, ...]]:
    """What a table held when a command had stored some rows; then the command is killed."""
    process = command(file, *words)
    end = time.monotonic() + 300
    while len(found := rows(file, table)) < least:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    for stream in (process.stdout, process.stderr):
        assert stream is not None
        stream.close()
    return found


@pytest.mark.parametrize(
    ("count", "length", "workers"),
    [
        (40, 30_000, 1),
        pytest.param(1000, 200_000, 2, marks=pytest.mark.slow),
    ],
)
def test_a_command_that_is_killed_is_said_again(tmp_path, count, length, workers):
    folder, whole, cut = genomes(tmp_path / "genomes", count, length), tmp_path / "a.db", tmp_path / "b.db"
    add = ["db", "add-genomes", folder, "--organism", "bacteria"]
    embed = ["embed", "--method", "kmer6", "--workers", workers]
    assert f"{count} new" in run(whole, *add)
    assert f"{count} genomes computed" in run(whole, *embed)
    for table, words in (("genomes", add), ("genome_embeddings", embed)):
        seen = killed(cut, table, count // 4, *words)
        left = rows(cut, table)
        assert count > len(left) >= len(seen)
        assert set(seen) <= set(left) <= set(rows(whole, table))
        said = run(cut, *words)
        assert f"{count - len(left)} {'new' if table == 'genomes' else 'genomes computed'}" in said
        assert rows(cut, table) == rows(whole, table)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="looks for processes in /proc")
def test_no_process_outlives_one_that_is_killed(tmp_path):
    folder, file = genomes(tmp_path / "genomes", 40, 300_000), tmp_path / "a.db"
    run(file, "db", "add-genomes", folder, "--organism", "bacteria")
    process = command(file, "embed", "--method", "kmer8", "--workers", 2)
    end = time.monotonic() + 60
    while len(workers := children(process.pid)) < 3:  # two, and the one that looks after what they share
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)  # their ends of the pipes are closed too
    while any(Path(f"/proc/{one}").is_dir() for one in workers):
        assert time.monotonic() < end
        time.sleep(0.02)


def children(parent: int) -> list[int]:
    """The processes that a process has started."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = file.read_text()
        except OSError:  # gone meanwhile
            continue
        if int(text.rpartition(")")[2].split()[1]) == parent:
            found.append(int(file.parent.name))
    return found
