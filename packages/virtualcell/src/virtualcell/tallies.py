"""Numbers that are counted up by several processes: what workers have seen is seen by the process that started them."""

from __future__ import annotations

import multiprocessing
from multiprocessing.context import get_spawning_popen
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


_CONTEXT = multiprocessing.get_context(
    "spawn"
)  # its locks go to forked workers as well; the other way round they do not


class Tally:
    """Named sums in shared memory. A copy (pickle, deepcopy) starts from the same sums and goes its own way."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)
        self._sums = torch.zeros(len(self.names), dtype=torch.float64).share_memory_()
        self._lock = _CONTEXT.RLock()

    def add(self, values: Sequence[float]) -> None:
        """Add one number to each sum, in the order of the names."""
        with self._lock:
            self._sums += torch.tensor(list(values), dtype=torch.float64)

    def read(self) -> dict[str, float]:
        """The sums by name."""
        with self._lock:
            return dict(zip(self.names, self._sums.tolist(), strict=True))

    def reset(self) -> None:
        """All sums 0 again, in every process."""
        with self._lock:
            self._sums.zero_()

    def __getstate__(self) -> dict[str, Any]:
        if get_spawning_popen() is not None:  # a worker is being started: it shares memory and lock
            return {"names": self.names, "sums": self._sums, "lock": self._lock}
        return {"names": self.names, "sums": self._sums.tolist(), "lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.names = state["names"]
        if state["lock"] is None:
            self._sums = torch.tensor(state["sums"], dtype=torch.float64).share_memory_()
            self._lock = _CONTEXT.RLock()
        else:
            self._sums, self._lock = state["sums"], state["lock"]
