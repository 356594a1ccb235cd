"""Invariants of a module as functions, for any package's tests: AssertionError where one does not hold; and processes.

An invariant takes a module and its keyword inputs (tensors with the batch first; anything else is handed through) and
compares all tensors of the output, be it one, a tuple or a dict. Modules are run in eval mode and left as
they were.
"""

from __future__ import annotations

import importlib.util
import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from cytosol.masking import broadcast_mask

if TYPE_CHECKING:
    from types import ModuleType

Inputs = Mapping[str, Any]


def assert_padding_invariant(
    module: nn.Module,
    inputs: Inputs,
    *,
    padded: tuple[str, ...] = ("x",),
    mask: str = "mask",
    garbage: float = 1e3,
    atol: float = 1e-5,
) -> None:
    """What stands in padded places changes nothing that is real.

    `inputs[mask]: (b, t)` bool, True = real; the inputs named in `padded` have its axes first and are filled
    with `garbage` (NaN for the strictest) under False. Outputs with the mask's axes first are compared where
    it is True, others whole. Raises AssertionError where they differ by more than atol, and for a mask without padding.
    """
    real = inputs[mask]
    if bool(real.all()):
        message = "the mask is True everywhere: give inputs with some padding, or nothing is tested"
        raise AssertionError(message)
    spoilt = {name: torch.where(_lead(real, inputs[name]), inputs[name], garbage) for name in padded}
    before, after = _outputs(module, inputs), _outputs(module, {**inputs, **spoilt})
    for name, a in before.items():
        b = after[name]
        if a.shape[: real.ndim] == real.shape:
            a, b = a[real], b[real]
        _compare(a, b, f"padding leaks into {name} of {_name(module)}", atol)


def assert_batch_independent(module: nn.Module, inputs: Inputs, *, atol: float = 1e-5) -> None:
    """Each row of a batch, `(b, ...)` as all tensors of the input, comes out as it does alone."""
    whole = _outputs(module, inputs)
    rows = _batch_size(inputs)
    for i in range(rows):
        alone = _outputs(module, _map(inputs, lambda x, i=i: x[i : i + 1]))
        for name, a in whole.items():
            _compare(
                a[i : i + 1], alone[name], f"row {i} of {name} of {_name(module)} depends on its batch", atol
            )


def assert_permutation_equivariant(
    module: nn.Module, inputs: Inputs, *, dims: Mapping[str, int], out_dim: int | None, atol: float = 1e-5
) -> None:
    """Reordering inputs along an axis reorders the output along `out_dim` alike (None: changes nothing).

    `dims` says which inputs are reordered, and along which of their axes.
    """
    n = inputs[next(iter(dims))].shape[dims[next(iter(dims))]]
    order = torch.arange(n).roll(1)
    moved = {name: inputs[name].index_select(dim, order) for name, dim in dims.items()}
    before, after = _outputs(module, inputs), _outputs(module, {**inputs, **moved})
    for name, a in before.items():
        expected = a if out_dim is None else a.index_select(out_dim, order)
        _compare(
            expected,
            after[name],
            f"{name} of {_name(module)} depends on the order of {', '.join(dims)}",
            atol,
        )


def assert_every_parameter_trains(module: nn.Module, inputs: Inputs, *, but: tuple[str, ...] = ()) -> None:
    """Every trainable parameter gets a finite gradient that is not all zero, save those named in `but`.

    The outputs are weighted by fixed random numbers, so that symmetric sums do not cancel. Gradients are
    cleared. Raises AssertionError that names those without.
    """
    module.zero_grad(set_to_none=True)
    generator = torch.Generator().manual_seed(0)
    with _eval(module):
        outputs = [y for y in _flatten(module(**inputs)).values() if y.is_floating_point()]
        weights = [torch.randn(y.shape, generator=generator).to(y) for y in outputs]
        torch.stack([(y * w).sum() for y, w in zip(outputs, weights, strict=True)]).sum().backward()
    faults: list[str] = []
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad or name in but:
            continue
        grad = parameter.grad
        if grad is None or not bool(grad.any()):
            faults.append(f"{name} (none)")
        elif not bool(grad.isfinite().all()):
            faults.append(f"{name} (not finite)")
    module.zero_grad(set_to_none=True)
    if faults:
        message = f"parameters of {_name(module)} without a usable gradient: {', '.join(faults)}"
        raise AssertionError(message)


def assert_state_round_trip(module: nn.Module, make: Callable[[], nn.Module], inputs: Inputs) -> None:
    """A module made anew, given this one's saved state, answers bit for bit alike."""
    buffer = io.BytesIO()
    torch.save(module.state_dict(), buffer)
    buffer.seek(0)
    fresh = make()
    fresh.load_state_dict(torch.load(buffer, weights_only=True))
    before, after = _outputs(module, inputs), _outputs(fresh, inputs)
    for name, a in before.items():
        _compare(a, after[name], f"{name} of {_name(module)} changed by saving and loading its state", 0.0)


def imported(program: Path) -> ModuleType:
    """A Python file that is also a program, as a module under the name of its stem; ValueError for another file."""
    spec = importlib.util.spec_from_file_location(program.stem, program)
    if spec is None or spec.loader is None:
        message = f"{program}: expected a Python file"
        raise ValueError(message)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def in_processes(program: Path, out: Path, *words: str, count: int = 2, timeout: float = 240) -> list[Any]:
    """Run `program OUT WORDS...` in processes that train together (gloo, one thread each); what each of them saved.

    A process saves what it made, tensors and plain values, with torch as `OUT/rank<its RANK>.pt`. timeout [s].
    AssertionError with what they said where one of them fails.
    """
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}")
    done = subprocess.run(  # noqa: S603 - a test's own program
        [*torchrun, str(program), str(out), *words],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if done.returncode:
        raise AssertionError(done.stderr)
    return [torch.load(out / f"rank{rank}.pt", weights_only=True) for rank in range(count)]


def _compare(a: Tensor, b: Tensor, what: str, atol: float) -> None:
    torch.testing.assert_close(
        a, b, atol=atol, rtol=atol, equal_nan=False, msg=lambda detail: f"{what}\n{detail}"
    )


@contextmanager
def _eval(module: nn.Module) -> Iterator[None]:
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def _outputs(module: nn.Module, inputs: Inputs) -> dict[str, Tensor]:
    with _eval(module), torch.no_grad():
        return _flatten(module(**inputs))


def _flatten(output: Any, name: str = "output") -> dict[str, Tensor]:
    if isinstance(output, Tensor):
        return {name: output}
    if isinstance(output, Mapping):
        parts = [_flatten(value, f"{name}[{key!r}]") for key, value in output.items()]
    elif isinstance(output, tuple | list):
        parts = [_flatten(value, f"{name}[{i}]") for i, value in enumerate(output)]
    else:
        return {}
    return {key: value for part in parts for key, value in part.items()}


def _map(inputs: Inputs, change: Callable[[Tensor], Tensor]) -> dict[str, Any]:
    return {name: change(value) if isinstance(value, Tensor) else value for name, value in inputs.items()}


def _batch_size(inputs: Inputs) -> int:
    return next(len(value) for value in inputs.values() if isinstance(value, Tensor))


def _lead(mask: Tensor, x: Tensor) -> Tensor:
    return broadcast_mask(mask.reshape(*mask.shape, *[1] * (x.ndim - mask.ndim)), x)


def _name(module: nn.Module) -> str:
    return type(module).__name__
