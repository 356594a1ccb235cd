"""Two processes train to the weights of one, given the same batch over both."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cytosol.testing import imported, in_processes

PROGRAM = Path(__file__).with_name("two_processes.py")


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_gloo_processes_train_as_one(tmp_path, strategy):
    one, history = imported(PROGRAM).train(tmp_path / "one", 1)

    ranks = in_processes(PROGRAM, tmp_path / "both", "2", strategy)
    assert ranks[0]["val_loss"] == ranks[1]["val_loss"]
    # sums of eight losses as two of four: equal up to the order of float32 additions, over 30 steps of AdamW
    for name, weight in one.items():
        torch.testing.assert_close(ranks[0]["weights"][name], ranks[1]["weights"][name], rtol=0, atol=0)
        torch.testing.assert_close(ranks[0]["weights"][name], weight, rtol=1e-4, atol=1e-5)
    assert ranks[0]["val_loss"][-1] == pytest.approx(history.val_loss.iloc[-1], rel=1e-4)
