"""Run benchmarks and draw their charts.

    uv run python -m benchmarks                                  # what there is
    uv run python -m benchmarks run NAME ... [--data DIR] [--peers PYTHON]
    uv run python -m benchmarks charts [NAME ...]

NAME is a benchmark or a library. DIR holds a folder of data sets for each library. PYTHON is the interpreter of an
environment with the peers: `UV_PROJECT_ENVIRONMENT=.peers uv sync --group peers` makes one. Each script writes its
table beside itself and its progress to the terminal; the charts are drawn from the tables, into benchmarks/pictures.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.charts import CHARTS, draw
from benchmarks.registry import BENCHMARKS, Benchmark, called

HERE = Path(__file__).parent


def listing() -> str:
    """Every benchmark in a line: name, time, claim."""
    wide = max(len(one.name) for one in BENCHMARKS)
    return "\n".join(f"{one.name:{wide}}  {one.time:15}  {one.claim}" for one in BENCHMARKS)


def words(one: Benchmark, data: Path | None, peers: Path | None, kept: Path) -> list[str] | str:
    """The command line of a benchmark, or what is missing for it."""
    if one.data and data is None:
        return "needs --data"
    if one.by_peers and peers is None:
        return "needs --peers"
    told = " ".join([one.data, one.always, one.peers if peers is not None else ""])
    paths = {"data": data, "peers": peers, "kept": kept}
    given = [word.format(**paths) for word in shlex.split(told)]
    return [str(peers if one.by_peers else sys.executable), str(HERE / f"{one.name}.py"), *given]


def run(some: list[Benchmark], data: Path | None, peers: Path | None, kept: Path) -> int:
    """Run one after the other; 1 where one failed or could not be run."""
    failed = []
    for one in some:
        command = words(one, data, peers, kept)
        if isinstance(command, str):
            print(f"{one.name}: {command}", file=sys.stderr)
            failed.append(one.name)
            continue
        print(f"{one.name}: {one.claim} ({one.time})", flush=True)
        start = time.perf_counter()
        code = subprocess.run(command, cwd=HERE.parent, check=False).returncode
        print(f"{one.name}: {time.perf_counter() - start:.0f} s, exit code {code}", flush=True)
        failed += [one.name] if code else []
    if failed:
        print(f"not measured: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def main(given: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb")
    runs = verbs.add_parser("run", help="measure")
    runs.add_argument("names", nargs="+")
    runs.add_argument("--data", type=Path)
    runs.add_argument("--peers", type=Path)
    runs.add_argument(
        "--kept", type=Path, default=Path("runs/benchmarks"), help="what one script leaves to the next"
    )
    verbs.add_parser("charts", help="draw").add_argument("names", nargs="*")
    options = parser.parse_args(given)
    if options.verb is None:
        print(listing())
        return 0
    try:
        some = called(options.names)
    except ValueError as fault:
        parser.error(str(fault))
    if options.verb == "run":
        return run(some, options.data, options.peers, options.kept)
    for chart in [chart for chart in CHARTS if chart.table in {one.name for one in some}]:
        print(draw(chart, HERE))
    return 0


if __name__ == "__main__":
    sys.exit(main())
