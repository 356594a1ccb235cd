"""`diagnose`: what generator and refiner do on held-out sections, with numbers, words and a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cytosol import cli
from stedm.verbs import common

TABLE, TEXT, PICTURE = "diagnosis.csv", "answers.md", "diagnosis.png"


def diagnose(
    *,
    directory: common.Model,
    data: common.Data,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Directory for table, answers and picture.")
    ],
    spatial_key: common.SpatialKey = "spatial",
    dim: common.Dim = 2,
    seed: cli.Seed = None,
    device: cli.Device = "auto",
    force: cli.Force = False,
) -> None:
    """Scale by sigma, size of F, generator's health, conditioning, open loop: measured on sections with coordinates."""
    import torch

    from stedm.answers import answers
    from stedm.diagnose import diagnose as measure
    from stedm.diagnose_plot import draw

    cli.refuse_existing(out, force=force)
    model = common.model_of(directory, device)
    if model.networks is None:
        msg = f"{directory}: was trained without networks (networks.use=false): there is nothing to diagnose"
        raise ValueError(msg)
    chosen = model.config.seed if seed is None else seed
    _, tissue = common.cells_of(data, spatial_key=spatial_key, dim=dim)
    tissue, _ = common.known_cells(model, common.teaching(tissue, dim))
    known = [label for label in tissue.labels if label in model.facts["sections"]]
    if known:
        common.say(f"note: the model learned from sections named {', '.join(known)}: held-out ones say more")
    nets = model.networks
    batches = nets.batches([model.shown(section) for section in tissue.sections], chosen)
    random = torch.Generator().manual_seed(chosen)
    table = measure(nets.net, batches, gauge=model.config.learn.gauge, generator=random)
    text = answers(table, sigma_data=nets.net.sigma_data, spread=nets.net.spread)
    out.mkdir(parents=True, exist_ok=True)
    table.to_csv(out / TABLE, index=False)
    (out / TEXT).write_text(text, encoding="utf-8")
    draw(table, out / PICTURE)
    typer.echo(text)
