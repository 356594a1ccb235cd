"""The manifest of a model on disk: what is in it, what is refused. Loads no torch, so `inspect` is quick."""

from __future__ import annotations

import hashlib
import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    import os

FORMAT = 1
MANIFEST = "manifest.json"
CHECKPOINTS = "checkpoints"  # directory of a run that was begun
_LARGEST = 64 * 2**20  # [bytes]; a gene list of 100,000 names is 2 MiB
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\.safetensors")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TYPES = {
    "kind": str,
    "package": str,
    "package_version": str,
    "cytosol_version": str,
    "config": dict,
    "extra": dict,
    "tensors": dict,
    "files": dict,
    "sha256": str,
}


class BundleError(ValueError):
    """A model directory that cannot be written or trusted: one line, with the file and what to do."""


def read_manifest(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read and check the manifest of the model directory `path`, not its weights.

    Keys: format, kind, package, package_version, cytosol_version, config, extra,
    tensors {name: {dtype, shape}}, files {name: {bytes, sha256}} (one), sha256 (of all the rest).
    Raises BundleError when it is missing, not JSON, of another format, incomplete, or altered in any way.
    """
    file = Path(path) / MANIFEST
    manifest = _parse(file, _read(file))
    if not isinstance(manifest, dict) or type(manifest.get("format")) is not int:
        _refuse(
            file, "is not the manifest of a model: no format number", "name the directory that training wrote"
        )
    if manifest["format"] != FORMAT:
        newer = manifest["format"] > FORMAT
        advice = "upgrade cytosol" if newer else "save the model again with its own version"
        _refuse(file, f"has format {manifest['format']} and this cytosol reads format {FORMAT}", advice)
    for key, kind in _TYPES.items():
        if not isinstance(manifest.get(key), kind):
            found = type(manifest[key]).__name__ if key in manifest else "nothing"
            _refuse(file, f"should hold a {kind.__name__} under '{key}', not {found}", "save the model again")
    if unknown := manifest.keys() - _TYPES.keys() - {"format"}:
        _refuse(file, f"holds the unknown key '{min(unknown)}'", "save the model again")
    if manifest["sha256"] != _digest(manifest):
        _refuse(
            file,
            "was altered after it was written: its own sha256 differs",
            "copy or download the model again",
        )
    _check_files(file, manifest["files"])
    return manifest


def dump_manifest(manifest: dict[str, Any]) -> bytes:
    """Return the manifest as it goes to disk, its own digest added."""
    full = manifest | {"sha256": _digest(manifest)}
    return (json.dumps(full, indent=1, allow_nan=False) + "\n").encode()


def check_plain(value: Any, where: str) -> Any:
    """Return `value` as plain JSON (tuples as lists), or raise BundleError naming the key that is not."""
    if isinstance(value, float) and not math.isfinite(value):
        msg = f"{where} is {value}; a manifest holds finite numbers only"
        raise BundleError(msg)
    if value is None or type(value) in {str, int, float, bool}:
        return value
    if isinstance(value, list | tuple):
        return [check_plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, dict) and all(type(key) is str for key in value):
        return {key: check_plain(item, f"{where}.{key}") for key, item in value.items()}
    what = "a dict with keys that are not str" if isinstance(value, dict) else f"a {type(value).__name__}"
    msg = f"{where} is {what}; a manifest holds plain JSON only: convert it before saving"
    raise BundleError(msg)


def _read(file: Path) -> bytes:
    if not file.parent.is_dir():
        _refuse(file.parent, "is not a directory", "name the directory that training wrote")
    if not file.is_file():
        if _begun(file.parent):
            _refuse(
                file.parent,
                f"is no model yet: its training is unfinished, there are checkpoints and no {MANIFEST}",
                "the same train command with --resume finishes it",
            )
        _refuse(
            file.parent, f"is not a model: it has no {MANIFEST}", "name the directory that training wrote"
        )
    try:
        if file.stat().st_size > _LARGEST:
            _refuse(file, f"is larger than {_LARGEST >> 20} MiB", "it is no manifest of ours")
        return file.read_bytes()
    except OSError as error:
        msg = f"{file} cannot be read: {error.strerror}"
        raise BundleError(msg) from None


def _begun(directory: Path) -> bool:
    """Whether a training began here: its checkpoints lie in a directory of their own, a few levels down at most.

    Not where finished models lie in it: then it is a folder of models.
    """
    if any(directory.glob(f"*/{MANIFEST}")):
        return False
    return any(any(directory.glob("*/" * depth + CHECKPOINTS)) for depth in range(4))


def _parse(file: Path, data: bytes) -> Any:
    try:
        return json.loads(data, parse_constant=_no_constant, object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        reason = str(error) or "too deep"
        msg = f"{file} is not JSON ({reason}); copy or download the model again"
        raise BundleError(msg) from None


def _check_files(file: Path, files: dict[str, Any]) -> None:
    if len(files) != 1:
        _refuse(file, f"lists {len(files)} weight files instead of one", "save the model again")
    ((name, entry),) = files.items()
    if not _FILE_NAME.fullmatch(name):
        _refuse(
            file, f"names the weight file {name!r}, not a plain *.safetensors name", "do not use this model"
        )
    size = entry.get("bytes") if isinstance(entry, dict) else None
    if type(size) is not int or size < 0 or not _SHA256.fullmatch(str(entry.get("sha256"))):
        _refuse(file, f"has no usable size and sha256 for '{name}'", "save the model again")


def _digest(manifest: dict[str, Any]) -> str:
    rest = {key: value for key, value in manifest.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _no_constant(name: str) -> NoReturn:
    msg = f"{name} is not a number"
    raise ValueError(msg)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        msg = "a key occurs twice"
        raise ValueError(msg)
    return found


def _refuse(path: Path, fault: str, advice: str) -> NoReturn:
    msg = f"{path} {fault}; {advice}"
    raise BundleError(msg)
