"""Whose turn it is: places, shares, silence."""

from __future__ import annotations

import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytosol import ranks


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, (0, 1, "")),
        ({"RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4"}, (3, 4, "torchrun")),
        ({"LOCAL_RANK": "1", "WORLD_SIZE": "2"}, (1, 2, "lightning")),
        ({"SLURM_PROCID": "2", "SLURM_STEP_NUM_TASKS": "8", "SLURM_NTASKS": "8"}, (2, 8, "srun")),
        (
            {"SLURM_PROCID": "0", "SLURM_NTASKS": "8"},
            (0, 1, ""),
        ),  # the shell of an allocation: nobody else runs
        (
            {"RANK": "0", "WORLD_SIZE": "2", "SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2"},
            (0, 2, "torchrun"),
        ),
    ],
)
def test_a_place_is_what_the_starter_says(environment, expected):
    assert ranks.place(environment) == expected


@pytest.mark.parametrize(("rank", "world"), [("2", "2"), ("-1", "2"), ("one", "2"), ("0", "0")])
def test_a_place_that_cannot_be_is_refused(rank, world):
    with pytest.raises(ValueError, match=f"^RANK={rank}, WORLD_SIZE={world}: expected a rank from 0"):
        ranks.place({"RANK": rank, "WORLD_SIZE": world})


@given(st.lists(st.integers(), max_size=30), st.integers(1, 9))
def test_shares_are_disjoint_and_make_up_all(items, world):
    numbered = list(enumerate(items))
    shares = [ranks.mine(numbered, rank, world) for rank in range(world)]
    assert sorted(item for share in shares for item in share) == numbered
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_share_that_nobody_has_is_refused():
    with pytest.raises(ValueError, match="share 2/2: expected K/N with K from 0 to N - 1"):
        ranks.mine([1], 2, 2)


@ranks.only_first_speaks
def verb(*, fault: bool = False) -> str:
    """Say something everywhere."""
    sys.stdout.write("result\n")
    sys.stderr.write("note\n")
    logging.getLogger("cytosol").info("log")
    if fault:
        msg = "a fault"
        raise ValueError(msg)
    return "done"


def test_only_the_first_speaks_and_faults_are_everybodys(monkeypatch, capsys, caplog):
    caplog.set_level(logging.INFO, "cytosol")
    assert verb() == "done"
    assert capsys.readouterr() == ("result\n", "note\n")
    assert caplog.messages == ["log"]
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert verb() == "done"
    with pytest.raises(ValueError, match="a fault"):
        verb(fault=True)
    assert capsys.readouterr() == ("", "")
    assert caplog.messages == ["log"]
    ranks.forget()
    assert verb() == "done"
    assert capsys.readouterr().out == "result\n"
