"""The command line of `cytosol` itself: what is installed, what is in a model, what the packages can do."""

from __future__ import annotations

import json
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from cytosol import cli, demos, many, ranks, report, terminal

app = cli.app("cytosol", "The common ground of the libraries that are installed beside it.")
DEMOS = Path("runs/demo")


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
    only: Annotated[str | None, typer.Option("--only", metavar="NAME", help="One package; else all.")] = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where to write.")] = DEMOS,
    force: cli.Force = False,
) -> None:
    """What each installed package can do on its own example, and a report of it to open in a browser.

    Exit code 1 where one failed; the others run all the same.
    """
    names = demos.choose(only)
    if out != DEMOS:  # the usual place may be used again
        cli.refuse_existing(out, force=force)
    bar, shown = terminal.Bar(len(names)), list[demos.Shown]()
    for name in names:
        shown.append(_shown(name, out / name, bar))
        report.write(shown, out / report.NAME)  # after each: a run that is broken off leaves what it showed
    if only is None and demos.silent():
        typer.echo(f"== nothing to show yet: {', '.join(demos.silent())}")
    typer.echo(f"== all of it to look at: {out / report.NAME}")
    raise typer.Exit(cli.FAILED if any(one.story is None for one in shown) else cli.OK)


def _shown(name: str, out: Path, bar: terminal.Bar) -> demos.Shown:
    """Run a demo under the bar and print what it tells, or on stderr why it failed."""
    story, fault, began = None, "", time.monotonic()
    try:
        with bar.during(name):
            story = demos.run(name, out)
    except Exception as error:  # noqa: BLE001 - one broken demo does not hide the others
        fault = cli.one_line(error)
        cli.report(error, f"demo {name}")
    seconds = time.monotonic() - began
    if story is not None:
        typer.echo(f"== {name}, {seconds:.0f} s\n{story.text()}\n")
    return demos.Shown(name=name, story=story, fault=fault, seconds=seconds)


@app.command(context_settings={"allow_interspersed_args": False})
def each(
    *,
    data: Annotated[
        list[str],
        typer.Option("--data", metavar="PATTERN", help="Files, as 'cells/*.h5ad'; may be repeated."),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Directory of what is made of them.")],
    suffix: Annotated[
        str | None, typer.Option("--suffix", metavar=".S", help="Of what is made; else the file's own.")
    ] = None,
    share: Annotated[
        str | None,
        typer.Option("--share", metavar="K/N|auto", help="Every N-th file from K on (0 to N - 1)."),
    ] = None,
    force: cli.Force = False,
    words: Annotated[
        list[str], typer.Argument(metavar="PACKAGE VERB WORDS", help="With {data} and {out} in them.")
    ],
) -> None:
    """One verb over many files; what is there is passed over, what fails is said and the others go on.

    Exit code 1 where one failed, 130 where it was interrupted.

    For instance: each --data 'in/*.h5ad' --out made --share auto PACKAGE VERB MODEL --data {data} --out {out}
    """
    many.check_words(words)
    verbs, rank, world = many.command_line(words[0]), *many.share(share)
    todo = ranks.mine(many.jobs(data, out, suffix), rank, world)
    ranks.forget()
    out.mkdir(parents=True, exist_ok=True)
    failed: list[str] = []
    for job in todo:
        if job.out.exists() and not force:
            continue
        code = cli.run(verbs, [*many.filled(words[1:], job), *(["--force"] if force else [])])
        if code == cli.INTERRUPTED:
            raise typer.Exit(code)
        failed += [str(job.data)] if code else []
    told = f"; failed: {', '.join(failed)}" if failed else ""
    typer.echo(
        f"share {rank}/{world}: {len(todo) - len(failed)} of {len(todo)} files are in {out}{told}", err=True
    )
    raise typer.Exit(cli.FAILED if failed else cli.OK)


def main() -> NoReturn:
    """Run it and leave with its exit code."""
    cli.main(app)
