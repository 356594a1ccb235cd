"""`train`: a model that embeds cells, or one that predicts what a perturbation makes of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cytosol import cli, ranks
from virtualcell.verbs import common

if TYPE_CHECKING:
    from virtualcell.config import EmbeddingConfig
    from virtualcell.predictor import ResponseModel
    from virtualcell.response_config import ResponseConfig
    from virtualcell.sources import CellSource

RECIPE, HISTORY, RUNS = "config.yaml", "history.csv", "runs"

Task = Annotated[
    Literal["embedding", "perturbation"] | None,
    typer.Option("--task", help="What is learned; without it, what the recipe says."),
]
ModelName = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME", help="One of `virtualcell models`, or StateEmbeddingModel."),
]
Word = typer.Option(metavar="WORD", help="Untouched cells in the condition key (perturbation).")
Context = typer.Option(
    metavar="KEY", help="Column of obs: cell type, line, replicate; A,B joins (perturbation)."
)
Dose = typer.Option(metavar="KEY", help="Column of obs with numbers: how much was given (perturbation).")


@cli.resumable()
@ranks.only_first_speaks
def train(
    *,
    data: common.Data,
    task: Task = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Directory for the model.")],
    model: ModelName = None,
    control: Annotated[str | None, Word] = None,
    condition_key: common.ConditionKey = None,
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
    from cytosol.config import save as save_config
    from virtualcell.config import EmbeddingConfig

    if ranks.first():
        cli.refuse_existing(out, force=force, resume=resume)
    chosen = _settings(task, config, overrides, model=model, seed=seed, device=device)
    files = {"pathways": pathways, "network": network, "compartments": compartments}
    annotations = {name: file for name, file in files.items() if file is not None}
    words = {"control": control, "condition_key": condition_key, "context_key": context_key,
             "dose_key": dose_key}  # fmt: skip
    keys = {name: word for name, word in words.items() if word is not None}
    if keys and isinstance(chosen, EmbeddingConfig):
        option = next(iter(keys)).replace("_", "-")
        msg = f"--{option}: belongs to --task perturbation; embeddings are told of batches by batch_key=KEY"
        raise ValueError(msg)
    source = common.cells_of(data, layer=layer)
    run: dict[str, Any] = {"annotations": annotations, "resume": resume, "force": force}
    if isinstance(chosen, EmbeddingConfig):
        made, after = _embedding(source, chosen, out, **run), f"embed {out} --data {data}"
    else:
        made = _perturbation(source, chosen, out, **run, **keys)
        after = f"perturb {out} --data CONTROLS.h5ad --perturbation P"
    if not ranks.first():
        return
    save_config(chosen, out / RECIPE)
    typer.echo(f"{out}: {made}; next: virtualcell {after} --out G.h5ad")


def _settings(
    task: str | None, file: Path | None, keys: list[str], *, model: str | None, seed: int | None, device: str
) -> EmbeddingConfig | ResponseConfig:
    """The settings of the task that `--task` or the recipe's key `task` names; options come last."""
    from cytosol.config import read
    from virtualcell.config import CONFIGS
    from virtualcell.faults import refuse

    told = None if file is None else read(file).get("task")
    named = task if told is None else told
    if task is not None and named != task:
        refuse(f"file {file}: task: is {named!r}, --task is {task!r}: leave one of them out")
    if named not in list(CONFIGS):  # of a recipe it may be anything
        where = "--task" if named is None else f"file {file}: task"
        also = ", or a recipe that says it (--config)" if named is None else f", got {named!r}"
        refuse(f"{where}: expected one of {', '.join(CONFIGS)}{also}")
    chosen = common.recipe(CONFIGS[named], file, keys, seed=seed)
    if model is not None:
        chosen = replace(chosen, model=model)
    if device != "auto":
        chosen = replace(chosen, trainer=replace(chosen.trainer, device=device))
    return chosen


def _perturbation(
    source: CellSource,
    config: ResponseConfig,
    out: Path,
    *,
    annotations: dict[str, Path],
    resume: bool,
    force: bool,
    condition_key: str | None = None,
    **keys: str,
) -> str:
    """Train a model that predicts what a perturbation makes of cells, write it, and say what it is."""
    from virtualcell.response import fit_responder
    from virtualcell.response_files import save_responder

    key = common.condition_key(source, condition_key)
    made = fit_responder(
        source, config, out=out / RUNS, annotations=annotations, resume=resume, condition_key=key, **keys
    )
    if ranks.first():
        save_responder(made, out, force=force or resume)
    loaded = () if made.loader is None else made.loader.notes[len(source.notes) :]
    common.say_all(dict.fromkeys((*made.model.seen.notes, *loaded)))
    common.say(f"note: {_corrected(made.model)}")
    if "context_key" not in keys:
        common.say(
            "note: all cells are of one context: trees and networks learn from how contexts differ (--context-key)"
        )
    perturbed = f"{len(made.model.seen.conditions)} perturbed populations"
    return f"{perturbed}, {len(source)} cells, {len(made.model.genes)} genes"


def _corrected(model: ResponseModel) -> str:
    """Whether trees and networks correct the simple predictions, and what decided it."""
    config, lessons = model.config, model.facts["lessons"]
    if not (config.trees.use or config.network.use):
        return "trees and networks are switched off: simple methods answer"
    if not lessons:
        return "no perturbation is seen in three contexts: simple methods answer, trees and networks are not used"
    what = "trees" if config.trees.use else "a network"
    taken = f"with contexts held out, {model.facts['held_out_share']:.2f} of what {what} correct was of use"
    return f"{taken} (0: none, 1: all): {'it is used' if model.correction.used else 'it is not used'}"


def _embedding(
    source: CellSource,
    config: EmbeddingConfig,
    out: Path,
    *,
    annotations: dict[str, Path],
    resume: bool,
    force: bool,
) -> str:
    """Train a model that embeds cells, write it, and say what it is."""
    from virtualcell.embedding import fit_embedding
    from virtualcell.saving import save_embedding

    made = fit_embedding(source, config, out=out / RUNS, annotations=annotations, resume=resume, force=force)
    common.say_all(made.loader.notes[len(source.notes) :])
    if ranks.first():
        save_embedding(made, out, force=force or resume)
    if made.history is not None and ranks.first():
        made.history.to_csv(out / HISTORY, index=False)
    genes, steps = len(made.loader.features.genes), made.facts["steps"]
    return f"{config.model}, {len(source)} cells, {genes} genes, {steps} steps"
