"""Time and accuracy of stedm beside novoSpaRc and CeLEry, in one run on held-out sections.

    uv run python benchmarks/stedm_peers.py [--novosparc PYTHON] [--celery PYTHON] [--data DIR] [--sets A6,bdtnp]
        [--threads 1] [--seed 0] [--limit 3600] [--out FILE]

PYTHON is the interpreter of an environment of its own that holds the peer, which is no dependency of this project:
`uv venv E && uv pip install --python E/bin/python novosparc`, and likewise CeLEryPy. Sets are those of
stedm_sections.py. Every program gets --threads threads, the same sections and the same shuffled cells; the scored
section's places are shown to none of them. Loading and starting are not timed.

stedm        `learning.fit` with its defaults and `Model.predict`, from raw counts; and the same without networks.
novoSpaRc    Its way with a reference atlas: `Tissue(query, locations)`, `setup_reconstruction(atlas_matrix,
             markers_to_use, num_neighbors_s=5, num_neighbors_t=5)`, `reconstruct(alpha_linear=0.8, epsilon)`. Locations
             and atlas are the places and expression of the last training section, or of all of them laid on each
             other; markers are the protocol's genes in log1p(CP10K). A cell's place is the mean location under its
             row of the coupling. epsilon 0.005 and 0.05: of those tried, none found more neighbours. There is no
             training: all of it is placing. Its search for a larger epsilon reads a warning that POT once printed; it
             is printed again here, or the search would be dead.
CeLEry       `Fit_cord` and `Predict_cord`: hidden_dims [30, 25, 15], at most 500 epochs, no
             augmentation; the protocol's genes z-scored within section, places of RMS radius 100 (it adds a margin of
             one unit). num_workers=0 instead of 1, as its one loading process makes it several times slower.

The peers' genes, normalisation and unit places are those of `stedm.baselines` and are prepared before their clock
starts. A peer that does not run, or not within --limit seconds, is told in one line and stands in the table as such.
Writes stedm_peers.md (--out: elsewhere). Exits 1 where data or an interpreter that was named is absent.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import stedm_sections
import torch
from threadpoolctl import threadpool_limits

from stedm import baselines, learning
from stedm.config import Config
from stedm.metrics import Scores, score
from stedm.tissue import Section, Tissue, place_of, shuffled

HERE = Path(__file__).parent
DATA = HERE.parent.parent / "shared" / "data" / "stedm"
RADIUS = 100.0  # of the places that CeLEry learns
EPOCHS = 500
EPSILONS = (0.005, 0.05)
OWN = "stedm (default)"
COLUMNS = (
    "method", "version", "set", "training s", "placing s", "total s", "x stedm total", "processors s",
    "x stedm processors", "jaccard10", "spearman", "rmse",
)  # fmt: skip
# Both scripts: x (n, g), y (n, 2) of the training cells, z (m, g) of the query -> place (m, 2) and times [s].
CLOCK = """
import resource, sys, time
def clock():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return time.perf_counter(), sum(u.ru_utime + u.ru_stime for u in used)
"""
NOVOSPARC = f"""{CLOCK}
import warnings
import anndata, novosparc
import numpy as np
data, out, epsilon = np.load(sys.argv[1]), sys.argv[2], float(sys.argv[3])
warnings.simplefilter("always")
warnings.showwarning = lambda message, *rest, **more: print(message)
x, y, z = data["x"], data["y"], data["z"]
start, cpu = clock()
tissue = novosparc.cm.Tissue(dataset=anndata.AnnData(z), locations=y)
tissue.setup_reconstruction(atlas_matrix=x, markers_to_use=np.arange(x.shape[1]), num_neighbors_s=5, num_neighbors_t=5)
tissue.reconstruct(alpha_linear=0.8, epsilon=epsilon, verbose=False)
place = tissue.gw / tissue.gw.sum(axis=1, keepdims=True) @ y
end, used = clock()
np.savez(out, place=place, train=0.0, predict=end - start, cpu=used - cpu)
"""
CELERY = f"""{CLOCK}
import anndata, CeLEry, torch
import numpy as np, pandas as pd
data, out, epochs, seed, threads = np.load(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:])
torch.set_num_threads(threads)
x, y, z = (data[name].astype("float32") for name in "xyz")
model = dict(path="model", filename="place")
start, cpu = clock()
CeLEry.Fit_cord(anndata.AnnData(x), pd.DataFrame(y), hidden_dims=[30, 25, 15], num_epochs_max=epochs, num_workers=0,
                seednum=seed, **model)
middle, _ = clock()
place = CeLEry.Predict_cord(anndata.AnnData(z), **model)
end, used = clock()
low, high = y.min(axis=0) - 1, y.max(axis=0) + 1
np.savez(out, place=low + place * (high - low), train=middle - start, predict=end - middle, cpu=used - cpu)
"""


@dataclass(frozen=True)
class Row:
    """A method on a set: seconds by the clock and of processors, scores; `fault` instead where it did not run."""

    method: str
    version: str
    name: str
    train: float = 0.0
    predict: float = 0.0
    cpu: float = 0.0
    scores: Scores | None = None
    fault: str = ""

    def cells(self, own: Row | None) -> list[str]:
        """The columns of the table; own: the row of stedm on the same set."""
        head, whole = [self.method, self.version, self.name], self.train + self.predict
        if self.scores is None:
            fault = self.fault.partition(":")[0]  # what follows may name a file of this machine
            return [*head, f"did not run: {fault}", *[""] * (len(COLUMNS) - len(head) - 1)]
        times, cpu = (whole / (own.train + own.predict), self.cpu / own.cpu) if own else (0.0, 0.0)
        spent = [f"{self.train:.1f}" if self.train else "", f"{self.predict:.1f}", f"{whole:.1f}"]
        found = [f"{v:.3f}" for v in (self.scores.jaccard10, self.scores.spearman, self.scores.rmse)]
        return [*head, *spent, f"{times:.2g}", f"{self.cpu:.1f}", f"{cpu:.2g}", *found]


@dataclass(frozen=True)
class Peer:
    """A method of another package: its interpreter and script, what it is given, and the words after the files."""

    method: str
    package: str
    python: Path
    script: str
    data: dict[str, np.ndarray]
    words: tuple[str, ...]


def mixed(folder: Path, name: str, seed: int) -> tuple[Tissue, Section]:
    """Training sections and the scored one, cells in random order: the row order leaks places."""
    train, query = stedm_sections.load(folder, name)
    rng = np.random.default_rng(seed)
    sections = tuple(shuffled(section, rng)[0] for section in train.sections)
    return replace(train, sections=sections), shuffled(query, rng)[0]


def own_rows(train: Tissue, query: Section, name: str, asked: argparse.Namespace) -> list[Row]:
    """stedm with its defaults, and without networks."""
    config = Config()
    bare = replace(config, networks=replace(config.networks, use=False))
    rows = []
    for method, recipe in {OWN: config, "stedm (networks.use=false)": bare}.items():
        with threadpool_limits(asked.threads):
            start, cpu = time.perf_counter(), processors()
            model = learning.fit(train, recipe, dim=2, seed=asked.seed)
            middle = time.perf_counter()
            made = model.predict(query.without_coordinates(), seed=asked.seed)
            end, used = time.perf_counter(), processors()
        scores = score(made.coordinates, place_of(query))
        rows.append(Row(method, version("stedm"), name, middle - start, end - middle, used - cpu, scores))
    return rows


def processors() -> float:
    """Seconds of processors that this process and its children have used."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def peers(train: Tissue, query: Section, asked: argparse.Namespace) -> list[Peer]:
    """The peers whose interpreters were given, with their data."""
    columns = baselines.variable_genes(train)
    places = [baselines.unit_place(section) for section in train.sections]
    made = []
    if asked.novosparc:
        logs = [logged(section, train, columns) for section in train.sections]
        z = logged(query, train, columns)
        grids = {"all sections": {"x": np.concatenate(logs), "y": np.concatenate(places), "z": z}}
        if len(logs) > 1:
            grids = {"last section": {"x": logs[-1], "y": places[-1], "z": z}} | grids
        for grid, data in grids.items():
            for e in EPSILONS:
                method = (
                    f"novoSpaRc ({grid}, epsilon {e:g})" if len(logs) > 1 else f"novoSpaRc (epsilon {e:g})"
                )
                made.append(Peer(method, "novosparc", asked.novosparc, NOVOSPARC, data, (str(e),)))
    if asked.celery:
        x = np.concatenate([baselines.standard(s, train.kind, columns) for s in train.sections])
        z = baselines.standard(query, train.kind, columns)
        data = {"x": x, "y": RADIUS * np.concatenate(places), "z": z}
        words = tuple(map(str, (EPOCHS, asked.seed, asked.threads)))
        made.append(Peer("CeLEry", "CeLEryPy", asked.celery, CELERY, data, words))
    return made


def logged(section: Section, train: Tissue, columns: np.ndarray) -> np.ndarray:
    """Chosen genes in log1p(CP10K), or as they are, (n, count)."""
    return np.asarray(baselines.logged(section, train.kind)[:, columns].todense())


def peer_row(peer: Peer, query: Section, name: str, asked: argparse.Namespace) -> Row:
    """A peer in a process of its own, scored; a fault is told in one line."""
    found = installed(peer)
    using = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(asked.threads))
    with tempfile.TemporaryDirectory() as folder:
        data, out = Path(folder) / "data.npz", Path(folder) / "out.npz"
        np.savez(data, **peer.data)
        whole = [str(word) for word in (peer.python, "-c", peer.script, data, out, *peer.words)]
        try:
            ran = subprocess.run(
                whole, capture_output=True, text=True, check=False, cwd=folder, env=using, timeout=asked.limit
            )
        except subprocess.TimeoutExpired:
            return told(Row(peer.method, found, name, fault=f"more than {asked.limit:g} s"))
        if ran.returncode or not out.exists():
            said = (ran.stderr.strip().splitlines() or ["no word"])[-1]
            return told(Row(peer.method, found, name, fault=said))
        got = dict(np.load(out))
    if not np.isfinite(got["place"]).all():
        return told(Row(peer.method, found, name, fault="places that are not finite"))
    spent = (float(got[key]) for key in ("train", "predict", "cpu"))
    return Row(peer.method, found, name, *spent, score(got["place"], place_of(query)))


def installed(peer: Peer) -> str:
    """The version of a peer's package, or nothing."""
    ask = f"from importlib.metadata import version; print(version({peer.package!r}))"
    ran = subprocess.run([str(peer.python), "-c", ask], capture_output=True, text=True, check=False)
    return ran.stdout.strip()


def told(row: Row) -> Row:
    """The row, its fault said."""
    print(f"{row.method} on {row.name} did not run: {row.fault}", file=sys.stderr)
    return row


def write(rows: list[Row], about: str, out: Path) -> None:
    """The table."""
    own = {row.name: row for row in rows if row.method == OWN}
    lines = ["# stedm beside novoSpaRc and CeLEry on held-out sections", "", about, ""]
    lines += [f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS)]
    lines += [f"| {' | '.join(row.cells(own.get(row.name)))} |" for row in rows]
    out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--novosparc", type=Path, default=None, metavar="PYTHON")
    parser.add_argument("--celery", type=Path, default=None, metavar="PYTHON")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--sets", default="A6,bdtnp")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=3600.0)
    parser.add_argument("--out", type=Path, default=HERE / "stedm_peers.md")
    asked = parser.parse_args()
    names = asked.sets.split(",")
    if fault := absent(asked, names):
        print(fault, file=sys.stderr)
        return 1
    torch.set_num_threads(asked.threads)
    left_out = [
        peer for peer, python in (("novoSpaRc", asked.novosparc), ("CeLEry", asked.celery)) if not python
    ]
    busy = os.getloadavg()[0]
    about = (
        f"Threads each: {asked.threads}, of {os.cpu_count()} cores; load average at the start {busy:.1f}; "
        f"seed {asked.seed}. Seconds by the clock; those of processors are disturbed less by other programs. x stedm: "
        f"above 1, {OWN} is faster; below 1, slower."
    ) + (f" Not asked for: {', '.join(left_out)}." if left_out else "")
    rows: list[Row] = []
    for name in names:
        train, query = mixed(asked.data, name, asked.seed)
        rows += own_rows(train, query, name, asked)
        write(rows, about, asked.out)
        for peer in peers(train, query, asked):
            rows.append(peer_row(peer, query, name, asked))
            write(rows, about, asked.out)
    print(asked.out.read_text(encoding="utf-8"))
    return 0


def absent(asked: argparse.Namespace, names: list[str]) -> str:
    """What is missing, in one line, or nothing."""
    for name in names:
        if name not in stedm_sections.SETS:
            return f"--sets: expected names of {', '.join(stedm_sections.SETS)}, got {name!r}"
        for file in stedm_sections.SETS[name][:2]:
            if not (asked.data / f"{file}.h5ad").exists():
                return f"{asked.data}: {file}.h5ad is not there"
    for python in (asked.novosparc, asked.celery):
        if python is not None and not os.access(python, os.X_OK):
            return f"{python}: expected the interpreter of an environment with the peer, nothing to run there"
    return ""


if __name__ == "__main__":
    sys.exit(main())
