"""Two gloo processes learn an embedding, and a response, as one process would: started once for both."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cytosol.testing import imported, in_processes

PROGRAM = Path(__file__).with_name("two_processes.py")
program = imported(PROGRAM)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """What each of the two processes made, by task."""
    return in_processes(PROGRAM, tmp_path_factory.mktemp("both"))


def alike(both, task):
    """What the first process made of a task: to the bit what the second made."""
    first, second = (made[task] for made in both)
    assert len(first) > 1
    for name, weight in first.items():
        torch.testing.assert_close(weight, second[name], rtol=0, atol=0)
    return first


def test_an_embedding_is_what_one_process_learns(both, tmp_path):
    one, cells = program.trained(tmp_path / "one", 1)
    first = alike(both, "embedding")
    torch.testing.assert_close(first["made"], torch.from_numpy(one.embed(cells)), rtol=0, atol=1e-4)
    fresh = program.trained(tmp_path / "fresh", 1, steps=1)[0].embed(cells)
    assert np.abs(fresh - one.embed(cells)).max() > 0.01


def test_a_response_is_what_one_process_learns(both, tmp_path):
    first = alike(both, "response")
    _, made = program.responded(tmp_path / "one", 1)
    torch.testing.assert_close(first["made"], made, rtol=0, atol=1e-3)
    asked = program.lessons()[0]
    lacks = np.abs(asked.delta - asked.rows.base).mean()
    assert np.abs(made.numpy() - asked.delta).mean() < 0.7 * lacks
