"""Who started the processes that train together, and whether as many as asked for."""

from __future__ import annotations

import pytest
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

from cytosol import ranks
from cytosol.processes import check_processes, environment, strategy
from cytosol.sharding import Sharded, Together
from cytosol.trainer import TrainerOptions

STARTED = {
    "": {},
    "torchrun": {"RANK": "1", "WORLD_SIZE": "2"},
    "srun": {"SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2"},
}


def options(**words) -> TrainerOptions:
    return TrainerOptions(max_steps=1, batch_size=12, device="cpu", **words)


@pytest.fixture(params=STARTED)
def starter(request, monkeypatch) -> str:
    for names in ranks._STARTERS.values():
        for name in names:
            monkeypatch.delenv(name, raising=False)
    for name, value in STARTED[request.param].items():
        monkeypatch.setenv(name, value)
    return request.param


def test_a_cluster_is_asked_only_by_what_it_started(starter):
    kinds = {"": LightningEnvironment, "torchrun": TorchElasticEnvironment, "srun": SLURMEnvironment}
    assert type(environment(options(devices=2))) is kinds[starter]
    assert type(environment(options())) is LightningEnvironment  # one process trains alone, wherever it is


def test_as_many_processes_as_asked_for_are_taken(starter):
    check_processes(options(devices=2))
    if starter:
        check_processes(options(nodes=2))


def test_another_number_is_refused_with_both(starter):
    if starter:
        with pytest.raises(ValueError, match=rf"{starter} started 2 processes and devices \* nodes is 3"):
            check_processes(options(devices=3))
        with pytest.raises(ValueError, match=r"devices \* nodes is 1"):
            check_processes(options())
    else:
        with pytest.raises(ValueError, match="nodes = 2: expected to be started by torchrun or srun"):
            check_processes(options(nodes=2))


def test_the_words_of_a_strategy():
    assert strategy(options()) == "auto"
    assert type(strategy(options(devices=2))) is Together
    assert type(strategy(options(devices=2, strategy="ddp"))) is Together
    assert type(strategy(options(nodes=2, strategy="fsdp"))) is Sharded
