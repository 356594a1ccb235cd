"""Training with weights, gradients and optimizer states lying in shares on the processes, whole only during a step.

FSDP (Zhao et al. 2023, in torch's second form, `fully_shard`) as a Lightning strategy. Lightning's own refuses
processors and leaves the module sharded; here the caller trains a copy and takes whole tensors out of it.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch.strategies import DDPStrategy
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.utils._pytree import tree_map

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor, nn
    from torch.optim import Optimizer


class Together(DDPStrategy):
    """DDP of a loss that need not reach all weights, nor the same ones in each process.

    Such a weight gets a gradient of 0: DDP waits for all of them, and all processes must scatter the same ones.
    """

    def training_step(self, *args: Any, **words: Any) -> Any:
        """The loss of one process, (), with every weight that is learned in its graph."""
        module: Any = self.lightning_module
        loss: Any = super().training_step(*args, **words)
        return loss + 0.0 * sum(weight.sum() for weight in module.parameters() if weight.requires_grad)


class Sharded(Together):
    """The whole module is one group: gathered before `training_step`, its gradients scattered after it.

    A weight of a single number has no shares: every process keeps it, and its gradient is averaged as by DDP.
    """

    def configure_ddp(self) -> None:
        """Begin with the first process's weights everywhere, then keep a share of each."""
        module: Any = self.model
        for tensor in (*module.parameters(), *module.buffers()):
            torch.distributed.broadcast(tensor.data, 0)
        self.single = [weight for weight in module.parameters() if not weight.ndim]
        mesh = init_device_mesh(self.root_device.type, (self.world_size,))
        fully_shard(module, mesh=mesh, ignored_params=set(self.single))
        register_fsdp_forward_method(module, "training_step")

    def training_step(self, *args: Any, **words: Any) -> Any:
        """The loss of one process, (); as DDP's, buffers are the first process's."""
        for buffer in self.lightning_module.buffers():  # type: ignore[union-attr]
            torch.distributed.broadcast(buffer, 0)
        return super().training_step(*args, **words)

    def post_backward(self, closure_loss: Tensor) -> None:
        """Average the gradients of single numbers, in the same order everywhere. closure_loss (): of this process."""
        super().post_backward(closure_loss)
        for weight in self.single:
            if weight.grad is not None:
                torch.distributed.all_reduce(weight.grad)
                weight.grad /= self.world_size


@contextmanager
def whole_module(module: nn.Module) -> Iterator[None]:
    """Within it, the module holds whole weights; for all processes at once. A module that is whole stays so."""
    if not isinstance(module, FSDPModule):
        yield
        return
    module.unshard()
    try:
        yield
    finally:
        module.reshard()


def local(tensor: Tensor) -> Tensor:
    """The share of a tensor that lies here, of (d, ...) some of the first axis, or a tensor that is whole as it is."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(tree: Any) -> Any:
    """The same tree with every shared tensor whole, on the CPU; all processes call it at once."""
    return tree_map(lambda leaf: leaf.full_tensor().cpu() if isinstance(leaf, DTensor) else leaf, tree)


def total_norm(gradients: Sequence[Tensor]) -> Tensor:
    """The norm of all gradients, (), of those in shares too; all processes call it at once."""
    kinds = (
        [g for g in gradients if isinstance(g, DTensor)],
        [g for g in gradients if not isinstance(g, DTensor)],
    )
    norms = [whole(torch.nn.utils.get_total_norm(own)) for own in kinds if own]
    return norms[0] if len(norms) == 1 else torch.nn.utils.get_total_norm([norm.cpu() for norm in norms])


def shared_as(tensor: Tensor, like: Tensor) -> Tensor:
    """A whole tensor (d, ...) in shares as `like` is, or as it is."""
    if not isinstance(like, DTensor):
        return tensor
    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements)


def shared_like(tensors: Mapping[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """A whole state, (d, ...) each, in shares as the module's is; names that it has not stay as they are."""
    own = module.state_dict()
    return {name: shared_as(tensor, own.get(name, tensor)) for name, tensor in tensors.items()}


def shared_states(states: dict[str, Any], optimizer: Optimizer) -> dict[str, Any]:
    """A whole state of an optimizer (its `state_dict`) in shares as its parameters are."""
    weights = [p for group in optimizer.param_groups for p in group["params"]]
    spread = {
        number: {
            name: shared_as(value, weights[number])
            if isinstance(value, torch.Tensor) and value.shape == weights[number].shape
            else value
            for name, value in own.items()
        }
        for number, own in states["state"].items()
    }
    return {**states, "state": spread}
