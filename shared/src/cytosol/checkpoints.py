"""The two newest states of a training run on disk, each whole or absent.

A file is `step-00000100-<hash>.ckpt`: an ordinary torch file whose name carries the first 16 digits of its
sha256. torch alone notices a flipped bit in 1 of 15 cases; a hash in the name needs no second file beside it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import pickle
import re
import shutil
import tempfile
import warnings
from typing import TYPE_CHECKING, Any

import torch

from cytosol.files import sweep, write_atomically
from cytosol.manifest import CHECKPOINTS

if TYPE_CHECKING:
    from pathlib import Path

KEPT = 2
_NAME = re.compile(r"step-(\d{8,})-([0-9a-f]{16})\.ckpt")


class CheckpointError(ValueError):
    """A run that cannot be continued, or a directory that cannot hold one."""


class Checkpoints:
    """The checkpoints of one run, in `out/checkpoints`. writes: False in processes that leave writing to another.

    Raises CheckpointError at once when the directory cannot be written to, not after the first hour.
    """

    def __init__(self, out: Path, *, writes: bool = True) -> None:
        self.directory = out / CHECKPOINTS
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            if not writes:
                return
            with tempfile.NamedTemporaryFile(dir=self.directory):  # a name that no other process sweeps
                pass
            sweep(self.directory)
        except OSError as error:
            msg = f"cannot write checkpoints to {self.directory}: {error.strerror}; choose another directory"
            raise CheckpointError(msg) from None

    def files(self) -> list[Path]:
        """Whole checkpoints, oldest first."""
        found = [path for path in self.directory.iterdir() if _NAME.fullmatch(path.name)]
        return sorted(found, key=lambda path: int(path.name.split("-")[1]))

    def save(self, step: int, state: dict[str, Any]) -> Path:
        """Write the state after `step` steps, then drop all but the newest two.

        state: tensors, numbers, strings, None, and lists and dicts of them (see `prove`).
        Raises OSError when the disk is full; the older checkpoints then stay.
        """
        buffer = io.BytesIO()
        torch.save(state, buffer)
        data = buffer.getbuffer()
        path = self.directory / f"step-{step:08d}-{hashlib.sha256(data).hexdigest()[:16]}.ckpt"
        write_atomically(path, data)
        self._prune(path)
        return path

    def prove(self, state: dict[str, Any]) -> None:
        """Raise CheckpointError if `state` could be written but not read again; for before the first step."""
        buffer = io.BytesIO()
        torch.save(state, buffer)
        buffer.seek(0)
        try:
            torch.load(buffer, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            reason = re.search(r"GLOBAL (\S+)", str(error))
            what = reason[1] if reason else "an object"
            msg = f"the training state holds {what}, neither tensor nor plain value; keep it out of hparams"
            raise CheckpointError(msg) from None

    def newest(self) -> dict[str, Any] | None:
        """Return the newest state that is whole, on the CPU, or None where there is no checkpoint.

        A damaged file is renamed `.damaged` and passed over with a RuntimeWarning; CheckpointError when every
        one is damaged.
        """
        files = self.files()
        for path in reversed(files):
            try:
                return read_checkpoint(path)
            except CheckpointError as error:
                warnings.warn(f"{error}; falling back to the one before", RuntimeWarning, stacklevel=2)
                with contextlib.suppress(OSError):
                    path.rename(path.with_name(f"{path.name}.damaged"))
        if files:
            msg = f"no checkpoint in {self.directory} can be read; force a new run, or bring back a copy"
            raise CheckpointError(msg)
        return None

    def discard(self) -> None:
        """Forget the run: remove every checkpoint, damaged ones too."""
        shutil.rmtree(self.directory)
        self.directory.mkdir(exist_ok=True)

    def _prune(self, newest: Path) -> None:
        others = [path for path in self.files() if path != newest]
        for path in others[: len(others) - (KEPT - 1)]:
            path.unlink(missing_ok=True)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read one checkpoint, tensors on the CPU; raises CheckpointError, with the file's name, when it is damaged."""
    match = _NAME.fullmatch(path.name)
    try:
        data = path.read_bytes()
    except OSError as error:
        msg = f"checkpoint {path} cannot be read: {error.strerror}"
        raise CheckpointError(msg) from None
    if match is None or hashlib.sha256(data).hexdigest()[:16] != match[2]:
        msg = f"checkpoint {path} is damaged: its content does not have the hash in its name"
        raise CheckpointError(msg)
    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
