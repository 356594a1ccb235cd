"""What the numbers of cells are: raw counts, log values, or normalised without a logarithm; and which are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from virtualcell.faults import refuse

if TYPE_CHECKING:
    from collections.abc import Callable

    from scipy import sparse

Kind = Literal["counts", "log", "linear"]
LARGEST = 1e12  # sums of squares of such are finite in every step
LOG_LARGEST = 30.0  # no logarithm of expression is above; log2 of 1e9 is 30
_SAYS = {
    "counts": "whole numbers: raw counts, they will be normalised",
    "log": "log values: they are taken as they are and not normalised again",
    "linear": "neither whole numbers nor logarithms: normalised values, totals and logarithm will be taken",
}


def check_values(block: sparse.csr_matrix, cell: Callable[[int], str], genes: np.ndarray, where: str) -> None:
    """Refuse NaN, infinite, negative and too large values, indices beyond the genes, and cells without any count.

    block: (b, g). cell: the name of a row of this block. genes: (g,) their names. Raises DataError that names the cell,
    and the gene where there is one.
    """
    n_genes = block.shape[1]
    if len(block.indices) and not (block.indices.min() >= 0 and block.indices.max() < n_genes):
        at = int(np.flatnonzero((block.indices < 0) | (block.indices >= n_genes))[0])
        refuse(
            f"{where}: cell {cell(_row(block, at))}: expected columns below {n_genes}, got {block.indices[at]}"
        )
    bad = ~((block.data >= 0) & (block.data <= LARGEST))  # NaN is neither
    if bad.any():
        at = int(bad.argmax())
        value = block.data[at]
        hint = "; scaled data has lost its counts: give counts or log1p values" if value < 0 else ""
        what = f"cell {cell(_row(block, at))}, gene {genes[block.indices[at]]}"
        refuse(f"{where}: {what}: expected a number from 0 to {LARGEST:g}, got {value:g}{hint}")
    empty = np.asarray(block.sum(axis=1)).ravel() == 0
    if empty.any():
        row = int(empty.argmax())
        refuse(
            f"{where}: cell {cell(row)} has no count at all ({int(empty.sum())} such here): take such cells out"
        )


def _row(block: sparse.csr_matrix, at: int) -> int:
    return int(np.searchsorted(block.indptr, at, side="right")) - 1


def recognised(
    sample: sparse.csr_matrix, declared: Kind | Literal["auto"], where: str, cell: Callable[[int], str]
) -> tuple[Kind, float, str]:
    """The kind of a sample (m, g) of checked cells, what log values are per (`per_of`, else 0), and a note of both.

    Raises DataError for a declared kind that cannot be.
    """
    values = sample.data
    whole = bool((values == np.rint(values)).all())
    found: Kind = "counts" if whole else "log" if values.max(initial=0.0) <= LOG_LARGEST else "linear"
    if declared not in ("auto", *get_args(Kind)):
        refuse(f"{where}: kind: expected one of auto, {', '.join(get_args(Kind))}, got {declared!r}")
    if declared == "counts" and not whole:
        at = int((values != np.rint(values)).argmax())
        refuse(
            f"{where}: cell {cell(_row(sample, at))}: expected counts (kind='counts'), got {values[at]:g}: "
            f"{_hint(found)}"
        )
    if declared == "log" and values.max(initial=0.0) > LOG_LARGEST:
        at = int(values.argmax())
        refuse(
            f"{where}: cell {cell(_row(sample, at))}: expected logarithms (kind='log'), got {values[at]:g}"
        )
    kind = found if declared == "auto" else declared
    total = per_of(sample) if kind == "log" else 0.0
    more = f" (log1p of counts per {total:,.0f})" if total else ""
    if kind == "log" and not total and _raw(sample):
        more = ": they look like log1p of raw counts: give the counts, or log1p of counts per 10,000"
    return kind, total, f"{where}: {_SAYS[kind]}{more}"


def _raw(sample: sparse.csr_matrix) -> bool:
    """Whether log values are of whole counts that were not brought to a total."""
    counts = np.expm1(sample.data.astype(np.float64))
    return bool((np.abs(counts - np.rint(counts)) < 1e-3 * np.maximum(counts, 1)).all())


def _hint(kind: Kind) -> str:
    return "these look like log values" if kind == "log" else "these look like normalised values"


def per_of(sample: sparse.csr_matrix) -> float:
    """Of which total the values (m, g) are logarithms, a scalar; 0 where the cells do not agree on one."""
    raised = sample.copy()
    raised.data = np.expm1(raised.data.astype(np.float64))
    totals = np.asarray(raised.sum(axis=1)).ravel()
    middle = float(np.median(totals))
    agree = np.abs(totals - middle) < 0.01 * middle
    return middle if agree.mean() > 0.9 else 0.0
