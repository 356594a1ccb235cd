"""The runs, one after the other, through `cytosol.trainer.fit`: what `train` calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pandas as pd

from cytosol.options import TrainerOptions
from cytosol.trainer import fit
from stedm.options import LearnOptions, NetOptions, PatchOptions
from stedm.patches import HELD_SETS, PatchDataset, batches, collate, measured_sigma
from stedm.structure import StructureNet, fresh_weights
from stedm.training import GeneratorTraining, RefinerTraining, measured_spread

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from stedm.patches import Cells

MOST_INFLATED = 4.0  # times the generator's error on training sets


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that a training of generator and refiner is told."""

    net: NetOptions
    patches: PatchOptions
    learn: LearnOptions
    trainer: TrainerOptions
    refiner_steps: int  # 0: no refiner
    weights: Mapping[str, float] = field(default_factory=dict)  # of losses, where they differ from the table


def train_structure(
    sections: Sequence[Cells],
    plan: Plan,
    *,
    out: Path,
    seed: int,
    held: Sequence[Cells] = (),
    resume: bool = False,
    force: bool = False,
) -> tuple[StructureNet, pd.DataFrame]:
    """Train generator, then refiner; `out/generator` and `out/refiner` get checkpoints.

    held: sections to choose weights by (`trainer.patience`) and to measure the generator's error on; without them the
    last weights are kept and the error is that on training sets. Returns the network and the history of both runs.
    Raises ValueError where all cells are at one place, or for a weight of a loss that is not there; and as
    `cytosol.trainer.fit`.
    """
    options = plan.trainer
    count = options.max_steps * options.batch_size
    data = PatchDataset(sections, plan.patches, count=count, seed=seed)
    judged = PatchDataset(held, plan.patches, count=HELD_SETS, seed=seed + 1) if held else None
    if judged is None:
        options = replace(options, patience=None)
    first = sections[0]
    with fresh_weights(seed):
        net = StructureNet(first.z.shape[1], first.v.shape[1], plan.net, sigma_data=measured_sigma(data))
    histories = {}
    module = GeneratorTraining(net, plan.learn, seed=seed, steps=options.max_steps, weights=plan.weights)
    words = {"seed": seed, "val_data": judged, "resume": resume, "force": force, "collate": collate}
    histories["generator"] = fit(module, data, options=options, out=out / "generator", **words)
    if plan.refiner_steps:
        spread = measured_spread(net, batches(judged or data))
        inflate = min(max(spread / measured_spread(net, batches(data)), 1.0), MOST_INFLATED)
        with fresh_weights(seed + 1):
            net.add_refiner(spread)
        options = replace(options, max_steps=plan.refiner_steps)
        steps = plan.refiner_steps
        module = RefinerTraining(
            net, plan.learn, seed=seed, steps=steps, weights=plan.weights, inflate=inflate
        )
        histories["refiner"] = fit(module, data, options=options, out=out / "refiner", **words)
    history = pd.concat(histories, names=["run"]).reset_index("run").reset_index(drop=True)
    return net.eval(), history
