"""Events whose response no replicate shows: what is filled there can only be as responses were in training.

Letters: n times, r replicates, k events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from o2diffusion.conditions import Condition

RESPONSE_H = 5.0  # after an event, or until the next one: where a response is seen, if anywhere
MOST = 3  # series named, and events of each


def unseen_responses(condition: Condition) -> list[float]:
    """Times [h] of the events after which samples are wanted, and none is seen in any replicate.

    Until the next event, the end of the record, or `RESPONSE_H`. None where the condition shows nothing at all, which
    is another matter.
    """
    time, at = condition.time_h, condition.events.time_h
    seen, wanted = np.isfinite(condition.oxygen).any(axis=1), condition.wanted.any(axis=1)
    if not seen.any():
        return []
    found = []
    for event, following in zip(at, np.append(at, np.inf)[1:], strict=True):
        after = (time > event) & (time < following) & (time <= event + RESPONSE_H)
        if wanted[after].any() and not seen[after].any():
            found.append(float(event))
    return found


def unseen_note(found: Mapping[str, list[float]]) -> list[str]:
    """The note on events [h] by series, as `unseen_responses` finds them: one, or none without events."""
    named = {series: times for series, times in found.items() if times}
    if not named:
        return []
    some = ", ".join(f"{series} at {_hours(times)} h" for series, times in list(named.items())[:MOST])
    more = ", ..." if len(named) > MOST else ""
    return [
        f"{len(named)} series with events after which no replicate shows the response: filled as responses were in "
        f"training, bands may be far too narrow for another kind of assay ({some}{more})"
    ]


def _hours(times: list[float]) -> str:
    times = sorted(set(times))  # a series that was split has them more than once
    return ", ".join(f"{t:.4g}" for t in times[:MOST]) + (", ..." if len(times) > MOST else "")
