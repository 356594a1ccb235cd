"""Time and memory of the networks of virtualcell, beside arc-state where it is installed in the same environment.

    uv venv peer && uv pip install --python peer/bin/python arc-state ./shared ./packages/virtualcell
    peer/bin/python benchmarks/virtualcell_cost.py [--rounds 15] [--threads 1] [--only beside|parts]

Without arc-state (`uv run python benchmarks/virtualcell_cost.py`) its rows are left out. What is compared runs in turns
in one process: A, B, C, A, B, C, ...; a ratio is the median over rounds of the ratios within a round. Seconds are the
processors' own (with one thread what other programs do disturbs them least). Memory is counted: weights with their
gradients and both of AdamW's moments, and what the backward pass keeps (each storage once, weights and inputs left
out). Writes virtualcell_cost.md.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import statistics
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from watch import processor

from virtualcell.models import MODELS
from virtualcell.state import StateEmbeddingModel

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
SIZE = {"token_dim": 5120, "d_model": 256, "nhead": 8, "d_hid": 1024, "nlayers": 4, "output_dim": 128}
CELLS, TOKENS, GENES, EDGES = 8, 128, 5000, 40_000
SINGLE = [name for name, model in MODELS.items() if len(model.parts) == 1]
FULL = "FullVirtualCellModel"
Row = tuple[str, str, str, str]


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


def beside(rounds: int) -> list[Row]:
    """The base beside arc-state: training steps, and embedding from a table of genes."""
    theirs, ours, given = arc(), made("base"), batch(TOKENS)
    if theirs is None:
        return []
    calls = {
        f"{who} {'bf16' if half else 'float32'}": step(net, given, half=half)
        for who, net in (("arc", theirs), ("base", ours))
        for half in (False, True)
    }
    found = in_turns(calls, rounds)
    rows = [seconds_row(f"training step, {name}", times) for name, times in found.items()]
    for name, to, bar in (
        ("base float32", "arc float32", 1.0),
        ("base bf16", "arc float32", 0.6),
        ("base bf16", "arc bf16", None),
    ):
        value, told = ratio(found, name, to)
        limit = ("", "") if bar is None else (f"<= {bar}", judged(value, bar))
        rows.append((f"training step, {name} / {to}", told, *limit))
    return rows + embedded(theirs.eval(), ours.eval(), given, rounds)


def embedded(theirs: Any, ours: Any, given: dict[str, Tensor], rounds: int) -> list[Row]:
    g = torch.Generator().manual_seed(3)
    at = torch.randint(0, 2000, (CELLS, TOKENS), generator=g)
    at[:, 0] = -1
    table = ours.gene_table(torch.randn(2000, SIZE["token_dim"], generator=g))

    def from_table() -> Tensor:
        return ours.embed(at, given["mask"], given["counts"], table=table)

    calls = {
        "arc float32": embedding(lambda: theirs(**given)),
        "arc bf16": embedding(lambda: theirs(**given), half=True),
        "table float32": embedding(from_table),
        "table bf16": embedding(from_table, half=True),
    }
    found = in_turns(calls, rounds)
    rows = [seconds_row(f"embedding {BATCHES} batches, {name}", times) for name, times in found.items()]
    for name, to, bar in (
        ("table float32", "arc float32", 1.6),
        ("table bf16", "arc float32", 3.0),
        ("table bf16", "arc bf16", None),
    ):
        value, told = ratio(found, to, name)
        limit = ("", "") if bar is None else (f">= {bar}", judged(value, bar, least=True))
        rows.append((f"embedding, {to} / {name}", told, *limit))
    return rows


def seconds_row(what: str, times: list[float]) -> Row:
    low, middle, high = statistics.quantiles(times, n=4)
    return what, f"{middle:.3f} s ({low:.3f}-{high:.3f})", "", ""


def of_parts(rounds: int) -> list[Row]:
    """Every part alone and all of them, beside the base: time and memory of a training step."""
    rows: list[Row] = []
    base = made("base")
    plain = sum(kept(base, batch(TOKENS)))
    for name in (*SINGLE, FULL):
        net = made(name)
        given = read_by(net, TOKENS)
        found = in_turns({"base": step(base, batch(TOKENS)), name: step(net, given)}, rounds)
        value, told = ratio(found, name, "base")
        most, room = (2.5, 3.0) if name == FULL else (1.3, 1.5)
        rows.append((f"training step, {name} / base", told, f"<= {most}", judged(value, most)))
        weights, activations = kept(net, given)
        share = (weights + activations) / plain
        told = f"{share:.2f} ({weights:.0f} + {activations:.0f} MiB)"
        rows.append((f"memory, {name} / base", told, f"<= {room}", judged(share, room)))
    return rows


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--rounds", type=int, default=15)
    words.add_argument("--threads", type=int, default=1)
    words.add_argument(
        "--only", choices=("beside", "parts"), help="these rows alone; the others stay as they are"
    )
    given = words.parse_args()
    torch.set_num_threads(given.threads)
    rows = beside(given.rounds) if given.only != "parts" else []
    rows += of_parts(given.rounds) if given.only != "beside" else []
    page = HERE / "virtualcell_cost.md"
    page.write_text(told(rows, given, old_rows(page) if given.only else []))


def old_rows(page: Path) -> list[Row]:
    lines = page.read_text().splitlines() if page.exists() else []
    cells = [line.strip("|").split("|") for line in lines if line.startswith("| ")][1:]
    return [(a.strip(), b.strip(), c.strip(), d.strip()) for a, b, c, d in cells]


def told(rows: list[Row], given: argparse.Namespace, kept_rows: list[Row]) -> str:
    """The page."""
    peer = (
        f"arc-state {version('arc-state')}"
        if importlib.util.find_spec("state")
        else "arc-state not installed"
    )
    new = {row[0] for row in rows}
    rows = [*(row for row in kept_rows if row[0] not in new), *rows]
    lines = [
        "# Cost of the networks of virtualcell",
        "",
        f"`benchmarks/virtualcell_cost.py`: {', '.join(f'{k} {v}' for k, v in SIZE.items())}; batch {CELLS}, sequence "
        f"{TOKENS}; {processor()}, {given.threads} thread(s), load average {os.getloadavg()[0]:.1f} at the end; Python "
        f"{platform.python_version()}, torch {torch.__version__}, virtualcell {version('virtualcell')}, {peer}. "
        f"{given.rounds} rounds in turns; median (quarters). Seconds are of processors. Memory: weights with gradients "
        "and moments + what the backward pass keeps, counted. Embedding: "
        f"{BATCHES} batches under one autocast, so that weights are cast once."
        + (f" Run with --only {given.only}: the other rows are of the run before." if given.only else ""),
        "",
        "| what | measured | bar | |",
        "|---|---|---|---|",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
