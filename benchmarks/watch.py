"""What a program costs: its time and its peak memory, and the machine it ran on. For the scripts beside this one."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# A process of its own, and small: a child starts with the peak of the process that forks it.
WATCH = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
code = subprocess.run(sys.argv[2:]).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
json.dump({"code": code, "seconds": time.perf_counter() - start, "cpu": used.ru_utime + used.ru_stime, "peak": peak},
          open(sys.argv[1], "w"))
"""


@dataclass(frozen=True)
class Spent:
    """Seconds by the clock, seconds of processors, peak memory in bytes."""

    seconds: float
    cpu: float
    peak: float


def watched(script: str, words: Sequence[object], *, threads: int) -> Spent:
    """What a run of this environment's script costs. Leaves with exit code 1 where the run fails."""
    using = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder) / "said.json"
        command = Path(sys.executable).with_name(script)
        whole = [str(word) for word in (sys.executable, "-c", WATCH, said, command, *words)]
        subprocess.run(whole, check=True, env=using, stdout=subprocess.DEVNULL)
        got = json.loads(said.read_text())
    if got.pop("code"):
        print(f"{script} {words[0]} failed", file=sys.stderr)
        raise SystemExit(1)
    return Spent(**got)


def processor() -> str:
    """The processor's name."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
