"""A genome from a FASTA file: plain or gzip whatever its name says, checked letter by letter.

What is in a record's `bases`: upper case letters `ACGT`, IUPAC codes of more than one base (`N R Y S W K M B D H V`)
and `-` for a gap. RNA is DNA here: `U` becomes `T`. A gap written `.` becomes `-`. Only A, C, G and T are bases that
are counted; every other letter is unknown and no k-mer goes across it, a gap included: what lies in a gap is not known.
Blanks, line ends of all kinds and a UTF-8 mark at the beginning are no part of a sequence.
"""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from isal import igzip
from isal.igzip_lib import IsalError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

GZIP, BOM = b"\x1f\x8b", b"\xef\xbb\xbf"
LARGEST = 2 * 2**30  # bytes of a file, unpacked
PIECE = 16 * 2**20  # bytes that are unpacked at a time: most genomes come in one piece
CACHED = 2**16  # bytes that are checked at a time: new memory costs more than the work on it
COMMON, RNA, GAPS, BLANK = b"ACGTNacgtn\n", b"Uu", b"-.", b" \t\n\v\f"
RARE = b"RYSWKMBDHVryswkmbdhv"  # codes of several bases: N may be most of a sequence, these are rare in real ones
PROTEIN = b"EFIJLOPQXZefijlopqxz*"
OTHER_MAGIC = {
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ": "an xz file",
    b"PK\x03\x04": "a zip file",
    b"\x28\xb5\x2f\xfd": "a zstd file",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"LOCUS": "a GenBank file",
    b"@": "FASTQ (or SAM)",
}


class GenomeError(ValueError):
    """A genome that cannot be used, in one line: file, record and line, what was expected and what came."""


@dataclass(frozen=True)
class Contig:
    """One record: its name and its letters as the module says.

    name: the first word of its header, or all of the header where several records begin with the same word.
    """

    name: str
    bases: bytes


@dataclass(frozen=True, eq=False)
class Genome:
    r"""The records of a file in its order: never none, none without a letter.

    path: of the file, for messages. text: the file as it is, unpacked, with line ends `\n`. names, spans (r, 2) int64:
    of each record, and where its lines of letters begin and end in the text. What counts goes over the text itself;
    `contigs` are made when they are asked for.
    """

    path: str
    text: bytes = field(repr=False)
    names: tuple[str, ...]
    spans: np.ndarray = field(repr=False)

    @cached_property
    def contigs(self) -> tuple[Contig, ...]:
        """Names and letters of the records."""
        return tuple(
            Contig(name, _letters(self.text[start:end]))
            for name, (start, end) in zip(self.names, self.spans.tolist(), strict=True)
        )

    @property
    def sequences(self) -> list[bytes]:
        """The letters of each record."""
        return [contig.bases for contig in self.contigs]

    @cached_property
    def letters(self) -> np.ndarray:
        """How many A, C, G, T and unknown letters there are, (5,) int64; gaps are none of them."""
        joined = b"".join(self.sequences)
        letters = np.frombuffer(joined, dtype=np.uint8)
        known = [np.count_nonzero(letters == letter) for letter in b"ACGT"]
        return np.array([*known, len(letters) - sum(known) - joined.count(b"-")], dtype=np.int64)

    @property
    def length(self) -> int:
        """Letters without gaps [bases]."""
        return int(self.letters.sum())

    @property
    def gc(self) -> float:
        """G and C among A, C, G and T [%]. GenomeError where there is none of the four."""
        known = self.letters[:4]
        if not known.any():
            msg = f"{self.path}: expected bases A, C, G or T, all {self.length} letters are unknown (N)"
            raise GenomeError(msg)
        return float(100 * known[1:3].sum() / known.sum())


def read(path: str | os.PathLike[str], *, max_bytes: int = LARGEST) -> Genome:
    """The genome of a FASTA file, plain or gzip (found by content, not by name).

    max_bytes: what a file may hold, unpacked, so that a small file cannot fill the memory.
    Raises GenomeError, one line that names file, record and line: no file, empty, damaged or truncated gzip, too large,
    FASTQ, protein, binary, letters before the first header, a record without name or letters, a header given twice.
    """
    path = Path(path)
    data = _unpacked(path, max_bytes).removeprefix(BOM)
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    _refuse_other_formats(path, data)
    headers: dict[str, int] = {}
    spans: list[tuple[int, int]] = []
    rare, at = 0, data.index(b">")
    while at < len(data):
        record = Record(path, data, len(headers) + 1, at, *_ends(data, at))
        title = record.title()
        if title in headers:
            what = f"name {title[:80]!r} is that of record {headers[title]} too: expected each once"
            raise GenomeError(record.fault(at, what))
        headers[title] = record.number
        rare += record.check()
        spans.append((record.start, record.end))
        at = record.end
    genome = Genome(str(path), data, _names(headers), np.array(spans, dtype=np.int64))
    # as letters are at least an eighth of the bytes of real lines, sequences are made for few files only
    if 16 * rare > sum(end - start for start, end in spans) and 2 * rare > sum(map(len, genome.sequences)):
        msg = f"{path}: expected nucleotides, most letters are IUPAC codes of several bases: is this protein?"
        raise GenomeError(msg)
    return genome


@dataclass(frozen=True)
class Record:
    """Where a record lies in the text `data` of a file: places of bytes, from 0.

    number: from 1. header: its `>`. start: the first byte after its header line. end: the next record's `>`.
    """

    path: Path
    data: bytes
    number: int
    header: int
    start: int
    end: int

    def fault(self, at: int, what: str) -> str:
        """What is wrong at a place of the text, as one line."""
        line = self.data.count(b"\n", 0, at) + 1
        return f"{self.path}: record {self.number}, line {line}: {what}"

    def title(self) -> str:
        """The header without its `>` and the blanks around it; GenomeError where it has no name that can be printed."""
        found = self.data[self.header + 1 : self.start].decode("utf-8", "replace").strip()
        name = found.split(maxsplit=1)[0] if found else ""
        if not name.isprintable() or not name:
            came = repr(name[:40]) if name else "none"
            raise GenomeError(self.fault(self.header, f"expected a name after '>', got {came}"))
        return found

    def check(self) -> int:
        """How many letters are rare (of several bases, but not N). GenomeError for foreign ones, or none at all."""
        rare, empty = 0, True
        for start in range(self.start, self.end, CACHED):
            piece = self.data[start : min(start + CACHED, self.end)]
            rest = piece.translate(None, COMMON)
            # empty for nearly every piece: what follows is for the others
            if foreign := rest.translate(None, RARE + RNA + GAPS + BLANK):
                raise GenomeError(self._foreign(foreign[0], start))
            rare += len(rest.translate(None, RNA + GAPS + BLANK))
            empty = empty and not piece.strip(GAPS + BLANK)
        if empty:
            raise GenomeError(self.fault(self.header, "the record has no sequence"))
        return rare

    def _foreign(self, letter: int, start: int) -> str:
        """A letter that is none of a nucleotide sequence, and where it is first from `start` on."""
        at = self.data.index(letter, start)
        hint = ": is this protein?" if letter in PROTEIN else ""
        shown = repr(chr(letter)) if letter < 0x80 else f"byte 0x{letter:02x}"
        return self.fault(at, f"expected A, C, G, T, U, IUPAC codes or gaps, got {shown}{hint}")


def _names(headers: Iterable[str]) -> tuple[str, ...]:
    """The first word of each header, or all of it where several begin with the same word (as with a species' name)."""
    words = {header: header.split(maxsplit=1)[0] for header in headers}
    often = Counter(words.values())
    return tuple(word if often[word] == 1 else header for header, word in words.items())


def _ends(data: bytes, header: int) -> tuple[int, int]:
    """Where a record's lines of letters begin and end. A single byte is looked for far faster than two."""
    at = data.find(b"\n", header)
    if at < 0:
        return len(data), len(data)
    start = at + 1
    while (at := data.find(b">", at + 1)) >= 0:
        if data[at - 1] == ord("\n"):
            return start, at
    return start, len(data)


def _letters(lines: bytes) -> bytes:
    """The letters of a record as the module says."""
    found = lines.replace(b"\n", b"").upper()
    if found.translate(None, b"ACGTN"):
        return found.translate(bytes.maketrans(b"U.", b"T-"), BLANK)
    return found


def _unpacked(path: Path, max_bytes: int) -> bytes:
    """The bytes of a file, through gzip where it begins as one."""
    try:
        if not path.is_file():
            found = "a folder" if path.is_dir() else "none"
            msg = f"{path}: expected a FASTA file, there is {found}"
            raise GenomeError(msg)
        data = path.read_bytes() if path.stat().st_size <= max_bytes else None
    except OSError as fault:
        msg = f"{path}: cannot be read: {fault.strerror}"
        raise GenomeError(msg) from None
    unpacked = _gunzipped(path, data, max_bytes) if data and data.startswith(GZIP) else data
    if unpacked is None or len(unpacked) > max_bytes:
        msg = f"{path}: holds more than {max_bytes} bytes unpacked, the most that is allowed (max_bytes)"
        raise GenomeError(msg)
    return unpacked


def _gunzipped(path: Path, data: bytes, max_bytes: int) -> bytes:
    """All members of a gzip file, each checked by its own length and checksum; at most a piece above `max_bytes`."""
    pieces: list[bytes] = []
    room = max_bytes + 1
    try:
        with igzip.IGzipFile(fileobj=io.BytesIO(data), mode="rb") as file:
            while room > 0 and (piece := file.read(min(PIECE, room))):
                pieces.append(piece)
                room -= len(piece)
    except EOFError:
        msg = f"{path}: the gzip file is truncated after {sum(map(len, pieces))} bytes: copy or download it again"
        raise GenomeError(msg) from None
    except (OSError, IsalError) as fault:  # pyright: ignore[reportGeneralTypeIssues]: isal's stub is wrong
        msg = f"{path}: the gzip file is damaged ({fault}): copy or download it again"
        raise GenomeError(msg) from None
    return b"".join(pieces)


def _refuse_other_formats(path: Path, data: bytes) -> None:
    """Refuse what is not FASTA, with the name of what it is where that is plain."""
    start = data[:4096].lstrip()
    what = None
    if not start and not data.strip():
        what = "the file is empty"
    elif found := next((kind for magic, kind in OTHER_MAGIC.items() if data.startswith(magic)), None):
        what = f"this is {found}"
    elif b"\0" in data:
        what = f"this is a binary file (NUL at byte {data.index(0)})"
    else:
        text = data.lstrip()
        if not text.startswith(b">"):
            line = data[: len(data) - len(text)].count(b"\n") + 1
            first = text.split(b"\n", 1)[0][:30].decode("utf-8", "replace")
            what = f"line {line} comes before any header: {first!r}"
    if what is not None:
        msg = f"{path}: expected FASTA (lines '>name', then nucleotides), {what}"
        raise GenomeError(msg)
