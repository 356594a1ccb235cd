"""Checkpoints: damaged, foreign, unwritable; and an ordinary one."""

from __future__ import annotations

import os

import pytest
import torch
from torch.utils.data import TensorDataset

from cytosol.checkpoints import CheckpointError, Checkpoints

LINE = torch.linspace(-1, 1, 12).reshape(-1, 1)
DATA = TensorDataset(LINE, 3 * LINE + 1)


@pytest.mark.parametrize("harm", [lambda data: data[:100], lambda data: data[:300] + b"?" + data[301:]])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(run, tmp_path, harm):
    run(tmp_path, max_steps=10)
    newest = Checkpoints(tmp_path).files()[-1]
    newest.write_bytes(harm(newest.read_bytes()))
    with pytest.warns(RuntimeWarning, match=f"{newest.name} is damaged.*falling back"):
        module, _ = run(tmp_path, resume=True)
    assert len(module.trace) == 7  # from step 5
    reference, _ = run(tmp_path / "reference")
    assert module.net.weight.equal(reference.net.weight)
    assert [path.name[:13] for path in Checkpoints(tmp_path).files()] == ["step-00000010", "step-00000012"]


@pytest.mark.filterwarnings("ignore:.*falling back:RuntimeWarning")
def test_only_damaged_checkpoints_are_an_error(run, tmp_path):
    run(tmp_path)
    for path in Checkpoints(tmp_path).files():
        path.write_bytes(b"")
    with pytest.raises(CheckpointError, match="can be read; force a new run"):
        run(tmp_path, resume=True)


def test_an_earlier_run_is_not_overwritten_by_accident(run, tmp_path):
    run(tmp_path)
    with pytest.raises(CheckpointError, match=r"step-00000012.* is from an earlier run; resume it, force"):
        run(tmp_path)
    assert len(run(tmp_path, force=True)[0].trace) == 12


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 1}, "seed = 0, now it is 1"),
        ({"batch_size": 2}, "batch_size = 4, now it is 2"),
        ({"data": TensorDataset(LINE[:5], LINE[:5])}, "samples = 12, now it is 5"),
        ({"ema_decay": 0.5}, "ema_decay = None, now it is 0.5"),
    ],
)
def test_a_run_cannot_change_on_its_way(run, tmp_path, changes, words):
    run(tmp_path, max_steps=2)
    with pytest.raises(CheckpointError, match=words):
        run(tmp_path, resume=True, **changes)


def test_an_unwritable_directory_is_an_error_before_training(Line, run, tmp_path):
    (tmp_path / "file").write_text("")
    module = Line()
    with pytest.raises(CheckpointError, match=r"cannot write checkpoints to .*choose another directory"):
        run(tmp_path / "file", module)
    assert module.trace == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_directory_is_an_error_before_training(run, tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(CheckpointError, match=r"cannot write checkpoints to .*: Permission denied"):
        run(tmp_path)


def test_a_full_disk_leaves_the_older_checkpoints(run, tmp_path, monkeypatch):
    def full(path, data):
        if "00000010" in path.name:
            raise OSError(28, "No space left on device", str(path))
        whole(path, data)

    import cytosol.checkpoints

    whole = cytosol.checkpoints.write_atomically
    monkeypatch.setattr(cytosol.checkpoints, "write_atomically", full)
    with pytest.raises(OSError, match="No space left"):
        run(tmp_path)
    assert [path.name[:13] for path in Checkpoints(tmp_path).files()] == ["step-00000005"]


def test_hyper_parameters_that_could_not_be_read_again_are_refused_at_once(Line, run, tmp_path):
    module = Line()
    module.save_hyperparameters({"where": tmp_path})
    with pytest.raises(CheckpointError, match=r"holds .*Path, neither tensor nor plain value"):
        run(tmp_path, module)
    assert module.trace == []


def test_a_checkpoint_is_an_ordinary_file_of_plain_values(Line, run, tmp_path):
    module = Line()
    module.save_hyperparameters({"width": 3})
    run(tmp_path, module)
    state = torch.load(Checkpoints(tmp_path).files()[-1], weights_only=True)
    assert state["hyper_parameters"] == {"width": 3}
    assert state["global_step"] == 12
