"""Two gloo processes train generator and refiner as one process would."""

from pathlib import Path

import torch

from cytosol.testing import imported, in_processes

PROGRAM = Path(__file__).with_name("two_processes.py")


def test_two_gloo_processes_train_over_sections(tmp_path):
    program = imported(PROGRAM)
    one = program.train(tmp_path / "one", 1, refiner_steps=0)

    first, second = in_processes(PROGRAM, tmp_path / "both")
    assert any(name.startswith("refiner.") for name in first)
    for name, weight in first.items():
        torch.testing.assert_close(weight, second[name], rtol=0, atol=0)
    # not the weights: those that change nothing, as the bias before a centring, drift with the rounding
    torch.testing.assert_close(first["made"], one["made"], rtol=1e-3, atol=1e-3)
    assert (one["made"] - program.sections()[2].p).abs().max() > 0.01
