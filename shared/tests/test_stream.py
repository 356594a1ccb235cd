"""The order of training is a function of seed and step."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cytosol.stream import ShuffledBatches, mix_seed, step_generator


@given(n=st.integers(1, 30), share=st.integers(1, 7), world=st.integers(1, 3), start=st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_every_epoch_sees_every_sample_once_whoever_reads(n, share, world, start):
    batch = share * world
    whole = ShuffledBatches(n, batch, seed=4, start=0, stop=12)
    places = [sample for step in whole for sample in step]
    for epoch in range(len(places) // n):
        assert sorted(places[epoch * n : (epoch + 1) * n]) == list(range(n))
    parts = [
        ShuffledBatches(n, batch, seed=4, start=start, stop=12, rank=r, world=world) for r in range(world)
    ]
    joined = [[sample for row in rows for sample in row] for rows in zip(*parts, strict=True)]
    assert joined == list(whole)[start:]


def test_epochs_and_seeds_differ():
    def first(seed, epoch):
        return ShuffledBatches(50, 50, seed=seed, start=epoch, stop=epoch + 1).at(epoch)

    assert len({tuple(first(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9


def test_step_generators_repeat_and_differ():
    def draw(*place):
        return tuple(torch.randn(3, generator=step_generator(*place)).tolist())

    places = [(seed, step, rank) for seed in range(3) for step in range(5) for rank in range(2)]
    assert [draw(*place) for place in places] == [draw(*place) for place in places]
    assert len({draw(*place) for place in places}) == len(places)
    assert mix_seed(1, 23) != mix_seed(12, 3)
    assert mix_seed("a") == 3136151050186550259  # the same on every machine and in every process
