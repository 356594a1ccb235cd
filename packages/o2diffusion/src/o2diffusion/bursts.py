"""Bursts of samples with pauses between: the measurement cycles of an instrument, read off its times alone."""

from __future__ import annotations

import numpy as np

PAUSE = 4.0  # a pause is longer than this many usual steps
FEWEST_BURSTS, FEWEST_TIMES = 4, 4  # of bursts, and of times in the middle one of them
REGULAR = 0.15  # bursts follow each other at equal distances, but for this part (median deviation)


def burst_starts(time: np.ndarray) -> np.ndarray:
    """Starts of regular bursts of samples: (k,) [h], empty where time (n,), increasing [h], runs on without pauses.

    A pause now and then, from a fault or a night, makes no bursts: they must be several, of several times each, and
    about equally far apart.
    """
    none = np.empty(0)
    if len(time) < FEWEST_BURSTS * FEWEST_TIMES:
        return none
    step = np.diff(time)
    first = np.append(0, np.flatnonzero(step > PAUSE * np.median(step)) + 1)
    if len(first) < FEWEST_BURSTS or np.median(np.diff(first)) < FEWEST_TIMES:
        return none
    apart = np.diff(time[first])
    usual = np.median(apart)
    return time[first] if np.median(np.abs(apart - usual)) <= REGULAR * usual else none
