"""Runs that are killed, stopped, or diverge."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.utils.data import TensorDataset

from cytosol import progress, terminal
from cytosol.checkpoints import Checkpoints, read_checkpoint
from cytosol.interrupts import Interrupts
from cytosol.trainer import TrainingDiverged, TrainingInterrupted

PROGRAM = Path(__file__).with_name("killed_runs.py")
unix = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    memory = Path("/dev/shm")  # noqa: S108 - as TMPDIR: another filesystem than the run's
    if memory.is_dir():
        env["TMPDIR"] = str(memory)
    root = tmp_path_factory.mktemp("killed")
    done = subprocess.run(
        [sys.executable, "-W", "error", PROGRAM, root],
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@unix
@pytest.mark.parametrize(
    ("name", "code", "kept"),
    [
        ("mid_epoch", -9, ["step-00000010", "step-00000015"]),
        ("half_written", -9, ["step-00000005", "step-00000010"]),
        ("written_not_named", -9, ["step-00000005", "step-00000010"]),
        ("sigterm", 130, ["step-00000010", "step-00000013"]),
        ("ctrl_c", 130, ["step-00000010", "step-00000013"]),
    ],
)
def test_a_run_that_was_stopped_ends_with_the_same_bits(killed, name, code, kept):
    first, files, second = killed[name]
    assert (first[0], files) == (code, kept)
    assert second == killed["reference"]
    assert second[0] == 0


@unix
def test_kills_from_outside_while_a_checkpoint_is_written(killed):
    assert killed["outside"][0] == 0
    assert killed["outside"] == killed["ballast_reference"]


@unix
def test_the_number_of_workers_changes_nothing(killed):
    assert killed["workers"] == killed["reference"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_divergence_stops_before_the_weights_and_keeps_the_last_checkpoint(Line, run, tmp_path, value):
    module = Line(hook=lambda step: value if step == 8 else None)
    with pytest.raises(TrainingDiverged, match=r"by step 9: loss (nan|inf).*step-00000005") as caught:
        run(tmp_path, module)
    assert "\n" not in str(caught.value)
    assert module.net.weight.isfinite().all()
    files = Checkpoints(tmp_path).files()
    assert [path.name[:13] for path in files] == ["step-00000005"]
    assert all(value.isfinite().all() for value in read_checkpoint(files[0])["state_dict"].values())


def test_a_run_that_fails_leaves_the_line_that_it_wrote_over(Line, run, tmp_path, monkeypatch):
    screen = io.StringIO()
    screen.isatty = lambda: True
    for module in (terminal, progress):
        monkeypatch.setattr(module, "sys", SimpleNamespace(stderr=screen))
    with pytest.raises(TrainingDiverged):
        run(tmp_path, Line(hook=lambda step: float("nan") if step == 8 else None))
    assert screen.getvalue().startswith("\rstep 1/12")
    assert screen.getvalue().endswith("\n")


def test_a_handler_that_python_did_not_set_becomes_the_systems_own(monkeypatch):
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with monkeypatch.context() as patched:
            patched.setattr(signal, "getsignal", lambda number: None)
            with Interrupts() as interrupts:
                interrupts.install()
        assert [signal.getsignal(number) for number in before] == [signal.SIG_DFL] * 2
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_an_infinite_gradient_of_a_finite_loss_is_divergence_too(Line, run, tmp_path):
    class Root(Line):
        def training_step(self, batch, _):
            return torch.sqrt((self.net.weight * 0).sum())

    with pytest.raises(TrainingDiverged, match=r"loss 0, gradient norm nan.*there is no checkpoint yet"):
        run(tmp_path, Root())


def test_a_validation_loss_that_is_nan_is_divergence(run, tmp_path):
    bad = TensorDataset(torch.ones(4, 1), torch.full((4, 1), float("nan")))
    with pytest.raises(TrainingDiverged, match="validation loss is nan at step 3"):
        run(tmp_path, val_data=bad, val_every=3)


def test_an_exception_leaves_a_checkpoint_of_the_step_before(Line, run, tmp_path):
    def hook(step):
        if step == 7:
            msg = "the cable"
            raise RuntimeError(msg)

    with pytest.raises(RuntimeError, match="the cable"):
        run(tmp_path, Line(hook))
    assert [path.name[:13] for path in Checkpoints(tmp_path).files()] == ["step-00000005", "step-00000007"]
    module, _ = run(tmp_path, resume=True)
    reference, _ = run(tmp_path / "reference")
    assert module.net.weight.equal(reference.net.weight)


def test_a_second_ctrl_c_does_not_wait(Line, run, tmp_path):
    def hook(step):
        if step == 7:
            os.kill(os.getpid(), 2)
            os.kill(os.getpid(), 2)

    with pytest.raises(TrainingInterrupted, match=r"stopped by SIGINT at step 7; continue .* step 7"):
        run(tmp_path, Line(hook))


def test_minutes_end_a_run_that_can_be_continued(run, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="cytosol")
    module, history = run(tmp_path, max_minutes=1e-9)
    assert history.step.tolist() == [1]
    assert "max_minutes = 1e-09 are over" in caplog.text
    module, history = run(tmp_path, resume=True)
    reference, _ = run(tmp_path / "reference")
    assert module.net.weight.item() == reference.net.weight.item()
    assert history.step.iloc[-1] == 12
