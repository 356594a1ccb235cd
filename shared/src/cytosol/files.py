"""Files that are either wholly there or not there at all: write beside the target, fsync, rename."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

TEMPORARY = ".part"


def fsync_directory(directory: Path) -> None:
    """Make the names in a directory durable; systems that cannot open a directory are left to their own.

    Raises OSError for a directory that is not there.
    """
    if os.name == "nt":
        return
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomically(path: Path, data: bytes | memoryview) -> None:
    """Replace `path` by `data` so that a kill at any moment leaves the old file or the new one.

    The temporary file lies in the target's own directory: a rename across filesystems would be a copy.
    Raises OSError when the disk is full or the directory is read-only; the old file then stays.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    fsync_directory(path.parent)


def sweep(directory: Path) -> None:
    """Remove what a killed writer left behind in a directory that no one else is writing to."""
    for left in directory.glob(f".*{TEMPORARY}"):
        left.unlink(missing_ok=True)
