"""What the demos say one should type is what the command lines take."""

from __future__ import annotations

import importlib
import shlex
from importlib import metadata
from typing import Any

import pytest
import typer

from cytosol import demos


def parsed(command: Any, words: list[str], name: str) -> None:
    """Walk down to the verb and let it read its words, without running it; raises a usage error."""
    if hasattr(command, "commands"):
        with command.make_context(name, words, resilient_parsing=True) as context:
            verb, below, rest = command.resolve_command(context, words)
        parsed(below, rest, verb)
    else:
        command.make_context(name, words)


@pytest.mark.parametrize("package", demos.available())
def test_the_commands_of_a_demo_are_those_of_its_package(package: str) -> None:
    app = typer.main.get_command(importlib.import_module(f"{package}.cli").app)
    commands = importlib.import_module(f"{package}.demo_story").COMMANDS
    assert commands
    for line in commands:
        first, *words = shlex.split(line)
        assert first == package
        parsed(app, words, package)


def test_every_library_has_a_demo() -> None:
    assert demos.silent() == []
    assert set(demos.available()) == {"mediacvae", "o2diffusion", "stedm", "virtualcell"}
    assert all(metadata.metadata(name)["Summary"] for name in demos.available())
