"""Which of several processes this one is, and its share of what they do together.

torchrun (RANK, WORLD_SIZE), srun (SLURM_PROCID, SLURM_STEP_NUM_TASKS) and Lightning's own launcher (LOCAL_RANK,
WORLD_SIZE) say so in the environment. SLURM_NTASKS is not asked: it stands in an allocation's shell too, where one
process is alone. Loads no torch.
"""

from __future__ import annotations

import functools
import logging
import os
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Words = ParamSpec("Words")
Result = TypeVar("Result")
Item = TypeVar("Item")

_STARTERS = {
    "torchrun": ("RANK", "WORLD_SIZE"),
    "srun": ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
    "lightning": ("LOCAL_RANK", "WORLD_SIZE"),
}


class Place(NamedTuple):
    """Process `rank` of `world`, counted from 0, and who started them; "" where this one is alone."""

    rank: int
    world: int
    starter: str


def place(environment: Mapping[str, str] = os.environ) -> Place:
    """Where this process stands among those that were started together.

    Raises ValueError for variables that are no numbers, or a rank outside 0 to world - 1.
    """
    for starter, names in _STARTERS.items():
        own, all_of_them = (environment.get(name, "") for name in names)
        if not (own and all_of_them):
            continue
        if not (own.isdecimal() and all_of_them.isdecimal() and int(own) < int(all_of_them)):
            told = f"{names[0]}={own}, {names[1]}={all_of_them}"
            message = f"{told}: expected a rank from 0 to below the number of processes"
            raise ValueError(message)
        return Place(int(own), int(all_of_them), starter)
    return Place(0, 1, "")


def forget() -> None:
    """Go on alone, as a process that nobody started together with others."""
    for name in {name for names in _STARTERS.values() for name in names}:
        os.environ.pop(name, None)


def first() -> bool:
    """Whether this process is the one that writes and speaks."""
    return place().rank == 0


def mine(items: Sequence[Item], rank: int, world: int) -> list[Item]:
    """Every `world`-th of the items from number `rank` on: the shares of all ranks are disjoint and make up all.

    Raises ValueError for a rank outside 0 to world - 1.
    """
    if not 0 <= rank < world:
        message = f"share {rank}/{world}: expected K/N with K from 0 to N - 1"
        raise ValueError(message)
    return list(items[rank::world])


def only_first_speaks(verb: Callable[Words, Result]) -> Callable[Words, Result]:
    """A verb of which all processes but the first print and log nothing; their faults are still raised."""

    @functools.wraps(verb)
    def silent_elsewhere(*args: Words.args, **words: Words.kwargs) -> Result:
        if first():
            return verb(*args, **words)
        before = logging.root.manager.disable
        logging.disable(logging.INFO)
        try:
            with Path(os.devnull).open("w") as out, redirect_stdout(out), redirect_stderr(out):
                return verb(*args, **words)
        finally:
            logging.disable(before)

    return silent_elsewhere
