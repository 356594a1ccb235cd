"""k-mers of a genome: exact counts, shares, names, both strands as one, and regions of a genome by k-mer weights.

A k-mer is k bases A, C, G, T (U is T, either case) in a row within one contig; one with any other letter in it is not
counted, and none goes across the end of a contig. The order is that of the alphabet, AA.. to TT..: the index of a k-mer
is its digits A = 0, C = 1, G = 2, T = 3 read as a number of base 4. `canonical`: a k-mer and its reverse complement are
one feature, named by the first of the two in the alphabet; 136, 2,080 and 32,896 features at k = 4, 6 and 8.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scipy import sparse

BASES = "ACGT"
LONGEST = 10  # 4**10 counts are 8 MB
NO_BASE, NO_LETTER = 4, 5  # what ends a k-mer, and what is passed over
DIGITS = np.full(256, NO_BASE, dtype=np.uint8)
DIGITS[list(b" \t\n\r\v\f")] = NO_LETTER
for _digit, _letters in enumerate((b"Aa", b"Cc", b"Gg", b"TtUu")):
    DIGITS[list(_letters)] = _digit


class Region(NamedTuple):
    """A window of a contig, [start, end) counted from 0, and the sum of the weights of the k-mers that start in it."""

    contig: int
    start: int
    end: int
    score: float


def count(contigs: Sequence[bytes], k: int, *, canonical: bool = False) -> np.ndarray:
    """How often each k-mer is in the contigs, int64 (4**k,), or (136,), (2080,), (32896,) canonical at k = 4, 6, 8.

    ValueError for a k that is not a whole number from 1 to 10.
    """
    _check(k)
    text = contigs[0] if len(contigs) == 1 else b"-".join(contigs)
    return count_text(text, np.array([[0, len(text)]]), k, canonical=canonical)


def count_text(text: bytes, spans: np.ndarray, k: int, *, canonical: bool = False) -> np.ndarray:
    """`count` of contigs that are parts of a text, lines and all: spans (w, 2) int64, [start, end) of each."""
    from mediacvae.kernel import count_into

    _check(k)
    letters = np.frombuffer(text, dtype=np.uint8)
    words = np.frombuffer(text, dtype="<u8", count=len(text) // 8)
    counter = np.uint32 if len(text) < 2**32 else np.int64  # the smaller tables stay in the cache
    out, wide = np.zeros(4**k, dtype=counter), np.zeros(4 ** (k + 1), dtype=counter)
    count_into(words, letters, spans, DIGITS, k, wide, out)
    found = out.astype(np.int64)
    return fold(found, k) if canonical else found


def frequencies(contigs: Sequence[bytes], k: int, *, canonical: bool = False) -> np.ndarray:
    """The share of each k-mer among all that are counted, float64 (4**k,) or as `count` has it; they sum to 1.

    ValueError where there is no k-mer at all: contigs shorter than k, or letters that are all unknown.
    """
    return shares(count(contigs, k, canonical=canonical))


def shares(counts: np.ndarray) -> np.ndarray:
    """Counts (d,) divided by their sum, float64. ValueError where nothing was counted."""
    total = counts.sum()
    if total == 0:
        msg = "expected known bases (A, C, G, T), as many in a row as a k-mer has, there are none"
        raise ValueError(msg)
    return counts / total


def names(k: int, *, canonical: bool = False) -> list[str]:
    """The k-mers in the order of `count`; ValueError as there."""
    _check(k)
    kmers = ["".join(letters) for letters in product(BASES, repeat=k)]
    return [kmers[i] for i in np.flatnonzero(_firsts(k))] if canonical else kmers


def fold(counts: np.ndarray, k: int) -> np.ndarray:
    """Counts (.., 4**k) with each k-mer and its reverse complement as one, a palindrome as it is."""
    first, other = _firsts(k), reverse_complements(k)
    both = counts + np.where(other == np.arange(4**k), 0, counts[..., other])
    return both[..., first]


@cache
def reverse_complements(k: int) -> np.ndarray:
    """The index of each k-mer's reverse complement, (4**k,) int64."""
    rest, index = np.arange(4**k), np.zeros(4**k, dtype=np.int64)
    for _ in range(k):
        index = 4 * index + 3 - rest % 4
        rest = rest // 4
    index.flags.writeable = False
    return index


def _firsts(k: int) -> np.ndarray:
    """Which k-mers come before their reverse complement, or are their own."""
    return np.arange(4**k) <= reverse_complements(k)


def codes(bases: bytes, k: int) -> np.ndarray:
    """The index of the k-mer that starts at each letter of one contig, int32 (len - k + 1,); -1 where there is none."""
    _check(k)
    digits = DIGITS[np.frombuffer(bases, dtype=np.uint8)]
    n = max(len(digits) - k + 1, 0)
    found, known = np.zeros(n, dtype=np.int32), np.ones(n, dtype=bool)
    for offset in range(k):
        digit = digits[offset : offset + n]
        found = 4 * found + digit
        known &= digit != NO_BASE
    return np.where(known, found, -1).astype(np.int32)


def windows(bases: bytes, k: int, size: int, step: int) -> tuple[np.ndarray, sparse.csr_matrix]:
    """Where each window of a contig is, (w, 2) [start, end), and the counts of the k-mers that start in it, (w, 4**k).

    Windows of `size` letters start every `step` letters, the last may be shorter; with step = size every k-mer is in
    one window. ValueError where size or step is below 1, or for a k as in `count`.
    """
    from scipy import sparse

    at, spans = codes(bases, k), _spans(len(bases), size, step)
    inside = [at[start:end][at[start:end] >= 0] for start, end in spans]
    ends = np.concatenate([[0], np.cumsum([len(part) for part in inside])])
    found = np.concatenate([*inside, at[:0]])
    counts = sparse.csr_matrix((np.ones(len(found), dtype=np.int64), found, ends), shape=(len(spans), 4**k))
    counts.sum_duplicates()
    return spans, counts


def region_scores(
    contigs: Sequence[bytes], k: int, weights: np.ndarray, size: int, step: int
) -> list[Region]:
    """The sum of weights (4**k,) of the k-mers that start in each window of each contig, in their order.

    With step = size the scores add up to `count(contigs, k) @ weights`: an attribution of a feature, divided by the
    feature's count, is shared out over the genome. ValueError for weights of another length or that are not finite.
    """
    weights = np.asarray(weights, dtype=np.float64)
    if weights.shape != (4**k,) or not np.isfinite(weights).all():
        msg = f"weights: expected {4**k} finite numbers for k = {k}, got shape {weights.shape}"
        raise ValueError(msg)
    padded = np.append(weights, 0.0)  # the last is that of no k-mer (-1)
    return [
        Region(i, start, end, score)
        for i, bases in enumerate(contigs)
        for start, end, score in _scores(padded[codes(bases, k)], _spans(len(bases), size, step))
    ]


def _scores(each: np.ndarray, spans: np.ndarray) -> Iterator[tuple[int, int, float]]:
    """Sums over windows, each by itself: differences of one long sum would lose digits."""
    for start, end in spans.tolist():
        yield start, end, float(each[start:end].sum())


def _spans(length: int, size: int, step: int) -> np.ndarray:
    """The [start, end) of the windows of a contig, (w, 2) int64."""
    if size < 1 or step < 1:
        msg = f"windows: expected a size and a step of at least 1, got {size} and {step}"
        raise ValueError(msg)
    starts = np.arange(0, length, step, dtype=np.int64)
    return np.stack([starts, np.minimum(starts + size, length)], axis=1)


def _check(k: int) -> None:
    """Refuse a k that there is no table for."""
    if not isinstance(k, int | np.integer) or isinstance(k, bool) or not 1 <= k <= LONGEST:
        msg = f"k: expected a whole number from 1 to {LONGEST}, got {k!r}"
        raise ValueError(msg)
