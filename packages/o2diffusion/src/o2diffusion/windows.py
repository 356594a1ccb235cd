"""Windows around media changes: oxygen from 2 h before to 22 h after, above the level before.

Letters: n samples of a window, r replicates, b windows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from o2diffusion.conditions import Condition

BEFORE_H, AFTER_H, REFERENCE_H = 2.0, 22.0, 10.0
NEVER = float("inf")


@dataclass(frozen=True, eq=False)
class MediaWindow:
    """One media change (or other event) in one condition.

    `time_relative` (n,) [h, 0 = the change], `oxygen` (n, r) minus `level`, 0 where not `observed` (n, r);
    `replicate_mask` (r,) replicates with a level and a sample after the change. `level` (r,) mean of the samples in the
    window before the change, `reference` (r,) mean of the longer reference time before it (10 h), both in `unit`.
    `change_time_h` [h] on the condition's clock, `concentration_um` [uM]; None: not stated.
    """

    experiment_id: str
    series_id: str
    drug: str | None
    concentration_um: float | None
    unit: str | None
    replicates: tuple[str, ...]
    drug_containing: bool
    change_time_h: float
    time_relative: np.ndarray
    oxygen: np.ndarray
    observed: np.ndarray
    replicate_mask: np.ndarray
    level: np.ndarray
    reference: np.ndarray


class MediaResponseDataset(Dataset[MediaWindow]):
    """The windows around every media change of the conditions, on the true sampling times.

    A window runs from `before_h` [h] before the change to `after_h` [h] after it, or to the next event of
    `kinds`. A replicate without a sample before the change (in `before_h`, else in `reference_h`) or none
    after it is masked; a window without replicates is left out and counted in `dropped`. Raises ValueError for times
    that are not positive, or a `reference_h` below `before_h`.
    """

    def __init__(
        self,
        conditions: Iterable[Condition],
        *,
        before_h: float = BEFORE_H,
        after_h: float = AFTER_H,
        reference_h: float = REFERENCE_H,
        kinds: Sequence[str] = ("media_change",),
    ) -> None:
        if not (before_h > 0 and after_h > 0 and reference_h >= before_h):
            msg = (
                "expected before_h > 0, after_h > 0 and reference_h >= before_h [h], "
                f"got {before_h}, {after_h}, {reference_h}"
            )
            raise ValueError(msg)
        self.windows: list[MediaWindow] = []
        self.dropped = 0
        for condition in conditions:
            wanted = [i for i, kind in enumerate(condition.events.kind) if kind in kinds]
            times = [float(condition.events.time_h[i]) for i in wanted]
            for i, start, at, end in zip(wanted, [-NEVER, *times], times, [*times[1:], NEVER], strict=False):
                span = (max(start, at - reference_h), at - before_h, min(end, at + after_h))
                window = _cut(condition, i, at, span)
                if window is None:
                    self.dropped += 1
                else:
                    self.windows.append(window)

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> MediaWindow:
        return self.windows[index]


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean of the samples of each replicate: (n, r) -> (r,), NaN without samples."""
    seen = np.isfinite(values)
    count = seen.sum(axis=0)
    total = np.where(seen, values, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _cut(condition: Condition, event: int, at: float, span: tuple[float, float, float]) -> MediaWindow | None:
    """One window; `span`: start of the reference time, of the window, its end [h]. None: no replicate."""
    first, start, end = span
    time = condition.time_h
    reference = _mean(condition.oxygen[(time >= first) & (time < at)])
    level = _mean(condition.oxygen[(time >= max(start, first)) & (time < at)])
    level = np.where(np.isfinite(level), level, reference)
    inside = (time >= max(start, first)) & (time < end)
    since, oxygen = time[inside] - at, condition.oxygen[inside] - level
    seen = np.isfinite(oxygen)
    mask = np.asarray(seen[since >= 0].any(axis=0))
    if not mask.any():
        return None
    observed = seen & mask
    return MediaWindow(
        experiment_id=condition.experiment_id,
        series_id=condition.series_id,
        drug=condition.drug,
        concentration_um=condition.concentration_um,
        unit=condition.unit,
        replicates=condition.replicates,
        drug_containing=bool(condition.events.drug_containing[event]),
        change_time_h=at,
        time_relative=since,
        oxygen=np.where(observed, oxygen, 0.0),
        observed=observed,
        replicate_mask=mask,
        level=level,
        reference=reference,
    )


def collate_windows(windows: Sequence[MediaWindow]) -> dict[str, Tensor | list[str | None]]:
    """Windows, b of them, as one padded batch of tensors by name.

    `time_relative` (b, n) [h], `time_mask` (b, n), `oxygen` (b, n, r), `observed` (b, n, r),
    `replicate_mask` (b, r), `concentration` (b,) [uM, NaN = not given], `drug_containing` (b,), `drug` and
    `series_id` lists of b. Padding is 0 and False.
    """
    b = len(windows)
    n = max((len(w.time_relative) for w in windows), default=0)
    r = max((len(w.replicate_mask) for w in windows), default=0)
    time, time_mask = torch.zeros(b, n), torch.zeros(b, n, dtype=torch.bool)
    oxygen, observed = torch.zeros(b, n, r), torch.zeros(b, n, r, dtype=torch.bool)
    replicates = torch.zeros(b, r, dtype=torch.bool)
    for i, w in enumerate(windows):
        rows, columns = w.oxygen.shape
        time[i, :rows] = torch.as_tensor(w.time_relative)
        time_mask[i, :rows] = True
        oxygen[i, :rows, :columns] = torch.as_tensor(w.oxygen)
        observed[i, :rows, :columns] = torch.as_tensor(w.observed)
        replicates[i, :columns] = torch.as_tensor(w.replicate_mask)
    given = [float("nan") if w.concentration_um is None else w.concentration_um for w in windows]
    return {
        "time_relative": time,
        "time_mask": time_mask,
        "oxygen": oxygen,
        "observed": observed,
        "replicate_mask": replicates,
        "concentration": torch.tensor(given, dtype=torch.float32),
        "drug_containing": torch.tensor([w.drug_containing for w in windows], dtype=torch.bool),
        "drug": [w.drug for w in windows],
        "series_id": [w.series_id for w in windows],
    }
