"""`train`: a model that embeds cells, or one that predicts what a perturbation makes of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from cytosol import cli
from virtualcell.verbs import common

RECIPE, HISTORY, RUNS = "config.yaml", "history.csv", "runs"

Task = Annotated[Literal["embedding", "perturbation"], typer.Option("--task", help="What is learned.")]
ModelName = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME", help="One of `virtualcell models`, or StateEmbeddingModel."),
]
Word = typer.Option(metavar="WORD", help="Untouched cells in the condition key (perturbation).")
Condition = typer.Option(metavar="KEY", help="Column of obs: what was done to a cell (perturbation).")
Context = typer.Option(
    metavar="KEY", help="Column of obs: cell type, line, replicate; A,B joins (perturbation)."
)
Dose = typer.Option(metavar="KEY", help="Column of obs with numbers: how much was given (perturbation).")


def train(
    *,
    data: common.Data,
    task: Task,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Directory for the model.")],
    model: ModelName = None,
    control: Annotated[str | None, Word] = None,
    condition_key: Annotated[str | None, Condition] = None,
    context_key: Annotated[str | None, Context] = None,
    dose_key: Annotated[str | None, Dose] = None,
    pathways: common.Pathways = None,
    network: common.Network = None,
    compartments: common.Compartments = None,
    layer: common.Layer = None,
    config: cli.ConfigFile = None,
    seed: cli.Seed = None,
    device: cli.Device = "auto",
    resume: cli.Resume = False,
    force: cli.Force = False,
    overrides: cli.Overrides,
) -> None:
    """Learn from cells, for instance: train --data F.h5ad --task embedding --out DIR batch_key=condition genes=500."""
    cli.refuse_existing(out, force=force, resume=resume)
    files = {"pathways": pathways, "network": network, "compartments": compartments}
    annotations = {name: file for name, file in files.items() if file is not None}
    words = {"control": control, "condition_key": condition_key, "context_key": context_key,
             "dose_key": dose_key}  # fmt: skip
    given = {name: word for name, word in words.items() if word is not None}
    shared: dict[str, Any] = {
        "data": data, "out": out, "model": model, "layer": layer, "annotations": annotations, "config": config,
        "seed": seed, "device": device, "resume": resume, "force": force, "overrides": overrides,
    }  # fmt: skip
    if task == "perturbation":
        _perturbation(**shared, **given)
        return
    if given:
        option = next(iter(given)).replace("_", "-")
        msg = f"--{option}: belongs to --task perturbation; embeddings are told of batches by batch_key=KEY"
        raise ValueError(msg)
    _embedding(**shared)


def _perturbation(
    *,
    data: Path,
    out: Path,
    model: str | None,
    layer: str | None,
    annotations: dict[str, Path],
    config: Path | None,
    seed: int | None,
    device: str,
    resume: bool,
    force: bool,
    overrides: list[str],
    **keys: Any,
) -> None:
    """Train a model that predicts what a perturbation makes of cells, and write it."""
    from cytosol.config import save as save_config
    from virtualcell.response import fit_responder
    from virtualcell.response_config import ResponseConfig
    from virtualcell.response_files import save_responder

    chosen = common.recipe(ResponseConfig, config, overrides, seed=seed)
    if device != "auto":
        chosen = replace(chosen, trainer=replace(chosen.trainer, device=device))
    source = common.cells_of(data, layer=layer)
    words: dict[str, Any] = {
        "annotations": annotations,
        "resume": resume,
        **({} if model is None else {"model": model}),
        **keys,
    }
    made = fit_responder(source, chosen, out=out / RUNS, **words)
    save_responder(made, out, force=force or resume)
    save_config(chosen, out / RECIPE)
    told, used = made.model.facts, made.model.correction.used
    common.say(
        f"note: {told['lessons']} lessons of perturbations seen in other contexts; held-out ones took "
        f"{told['held_out_share']:.2f} of what trees correct: {'used' if used else 'not used'}"
    )
    if "context_key" not in keys:
        common.say(
            "note: all cells are of one context: trees and networks learn from how contexts differ (--context-key)"
        )
    what = f"{len(made.model.seen.conditions)} conditions, {len(source)} cells, {len(made.model.genes)} genes"
    typer.echo(
        f"{out}: {what}; next: virtualcell perturb {out} --data CONTROLS.h5ad --perturbation P --out G.h5ad"
    )


def _embedding(
    *,
    data: Path,
    out: Path,
    model: str | None,
    layer: str | None,
    annotations: dict[str, Path],
    config: Path | None,
    seed: int | None,
    device: str,
    resume: bool,
    force: bool,
    overrides: list[str],
) -> None:
    """Train a model that embeds cells, and write it."""
    from cytosol.config import save as save_config
    from virtualcell.config import EmbeddingConfig
    from virtualcell.embedding import fit_embedding
    from virtualcell.saving import save_embedding

    chosen = common.recipe(EmbeddingConfig, config, overrides, seed=seed)
    if model is not None:
        chosen = replace(chosen, model=model)
    if device != "auto":
        chosen = replace(chosen, trainer=replace(chosen.trainer, device=device))
    source = common.cells_of(data, layer=layer)
    made = fit_embedding(source, chosen, out=out / RUNS, annotations=annotations, resume=resume, force=force)
    common.say_all(made.loader.notes[len(source.notes) :])
    save_embedding(made, out, force=force or resume)
    save_config(chosen, out / RECIPE)
    if made.history is not None:
        made.history.to_csv(out / HISTORY, index=False)
    typer.echo(f"{out}: {chosen.model}, {len(source)} cells, {len(made.loader.features.genes)} genes, "
               f"{made.facts['steps']} steps; next: virtualcell embed {out} --data {data} --out G.h5ad")  # fmt: skip
