"""The command line of `cytosol` itself: what is installed, what is in a model, what the packages can do."""

from __future__ import annotations

import json
import sys
from importlib import metadata
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from cytosol import cli, demos

app = cli.app("cytosol", "The common ground of the libraries that are installed beside it.")


@app.command()
def info(*, device: cli.Device = "auto") -> None:
    """Device, precision and versions, for a bug report."""
    import torch

    from cytosol.device import memory_report, pick_device, pick_precision

    chosen = pick_device(device)
    rows = {"device": str(chosen), "precision": pick_precision(chosen), "memory": memory_report(chosen)}
    rows |= {"threads": str(torch.get_num_threads()), "python": sys.version.split()[0]}
    for name in ("cytosol", *demos.packages(), "torch", "lightning", "numpy"):
        rows[name] = metadata.version(name)
    for key, value in rows.items():
        typer.echo(f"{key:<12} {value}")


@app.command()
def inspect(*, bundle: Annotated[Path, typer.Argument(help="A directory with a saved model.")]) -> None:
    """Print the manifest of a saved model as JSON."""
    from cytosol.manifest import read_manifest

    typer.echo(json.dumps(read_manifest(bundle), indent=2))


@app.command()
def demo(
    *,
    name: Annotated[str | None, typer.Argument(help="One package; without it, all of them.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Where to write; without it, runs/demo.")] = None,
    force: cli.Force = False,
) -> None:
    """What each installed package can do, shown on its own example."""
    if out is not None:
        cli.refuse_existing(out, force=force)
    failed = False
    for shown in demos.choose(name):
        typer.echo(f"== {shown}")
        try:
            typer.echo(demos.run(shown, (out or Path("runs/demo")) / shown))
        except Exception as fault:  # noqa: BLE001 - one broken demo does not hide the others
            cli.report(fault, f"demo {shown}")
            failed = True
    if name is None and demos.silent():
        typer.echo(f"== nothing to show yet: {', '.join(demos.silent())}")
    raise typer.Exit(cli.FAILED if failed else cli.OK)


def main() -> NoReturn:
    """Run it and leave with its exit code."""
    cli.main(app)
