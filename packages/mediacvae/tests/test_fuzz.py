"""Damaged tables and genomes: a right result or one line that names the file, never anything else."""

from __future__ import annotations

import gzip
import random
from typing import TYPE_CHECKING

import pytest

from mediacvae import asking, db, fasta
from mediacvae.db.genomes import add_genomes
from mediacvae.db.own_media import import_recipes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROUNDS = 400  # damaged versions of each file
GENOME = b">one a contig\nACGTNNRYACGTACGATTACA\nGGCC\n>two\nacgu--TTGA\n"
GENOMES = b"""genome_id\tspecies\tgenus\torganism_type\tlineage\ttaxid
g1\tEscherichia coli\tEscherichia\tbacteria\tBacteria;Proteobacteria\t562.0
g2\tHaloferax volcanii\tHaloferax\tarchea\tArchaea\t
"""
MEDIA = b"""medium_id,name,ingredient,amount,unit,molar_mass,ph
m1,Broth,NaCl,10,g/L,,7
m1,Broth,"Yeast extract, dried",0.5,% w/v,,7
m2,"Salty ""sea"" agar",NaCl,1.5,M,58.44,
m2,,MgSO4 x 7 H2O,2e3,mg/L,,
"""
GROWTH = b"""genome_id,medium_id,growth,confidence,source
g1,m1,yes,0.9,me
g1,m2,0,1,me
g2,m2,true,,lab
"""
KNOWN = b"medium_id,growth\nm1,yes\nm2,-\n"
# what damages: bytes that mean something somewhere
ODD = [
    b"",
    b",",
    b"\t",
    b"\n",
    b"\r",
    b'"',
    b"'",
    b"\0",
    b"-",
    b"1e999",
    b"nan",
    b"NA",
    b">",
    b"\xff",
    b"../",
    b";",
]
ODD += [
    "é".encode(),
    "\ufeff".encode(),
    "\u2028".encode(),
    b"@",
    b"0x1",
    b"=",
    b" ",
    b"9" * 400,
    b"1_0",
    "١".encode(),
]


def damaged(whole: bytes, rng: random.Random) -> bytes:
    """Some bytes replaced, pieces put in, taken out, said twice or cut off."""
    made = bytearray(whole)
    for _ in range(rng.randint(1, 4)):
        a = rng.randrange(len(made) + 1)
        b = min(len(made), a + rng.randint(0, 12))
        what = rng.randrange(6)
        if what == 0:
            made[a:a] = rng.choice(ODD)
        elif what == 1:
            made[a:b] = rng.choice(ODD)
        elif what == 2:
            made[a:a] = made[a:b]
        elif what == 3:
            made[a : a + 1] = bytes([rng.randrange(256)])
        elif what == 4:
            del made[a:b]
        else:
            lines = bytes(made).split(b"\n")
            rng.shuffle(lines)
            made = bytearray(b"\n".join(lines[: rng.randint(0, len(lines) + 2)]))
    return bytes(made)


@pytest.fixture
def place(tmp_path):
    """A folder with a genome file for each of two organisms, and a database that knows them and two media."""
    (tmp_path / "genomes").mkdir()
    for name in ("g1.fna", "g2.fa"):
        (tmp_path / "genomes" / name).write_bytes(GENOME)
    url = f"sqlite:///{tmp_path}/a.db"
    (tmp_path / "whole.tsv").write_bytes(GENOMES)
    (tmp_path / "whole.csv").write_bytes(MEDIA)
    assert not add_genomes(tmp_path / "genomes", url, table=tmp_path / "whole.tsv").refused
    import_recipes(tmp_path / "whole.csv", url)
    return tmp_path


def use_genome(file: Path, url: str) -> None:
    genome = fasta.read(file)
    assert genome.length > 0
    assert set(b"".join(genome.sequences)) <= set(b"ACGTNRYSWKMBDHV-")


def use_genomes(file: Path, url: str) -> None:
    done = add_genomes(file.parent / "genomes", url, table=file, organism="bacteria")
    assert all("\n" not in line for line in [*done.refused, *done.notes])
    assert set(db.read(url).genomes["genome_id"]) == {"g1", "g2"}


def use_media(file: Path, url: str) -> None:
    import_recipes(file, url)
    assert db.read(url).amounts["g_per_l"].between(0, 10_000).all()


def use_growth(file: Path, url: str) -> None:
    db.add_growth(file, url, replace=True)
    growth = db.read(url).growth
    assert growth["genome_id"].isin(["g1", "g2"]).all()
    assert growth["medium_id"].isin(["m1", "m2"]).all()
    assert growth["confidence"].between(0, 1).all()


def use_known(file: Path, url: str) -> None:
    known = asking.read_known(file, {"m1", "m2"})
    assert {name for name, _ in known} <= {"m1", "m2"}


USES: dict[str, tuple[bytes, Callable[[Path, str], None]]] = {
    "genome.fna": (GENOME, use_genome),
    "genome.fna.gz": (gzip.compress(GENOME, mtime=0), use_genome),
    "genomes.tsv": (GENOMES, use_genomes),
    "media.csv": (MEDIA, use_media),
    "growth.csv": (GROWTH, use_growth),
    "known.csv": (KNOWN, use_known),
}


@pytest.mark.parametrize("name", USES)
def test_damage_is_told_in_one_line_or_does_no_harm(place, name):
    whole, use = USES[name]
    file, url = place / name, f"sqlite:///{place}/a.db"
    file.write_bytes(whole)
    use(file, url)  # what is whole goes through
    rng, refused = random.Random(name), []
    for _ in range(ROUNDS):
        file.write_bytes(damaged(whole, rng))
        try:
            use(file, url)
        except (db.DatabaseError, fasta.GenomeError) as fault:
            refused.append(str(fault))
    assert ROUNDS / 5 < len(refused) < ROUNDS
    assert all(name in said and said.isprintable() for said in refused)
