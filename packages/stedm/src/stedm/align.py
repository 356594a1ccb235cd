"""Training sections turned and mirrored onto what the others predict for them: one frame for all.

Sections lie on their arrays as the cutter put them. Letters: n cells of a section, d dimensions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stedm.metrics import fit_similarity

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Predict = Callable[[int, np.ndarray], np.ndarray]


def align(places: Sequence[np.ndarray], predict: Predict, rounds: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Sections (n, d) in one frame, and the turns (sections, d, d) that brought them there; sizes are kept.

    predict(s, others) gives section s's coordinates from those (n of all others, d) of the other sections, in order.
    The first section keeps its frame. One section alone is only centred. rounds: times that each is turned anew.
    """
    made = [place - place.mean(axis=0) for place in places]
    start = list(made)
    for _ in range(rounds if len(made) > 1 else 0):
        for s in range(len(made)):
            others = np.concatenate([place for t, place in enumerate(made) if t != s])
            fit = fit_similarity(start[s], predict(s, others), scaled=False)
            made[s] = start[s] @ fit.turn
    turns = [fit_similarity(a, b, scaled=False).turn for a, b in zip(start, made, strict=True)]
    back = turns[0].T
    return [place @ back for place in made], np.stack([turn @ back for turn in turns])
