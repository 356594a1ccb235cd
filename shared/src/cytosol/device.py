"""Where and how exactly to compute; every line works on a machine without a GPU."""

from __future__ import annotations

import importlib.util
import random
import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterator

COMPILE_PAYS_AFTER = 2_000  # calls of a net; compiling takes from half a minute to minutes

_OUT_OF_MEMORY = re.compile(
    r"out of memory|can(?:'|no)t allocate memory|not enough memory|CUBLAS_STATUS_ALLOC_FAILED",
    re.IGNORECASE,
)
_WANTED = re.compile(r"allocate ([\d.]+ ?(?:bytes|[KMGTP]i?B))", re.IGNORECASE)


def available_devices() -> list[str]:
    """The kinds of device this machine has, fastest first; always ends in `cpu`."""
    kinds = ["cuda"] if torch.cuda.is_available() else []
    kinds += ["mps"] if torch.backends.mps.is_available() else []
    return [*kinds, "cpu"]


def pick_device(name: str = "auto") -> torch.device:
    """The device of a name: `auto` (the fastest here), `cpu`, `cuda`, `cuda:1`, `mps`.

    Raises ValueError for an unknown name and for a device that this machine has not, naming what it has.
    """
    available = available_devices()
    if name == "auto":
        return torch.device(available[0])
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (index and not index.isdecimal()):
        message = f"unknown device {name!r}: expected auto, cpu, cuda (or cuda:1), mps"
        raise ValueError(message)
    count = torch.cuda.device_count() if kind == "cuda" else 1
    if kind not in available or int(index or 0) >= count:
        message = (
            f"device {name!r} is not available here: this machine has {', '.join(available)}; or use auto"
        )
        raise ValueError(message)
    return torch.device(name)


def pick_precision(device: torch.device) -> str:
    """Lightning's precision word: `bf16-mixed` on a GPU that has bfloat16, else `32-true`."""
    # Ampere brought it; older cards and CPUs without matrix units only emulate it, slower than float32
    if device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0):
        return "bf16-mixed"
    return "32-true"


def allow_tf32() -> None:
    """Let float32 matrix products round to TensorFloat-32, process-wide: for a command line only."""
    torch.set_float32_matmul_precision("high")


def compile_if_worth(module: nn.Module, device: torch.device, *, calls: int) -> nn.Module:
    """The same module, compiled in place if `calls` forward passes on `device` will repay it.

    In place, so that its state keeps its names. Left alone off CUDA, without Triton, and on cards older than
    Volta.
    """
    worth = (
        calls >= COMPILE_PAYS_AFTER
        and device.type == "cuda"
        and importlib.util.find_spec("triton") is not None
        and torch.cuda.get_device_capability(device) >= (7, 0)
    )
    if worth:
        module.compile()
    return module


def seed_process(seed: int) -> None:
    """Seed every global generator (random, numpy, torch): for a command line, libraries take a generator.

    Raises ValueError outside 0..2^32 - 1.
    """
    if not 0 <= seed < 2**32:
        message = f"expected a seed from 0 to {2**32 - 1}, got {seed}"
        raise ValueError(message)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - third parties still draw from it
    torch.manual_seed(seed)


def memory_report(device: torch.device) -> str:
    """One line on memory [GiB]: in use and at most so far, by this process."""
    if device.type == "cuda":
        used, peak = torch.cuda.memory_allocated(device), torch.cuda.max_memory_allocated(device)
        total = torch.cuda.get_device_properties(device).total_memory
        name = torch.cuda.get_device_name(device)
        return f"{device} ({name}): {_gib(used)} in use, {_gib(peak)} at most, of {_gib(total)}"
    if device.type == "mps":
        return f"mps: {_gib(torch.mps.current_allocated_memory())} in use"
    peak = _peak_resident()
    return "cpu: memory use unknown on this system" if peak is None else f"cpu: {_gib(peak)} at most"


@contextmanager
def out_of_memory_hint(error: type[Exception] = RuntimeError, *, key: str = "batch_size") -> Iterator[None]:
    """Turn any out-of-memory inside (CUDA, MPS, CPU, numpy) into one line of `error` that names `key`.

    Everything else passes unchanged. error: an exception that takes one text.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as problem:
        if not (isinstance(problem, MemoryError) or _OUT_OF_MEMORY.search(str(problem))):
            raise
        wanted = _WANTED.search(str(problem))
        size = f" (asked for {wanted[1]})" if wanted else ""
        message = f"out of memory{size}: lower {key}, or use a device with more memory"
        raise error(message) from problem


def _gib(n_bytes: int) -> str:
    return f"{n_bytes / 2**30:.2f} GiB"


def _peak_resident() -> int | None:
    """Largest resident size of this process [bytes]; None on Windows, which has no `resource`."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
