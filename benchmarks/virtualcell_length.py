"""Peak memory of a training step at a long sequence: `uv run python benchmarks/virtualcell_length.py [--threads 1]`.

Eight cells of 2,048 tokens, a fifth of each padded, float32; each network in a process of its own, whose peak it is:
libraries, inputs (0.34 GB) and both of AdamW's moments with it. `--only NAME` measures one network and keeps the other
rows. Writes virtualcell_length.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import torch
from costing import CELLS, FULL, SIZE, judged, made, read_by, step
from watch import processor

PAGE = Path(__file__).with_suffix(".md")
TOKENS, BAR_GB = 2048, 8.0
RUNS = {  # name: network, whether activations are computed again
    "base": ("base", False),
    "base, checkpointing": ("base", True),
    "regulation (mask and bias)": ("RegulatoryConstrainedModel", False),
    "all seven parts, checkpointing": (FULL, True),
}


def child(run: str) -> None:
    """A step, its peak and its seconds of processors on the standard output."""
    name, checkpointing = RUNS[run]
    net = made(name, checkpointing=checkpointing).train()
    given = read_by(net, TOKENS)
    given["mask"][:, -TOKENS // 5 :] = False
    start = time.process_time()
    step(net, given)()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, time.process_time() - start)


def measured(run: str, threads: int) -> str:
    words = [sys.executable, "-W", "ignore", __file__, "--child", run, "--threads", str(threads)]
    peak, seconds = map(
        float, subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
    )
    return f"| {run} | {peak:.1f} | {seconds:.0f} | < {BAR_GB:.0f} | {judged(peak, BAR_GB)} |"


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--threads", type=int, default=1)
    words.add_argument("--only", choices=RUNS)
    words.add_argument("--child", choices=RUNS, help=argparse.SUPPRESS)
    given = words.parse_args()
    torch.set_num_threads(given.threads)
    if given.child:
        child(given.child)
        return
    old = PAGE.read_text().splitlines() if PAGE.exists() and given.only else []
    rows = {line.split(" | ")[0].strip("| "): line for line in old if line.startswith("| ")}
    for run in RUNS if given.only is None else (given.only,):
        rows[run] = measured(run, given.threads)
        PAGE.write_text(told(rows, given.threads))


def told(rows: dict[str, str], threads: int) -> str:
    sizes = ", ".join(f"{name} {size}" for name, size in SIZE.items())
    head = (
        f"`benchmarks/virtualcell_length.py`: {sizes}; batch {CELLS}, sequence {TOKENS}, float32; {processor()}, "
        f"{threads} thread(s), load average {os.getloadavg()[0]:.1f}; Python {platform.python_version()}, torch "
        f"{torch.__version__}, virtualcell {version('virtualcell')}. Peak of the process; seconds are of processors, "
        "the first step."
    )
    table = [
        "| network | peak GB | s a step | bar | |",
        "|---|---|---|---|---|",
        *(rows[run] for run in RUNS if run in rows),
    ]
    return "\n".join(["# A training step at a long sequence", "", head, "", *table]) + "\n"


if __name__ == "__main__":
    main()
