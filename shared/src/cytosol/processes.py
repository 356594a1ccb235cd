"""Several processes that train together: who started them, whether as many as asked for, what each holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

from cytosol import ranks
from cytosol.device import pick_device
from cytosol.sharding import Sharded, Together

if TYPE_CHECKING:
    from cytosol.options import Processes, TrainerOptions


def environment(options: Processes) -> Any:
    """What told this process its place, in Lightning's words; never a cluster that happens to be around."""
    starter = ranks.place().starter if options.processes > 1 else ""
    if starter == "torchrun":
        return TorchElasticEnvironment()
    # its answer to a signal would be a checkpoint of its own, which it would later take up by itself
    return SLURMEnvironment(auto_requeue=False) if starter == "srun" else LightningEnvironment()


def strategy(options: Processes) -> Any:
    """Lightning's word, or object, for what each process holds."""
    if options.processes == 1:
        return "auto"
    return Sharded() if options.strategy == "fsdp" else Together()


def check_processes(options: TrainerOptions) -> None:
    """Raise ValueError where another number was started than asked for: each alone would train and write the same.

    Also for several nodes that nobody started, and for `fsdp` on a device without collectives.
    """
    place, asked = ranks.place(), options.processes
    if place.world not in (1, asked):
        msg = (
            f"{place.starter} started {place.world} processes and devices * nodes is {asked}: "
            f"start {asked}, or set devices and nodes to what was started"
        )
        raise ValueError(msg)
    if options.nodes > 1 and place.world == 1:
        msg = f"nodes = {options.nodes}: expected to be started by torchrun or srun, a process a device"
        raise ValueError(msg)
    if options.strategy == "fsdp" and pick_device(options.device).type == "mps":
        msg = "strategy = 'fsdp': expected a device with collectives, cuda or cpu, got mps"
        raise ValueError(msg)
