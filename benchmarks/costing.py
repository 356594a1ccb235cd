"""Networks of one size with all that they read, their training step, and how time and memory of it are measured."""

from __future__ import annotations

import importlib.util
import statistics
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from virtualcell.models import MODELS
from virtualcell.state import StateEmbeddingModel

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = {"token_dim": 5120, "d_model": 256, "nhead": 8, "d_hid": 1024, "nlayers": 4, "output_dim": 128}
CELLS, TOKENS, GENES, EDGES = 8, 128, 5000, 40_000
SINGLE = [name for name, model in MODELS.items() if len(model.parts) == 1]
FULL = "FullVirtualCellModel"


def batch(tokens: int) -> dict[str, Tensor]:
    """Cells without padding, the CLS first."""
    g = torch.Generator().manual_seed(0)
    return {
        "src": torch.randn(CELLS, tokens, SIZE["token_dim"], generator=g),
        "mask": torch.ones(CELLS, tokens, dtype=torch.bool),
        "counts": torch.randint(0, 50, (CELLS, tokens), generator=g).float(),
    }


def inputs(tokens: int) -> dict[str, Tensor]:
    """What parts read: three pathways a gene, a compartment, times, states of the last call, roles of genes."""
    g = torch.Generator().manual_seed(1)
    ids = torch.stack([torch.randperm(GENES, generator=g)[:tokens] for _ in range(CELLS)])
    ids[:, 0] = -1
    return {
        "gene_ids": ids,
        "pathway_ids": torch.randint(-1, 1000, (CELLS, tokens, 3), generator=g),
        "compartment_ids": torch.randint(-1, 5, (CELLS, tokens), generator=g),
        "time_steps": torch.rand(CELLS, generator=g) * 48,
        "previous_states": torch.randn(CELLS, 512, generator=g),
        "gene_types": torch.randint(0, 4, (CELLS, tokens), generator=g),
        "previous_energy_state": torch.rand(CELLS, 1, generator=g),
        "previous_resource_state": torch.rand(CELLS, 5, generator=g),
        "pathway_groups": torch.randint(-1, 50, (CELLS, tokens, 3), generator=g),
    }


def network_table() -> Tensor:
    """A sparse signed matrix of genes: 500 regulators, 40,000 edges."""
    g = torch.Generator().manual_seed(2)
    at = torch.stack(
        [torch.randint(0, 500, (EDGES,), generator=g), torch.randint(0, GENES, (EDGES,), generator=g)]
    )
    sign = torch.randint(0, 2, (EDGES,), generator=g) * 2.0 - 1
    return torch.sparse_coo_tensor(at, sign, (GENES, GENES), check_invariants=True).coalesce()


def made(name: str, **words: Any) -> torch.nn.Module:
    """A network of ours by its name, its gates open."""
    torch.manual_seed(0)
    if name == "base":
        return StateEmbeddingModel(**SIZE, **words)
    if "regulation" in [part.name for part in MODELS[name].parts]:
        words["gene_interaction_matrix"] = network_table()
    net = MODELS[name](**SIZE, **words)
    with torch.no_grad():
        for gate in net.gates.values():
            gate.add_(0.1)
    return net


def read_by(net: torch.nn.Module, tokens: int) -> dict[str, Tensor]:
    more = inputs(tokens)
    return batch(tokens) | {word: more[word] for word in getattr(net, "reads", ()) if word in more}


def arc() -> torch.nn.Module | None:
    """arc-state's network of the same size, without its token of the dataset; None where it is not installed."""
    if importlib.util.find_spec("state") is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import state
        from omegaconf import OmegaConf
        from state.emb.nn.model import StateEmbeddingModel as Theirs

        cfg = OmegaConf.load(Path(state.__path__[0]) / "configs/state-defaults.yaml")
        cfg.model.dataset_correction = False
        torch.manual_seed(0)
        return Theirs(**SIZE, cfg=cfg)


def loss_of(net: torch.nn.Module, given: dict[str, Tensor]) -> Tensor:
    out = net(**given)
    return out[0].float().square().mean() + out[1].float().square().sum()


def step(net: torch.nn.Module, given: dict[str, Tensor], *, half: bool = False) -> Callable[[], None]:
    """A training step: forward, backward, AdamW."""
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4)

    def run() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = loss_of(net, given)
        loss.backward()
        optimizer.step()

    return run


BATCHES = 4  # embedded in one go, as the cells of a file are


def embedding(call: Callable[[], Any], *, half: bool = False) -> Callable[[], None]:
    """Some batches of cells through a network in evaluation."""

    def run() -> None:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=half):
            for _ in range(BATCHES):
                call()

    return run


def in_turns(calls: dict[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    """Seconds of processors a call, round by round."""
    for call in calls.values():
        call()
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.process_time()
            call()
            found[name].append(time.process_time() - start)
    return found


def ratio(found: dict[str, list[float]], name: str, to: str) -> tuple[float, str]:
    """The median ratio within a round, and the quarters around it."""
    each = [a / b for a, b in zip(found[name], found[to], strict=True)]
    low, middle, high = statistics.quantiles(each, n=4)
    return middle, f"{middle:.2f} ({low:.2f}-{high:.2f})"


def kept(net: torch.nn.Module, given: dict[str, Tensor]) -> tuple[float, float]:
    """MiB of weights with gradients and moments, and of what the backward pass keeps."""
    known = {x.untyped_storage().data_ptr() for x in (*net.parameters(), *net.buffers(), *given.values())}
    found: dict[int, int] = {}

    def pack(x: Tensor) -> Tensor:
        if x.layout == torch.strided and x.untyped_storage().data_ptr() not in known:
            found[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        loss = loss_of(net, given)
    del loss
    weights = 4 * sum(p.numel() * p.element_size() for p in net.parameters())
    return weights / 2**20, sum(found.values()) / 2**20


def judged(value: float, bar: float, *, least: bool = False) -> str:
    """Whether a bar is met, or by how much it is missed."""
    met = value >= bar if least else value <= bar
    return "met" if met else f"missed by {abs(value / bar - 1):.0%}"
