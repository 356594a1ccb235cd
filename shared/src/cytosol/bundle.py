"""A model on disk: a directory with `manifest.json` and safetensors weights, nothing in it that can run.

The manifest is the commit point. Weights are written first, under a name that no valid manifest uses; the
manifest is replaced last, in one rename. A kill at any moment therefore leaves the old model or the new one,
also where the directory holds other files (checkpoints, history) that a renamed one could not replace.
"""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse_safetensors
from safetensors.torch import save as dump_safetensors
from torch import Tensor

from cytosol.files import fsync_directory, sweep, write_atomically
from cytosol.manifest import FORMAT, MANIFEST, BundleError, check_plain, dump_manifest, read_manifest

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Mapping

    from torch import nn

__all__ = ["Bundle", "BundleError", "load_bundle", "load_weights", "read_manifest", "save_bundle"]

_WEIGHTS = (
    "model.safetensors",
    "model.b.safetensors",
)  # two names: a new model never overwrites the one in use
_COMPILED = "_orig_mod."
_SHOWN = 3


@dataclasses.dataclass(frozen=True)
class Bundle:
    """A checked model: its manifest (keys as `read_manifest` says), its tensors (d, ...) by name, on the CPU."""

    manifest: dict[str, Any]
    tensors: dict[str, Tensor]

    @property
    def kind(self) -> str:
        """The name that the caller's registry knows."""
        return self.manifest["kind"]

    @property
    def config(self) -> dict[str, Any]:
        """What the model was built from."""
        return self.manifest["config"]

    @property
    def extra(self) -> dict[str, Any]:
        """What inference needs beside the weights."""
        return self.manifest["extra"]


def save_bundle(
    path: str | os.PathLike[str],
    *,
    kind: str,
    package: str,
    version: str,
    config: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    extra: Mapping[str, Any],
    force: bool = False,
) -> Path:
    """Write a model to the directory `path`; other files in it are left alone.

    config, extra: plain JSON values only (str keys, finite numbers, lists; no numpy, Path, Enum).
    tensors: a state dict, of any shapes `(d, ...)`; the `_orig_mod.` of compiled modules is taken out, shared memory is
    written twice.
    Raises BundleError when a model is there already and not `force`, when a value is not plain or a tensor
    holds NaN or infinity; OSError when the directory cannot be written to. What was there before then stays.
    """
    root = Path(path)
    if (root / MANIFEST).exists() and not force:
        msg = f"{root} already holds a model; pass force to replace it, or choose another directory"
        raise BundleError(msg)
    plain = _storable(tensors)
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "kind": kind,
        "package": package,
        "package_version": version,
        "cytosol_version": _own_version(),
        "config": check_plain(config, "config"),
        "extra": check_plain(extra, "extra"),
        "tensors": {name: _describe(tensor) for name, tensor in plain.items()},
    }
    data = dump_safetensors(plain)
    root.mkdir(parents=True, exist_ok=True)
    fsync_directory(root.parent)
    sweep(root)
    in_use = _weights_in_use(root)
    name = next(name for name in _WEIGHTS if name != in_use)
    manifest["files"] = {name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}}
    text = dump_manifest(manifest)  # before anything is written: it may still refuse
    write_atomically(root / name, data)
    write_atomically(root / MANIFEST, text)
    for other in _WEIGHTS:
        if other != name:
            (root / other).unlink(missing_ok=True)
    return root


def load_bundle(path: str | os.PathLike[str], *, kinds: Collection[str]) -> Bundle:
    """Read and check a model; `kinds` are the names that the caller can build.

    Works on any plain directory, one inside an installed wheel included, and needs only read access.
    Raises BundleError, in one line that names the file, for every damage: missing, truncated or altered
    files, a foreign format or kind, tensors that differ from the manifest's list, NaN or infinity.
    """
    root = Path(path)
    manifest = read_manifest(root)
    if manifest["kind"] not in kinds:
        known, package = ", ".join(sorted(kinds)), manifest["package"]
        ours = all(kind.partition(".")[0] == package for kind in kinds)
        next_ = "give a model of such a kind" if ours else "open it with the package that wrote it"
        msg = (
            f"{root / MANIFEST}: model kind '{manifest['kind']}' of {package} is not one of {known}; {next_}"
        )
        raise BundleError(msg)
    ((name, declared),) = manifest["files"].items()
    file = root / name
    data = _read_exactly(file, declared["bytes"])
    if hashlib.sha256(data).hexdigest() != declared["sha256"]:
        msg = f"{file} is damaged: its sha256 is not the manifest's; copy or download the model again"
        raise BundleError(msg)
    try:
        tensors = parse_safetensors(data)
    except (SafetensorError, ValueError, KeyError) as error:
        msg = (
            f"{file} is not a safetensors file ({error}); it is not read any other way: save the model again"
        )
        raise BundleError(msg) from None
    _check_listed(file, tensors, manifest["tensors"])
    return Bundle(manifest, tensors)


def load_weights(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy tensors `(d, ...)` into a module, names and shapes exactly; either side may be compiled.

    Raises BundleError that names the first few missing, unexpected or misshapen tensors; nothing is copied.
    """
    own = {_plain_name(name): name for name in module.state_dict()}
    given = {_plain_name(name): tensor for name, tensor in tensors.items()}
    faults = []
    if missing := [name for name in own if name not in given]:
        faults.append(f"missing {_few(missing)}")
    if surplus := [name for name in given if name not in own]:
        faults.append(f"unexpected {_few(surplus)}")
    state = module.state_dict()
    for name in own.keys() & given.keys():
        here, there = state[own[name]], given[name]
        if here.shape != there.shape or here.is_floating_point() != there.is_floating_point():
            faults.append(f"{name} is {_show(there)} where the model has {_show(here)}")
    if faults:
        shown = "; ".join(sorted(faults)[:_SHOWN])
        msg = f"weights do not fit {type(module).__name__}: {shown}; build it from their config"
        raise BundleError(msg)
    module.load_state_dict({own[name]: tensor for name, tensor in given.items()})


def _storable(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    plain: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            msg = f"tensor '{name}' is a {type(tensor).__name__}; plain values belong in extra"
            raise BundleError(msg)
        if not bool(torch.isfinite(tensor).all()):
            msg = f"tensor '{name}' holds NaN or infinity; this model is not worth keeping: train it again"
            raise BundleError(msg)
        plain[_plain_name(name)] = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
    if not plain:
        msg = "a model without tensors cannot be saved; pass module.state_dict()"
        raise BundleError(msg)
    return plain


def _check_listed(file: Path, tensors: Mapping[str, Tensor], listed: Mapping[str, Any]) -> None:
    if missing := [name for name in listed if name not in tensors]:
        msg = f"{file}: tensor {_few(missing)} of the manifest is missing; copy or download the model again"
        raise BundleError(msg)
    for name, tensor in tensors.items():
        if listed.get(name) != _describe(tensor):
            msg = f"{file}: tensor '{name}' ({_show(tensor)}) is not as in the manifest; save the model again"
            raise BundleError(msg)
        if not bool(torch.isfinite(tensor).all()):
            msg = f"{file}: tensor '{name}' holds NaN or infinity; train the model again"
            raise BundleError(msg)


def _read_exactly(file: Path, size: int) -> bytes:
    try:
        found = file.stat().st_size if file.is_file() else None
        if found == size:
            return file.read_bytes()
    except OSError as error:
        msg = f"{file} cannot be read: {error.strerror}"
        raise BundleError(msg) from None
    what = "is missing" if found is None else f"has {found} bytes where the manifest says {size}"
    msg = f"{file} {what}; copy or download the whole directory again"
    raise BundleError(msg)


def _weights_in_use(root: Path) -> str | None:
    try:
        return next(iter(read_manifest(root)["files"]))
    except BundleError:
        return None


def _own_version() -> str:
    from importlib.metadata import version

    return version("cytosol")


def _plain_name(name: str) -> str:
    return name.replace(_COMPILED, "")


def _describe(tensor: Tensor) -> dict[str, Any]:
    return {"dtype": str(tensor.dtype).removeprefix("torch."), "shape": list(tensor.shape)}


def _show(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"


def _few(names: list[str]) -> str:
    rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + rest
