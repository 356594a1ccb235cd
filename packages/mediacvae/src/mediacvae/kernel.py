"""The loop that counts k-mers, compiled: eight letters at a time, two k-mers for each step of a table.

A word of eight letters is turned into sixteen bits by arithmetic on the whole word (`(letter >> 1) & 3` is 0, 1, 3, 2
for A, C, G, T in both cases). Every second (k+1)-mer is counted instead of every k-mer: it holds two k-mers, one at
each of its ends, and is split at the end. A word with anything but A, C, G, T, U is gone through letter by letter.

numba compiles this once a machine and keeps it in `__pycache__`, in the user's cache or in `NUMBA_CACHE_DIR`; where
none of them can be written it is compiled by each process (a second).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

_U = np.uint64
CASE, TWO, ONE, LETTER_A = (
    _U(0xDFDFDFDFDFDFDFDF),
    _U(0x0303030303030303),
    _U(0x0101010101010101),
    _U(0x4141414141414141),
)
PAIR, FOUR, EIGHT = _U(0x000F000F000F000F), _U(0x000000FF000000FF), _U(0xFFFF)
S1, S2, S4, S8, S12, S16, S32 = (_U(n) for n in (1, 2, 4, 8, 12, 16, 32))
ZERO = _U(0)
NO_BASE, NO_LETTER = 4, 5


def compiled(function: Callable[..., Any]) -> Any:
    """The compiled version of a function, kept on disk where that can be."""
    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # "no locator available": there is no place to keep it
        return numba.njit(nogil=True)(function)


@numba.njit(inline="always")
def _by_letter(letters: Any, start: int, end: int, digits: Any, k: int, bits: Any, run: int, out: Any) -> Any:
    """Go through [start, end) letter by letter; the last letters and how many of them in a row are bases."""
    for j in range(start, end):
        digit = digits[letters[_U(j)]]
        if digit < NO_BASE:
            bits = (bits << S2) | _U(digit)
            run += 1
            if run >= k:
                out[bits & _U(out.size - 1)] += 1
        elif digit == NO_BASE:
            run = 0
    return bits, run


@compiled
def count_into(words: Any, letters: Any, spans: Any, digits: Any, k: int, wide: Any, out: Any) -> None:
    """Add the k-mers of parts of a text to `out`; none goes from one part to the next.

    words (n // 8,) uint64 little-endian and letters (n,) uint8: the same text twice; spans (m, 2) int64: [start, end)
    of the parts; digits (256,) uint8: 0 to 3 for A C G T U in both cases, NO_BASE for what no k-mer holds, NO_LETTER
    for what is passed over; wide (4**(k+1),): zeros, to work in; out (4**k,): the counts.
    """
    wide_mask = _U(wide.size - 1)
    for part in range(spans.shape[0]):
        start, end = spans[part, 0], spans[part, 1]
        first, last = min((start + 7) // 8, end // 8), end // 8  # the words that are wholly inside
        bits, run = _by_letter(letters, start, min(8 * first, end), digits, k, ZERO, 0, out)
        for i in range(first, last):
            word = words[_U(i)] & CASE
            two = (word >> S1) & TWO
            is_t = (two >> S1) & ~two & ONE
            # the letter of these two bits: 0x41 + 2 * bits, and 0x10 more for T, whose last bit is free (U)
            differs = (word ^ LETTER_A ^ (two << S1) ^ (is_t << S4)) & ~is_t
            if differs == ZERO and run >= k - 1:
                digit = two ^ ((two >> S1) & ONE)
                pair = ((digit << S2) | (digit >> S8)) & PAIR
                four = ((pair << S4) | (pair >> S16)) & FOUR
                bits = (bits << S16) | (((four << S8) | (four >> S32)) & EIGHT)
                wide[(bits >> S12) & wide_mask] += 1
                wide[(bits >> S8) & wide_mask] += 1
                wide[(bits >> S4) & wide_mask] += 1
                wide[bits & wide_mask] += 1
            else:
                bits, run = _by_letter(letters, 8 * i, 8 * i + 8, digits, k, bits, run, out)
        _by_letter(letters, max(8 * last, start), end, digits, k, bits, run, out)
    for front in range(4):  # the k-mer that a (k+1)-mer begins with, and the one it ends with
        for kmer in range(out.size):
            out[kmer] += wide[4 * kmer + front] + wide[front * out.size + kmer]
