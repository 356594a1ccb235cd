"""The step of memory: what a cell has been through, as fading traces of earlier perturbations."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from virtualcell.faults import refuse
from virtualcell.loader_options import LoaderConfig, MemoryOptions
from virtualcell.steps import Seen, Step, Tokens
from virtualcell.vectors import name_vector

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtualcell.cells import Cells

_SLOWER = 4.0  # times that each kind of memory forgets slower than the one before
_FEWEST = 3
Event = tuple[str, float]  # a perturbation, and how many hours ago it began


class Memory(Step):
    """Traces of earlier perturbations, `A@24+B@6` (hours ago), or states that an earlier call has left in obsm.

    A perturbation is a unit vector made from its name; each kind of memory holds the sum of them, each times what is
    left of it. The trace of the longest memory says which epigenetic state a cell is in.
    """

    name: ClassVar[str] = "memory"
    Options: ClassVar[type[Any] | None] = MemoryOptions
    reads: ClassVar[tuple[str, ...]] = ("previous_states",)
    tallied: ClassVar[tuple[str, ...]] = ("events", "events_not_known", "cells_with_memory")

    @classmethod
    def fit(cls, seen: Seen, options: MemoryOptions) -> Memory:
        """The perturbations that are remembered, and the spread of genes in each epigenetic state.

        Raises DataError for states in obsm of another width, and for a history that cannot be read.
        """
        config, about = seen.config, seen.cells.about
        words: dict[str, Any] = {"width": options.memory_dim, "key": config.memory_key}
        if config.memory_key is not None:
            found = about.array(config.memory_key).shape[1]
            allowed = options.memory_dim, options.memory_dim + options.num_epigenetic_states
            if found not in allowed:
                widths = f"memory_dim = {allowed[0]} columns, or {allowed[1]} with epigenetic states"
                refuse(f"obsm[{config.memory_key!r}]: expected {widths}, got {found}")
            return cls({}, words, (f"memory: states are read from obsm[{config.memory_key!r}]",))
        if not about.has(config.history_key) and config.history_key == LoaderConfig.history_key:
            note = f"obs[{config.history_key!r}] is absent, no previous_states are made; cfg history_key says where"
            return cls({}, {}, (note,))
        counted = Counter(name for events in _histories(seen.cells, config.history_key) for name, _ in events)
        names = sorted(name for name, _ in counted.most_common(options.memory_size))
        rates = [options.memory_decay_rate ** (_SLOWER**-i) for i in range(options.num_memory_types)]
        words |= {"history": config.history_key, "names": names, "rates": rates}
        step = cls({}, words)
        trace = step.traces(seen.cells)[:, -1]
        top = float(trace.max(initial=0.0)) or 1.0
        words |= {
            "levels": [
                top * (i + 0.5) / options.num_epigenetic_states
                for i in range(options.num_epigenetic_states - 1)
            ]
        }
        states = np.searchsorted(words["levels"], trace)
        words["cells_in_state"] = np.bincount(states, minlength=options.num_epigenetic_states).tolist()
        arrays = {}
        if seen.normalization.biological_normalization:
            arrays["factor"] = _spreads(seen.values, states, options.num_epigenetic_states)
        return cls(arrays, words, (f"memory: {len(names)} different perturbations are remembered",))

    def scale(self, values: np.ndarray, cells: Cells) -> np.ndarray:
        """(b, g): the same spread in each epigenetic state."""
        if "factor" not in self.arrays:
            return values
        return values * self.arrays["factor"][self.states(cells)]

    def context(self, tokens: Tokens, cells: Cells) -> dict[str, np.ndarray]:
        """previous_states (b, memory_dim) float32."""
        del tokens
        if not self.words:
            return {}
        if self.words["key"] is not None:
            return {"previous_states": cells.array(self.words["key"])}
        return {"previous_states": self._vectors(cells)}

    def states(self, cells: Cells) -> np.ndarray:
        """The epigenetic state of each cell (b,) int64: 0 for no memory."""
        return np.searchsorted(self.words["levels"], self.traces(cells)[:, -1])

    def traces(self, cells: Cells) -> np.ndarray:
        """What is left of all earlier perturbations in each kind of memory, (b, kinds) float64."""
        rates = np.array(self.words["rates"])
        histories = _histories(cells, self.words["history"])
        return np.array(
            [sum((rates**age for _, age in events), np.zeros(len(rates))) for events in histories]
        )

    def tally(self, cells: Cells) -> Sequence[float]:
        """Events, those of perturbations that are not remembered, and cells with any."""
        if "history" not in self.words:
            return (0.0, 0.0, float(len(cells)) if self.words else 0.0)
        histories, known = _histories(cells, self.words["history"]), set(self.words["names"])
        names = [name for events in histories for name, _ in events]
        missed = sum(name not in known for name in names)
        return float(len(names)), float(missed), float(sum(map(bool, histories)))

    def _vectors(self, cells: Cells) -> np.ndarray:
        rates, known = self.words["rates"], set(self.words["names"])
        widths = [len(part) for part in np.array_split(np.arange(self.words["width"]), len(rates))]
        made = np.zeros((len(cells), self.words["width"]), dtype=np.float32)
        for row, events in zip(made, _histories(cells, self.words["history"]), strict=True):
            for name, age in events:
                if name in known:
                    left = np.repeat([rate**age for rate in rates], widths)
                    row += (left * name_vector(name, self.words["width"])).astype(np.float32)
        return made


def _histories(cells: Cells, key: str) -> list[list[Event]]:
    return [parsed(text, f"{cells.about.name}: obs[{key!r}]") for text in cells.labels(key).tolist()]


def parsed(text: str, where: str) -> list[Event]:
    """The events of `A@24+B@6`; none of an empty text or `none`. DataError for an age that is no number >= 0."""
    events = []
    for word in text.split("+") if text.strip().lower() not in ("", "none") else ():
        name, mark, age = word.strip().rpartition("@")
        try:
            hours = float(age)
        except ValueError:
            hours = -1.0
        if not (mark and name and 0 <= hours < float("inf")):
            refuse(f"{where}: expected perturbations with hours ago, such as A@24+B@6, got {text!r}")
        events.append((name, hours))
    return events


def _spreads(values: np.ndarray, states: np.ndarray, count: int) -> np.ndarray:
    """What makes the spread of each gene in a state that of all cells, (count, g) float32."""
    overall, made = values.std(axis=0), np.ones((count, values.shape[1]), dtype=np.float32)
    for state in range(count):
        mine = values[states == state]
        if len(mine) >= _FEWEST:
            sd = mine.std(axis=0)
            usable = (sd > 1e-6) & (overall > 1e-6)
            made[state] = np.clip(np.where(usable, overall / np.where(usable, sd, 1.0), 1.0), 0.1, 10.0)
    return made
