"""Genomes from files: what is read, what is refused, and that nothing but a GenomeError comes out of damaged ones."""

from __future__ import annotations

import gzip
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediacvae import fasta
from mediacvae.fasta import GenomeError, read

PLAIN = b">one first contig\nACGTNACGT\nACG\n>two\nGGCC\n"
BASES = {"one": b"ACGTNACGTACG", "two": b"GGCC"}
packed = partial(gzip.compress, mtime=0)  # the names of tests hold these bytes: the same in every process


@pytest.fixture
def made(tmp_path):
    """A function that writes bytes to a file and reads the genome in it."""

    def make(data, name="genome.fna", **options):
        path = tmp_path / name
        path.write_bytes(data)
        return read(path, **options)

    return make


def bases(genome):
    return {contig.name: contig.bases for contig in genome.contigs}


@pytest.mark.parametrize("name", ["genome.fna", "genome.fna.gz", "genome", "genome.txt"])
@pytest.mark.parametrize("pack", [bytes, packed], ids=["plain", "gzip"])
def test_the_content_says_what_a_file_is_not_its_name(made, name, pack):
    assert bases(made(pack(PLAIN), name)) == BASES


@pytest.mark.parametrize(
    "data",
    [
        PLAIN.replace(b"\n", b"\r\n"),
        PLAIN.replace(b"\n", b"\r"),
        b"\xef\xbb\xbf" + PLAIN,
        b"\n \n" + PLAIN + b"\n\n \n",
        PLAIN.rstrip(),
        PLAIN.replace(b"ACGTNACGT", b"acgt nACG\tU"),
        PLAIN.replace(b"\nACG\n", b"\n\nA\nC\nG\n"),
        PLAIN.replace(b">one", b"> one").replace(b"first", b"first > second"),
        packed(PLAIN[:20]) + packed(PLAIN[20:]),
        packed(PLAIN) + bytes(10),
    ],
    ids=["crlf", "cr", "bom", "blank", "no-end", "case-U", "short", "header", "members", "padded"],
)
def test_what_is_said_in_another_way_is_the_same_genome(made, data):
    assert bases(made(data)) == BASES


def test_codes_and_gaps_are_kept_as_unknown(made):
    genome = made(b">a\nacgu.-rYswKmbdhvN\n>b\nAACCGGUUTT\n")
    assert genome.sequences == [b"ACGT--RYSWKMBDHVN", b"AACCGGTTTT"]
    np.testing.assert_array_equal(genome.letters, [3, 3, 3, 5, 11])
    assert genome.length == 25
    assert genome.gc == pytest.approx(100 * 6 / 14)


def test_records_that_begin_with_the_same_word_go_by_their_whole_header(made):
    genome = made(b">Mycoplasma alvi scaffold 1\nAC\n>x scaffold\nAC\n>Mycoplasma alvi  scaffold 2\r\nGT\n")
    assert genome.names == ("Mycoplasma alvi scaffold 1", "x", "Mycoplasma alvi  scaffold 2")


def test_unknown_letters_alone_are_read_but_have_no_gc(made):
    genome = made(b">a\nNNNN\n")
    assert genome.length == 4
    with pytest.raises(GenomeError, match=r"genome.fna: .*all 4 letters are unknown"):
        _ = genome.gc


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "the file is empty"),
        (b" \n\r\n", "the file is empty"),
        (packed(b""), "the file is empty"),
        (b">one\n", "record 1, line 1: the record has no sequence"),
        (b">one", "record 1, line 1: the record has no sequence"),
        (b">one\nACGT\n>two\n\n>three\nA\n", "record 2, line 3: the record has no sequence"),
        (b">one\n--..--\n", "record 1, line 1: the record has no sequence"),
        (b">\nACGT\n", "record 1, line 1: expected a name after '>', got none"),
        (b">a\x1b\nACGT\n", "record 1, line 1: expected a name"),
        (b">a\nAC\n>a\nGT\n", "record 2, line 3: name 'a' is that of record 1 too"),
        (b"@r1\nACGT\n+\nIIII\n", "this is FASTQ"),
        (b"ACGT\nACGT\n", "line 1 comes before any header: 'ACGT'"),
        (b"\n\nACGT\n>a\nACGT\n", "line 3 comes before any header"),
        (b">a\nACGT\nAC1T\n", "record 1, line 3: .*got '1'"),
        (b">p\nMKVLAADT\n", "record 1, line 2: .*got 'L': is this protein?"),
        (b">p\nMKVADTGWYV\n", "is this protein?"),
        (b">a\nACGT*\n", "got '[*]': is this protein?"),
        (b">a\nAC\xffT\n", "got byte 0xff"),
        (b">a\nACGT\x00\n", "binary file .NUL at byte 7"),
        (b"\x7fELF\x02\x01\x01\x00", "binary"),
        (b"BZh91AY&SY", "bzip2"),
        (b"PK\x03\x04\x14\x00", "zip"),
        (b">a\nACGT".decode().encode("utf-16"), "UTF-16"),
        (b"LOCUS       NC_000913", "GenBank"),
        (b"<html>", "comes before any header"),
        (packed(PLAIN)[:-1], "truncated"),
        (packed(PLAIN)[:14], "truncated"),
        (packed(PLAIN)[:-8] + bytes(8), "damaged"),
        (packed(PLAIN) + b"garbage", "truncated|damaged"),
    ],
)
def test_what_is_no_genome_is_refused_in_one_line(made, data, says):
    with pytest.raises(GenomeError, match=says) as caught:
        made(data)
    assert "genome.fna: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_foreign_letter_is_found_far_into_a_file(made):
    lines = [b"ACGTTGCA" * 10] * 5000
    lines[4321] = b"ACGTTGCA" * 9 + b"ACGTTGC!"
    with pytest.raises(GenomeError, match=r"record 1, line 4323: .*got '!'"):
        made(b">a\n" + b"\n".join(lines))


@pytest.mark.parametrize("cut", range(1, 60, 3))
def test_every_cut_of_a_gzip_file_is_seen(made, cut):
    with pytest.raises(GenomeError):
        made(packed(PLAIN)[:-cut])


def test_a_file_that_unpacks_to_too_much_is_refused(made):
    bomb = packed(b">a\n" + b"A" * 20_000_000)
    assert len(bomb) < 100_000
    with pytest.raises(GenomeError, match="holds more than 1000000 bytes unpacked"):
        made(bomb, max_bytes=1_000_000)
    with pytest.raises(GenomeError, match="holds more than 10 bytes"):
        made(PLAIN, max_bytes=10)
    assert made(PLAIN, max_bytes=len(PLAIN)).length == 16


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(GenomeError, match="there is none"):
        read(tmp_path / "absent.fna")
    with pytest.raises(GenomeError, match="there is a folder"):
        read(tmp_path)


def test_more_than_one_piece_of_gzip(made, monkeypatch):
    monkeypatch.setattr(fasta, "PIECE", 7)
    monkeypatch.setattr(fasta, "CACHED", 5)
    assert bases(made(packed(PLAIN))) == BASES


RECORDS = st.lists(st.text("ACGTNacgtuRY-", min_size=1).filter(lambda s: s.strip("-")), min_size=1)


@given(RECORDS, st.integers(1, 9), st.sampled_from(["\n", "\r\n"]))
def test_records_come_back_as_they_were_written(tmp_path_factory, records, width, end):
    lines = []
    for i, text in enumerate(records):
        lines += [f">r{i} text", *(text[j : j + width] for j in range(0, len(text), width)), ""]
    path = tmp_path_factory.mktemp("g") / "g.fa"
    path.write_bytes(end.join(lines).encode())
    expected = [text.upper().replace("U", "T").encode() for text in records]
    many = sum(letter in "RY" for text in records for letter in text)
    if 2 * many > sum(map(len, records)):
        with pytest.raises(GenomeError, match="is this protein"):
            read(path)
    else:
        assert read(path).sequences == expected


@given(st.sampled_from([PLAIN, packed(PLAIN)]), st.data())
def test_damage_gives_a_genome_or_a_genome_error(tmp_path_factory, whole, data):
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
        damaged = damaged or bytearray(b"x")
    path = tmp_path_factory.mktemp("g") / "g.fa"
    path.write_bytes(damaged)
    try:
        genome = read(path)
    except GenomeError as fault:
        said = str(fault)
    else:
        said = ""
        assert genome.length > 0
        assert set(b"".join(genome.sequences)) <= set(b"ACGTNRYSWKMBDHV-")
    assert "\n" not in said
