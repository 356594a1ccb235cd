"""Four writers of a thousand rows, one of them killed: what was told as stored is there, and no one fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from mediacvae import db
from mediacvae.db.schema import Medium
from mediacvae.db.session import writing
from mediacvae.db.writing import put

WRITER = """
import sys
from mediacvae import db
url, name, rows = sys.argv[1:]
for n in range(int(rows)):
    db.store_genome_growth_observation("g", f"m{n}", growth=bool(n % 2), source=name, url=url)
    print(n, flush=True)
"""


def test_nothing_that_was_stored_is_lost(url):
    rows = 1000  # a writer
    db.store_genome_metadata("g", "G", "bacteria", url=url)
    with writing(url) as connection:
        put(connection, Medium, [{"medium_id": f"m{n}", "name": "M"} for n in range(rows)])
    writers = {
        name: subprocess.Popen(
            [sys.executable, "-c", WRITER, url, name, str(rows)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in "abcd"
    }
    victim = writers["a"]
    assert victim.stdout is not None
    told = {"a": [next(victim.stdout) for _ in range(rows // 5)]}
    os.kill(victim.pid, signal.SIGKILL)
    # What the victim said before it died may already lie in this side's buffer, which `communicate` does not read.
    told["a"] += victim.stdout.readlines()
    for name, process in writers.items():
        out, err = process.communicate(timeout=280)
        assert err == ""
        told[name] = told.get(name, []) + out.splitlines()
        assert process.returncode == (-signal.SIGKILL if name == "a" else 0)
    growth = db.read(url).growth
    for name, said in told.items():
        stored = growth[growth["source"] == name]
        assert {f"m{int(n)}" for n in said} <= set(stored["medium_id"])
        assert len(stored) in ((len(said), len(said) + 1) if name == "a" else (rows,))
        assert (stored["growth"] == stored["medium_id"].str[1:].astype(int) % 2).all()
