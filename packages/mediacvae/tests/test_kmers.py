"""k-mers: exactly those of a naive count, both strands, and windows that add up to the whole."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediacvae import fasta, kernel, kmers

CONTIG = st.one_of(
    st.text("ACGT"),
    st.text("ACGTUacgtuNn-RY"),
    st.text("ACGTACGTACGTACGTACGTN", min_size=30, max_size=300),
    st.text("ACGTACGTACGTACGTacgtu \n", min_size=30, max_size=300),
    st.text(st.characters(max_codepoint=255)),
)
CONTIGS = st.lists(CONTIG.map(lambda text: text.encode("latin-1")), max_size=5)
K = st.integers(1, 8)


def naive(contigs, k):
    """Every k-mer cut out and looked up by its letters."""
    found = Counter()
    for contig in contigs:
        text = contig.translate(None, b" \t\n\r\v\f").decode("latin-1")
        text = "".join(c.upper() if c in "acgtu" else c for c in text).replace("U", "T")
        found.update(text[i : i + k] for i in range(len(text) - k + 1))
    return np.array([found[kmer] for kmer in kmers.names(k)])


def reverse_complement(contig):
    return contig.translate(bytes.maketrans(b"ACGTUacgtu", b"TGCAAtgcaa"))[::-1]


@given(CONTIGS, K)
def test_counts_are_exactly_those_of_a_naive_count(contigs, k):
    np.testing.assert_array_equal(kmers.count(contigs, k), naive(contigs, k))


@pytest.mark.parametrize("k", range(1, 11))
def test_a_long_text_of_all_kinds_of_letters(k):
    rng = np.random.default_rng(k)
    texts = [
        rng.choice(list(b"ACGTacgtN\n"), 20_011, p=[0.2] * 4 + [0.045] * 4 + [0.01] * 2) for _ in range(2)
    ]
    contigs = [text.astype(np.uint8).tobytes() for text in texts]
    kept = min(k, 7)  # a naive table of the longest would take longer than all other tests
    found = kmers.count(contigs, k)
    assert found.dtype == np.int64
    if k == kept:
        np.testing.assert_array_equal(found, naive(contigs, k))
    else:  # a k-mer begins as a shorter one; those that are lost are cut short by what follows
        assert (found.reshape(4**kept, -1).sum(axis=1) <= kmers.count(contigs, kept)).all()
        expected = sum(int((kmers.codes(c.translate(None, b"\n"), k) >= 0).sum()) for c in contigs)
        assert found.sum() == expected


@given(st.binary(max_size=60), st.data(), K)
def test_parts_of_a_text_are_as_contigs_of_their_own(noise, data, k):
    text = noise + data.draw(st.text("ACGT", max_size=80)).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), min_size=2, max_size=6)))
    spans = np.array(list(pairwise(cuts)))
    contigs = [text[a:b] for a, b in spans]
    np.testing.assert_array_equal(kmers.count_text(text, spans, k), kmers.count(contigs, k))


@given(st.lists(st.text("ACGTN").map(str.encode), min_size=1, max_size=4), K)
def test_no_kmer_goes_across_a_join(contigs, k):
    alone = sum(kmers.count([contig], k) for contig in contigs)
    np.testing.assert_array_equal(kmers.count(contigs, k), alone)


@given(CONTIGS, K)
def test_canonical_counts_are_those_of_both_strands(contigs, k):
    there = kmers.count(contigs, k, canonical=True)
    back = kmers.count([reverse_complement(c) for c in contigs], k, canonical=True)
    np.testing.assert_array_equal(there, back)
    plain, names = kmers.count(contigs, k), kmers.names(k)
    pairs = Counter()
    for name, value in zip(names, plain.tolist(), strict=True):
        pairs[min(name, reverse_complement(name.encode()).decode())] += value
    assert dict(zip(kmers.names(k, canonical=True), there.tolist(), strict=True)) == dict(pairs)


@pytest.mark.parametrize(("k", "size"), [(4, 136), (6, 2080), (8, 32896), (3, 32)])
def test_canonical_sizes_and_order(k, size):
    names = kmers.names(k, canonical=True)
    assert len(names) == size == len(kmers.count([b"ACGT"], k, canonical=True))
    assert names == sorted(names)
    assert kmers.names(k) == sorted(kmers.names(k))


def test_reverse_complements_are_their_own_inverse():
    other = kmers.reverse_complements(5)
    np.testing.assert_array_equal(other[other], np.arange(4**5))
    assert kmers.names(5)[other[kmers.names(5).index("AACGT")]] == "ACGTT"


def test_shares_add_up_to_one_and_need_a_kmer():
    assert kmers.frequencies([b"ACGTNACG"], 3).sum() == pytest.approx(1)
    for contigs in ([b"AC"], [b"NNNN"], [b"AC", b"GT"], []):
        with pytest.raises(ValueError, match="there are none"):
            kmers.frequencies(contigs, 3)


@pytest.mark.parametrize("k", [0, 11, -1, 2.5, "4", True])
def test_another_k_is_refused(k):
    with pytest.raises(ValueError, match="k: expected a whole number from 1 to 10"):
        kmers.count([b"ACGT"], k)


@given(st.text("ACGTN-", max_size=200).map(str.encode), st.integers(1, 4), st.integers(1, 50))
def test_windows_side_by_side_hold_every_kmer_once(bases, k, size):
    spans, counts = kmers.windows(bases, k, size, size)
    np.testing.assert_array_equal(np.asarray(counts.sum(axis=0)).ravel(), kmers.count([bases], k))
    assert spans.shape == (counts.shape[0], 2)
    for (start, end), row in zip(spans, counts.toarray(), strict=True):
        np.testing.assert_array_equal(row, kmers.count([bases[start : end + k - 1]], k))


@given(
    st.lists(st.text("ACGTN-", max_size=100).map(str.encode), min_size=1, max_size=3),
    st.integers(1, 40),
    st.integers(1, 40),
)
def test_region_scores_are_window_counts_times_weights(contigs, size, step):
    weights = np.random.default_rng(0).normal(size=4**3)
    regions = kmers.region_scores(contigs, 3, weights, size, step)
    expected = [
        (i, *span, score)
        for i, bases in enumerate(contigs)
        for spans, counts in [kmers.windows(bases, 3, size, step)]
        for span, score in zip(spans.tolist(), counts @ weights, strict=True)
    ]
    assert [region[:3] for region in regions] == [region[:3] for region in expected]
    np.testing.assert_allclose([r.score for r in regions], [r[3] for r in expected], atol=1e-9)
    if size == step:
        assert sum(r.score for r in regions) == pytest.approx(kmers.count(contigs, 3) @ weights, abs=1e-9)


def test_a_marked_region_is_found():
    rng = np.random.default_rng(3)
    bases = bytearray(rng.choice(list(b"ACGT"), 20_000).astype(np.uint8).tobytes())
    bases[12_000:12_500] = b"GATTACA" * 71 + b"GAT"
    weights = np.zeros(4**6)
    weights[kmers.names(6).index("GATTAC")] = 1.0
    best = max(
        kmers.region_scores([b"ACGT" * 100, bytes(bases)], 6, weights, 500, 500), key=lambda r: r.score
    )
    assert best[:3] == (1, 12_000, 12_500)


def test_faults_of_windows_are_refused():
    with pytest.raises(ValueError, match="a size and a step of at least 1"):
        kmers.windows(b"ACGT", 2, 0, 1)
    for weights in (np.zeros(3), np.full(16, np.nan)):
        with pytest.raises(ValueError, match="expected 16 finite numbers"):
            kmers.region_scores([b"ACGT"], 2, weights, 10, 10)


PROGRAM = """
import sys, warnings
warnings.simplefilter("error")
import mediacvae
assert "numba" not in sys.modules and "numpy" not in sys.modules
from mediacvae import kernel, kmers
assert kmers.count([b"ACGTACGT" * 9], 4).sum() == 69
print(len(kernel.count_into.stats.cache_hits), len(kernel.count_into.stats.cache_misses))
"""


def run(folder, **more):
    """The program in a process of its own, with numba's cache in a folder."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder), **more}
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_kernel_is_compiled_once_and_kept(tmp_path):
    assert run(tmp_path / "cache") == ["0", "1"]
    assert run(tmp_path / "cache") == ["1", "0"]


def test_where_nothing_can_be_kept_the_kernel_is_compiled_all_the_same(monkeypatch):
    def njit(*, cache=False, nogil):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: ("compiled", function, nogil)

    monkeypatch.setattr(kernel.numba, "njit", njit)
    assert kernel.compiled(len) == ("compiled", len, True)


def test_a_genome_of_a_file_counts_as_its_contigs(tmp_path):
    path = tmp_path / "g.fa"
    path.write_bytes(b">a x>y\nACGTAC\nGTNNAC\n>b\r\nacgu\n\nac-gt\n")
    genome = fasta.read(path)
    for k in (1, 2, 4):
        found = kmers.count_text(genome.text, genome.spans, k)
        np.testing.assert_array_equal(found, naive(genome.sequences, k))
