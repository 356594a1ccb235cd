"""What the tests of training share; Lightning is imported by those that ask for it only."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny():
    spec = importlib.util.spec_from_file_location("tiny_run", Path(__file__).with_name("tiny_run.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(name="Line")
def _line(tiny):
    return tiny.Line


@pytest.fixture
def options(tiny):
    return tiny.make_options


@pytest.fixture
def run(tiny):
    return tiny.train
