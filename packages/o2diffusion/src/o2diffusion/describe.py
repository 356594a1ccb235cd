"""What a table holds, before any training: replicates, gaps, sampling, events, units, doses, odd curves."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from o2diffusion.conditions import is_doubt
from o2diffusion.tables import count

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from o2diffusion.conditions import Condition
    from o2diffusion.events import Events

GAP = 3.0  # a step longer than this many median steps is a gap
IRREGULAR = 0.05  # relative spread of the steps (10th to 90th percentile) above which sampling is irregular
STUCK = 20  # equal values in a row that look like a stuck or saturated sensor


def summarise(conditions: Iterable[Condition], notes: Sequence[str] = ()) -> dict[str, Any]:
    """Facts of a table as plain numbers, lists and dicts (JSON-ready); conditions may come from an iterator.

    Times and gaps in [h], doses in [uM], oxygen in the table's unit.
    """
    rows = [_one(c) for c in conditions]
    by_experiment: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_experiment.setdefault(row["experiment"], []).append(row)
    observed = sum(r["observed"] for r in rows)
    cells = sum(r["cells"] for r in rows)
    return {
        "conditions": len(rows),
        "rows_observed": observed,
        "rows_to_fill": sum(r["wanted"] for r in rows),
        "cells_without_sample": 1 - observed / cells if cells else 0.0,
        "replicates": {str(k): v for k, v in sorted(Counter(r["replicates"] for r in rows).items())},
        "experiments": {name: _experiment(part) for name, part in by_experiment.items()},
        "doses": _doses(rows),
        "suspicious": {
            kind: [r["name"] for r in rows if r[kind]] for kind in ("constant", "stuck", "empty", "one_time")
        },
        "notes": list(notes),
    }


def describe(conditions: Iterable[Condition], notes: Sequence[str] = ()) -> str:
    """The facts of `summarise` as a page to read."""
    return render(summarise(conditions, notes))


def _one(condition: Condition) -> dict[str, Any]:
    """Facts of one condition."""
    seen, time = np.isfinite(condition.oxygen), condition.time_h
    traces = [(time[s], condition.oxygen[s, i]) for i, s in enumerate(seen.T)]
    steps = np.concatenate([np.diff(t) for t, _ in traces]) if traces else np.zeros(0)
    values = condition.oxygen[seen]
    step = float(np.median(steps)) if steps.size else None
    gaps = steps[steps > GAP * step] if step else steps[:0]
    lengths = [float(t[-1] - t[0]) for t, _ in traces if t.size]
    return {
        "name": f"{condition.experiment_id}/{condition.series_id}",
        "experiment": condition.experiment_id,
        "drug": condition.drug,
        "dose": condition.concentration_um,
        "unit": condition.unit,
        "replicates": len(condition.replicates),
        "observed": int(seen.sum()),
        "cells": int(seen.size),
        "wanted": int(condition.wanted.sum()),
        "start": float(time[0]),
        "end": float(time[-1]),
        "steps": np.percentile(steps, [10, 50, 90]).tolist() if steps.size else None,
        "gaps": gaps.tolist(),
        "gap_share": float(gaps.sum() / sum(lengths)) if sum(lengths) else 0.0,
        "range": np.percentile(values, [0, 50, 100]).tolist() if values.size else None,
        "events": condition.events,
        "constant": values.size > 1 and bool(np.ptp(values) == 0),
        "stuck": values.size > 1 and np.ptp(values) > 0 and any(_stuck(v) for _, v in traces),
        "empty": values.size == 0,
        "one_time": len(time) == 1,
    }


def _stuck(values: np.ndarray) -> bool:
    """Whether a trace stays at its lowest or highest value for `STUCK` samples in a row."""
    if len(values) < STUCK:
        return False
    for extreme in (values.min(), values.max()):
        at = np.flatnonzero(np.diff(np.concatenate([[0], (values == extreme).astype(np.int8), [0]])))
        if (at[1::2] - at[::2]).max() >= STUCK:
            return True
    return False


def _experiment(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Facts of the conditions of one experiment."""
    steps = np.array([r["steps"] for r in rows if r["steps"]])
    ranges = np.array([r["range"] for r in rows if r["range"]])
    gaps = [g for r in rows for g in r["gaps"]]
    low, middle, high = np.median(steps, axis=0).tolist() if steps.size else (None, None, None)
    start, end = min(r["start"] for r in rows), max(r["end"] for r in rows)
    return {
        "conditions": len(rows),
        "traces": sum(r["replicates"] for r in rows),
        "unit": rows[0]["unit"],
        "start_h": start,
        "end_h": end,
        "step_h": {"median": middle, "p10": low, "p90": high},
        "irregular": bool(middle and low is not None and (high - low) / middle > IRREGULAR),
        "gaps": {
            "count": len(gaps),
            "longest_h": max(gaps, default=0.0),
            "share_of_time": float(np.mean([r["gap_share"] for r in rows])),
        },
        "oxygen": {
            "min": float(ranges[:, 0].min()),
            "median": float(np.median(ranges[:, 1])),
            "max": float(ranges[:, 2].max()),
        }
        if ranges.size
        else None,
        "events": _events([r["events"] for r in rows]),
    }


def _events(events: list[Events]) -> list[dict[str, Any]]:
    """Distinct events of an experiment, in order of time, and the number of conditions that have each."""
    found = Counter(
        (float(t), k, bool(d))
        for e in events
        for t, k, d in zip(e.time_h, e.kind, e.drug_containing, strict=True)
    )
    return [
        {"time_h": t, "kind": k, "drug_containing": d, "conditions": n}
        for (t, k, d), n in sorted(found.items())
    ]


def _doses(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Drugs with their doses [uM] and the conditions and traces of each drug; None: no drug."""
    drugs: dict[str | None, list[dict[str, Any]]] = {}
    for row in rows:
        drugs.setdefault(row["drug"], []).append(row)
    return [
        {
            "drug": drug,
            "doses_um": sorted({r["dose"] for r in part if r["dose"] is not None}),
            "conditions": len(part),
            "traces": sum(r["replicates"] for r in part),
        }
        for drug, part in sorted(drugs.items(), key=lambda item: item[0] or "")
    ]


def render(facts: dict[str, Any], most: int = 12) -> str:
    """The facts of `summarise` as text; long lists are cut after `most` lines, and that is said."""
    lines = [
        f"{count(facts['conditions'], 'condition')}, {facts['rows_observed']:,} values observed, "
        f"{facts['rows_to_fill']:,} to fill; {facts['cells_without_sample']:.0%} of the cells "
        "(time x replicate) hold no sample",
        "replicates  "
        + ", ".join(f"{count(n, 'condition')} with {k}" for k, n in facts["replicates"].items()),
        "",
        "experiments",
    ]
    experiments = list(facts["experiments"].items())
    for name, e in experiments[:most]:
        lines += _experiment_lines(name, e)
    lines += _cut(len(experiments) - most)
    lines += ["", "drugs"]
    for d in facts["doses"][:most]:
        doses = ", ".join(f"{x:g}" for x in d["doses_um"])
        counts = f"{count(d['conditions'], 'condition')}, {count(d['traces'], 'trace')}"
        stated = f"doses {doses} uM" if doses else "no dose stated"
        lines.append(f"  {d['drug'] or '(no drug)'}: {counts}, {stated}")
    lines += _cut(len(facts["doses"]) - most)
    words = {
        "constant": "constant",
        "stuck": f"stuck at an extreme for {STUCK}+ samples",
        "empty": "nothing observed",
    }
    words["one_time"] = "one time only"
    found = [(words[k], v) for k, v in facts["suspicious"].items() if v]
    doubts = [n for n in facts["notes"] if is_doubt(n)]
    notes = [n for n in facts["notes"] if n not in doubts]
    lines += ["", "suspicious" if found or doubts else "nothing suspicious"]
    lines += [f"  {text}: {len(v)} ({', '.join(v[:3])}{', ...' if len(v) > 3 else ''})" for text, v in found]
    lines += [f"  {n}" for n in doubts]
    if notes:
        lines += ["", "notes", *(f"  {n}" for n in notes)]
    return "\n".join(lines)


def _experiment_lines(name: str, e: dict[str, Any]) -> list[str]:
    step, gaps, oxygen = e["step_h"], e["gaps"], e["oxygen"]
    unit = e["unit"] or "unit not stated"
    spread = f", irregular ({step['p10']:.3g} to {step['p90']:.3g})" if e["irregular"] else ""
    sampling = f"every {step['median']:.3g} h{spread}" if step["median"] else "no two samples"
    lines = [
        f"  {name}: {count(e['conditions'], 'condition')}, {count(e['traces'], 'trace')}, "
        f"{e['start_h']:.4g} to {e['end_h']:.4g} h, {sampling}",
        f"    oxygen {oxygen['min']:.4g} to {oxygen['max']:.4g}, median {oxygen['median']:.4g} ({unit})"
        if oxygen
        else f"    no oxygen observed ({unit})",
        f"    {count(gaps['count'], 'gap')} above {GAP:g} steps"
        + (
            f", longest {gaps['longest_h']:.3g} h, {gaps['share_of_time']:.1%} of the time"
            if gaps["count"]
            else ""
        ),
    ]
    events = Counter(v["kind"] for v in e["events"])
    times = {k: ", ".join(f"{v['time_h']:.4g}" for v in e["events"] if v["kind"] == k) for k in events}
    shown = "; ".join(f"{n} {k} ({times[k][:70]} h)" for k, n in events.items())
    return [*lines, f"    events: {shown or 'none'}"]


def _cut(more: int) -> list[str]:
    return [f"  ... and {more} more"] if more > 0 else []
