import random

import numpy as np
import pytest
import torch
from torch import nn

from cytosol import device

CPU = torch.device("cpu")


def pretend(monkeypatch, *, cuda=0, mps=False):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"), [(0, False, "cpu"), (0, True, "mps"), (2, False, "cuda"), (1, True, "cuda")]
)
def test_auto_takes_the_fastest_there_is(monkeypatch, cuda, mps, expected):
    pretend(monkeypatch, cuda=cuda, mps=mps)
    assert device.pick_device("auto").type == expected
    assert device.pick_device() == device.pick_device("auto")
    assert device.pick_device("cpu") == CPU


def test_a_numbered_card_is_taken_if_it_is_there(monkeypatch):
    pretend(monkeypatch, cuda=2)
    assert device.pick_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(ValueError, match="'cuda:2' is not available here: this machine has cuda, cpu"):
        device.pick_device("cuda:2")


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps"])
def test_a_device_that_is_not_there_is_refused_with_what_is(monkeypatch, name):
    pretend(monkeypatch)
    with pytest.raises(
        ValueError, match=f"'{name}' is not available here: this machine has cpu; or use auto"
    ):
        device.pick_device(name)


@pytest.mark.parametrize("name", ["gpu", "", "CUDA", "cuda:x", "cuda:-1", "tpu"])
def test_an_unknown_device_is_refused_with_what_is_allowed(name):
    with pytest.raises(ValueError, match=f"unknown device '{name}': expected auto, cpu, cuda"):
        device.pick_device(name)


def test_precision_is_full_off_cuda_and_a_word_that_lightning_takes():
    from lightning.pytorch import Trainer

    assert device.pick_precision(CPU) == device.pick_precision(torch.device("mps")) == "32-true"
    Trainer(precision=device.pick_precision(CPU), accelerator="cpu", logger=False, enable_checkpointing=False)


@pytest.mark.parametrize(
    ("capability", "expected"), [((7, 5), "32-true"), ((8, 0), "bf16-mixed"), ((9, 0), "bf16-mixed")]
)
def test_precision_on_cuda_follows_the_hardware(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert device.pick_precision(torch.device("cuda")) == expected


def test_tf32_is_allowed_for_products():
    before = torch.get_float32_matmul_precision()
    try:
        device.allow_tf32()
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)


def test_a_module_is_compiled_only_where_it_pays(monkeypatch):
    compiled = []
    monkeypatch.setattr(nn.Linear, "compile", lambda self: compiled.append(self))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    monkeypatch.setattr(device.importlib.util, "find_spec", lambda name: object())
    module, cuda = nn.Linear(2, 2), torch.device("cuda")
    assert device.compile_if_worth(module, CPU, calls=10**6) is module
    assert device.compile_if_worth(module, cuda, calls=10) is module
    assert not compiled
    assert device.compile_if_worth(module, cuda, calls=10**6) is module
    assert compiled == [module]
    monkeypatch.setattr(device.importlib.util, "find_spec", lambda name: None)
    device.compile_if_worth(module, cuda, calls=10**6)
    assert compiled == [module]


def test_a_seed_reaches_every_global_generator():
    draws = []
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    try:
        for seed in (1, 1, 2):
            device.seed_process(seed)
            draws.append((random.random(), np.random.rand(), torch.rand(()).item()))  # noqa: NPY002
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])
    assert draws[0] == draws[1]
    assert all(a != b for a, b in zip(draws[0], draws[2], strict=True))
    for seed in (-1, 2**32):
        with pytest.raises(ValueError, match="expected a seed from 0"):
            device.seed_process(seed)


def test_memory_is_one_line_with_a_unit():
    report = device.memory_report(CPU)
    assert report.startswith("cpu: ")
    assert report.endswith("GiB at most")
    assert 0.01 < float(report.split()[1]) < 10_000


def test_a_system_that_does_not_tell_is_said_so(monkeypatch):
    monkeypatch.setattr(device.sys, "platform", "win32")
    assert device.memory_report(CPU) == "cpu: memory use unknown on this system"


MESSAGES = {
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total": "2.00 GiB",
    "MPS backend out of memory (MPS allocated: 1 GB). Tried to allocate 256 bytes on": "256 bytes",
    "DefaultCPUAllocator: can't allocate memory: you tried to allocate 800 bytes. Error code 12": "800 bytes",
    "DefaultCPUAllocator: not enough memory: you tried to allocate 800 bytes.": "800 bytes",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`": None,
}


@pytest.mark.parametrize("message", MESSAGES)
def test_every_kind_of_out_of_memory_names_the_key(message):
    with (
        pytest.raises(OSError, match=r"lower model\.width") as caught,
        device.out_of_memory_hint(OSError, key="model.width"),
    ):
        raise RuntimeError(message)
    size = MESSAGES[message]
    assert (f"asked for {size}" in str(caught.value)) == (size is not None)
    assert "\n" not in str(caught.value)


def test_real_allocations_that_cannot_be_are_recognised():
    for allocate in (lambda: torch.empty(2**56), lambda: np.empty(2**56), lambda: bytearray(2**60)):
        with (
            pytest.raises(RuntimeError, match=r"out of memory.*lower batch_size"),
            device.out_of_memory_hint(),
        ):
            allocate()
    with pytest.raises(RuntimeError, match=r"lower batch_size"), device.out_of_memory_hint():
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")


def test_other_errors_and_success_pass_unchanged():
    with pytest.raises(RuntimeError, match="mat1 and mat2"), device.out_of_memory_hint():
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    with pytest.raises(KeyError), device.out_of_memory_hint():
        raise KeyError("memory")
    with device.out_of_memory_hint():
        pass
