"""What every command line of the house does the same way: options, one-line errors, exit codes.

A package's `cli.py` makes `app = cli.app(name, help)`, adds its verbs with `@app.command()`, and ends in
`cli.main(app)`. Results go to stdout or to files, logs and progress to stderr. Exit codes: 0 ok, 1 the run
failed, 2 bad usage, config or data, 130 interrupted.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
import threading
import traceback
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer
from typer.core import TyperGroup

from cytosol import terminal

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from types import FrameType

OK, FAILED, REFUSED, INTERRUPTED = 0, 1, 2, 130
DEBUG = "CYTOSOL_DEBUG"
LONGEST = 1_000  # characters of an error line; a library's own message may be a page

ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="F.yaml", help="Recipe: only what differs.")
]
Seed = Annotated[
    int | None, typer.Option("--seed", min=0, help="Random seed; without it, the recipe's or 0.")
]
Device = Annotated[Literal["auto", "cpu", "cuda", "mps"], typer.Option("--device", help="Where to compute.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with what lies in --out.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite what is there already.")]
Overrides = Annotated[
    list[str],
    typer.Argument(
        metavar="[KEY=VALUE]...", default_factory=list, show_default=False, help="Config keys to change."
    ),
]

# typer carries a copy of click, older ones import it; either way this is the class of every usage error.
UsageError: type[Exception] = typer.BadParameter.__bases__[0]


class Interrupted(Exception):
    """Ctrl-C on its way through typer, which would drop the message of a KeyboardInterrupt."""


class _Group(TyperGroup):
    """The verbs of a package."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            raise Interrupted(str(stop) or "interrupted") from stop


def app(name: str, help: str) -> typer.Typer:
    """An empty command line: `--version`, help when called without a verb, no boxes around errors.

    Both end in typer.Exit, with code 0 and 2.
    """
    made = typer.Typer(
        name=name,
        cls=_Group,
        help=help,
        epilog=f"{DEBUG}=1 shows the traceback of an error.",
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )

    @made.callback(invoke_without_command=True)
    def root(
        *,
        context: typer.Context,
        version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
    ) -> None:
        if version:
            typer.echo(f"{name} {metadata.version(name)}")
            raise typer.Exit
        if context.invoked_subcommand is None:
            typer.echo(context.get_help(), err=True)
            raise typer.Exit(REFUSED)

    return made


def run(app: typer.Typer, arguments: Sequence[str] | None = None) -> int:
    """The exit code of a command line; every fault becomes one line on stderr. arguments: None: the process's."""
    name = str(app.info.name)
    logging.basicConfig(handlers=[terminal.LogHandler(sys.stderr)], format="%(message)s")
    for own in {name, "cytosol"}:
        logging.getLogger(own).setLevel(logging.INFO)
    try:
        code = app(arguments, prog_name=name, standalone_mode=False)
    except Exception as fault:  # noqa: BLE001 - the outermost boundary
        return report(fault, name)
    return code if isinstance(code, int) else OK


def report(fault: Exception, name: str) -> int:
    """Say a fault in one line on stderr (with its traceback under CYTOSOL_DEBUG=1); its exit code."""
    if os.environ.get(DEBUG, "0") not in ("", "0"):
        traceback.print_exception(fault)
    context = getattr(fault, "ctx", None)
    typer.echo(f"{context.command_path if context else name}: {one_line(fault)}", err=True)
    if isinstance(fault, Interrupted | typer.Abort):
        return INTERRUPTED
    return REFUSED if isinstance(fault, UsageError | ValueError) or _is_users_file(fault) else FAILED


def one_line(fault: Exception) -> str:
    """What a fault says, in one line of at most `LONGEST` characters."""
    text = " ".join(_message(fault).split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."


def refuse_existing(path: Path, *, force: bool = False, resume: bool | None = None) -> None:
    """Raise ValueError where `path` holds something already and neither `force` nor `resume` is given.

    resume: None where the verb cannot go on with what it began. An empty directory is nothing. The caller overwrites or
    goes on; nothing is deleted here.
    """
    if force and resume:
        message = "--force and --resume contradict each other: give one"
        raise ValueError(message)
    there = path.is_symlink() or path.exists()
    empty = there and path.is_dir() and not any(path.iterdir())
    if there and not empty and not (force or resume):
        message = f"{path} exists already: give another --out, or --force to overwrite it"
        goes_on = resume is not None and path.is_dir()
        raise ValueError(message + (", or --resume to go on with it" if goes_on else ""))


@contextmanager
def resumable() -> Generator[None]:
    """Around a verb that has --resume: Ctrl-C and SIGTERM, whatever it does just then, end in one line that says so.

    `cytosol.trainer.fit` answers both itself while it trains; what comes before and after it would know nothing of
    SIGTERM. Raises KeyboardInterrupt with that line. For use with `with`, or as the decorator `@resumable()`.
    """
    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, _stopped) if main else None
    try:
        yield
    except KeyboardInterrupt as stop:
        message = f"{str(stop) or 'interrupted'}: the same command with --resume goes on"
        raise KeyboardInterrupt(message) from stop
    finally:
        if main:
            signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _stopped(number: int, frame: FrameType | None) -> NoReturn:
    message = f"stopped by {signal.Signals(number).name}"
    raise KeyboardInterrupt(message)


def _message(fault: Exception) -> str:
    if isinstance(fault, UsageError):
        return fault.format_message()  # type: ignore[attr-defined]
    if isinstance(fault, OSError) and fault.filename is not None:
        return f"{fault.filename}: {fault.strerror}"
    if isinstance(fault, ValueError | RuntimeError | OSError | Interrupted) and str(fault):
        return str(fault)
    return f"{type(fault).__name__}: {fault} ({DEBUG}=1 shows where)"


def _is_users_file(fault: Exception) -> bool:
    kinds = FileNotFoundError | FileExistsError | PermissionError | IsADirectoryError | NotADirectoryError
    return isinstance(fault, kinds)


def main(app: typer.Typer) -> NoReturn:
    """Run a command line and end the process with its exit code; for console scripts only."""
    left = FAILED

    def leave() -> None:
        with suppress(OSError, ValueError):  # a reader of the output that went away
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(left)

    # Registered first, so called last, when all that Python has to tidy up is done: the threads that arrow and
    # torch leave behind may abort a process (exit code -6, its work done) while the interpreter is taken down.
    atexit.register(leave)
    left = run(app)
    sys.exit(left)
