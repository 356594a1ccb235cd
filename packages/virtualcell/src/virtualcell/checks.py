"""What a caller may have got wrong in a batch, each told in one line of ValueError.

Values are looked at outside of compiled code only: there the look would cut the graph in two.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, NoReturn

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Collection


def refuse(message: str) -> NoReturn:
    """Raise ValueError."""
    raise ValueError(message)


def looking() -> bool:
    """Whether values may be looked at here."""
    return not torch.compiler.is_compiling()


def batch(src: Tensor, mask: Tensor, width: int) -> None:
    """`src: (b, n, width)` float, `mask: (b, n)` bool whose CLS slot is real in every cell."""
    if src.ndim != 3 or src.shape[-1] != width or not src.is_floating_point():
        refuse(f"src: expected float (cells, tokens, {width}), got {_show(src)}")
    real(mask, src.shape[0], src.shape[1])


def real(mask: Tensor, cells: int, tokens: int) -> None:
    """`mask: (b, n)` bool, True = real, with a real CLS slot in every cell."""
    if mask.dtype != torch.bool or mask.shape != (cells, tokens):
        refuse(f"mask: expected bool ({cells}, {tokens}), True = real, got {_show(mask)}")
    if not cells or not tokens:
        refuse(f"src: expected at least one cell and its CLS slot, got {cells} cells of {tokens} tokens")
    if looking() and not bool(mask[:, 0].all()):
        cell = int((~mask[:, 0]).nonzero()[0])
        refuse(f"mask: cell {cell} has no real CLS slot; slot 0 of every cell is True")


def finite(encoded: Tensor, mask: Tensor, name: str) -> bool:
    """Whether all of `encoded: (b, n, d)` is finite; ValueError where a real token is not."""
    if bool(encoded.isfinite().all()):
        return True
    bad = ~encoded.isfinite().all(-1) & mask
    if bool(bad.any()):
        cell, token = (int(i) for i in bad.nonzero()[0])
        refuse(f"{name}: cell {cell}, token {token} holds NaN or infinity")
    return False


def amounts(values: Tensor, mask: Tensor, name: str) -> None:
    """Real `values: (b, n)` are finite and not negative."""
    if not looking():
        return
    bad = mask & ~((values >= 0) & values.isfinite())
    if bool(bad.any()):
        cell, token = (int(i) for i in bad.nonzero()[0])
        refuse(
            f"{name}: cell {cell}, token {token} is {float(values[cell, token]):g}; expected 0 or more, finite"
        )


def per_cell(values: Tensor, name: str, cells: int, width: int | None = None) -> None:
    """`values: (b,)`, or `(b, width)` where one is asked for, finite and not negative."""
    shape = (cells,) if width is None else (cells, width)
    if tuple(values.shape) != shape:
        refuse(f"{name}: expected shape {shape}, got {tuple(values.shape)}")
    if looking() and values.numel() and not bool(((values >= 0) & values.isfinite()).all()):
        cell = int((~((values >= 0) & values.isfinite())).reshape(cells, -1).any(-1).nonzero()[0])
        refuse(f"{name}: cell {cell} holds a value that is negative, NaN or infinite")


def ids(values: Tensor, name: str, mask: Tensor, count: int, *, several: bool = False) -> None:
    """`values: (b, n)` whole numbers, or `(b, n, k)` where several are allowed, from -1 (none) to count - 1."""
    fits = values.shape == mask.shape or (several and values.ndim == 3 and values.shape[:2] == mask.shape)
    if not fits or values.is_floating_point() or values.is_complex() or values.dtype == torch.bool:
        shapes = f"{tuple(mask.shape)}" + (f" or {(*mask.shape, 'k')}" if several else "")
        refuse(f"{name}: expected whole numbers of shape {shapes}, got {_show(values)}")
    if not looking() or not values.numel():
        return
    real_one = mask if values.ndim == 2 else mask[..., None]
    bad = ((values < -1) | (values >= count)) & real_one
    if bool(bad.any()):
        at = bad.nonzero()[0].tolist()
        refuse(
            f"{name}: cell {at[0]}, token {at[1]} is {int(values[tuple(at)])}; expected -1 (none) to {count - 1}"
        )


def numbers(values: Tensor, name: str, cells: int, count: int) -> None:
    """`values: (b,)` whole numbers from -1 (unknown) to count - 1."""
    if tuple(values.shape) != (cells,) or values.is_floating_point():
        refuse(f"{name}: expected whole numbers of shape ({cells},), got {_show(values)}")
    if looking() and bool(((values < -1) | (values >= count)).any()):
        cell = int(((values < -1) | (values >= count)).nonzero()[0])
        refuse(f"{name}: cell {cell} is {int(values[cell])}; expected -1 (unknown) to {count - 1}")


def flags(values: Tensor, name: str, mask: Tensor) -> None:
    """`values: (b, n)` bool."""
    if values.dtype != torch.bool or values.shape != mask.shape:
        refuse(f"{name}: expected bool {tuple(mask.shape)}, got {_show(values)}")


def words(given: Collection[str], known: Collection[str], owner: str, kind: str) -> None:
    """Every given word is known; a misspelt one is told with the nearest right one."""
    for word in given:
        if word in known:
            continue
        near = difflib.get_close_matches(word, known, n=1)
        advice = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(sorted(known)) or 'none'}"
        refuse(f"{owner} has no {kind} {word!r}; {advice}")


def _show(values: Tensor) -> str:
    return f"{str(values.dtype).removeprefix('torch.')} {tuple(values.shape)}"
