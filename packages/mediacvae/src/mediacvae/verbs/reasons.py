"""`explain`: why these compounds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mediacvae.verbs import common

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from mediacvae.explain import Explanation
    from mediacvae.predictor import MediaModel

MAIN = 0.01  # [g/L] below which the chance of being there is told, not the amount
SHOWN = 12  # ingredients in the summary


def explain(
    *,
    directory: common.Model,
    out: common.Out,
    genome: common.Genome = None,
    ingredient: Annotated[
        list[str] | None,
        typer.Option(
            "--ingredient", metavar="NAME", help="This one (may be said again); else those of the recipe."
        ),
    ] = None,
    top: Annotated[int, typer.Option("--top", min=1, help="Features of each ingredient.")] = 5,
    block: Annotated[
        str | None,
        typer.Option("--block", metavar="NAME", help="Features of this block only: kmer6, lineage, ..."),
    ] = None,
    regions: Annotated[
        bool, typer.Option("--regions", help="Also windows of the genome whose k-mers are the reasons.")
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="F.json", help="Everything that was found, to write.")
    ] = None,
    genome_id: common.Id = None,
    name: common.Name = None,
    lineage: common.Lineage = None,
    organism: common.Organism = None,
    vector: common.Vector = None,
    db: common.Db = common.DATABASE,
    force: common.Force = False,
) -> None:
    """Which features of an organism moved which compounds: ingredient, feature, block, attribution [log1p g/L]."""
    from mediacvae import fasta, saving
    from mediacvae.explain import explain as reasons
    from mediacvae.regions import regions as places

    common.writable(out, ".csv", force=force)
    common.writable(json_file, ".json", force=force)
    if regions and genome is None:
        msg = "--regions: expected a genome (--genome F)"
        raise ValueError(msg)
    model = saving.load(directory)
    given = common.asked(genome, genome_id, db, name=name, lineage=lineage, organism=organism, vector=vector)
    one, condition = common.who(model, given)
    why = reasons(model, one, top=top, ingredients=ingredient or None, block=block)
    windows = places(model, why, fasta.read(genome), top=top) if regions and genome is not None else None
    common.put(why.features, out)
    if json_file is not None:
        _write(json_file, why, model, condition, windows)
    typer.echo("\n".join([*summary(why), *([] if windows is None else where(windows))]))
    typer.echo(f"{out}: {len(why.features)} reasons for {len(why.ingredients)} ingredients")


def _write(
    file: Path, why: Explanation, model: MediaModel, condition: np.ndarray, windows: pd.DataFrame | None
) -> None:
    """All of it as JSON, with the factors of the latent where there is one."""
    from cytosol.files import write_atomically
    from mediacvae.factors import factors

    found = why.plain()
    if windows is not None:
        found["regions"] = _records(windows)
    if model.vae is not None:
        latent = factors(model, condition)
        found["factors"] = {"active": latent.active, "moves": _records(latent.moves)}
    write_atomically(file, (json.dumps(found, indent=1, allow_nan=False) + "\n").encode())


def where(windows: pd.DataFrame) -> list[str]:
    """The best windows of each ingredient, one ingredient a line."""
    lines = ["windows that carry most (contig:start-end, times the usual):"]
    for ingredient, own in list(windows.groupby("ingredient", sort=False))[:SHOWN]:
        best = [f"{w['contig']}:{w['start']}-{w['end']} ({w['times']:.0f})" for w in _records(own)[:3]]
        lines.append(f"  {ingredient}: {', '.join(best)}")
    return lines


def summary(why: Explanation) -> list[str]:
    """What was found in plain words, one ingredient a line."""
    lines = [line(row, why) for row in why.ingredients.head(SHOWN).to_dict(orient="records")]
    if len(why.ingredients) > SHOWN:
        lines.append(f"... and {len(why.ingredients) - SHOWN} more that are moved less")
    near = "; ".join(f"{m['medium_id']} {m['name']} ({m['likeness']:.2f})" for m in _records(why.media)[:3])
    lines.append(f"nearest media: {near}")
    kin = [
        f"{one['organism']} ({one['likeness']:.2f}; grows on {', '.join(one['media'][:3])})"
        for one in _records(why.relatives)[:3]
    ]
    lines.append(f"nearest organisms: {'; '.join(kin)}")
    if why.agreement is not None:
        lines.append(
            f"taking the features away one by one moves the amounts as said: rank correlation {why.agreement:.2f}"
        )
    return lines


def line(row: dict[str, Any], why: Explanation) -> str:
    """An ingredient: how much, usually how much, and by which features."""
    own = [one for one in _records(why.features) if one["ingredient"] == row["ingredient"]]
    blocks = [one for one in _records(why.blocks) if one["ingredient"] == row["ingredient"]]
    trace = max(row["g_per_l"], row["usual_g_per_l"]) < MAIN
    if trace:
        head = f"{row['ingredient']}: chance {row['chance']:.0%} (usual {row['usual_chance']:.0%})"
        column, factor, unit = "chance", 100.0, " points"
    else:
        head = f"{row['ingredient']} {row['g_per_l']:.3g} g/L (usual {row['usual_g_per_l']:.3g})"
        column, factor, unit = "attribution", _per_log(row), ""
    own.sort(key=lambda one: -abs(one[column]))
    said = [f"{_signed(one[column] * factor)}{unit} from {feature(one)}" for one in own]
    whole = [f"{one['block']} {_signed(one[column] * factor)}" for one in blocks]
    return f"{head}: {', '.join(said)} (all of {', '.join(whole)})"


def feature(one: dict[str, Any]) -> str:
    """A feature in words: what it is, and what is usual."""
    block, name, value, usual = one["block"], one["feature"], one["value"], one["usual"]
    if block == "stats":
        if name.startswith("GC"):
            return f"GC {value:.0f} % (usual {usual:.0f})"
        return f"length {10**value / 1e6:.2g} Mb (usual {10**usual / 1e6:.2g})"
    if block in ("lineage", "names"):
        return f"{block} {'' if value > usual else 'not '}{name}"
    if block.startswith("kmer") and usual > 0:
        return f"{block} {name} ({value / usual:.1f} times the usual share)"
    return f"{block} {name} {value:.3g} (usual {usual:.3g})"


def _per_log(row: dict[str, Any]) -> float:
    """What turns shares of the change in log1p g/L into shares of the change in g/L."""
    moved = row["amount"] - row["usual_amount"]
    if abs(moved) < 1e-9:
        return 1.0 + row["g_per_l"]
    return (row["g_per_l"] - row["usual_g_per_l"]) / moved


def _signed(value: float) -> str:
    return f"{value:+.2g}"


def _records(frame: Any) -> list[dict[str, Any]]:
    return frame.to_dict(orient="records")
