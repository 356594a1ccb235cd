"""k-mers of a genome, Mb per second of processor: counting beside peers, and from FASTA.gz to a vector.

    uv run python benchmarks/mediacvae_kmers.py [--megabases 4.64] [--repeats 15] [--data FOLDER]

A random genome of the size and GC of E. coli, as one contig and as 500; each method's best of `--repeats` rounds, all
methods in turn in each round. Every method's counts are compared with a naive count first. pykmertools and scikit-bio
are rows where they are installed (`uv pip install pykmertools scikit-bio`). --data: a folder of *.fna.gz, for a last
row of real genomes. Writes mediacvae_kmers.md.
"""

from __future__ import annotations

import argparse
import gzip
import os
import platform
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from isal import igzip
from watch import processor

from mediacvae import embeddings, fasta, kmers

HERE = Path(__file__).parent
KS, PIECES, GC = (4, 6, 8), 500, 0.508
SAMPLE, BLOCK = 100_000, 2**18  # letters for the slowest peer, and that numpy goes through at a time
BAR = 300.0  # Mb/s from FASTA.gz to a vector
START = """
import time
from mediacvae import kmers
kmers.count([b'ACGT'], 4)
print(time.process_time())
"""


def simulated(letters: int) -> bytes:
    """A random sequence."""
    rng = np.random.default_rng(0)
    digits = rng.choice(4, letters, p=[0.5 - GC / 2, GC / 2, GC / 2, 0.5 - GC / 2])
    return np.frombuffer(b"ACGT", dtype=np.uint8)[digits].tobytes()


def naive(contigs: Sequence[bytes], k: int) -> np.ndarray:
    """Every k-mer cut out."""
    found = Counter()
    for contig in contigs:
        text = contig.decode()
        found.update(text[i : i + k] for i in range(len(text) - k + 1))
    return np.array([found[name] for name in kmers.names(k)])


def doubling(contigs: Sequence[bytes], k: int) -> np.ndarray:
    """numpy: 2-mers from letters, 4-mers from 2-mers, ...; for A, C, G and T only, in blocks that stay in the cache."""
    out = np.zeros(4**k, dtype=np.int64)
    for contig in contigs:
        letters = np.frombuffer(contig, dtype=np.uint8)
        for start in range(0, len(letters), BLOCK):
            one = kmers.DIGITS[letters[start : start + BLOCK + k - 1]].astype(np.uint16)
            two = one[:-1] << 2 | one[1:]
            found = two[:-2] << 4 | two[2:]
            if k == 6:
                found = found[:-2] << 4 | two[4:]
            elif k == 8:
                found = found[:-4] << 8 | found[4:]
            out += np.bincount(found, minlength=4**k)
    return out


@dataclass(frozen=True)
class Method:
    """A way to count, and what its contigs are made before the clock starts: bytes, text or a peer's own objects."""

    count: Callable[[Sequence[Any], int], np.ndarray]
    prepare: Callable[[bytes], Any] = bytes


def peers() -> dict[str, Method]:
    """What is measured, by name."""
    found = {"mediacvae": Method(kmers.count), "numpy doubling": Method(doubling)}
    try:
        import pykmertools
    except ImportError:
        print("pykmertools is not installed: no rows of it", file=sys.stderr)
    else:

        def each(contigs: Sequence[str], k: int) -> np.ndarray:
            computer = pykmertools.OligoComputer(k)
            return sum(np.array(computer.vectorise_one(contig, norm=False, mins=False)) for contig in contigs)

        def joined(contigs: Sequence[str], k: int) -> np.ndarray:
            return each(["N".join(contigs)], k)

        found["pykmertools, a contig at a time"] = Method(each, bytes.decode)
        found["pykmertools, contigs joined by N"] = Method(joined, bytes.decode)
    try:
        from skbio import DNA
    except ImportError:
        print("scikit-bio is not installed: no row of it", file=sys.stderr)
    else:

        def skbio(contigs: Sequence[Any], k: int) -> np.ndarray:
            counts = [contig.kmer_frequencies(k, overlap=True, relative=False) for contig in contigs]
            names = kmers.names(k)
            return sum(np.array([one.get(name, 0) for name in names]) for one in counts)

        found["scikit-bio"] = Method(skbio, DNA)
    return found


def rates(tasks: dict[str, tuple[float, Callable[[], object]]], repeats: int) -> dict[str, float]:
    """Mb per second of processor: the best of some rounds through all tasks (Mb, what to do)."""
    best = dict.fromkeys(tasks, np.inf)
    for _ in range(repeats):
        for name, (_, run) in tasks.items():
            start = time.process_time()
            run()
            best[name] = min(best[name], time.process_time() - start)
    return {name: size / best[name] for name, (size, _) in tasks.items()}


def counting(genome: bytes, repeats: int) -> dict[str, list[float]]:
    """Rates by method: one contig at k = 4, 6, 8, then many contigs."""
    size = -(-len(genome) // PIECES)
    cases = [[genome], [genome[i : i + size] for i in range(0, len(genome), size)]]
    table: dict[str, list[float]] = {}
    for contigs in cases:
        for k in KS:
            truth = naive(contigs, k)
            tasks = {}
            for name, method in peers().items():
                slow = name == "scikit-bio"
                given = [c[: max(SAMPLE // len(contigs), k)] for c in contigs] if slow else contigs
                expected = naive(given, k) if slow else truth
                made = [method.prepare(contig) for contig in given]
                if not np.array_equal(method.count(made, k), expected):
                    msg = f"{name}: k = {k}, {len(contigs)} contigs: other counts than a naive count"
                    raise SystemExit(msg)
                tasks[name] = (sum(map(len, given)) / 1e6, lambda f=method.count, g=made, k=k: f(g, k))
            quick = {name: task for name, task in tasks.items() if name != "scikit-bio"}
            found = rates(quick, repeats)
            found |= rates({name: task for name, task in tasks.items() if name not in quick}, 1)
            for name, rate in found.items():
                table.setdefault(name, []).append(rate)
    return table


def reading(genome: bytes, repeats: int) -> dict[int, dict[str, float]]:
    """Rates of unpacking alone and of FASTA.gz to a vector, by the level of gzip."""
    lines = b"\n".join(genome[i : i + 80] for i in range(0, len(genome), 80))
    text, size = b">chromosome simulated\n" + lines + b"\n", len(genome) / 1e6
    table = {}
    with tempfile.TemporaryDirectory() as folder:
        for level in (1, 6, 9):
            path = Path(folder) / f"{level}.fna.gz"
            path.write_bytes(gzip.compress(text, level))
            packed = path.read_bytes()
            tasks: dict[str, tuple[float, Callable[[], object]]] = {
                "unpacking alone, zlib": (size, lambda p=packed: zlib.decompress(p, 31)),
                "unpacking alone, isal": (size, lambda p=packed: igzip.decompress(p)),
                "`fasta.read`": (size, lambda p=path: fasta.read(p)),
            }
            for k in KS:
                tasks[f"`embed`, kmer{k}"] = (size, lambda p=path, k=k: embeddings.embed(p, f"kmer{k}"))
            table[level] = rates(tasks, repeats)
    return table


def real(folder: Path, repeats: int) -> tuple[int, float, dict[int, float]]:
    """How many real genomes, their Mb, and the rate of FASTA.gz to a vector over all of them, by k."""
    paths = sorted(folder.rglob("*.fna.gz"))
    size = sum(fasta.read(path).length for path in paths) / 1e6
    tasks = {str(k): (size, lambda k=k: [embeddings.embed(path, f"kmer{k}") for path in paths]) for k in KS}
    return len(paths), size, {int(k): rate for k, rate in rates(tasks, max(repeats // 5, 1)).items()}


def start() -> float:
    """Seconds of processor of a process that counts four letters, the compiled loop being kept from before."""
    done = [
        subprocess.run([sys.executable, "-c", START], capture_output=True, text=True, check=True)
        for _ in range(3)
    ]
    return min(float(run.stdout) for run in done)


def installed(name: str) -> str:
    """A package and its version."""
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"no {name}"


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--megabases", type=float, default=4.64)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--data", type=Path, default=None)
    asked = parser.parse_args()
    genome = simulated(int(asked.megabases * 1e6))
    load = os.getloadavg()[0]
    counted = counting(genome, asked.repeats)
    read = reading(genome, asked.repeats)
    used = ("mediacvae", "numpy", "numba", "isal", "pykmertools", "scikit-bio")
    lines = [
        "# k-mers: Mb per second of processor",
        "",
        f"A random genome of {asked.megabases:g} Mb. {processor()}, Python {platform.python_version()}; "
        f"{', '.join(map(installed, used))}; load average at the start {load:.1f}. Best of {asked.repeats} rounds "
        f"(scikit-bio: one, on {SAMPLE:,} letters). All counts equal a naive count. A process that counts for the "
        f"first time: {start():.1f} s of processor with all imports.",
        "",
        f"| counting | k = 4 | k = 6 | k = 8 | {PIECES} contigs: k = 4 | k = 6 | k = 8 |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in counted.items():
        lines.append(
            f"| {name} | {' | '.join(f'{rate:.3g}' if rate < 1 else f'{rate:.0f}' for rate in row)} |"
        )
    lines += ["", "| from FASTA.gz | gzip -1 | gzip -6 | gzip -9 |", "|---|---|---|---|"]
    for name in read[6]:
        lines.append(f"| {name} | {' | '.join(f'{read[level][name]:.0f}' for level in (1, 6, 9))} |")
    if asked.data is not None:
        n, size, found = real(asked.data, asked.repeats)
        rate = ", ".join(f"k = {k}: {rate:.0f}" for k, rate in found.items())
        lines += ["", f"{n} real genomes, {size:.1f} Mb together, from .fna.gz to vectors: {rate} Mb/s."]
    others = [max(row[i] for name, row in counted.items() if name != "mediacvae") for i in range(6)]
    ratio = min(own / other for own, other in zip(counted["mediacvae"], others, strict=True))
    slowest = min(read[6][f"`embed`, kmer{k}"] for k in KS)
    lines += [
        "",
        "| measured | value | bar | met |",
        "|---|---|---|---|",
        f"| counting, times the fastest peer, worst of the six columns | {ratio:.2f} | at least 1 | {_met(ratio, 1)} |",
        f"| FASTA.gz (gzip -6) to vector, worst k | {slowest:.0f} | at least {BAR:.0f} | {_met(slowest, BAR)} |",
    ]
    (HERE / "mediacvae_kmers.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    return 0


def _met(value: float, bar: float) -> str:
    return "yes" if value >= bar else "no"


if __name__ == "__main__":
    sys.exit(main())
