"""Two gloo processes train generator and refiner as one process would."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import torch

PROGRAM = Path(__file__).with_name("two_processes.py")


def test_two_gloo_processes_train_over_sections(tmp_path):
    spec = importlib.util.spec_from_file_location("stedm_two_processes", PROGRAM)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    one = program.train(tmp_path / "one", 1, refiner_steps=0)

    both = tmp_path / "both"
    words = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        PROGRAM,
        both,
    ]
    done = subprocess.run(
        words,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, second = (torch.load(both / f"rank{rank}.pt", weights_only=True) for rank in (0, 1))
    assert any(name.startswith("refiner.") for name in first)
    for name, weight in first.items():
        torch.testing.assert_close(weight, second[name], rtol=0, atol=0)
    # not the weights: those that change nothing, as the bias before a centring, drift with the rounding
    torch.testing.assert_close(first["made"], one["made"], rtol=1e-3, atol=1e-3)
    assert (one["made"] - program.sections()[2].p).abs().max() > 0.01
