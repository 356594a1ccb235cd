"""Two processes train to the weights of one, given the same batch over both."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

PROGRAM = Path(__file__).with_name("two_processes.py")


def test_two_gloo_processes_train_as_one(tmp_path):
    spec = importlib.util.spec_from_file_location("two_processes", PROGRAM)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    one, history = program.train(tmp_path / "one", 1)

    both = tmp_path / "both"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node=2",
            PROGRAM,
            both,
            "2",
        ],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ranks = [torch.load(both / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]
    assert ranks[0]["val_loss"] == ranks[1]["val_loss"]
    # sums of eight losses as two of four: equal up to the order of float32 additions, over 30 steps of AdamW
    for name, weight in one.items():
        torch.testing.assert_close(ranks[0]["weights"][name], ranks[1]["weights"][name], rtol=0, atol=0)
        torch.testing.assert_close(ranks[0]["weights"][name], weight, rtol=1e-4, atol=1e-5)
    assert ranks[0]["val_loss"][-1] == pytest.approx(history.val_loss.iloc[-1], rel=1e-4)
