"""Embeddings that another program made (ESM, ProtTrans, Nucleotide Transformer), from an .npz by genome id.

The file is one of `numpy.savez(path, **{genome_id: vector})`, or of `numpy.savez(path, ids=ids, vectors=vectors)` with
text (n,) and numbers (n, d). Nothing in it is unpickled, and what an array claims to be is compared with what is stored
before memory is given to it.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from mediacvae.fasta import GenomeError
from mediacvae.names import checked_id

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

IDS, VECTORS = "ids", "vectors"
LARGEST = 4 * 2**30  # bytes of all arrays, unpacked
_FORMAT = np.lib.format
_HEADERS = {(1, 0): _FORMAT.read_array_header_1_0, (2, 0): _FORMAT.read_array_header_2_0}


def read_outside(path: str | os.PathLike[str], *, max_bytes: int = LARGEST) -> dict[str, np.ndarray]:
    """Vectors by genome id, each float32 (d,), in the order of the file. max_bytes: of all arrays, unpacked.

    Raises GenomeError (a ValueError): no .npz, damaged, none or more than `max_bytes` in it, an id that is not allowed
    or given twice, a vector that is not of finite numbers in one dimension, vectors of different lengths.
    """
    path = Path(path)
    arrays = _arrays(path, max_bytes)
    pairs = _of_table(path, arrays) if set(arrays) == {IDS, VECTORS} else arrays.items()
    found: dict[str, np.ndarray] = {}
    for name, vector in pairs:
        checked = _checked(path, name, vector, found)
        found[name] = checked
    if not found:
        msg = f"{path}: expected at least one vector, there is none"
        raise GenomeError(msg)
    return found


def _of_table(path: Path, arrays: dict[str, np.ndarray]) -> Iterable[tuple[str, np.ndarray]]:
    """Ids and rows of a file with one array of each."""
    ids, vectors = arrays[IDS], arrays[VECTORS]
    if ids.ndim != 1 or ids.dtype.kind != "U" or vectors.ndim != 2 or len(ids) != len(vectors):
        came = f"{ids.dtype} {ids.shape} and {vectors.dtype} {vectors.shape}"
        msg = f"{path}: expected ids (n,) of text and vectors (n, d), got {came}"
        raise GenomeError(msg)
    return zip(ids.tolist(), vectors, strict=True)


def _checked(path: Path, name: str, vector: np.ndarray, before: dict[str, np.ndarray]) -> np.ndarray:
    """One vector as float32."""
    try:
        checked_id(name, f"{path}: genome id")
    except ValueError as fault:
        raise GenomeError(str(fault)) from None
    if name in before:
        msg = f"{path}: genome {name!r} is given twice: expected each once"
        raise GenomeError(msg)
    if vector.dtype.kind not in "fiu" or vector.ndim != 1 or vector.size == 0:
        msg = f"{path}: genome {name!r}: expected numbers (d,), got {vector.dtype} {vector.shape}"
        raise GenomeError(msg)
    first = next(iter(before.items()), None)
    if first is not None and len(vector) != len(first[1]):
        what = f"expected {len(first[1])} numbers as genome {first[0]!r} has, got {len(vector)}"
        msg = f"{path}: genome {name!r}: {what}"
        raise GenomeError(msg)
    with np.errstate(over="ignore"):  # what does not fit is infinite, and refused as such
        numbers = vector.astype(np.float32)
    if not np.isfinite(numbers).all():
        at = int(np.argmin(np.isfinite(numbers)))
        msg = f"{path}: genome {name!r}: number {at}: expected a finite one (float32), got {vector[at]}"
        raise GenomeError(msg)
    return numbers


def _arrays(path: Path, max_bytes: int) -> dict[str, np.ndarray]:
    """The arrays of an .npz by name."""
    if not path.is_file():
        msg = f"{path}: expected an .npz file, there is none"
        raise GenomeError(msg)
    found: dict[str, np.ndarray] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > max_bytes:
                msg = f"{path}: holds more than {max_bytes} bytes unpacked, the most that is allowed (max_bytes)"
                raise GenomeError(msg)
            for member in members:
                name = member.filename.removesuffix(".npy")
                if name in found:
                    msg = f"{path}: {name!r} is given twice: expected each once"
                    raise GenomeError(msg)
                with archive.open(member) as file:
                    found[name] = _array(file, member.file_size)
    except GenomeError:
        raise
    except (OSError, EOFError, ValueError, RuntimeError, NotImplementedError) as fault:
        raise _damaged(path, fault) from None
    except (zipfile.BadZipFile, zlib.error, OverflowError, MemoryError) as fault:
        raise _damaged(path, fault) from None
    return found


def _array(file: IO[bytes], size: int) -> np.ndarray:
    """One .npy of `size` bytes. ValueError for one that holds objects, or claims more than there is."""
    version = _FORMAT.read_magic(file)
    if version not in _HEADERS:
        msg = f".npy version {version} holds no plain numbers"
        raise ValueError(msg)
    shape, fortran, dtype = _HEADERS[version](file)
    stored = size - file.tell()
    if dtype.kind not in "fiuU" or stored != dtype.itemsize * int(np.prod(shape, dtype=object)):
        msg = f"an array claims to be {dtype} {shape}, {stored} bytes are stored"
        raise ValueError(msg)
    numbers = np.frombuffer(file.read(stored), dtype=dtype)
    return numbers.reshape(shape, order="F" if fortran else "C")


def _damaged(path: Path, fault: Exception) -> GenomeError:
    said = " ".join(f"{type(fault).__name__}: {fault}".split())[:300]
    return GenomeError(f"{path}: expected an .npz of plain arrays, it cannot be read ({said})")
