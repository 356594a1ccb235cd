"""Each library trains in two processes by its command line, as on a cluster; the first of them writes and speaks."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cytosol import cli
from cytosol.testing import imported

flows: Any = imported(Path(__file__).with_name("flows.py"))
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m"]


def together(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*TORCHRUN, *words],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


RUNS = [(name, strategy) for name in sorted(flows.FLOWS) for strategy in ("ddp", "fsdp")]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "strategy"), RUNS)
def test_two_processes_train_one_model(
    name: str, strategy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app, flow = importlib.import_module(f"{name}.cli").app, flows.FLOWS[name]
    for words in flow.prepare:
        assert cli.run(app, list(words)) == 0
    done = together(
        tmp_path, name, *flows.train(name, "model", "trainer.devices=2", f"trainer.strategy={strategy}")
    )
    assert done.returncode == 0, done.stderr
    assert sum(line.startswith("model: ") for line in done.stdout.splitlines()) == 1
    notes = [line for line in done.stderr.splitlines() if line.startswith(("note: ", "step "))]
    assert len(notes) == len(set(notes))
    assert cli.run(app, flows.predict(name, "model", flow.made)) == 0
    assert Path(flow.made).stat().st_size > 0
    # again with --resume: the run is complete and is taken up by all processes as it is
    done = together(tmp_path, name, *flows.train(name, "model", "trainer.devices=2", "--resume"))
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_processes_in_another_number_than_asked_for_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app, flow = importlib.import_module("stedm.cli").app, flows.FLOWS["stedm"]
    for words in flow.prepare:
        assert cli.run(app, list(words)) == 0
    done = together(tmp_path, "stedm", *flows.train("stedm", "model", "trainer.devices=4"))
    assert done.returncode != 0
    assert "stedm: torchrun started 2 processes and devices * nodes is 4" in done.stderr
    assert not (tmp_path / "model/manifest.json").exists()
