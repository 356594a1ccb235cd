"""Does each part of the cell models earn its place? Seven questions to simulated cells (questions.py).

    uv run python benchmarks/virtualcell_parts.py [--parts hierarchy,memory] [--seeds 0,1,2] [--out FILE.md]

Each question is asked of the same network without the part (as wide as it must be to have as many parameters), with it,
with it told shuffled pathways, times, edges, histories, energies or cells, and without it but told the same as features
of genes; and then without and with the part where its biology is absent from the simulated cells. A seed draws the
world, the cells, the split and the weights. Runs are kept in a .csv beside the table: `--parts` adds to it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from questions import QUESTIONS
from torch import Tensor
from watch import processor

from cytosol.options import TrainerOptions
from virtualcell.losses import energy_distance
from virtualcell.models import MODELS
from virtualcell.response_data import Predicted, ResponseData, respond
from virtualcell.response_losses import squared_error
from virtualcell.response_net import ResponseNet
from virtualcell.response_options import ResponseOptions
from virtualcell.state import StateEmbeddingModel
from virtualcell.training_response import train_response

if TYPE_CHECKING:
    from posing import Posed, Question, Rows

WITHOUT, WITH, SHUFFLED, FEATURES = "without", "with", "shuffled", "as features"
SHAPE = {"d_model": 32, "nhead": 4, "nlayers": 2, "output_dim": 32}
D_HID, STEPS, BATCH, RATE = 64, 120, 12, 3e-3


def cell_model(question: Question, width: int, arm: str, posed: Posed) -> StateEmbeddingModel:
    """The cell model of an arm; the one without the part is made as large by its feed-forward layers."""
    words = question.words | (posed.shuffled_words if arm == SHUFFLED else posed.words)
    whole = MODELS[question.model](token_dim=width, d_hid=D_HID, **SHAPE, **words)
    if arm in (WITH, SHUFFLED):
        return whole
    d_hid = D_HID
    while True:
        plain = StateEmbeddingModel(token_dim=width, d_hid=d_hid, **SHAPE)
        if size(plain) >= size(whole):
            return plain
        d_hid += 8


def size(net: torch.nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def answer(question: Question, posed: Posed, arm: str, seed: int) -> dict[str, float]:
    """Train an arm and score it on the rows that do not train."""
    rows = dict(posed.rows)
    told = {WITH: posed.told, SHUFFLED: posed.shuffled}.get(arm, {})
    train, test = (pick(rows | told, where) for where in (posed.train, ~posed.train))
    test |= {"cells": pick(rows, ~posed.train)["cells"]} if "cells" in rows else {}
    if arm == FEATURES and posed.features is not None:
        for part, where in ((train, posed.train), (test, ~posed.train)):
            part["src"] = torch.cat([part["src"], posed.features[torch.from_numpy(where)]], -1)
    torch.manual_seed(seed)
    net = ResponseNet(cell_model(question, train["src"].shape[-1], arm, posed), dispersion=question.draws > 1)
    weights = {"squared_weight": 0.0, "likelihood_weight": 1.0} if question.draws > 1 else {}
    draws = question.draws if net.draws else 1
    options = ResponseOptions(**weights, draws=draws, learning_rate=RATE)
    batch = BATCH if question.draws == 1 else 4
    trainer = TrainerOptions(max_steps=STEPS, batch_size=batch, device="cpu", log_every=STEPS)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        train_response(net, ResponseData(**train), options, trainer, out=Path(folder) / "run", seed=seed)
    seconds = time.perf_counter() - started
    if question.draws > 1:
        score = population_score(net, test, seed)
    else:
        score = squared_error(
            respond(net, ResponseData(**test)).values, test["target"], real(test), test.get("weight")
        )
    return {"score": float(score), "parameters": size(net), "seconds": seconds}


def pick(rows: Rows, where: np.ndarray) -> Rows:
    return {word: x[torch.from_numpy(where)] for word, x in rows.items()}


def real(rows: Rows) -> Tensor:
    made = rows["mask"].clone()
    made[:, 0] = False
    return made


def population_score(net: ResponseNet, test: Rows, seed: int, many: int = 200) -> Tensor:
    """Energy distance of drawn cells to real ones, as log1p of counts a root gene."""
    generator = torch.Generator().manual_seed(seed)
    got: Predicted = respond(net, ResponseData(**test), draws=many, generator=generator)
    values, spread = (
        x.expand(-1, many, -1)[..., 1:] for x in (got.values, got.log_dispersion) if x is not None
    )
    r = (-spread).exp()
    random = np.random.default_rng(seed)
    drawn = random.poisson(random.gamma(r.numpy(), (values.exp() / r).numpy()))
    x, y = (
        torch.log1p(torch.as_tensor(each, dtype=torch.float64)) for each in (drawn, test["cells"][..., 1:])
    )
    return energy_distance(x, y, unbiased=True).mean() / x.shape[-1] ** 0.5


def runs(question: Question, seed: int) -> list[dict]:
    """All arms of one seed."""
    made = []
    for absent in (False, True):
        posed = question.posed(seed, absent=absent)
        arms = [WITHOUT, WITH, SHUFFLED, FEATURES] if not absent else [WITHOUT, WITH]
        for arm in arms:
            if arm == FEATURES and posed.features is None:
                continue
            found = answer(question, posed, arm, seed)
            made.append({"part": question.part, "absent": absent, "arm": arm, "seed": seed, **found})
            print(made[-1], flush=True)
    return made


def table(found: pd.DataFrame) -> list[str]:
    """A row a part: scores of the arms, and the paired gains, each mean +- sd over seeds."""
    made = [
        "| part | asked | seeds | without | with | shuffled | as features | gain over without | over shuffled "
        "| biology absent: without | with | loss |",
        "|" + "---|" * 12,
    ]
    for question in QUESTIONS:
        mine = found[found["part"] == question.part]
        if mine.empty:
            continue
        scores = mine.pivot_table(index="seed", columns=["absent", "arm"], values="score")
        here, there = scores[False], scores[True]
        cells = [spread(here[arm]) if arm in here else "-" for arm in (WITHOUT, WITH, SHUFFLED, FEATURES)]
        gains = [gain(here[arm], here[WITH]) for arm in (WITHOUT, SHUFFLED)]
        nothing = [spread(there[arm]) for arm in (WITHOUT, WITH)]
        hurt = spread(100 * (there[WITH] / there[WITHOUT] - 1), "+.1f") + " %"
        made.append(
            "| "
            + " | ".join([question.part, question.asks, str(len(scores)), *cells, *gains, *nothing, hurt])
            + " |"
        )
    return made


def gain(worse: pd.Series, better: pd.Series) -> str:
    """How much lower a score is, seed by seed; bold where the mean exceeds the standard deviation and no seed loses."""
    share = 100 * (1 - better / worse)
    told = spread(share, ".1f") + " %"
    return f"**{told}**" if share.mean() > share.std() and share.min() > 0 else told


def spread(values: pd.Series, form: str = ".4f") -> str:
    told = f"{values.mean():{form}}"
    return told if len(values) < 2 else f"{told} +- {values.std():{form.lstrip('+')}}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", default=",".join(q.part for q in QUESTIONS))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/virtualcell_parts.md"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    parts, seeds = asked.parts.split(","), [int(word) for word in asked.seeds.split(",")]
    kept = asked.out.with_suffix(".csv")
    found = pd.read_csv(kept) if kept.exists() else pd.DataFrame({"part": [], "seed": []})
    for question in QUESTIONS:
        for seed in seeds if question.part in parts else ():
            old = (found["part"] == question.part) & (found["seed"] == seed)
            found = pd.concat([found[~old], pd.DataFrame(runs(question, seed))], ignore_index=True)
            found.to_csv(kept, index=False, float_format="%.6g")
    asked.out.write_text("\n".join([*head(found), *table(found), *TAIL]) + "\n", encoding="utf-8")


def head(found: pd.DataFrame) -> list[str]:
    seeds = ", ".join(str(int(seed)) for seed in sorted(found["seed"].unique()))
    versions = ", ".join(f"{name} {version(name)}" for name in ("virtualcell", "torch", "lightning"))
    return [
        "# What each part is worth, on simulated cells",
        "",
        f"{processor()}, one thread; {versions}; seeds {seeds} (of world, cells, split and weights); mean +- sd.",
        f"Each network: {SHAPE}, {STEPS} steps, {found['parameters'].min():.0f} to {found['parameters'].max():.0f} "
        "parameters, the one without the part at least as many as the one with it.",
        "",
    ]


TAIL = (
    "",
    "Scores are of rows that were held out, lower is better: mean squared error of log values (hidden genes: of",
    "z-scores), for `stochastic` the energy distance of drawn cells to real ones. Gains: how much lower the score is",
    "than the other's of the same seed; bold where the mean exceeds its standard deviation and no seed loses. Loss:",
    "how much higher the score is with the part where its biology is absent. As features: without the part, but",
    "what it is told is written into the features of genes. Shuffled, for `stochastic`: genes are shuffled among the",
    "cells of a condition in training.",
)


if __name__ == "__main__":
    main()
