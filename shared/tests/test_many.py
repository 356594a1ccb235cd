"""One verb over many files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest
import typer

from cytosol import cli, commands, many

app = cli.app("copier", "Copies.")


@app.command()
def copy(
    *,
    data: Annotated[Path, typer.Option("--data")],
    out: Annotated[Path, typer.Option("--out")],
    force: cli.Force = False,
) -> None:
    cli.refuse_existing(out, force=force)
    text = data.read_text()
    if "bad" in text:
        msg = f"{data}: row 1: expected good, got bad"
        raise ValueError(msg)
    out.write_text(text.upper())


@app.command()
def other() -> None:
    """Makes `copy` a verb: an app of one command has none."""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(many, "command_line", lambda name: {"copier": app}[name])
    for name in "abcde":
        Path(f"{name}.txt").write_text(name)
    return tmp_path


def each(*options):
    words = ("copier", "copy", "--data", "{data}", "--out", "{out}")
    return cli.run(commands.app, ["each", "--data", "*.txt", "--out", "made", *options, *words])


def made():
    return sorted(path.name for path in Path("made").iterdir())


def test_every_file_is_somebodys(folder):
    assert each("--share", "0/2", "--suffix", ".up") == 0
    assert made() == ["a.up", "c.up", "e.up"]
    assert each("--share", "1/2", "--suffix", ".up") == 0
    assert made() == ["a.up", "b.up", "c.up", "d.up", "e.up"]
    assert Path("made/b.up").read_text() == "B"


def test_the_share_may_be_what_the_starter_says(folder, monkeypatch, capsys):
    for name, value in {"SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "3"}.items():
        monkeypatch.setenv(name, value)
    assert each() == 2
    assert "srun started 3 processes: give --share auto" in capsys.readouterr().err
    assert each("--share", "auto") == 0
    assert made() == ["b.txt", "e.txt"]


def test_what_fails_is_said_and_the_others_go_on_and_again_only_that(folder, capsys):
    Path("b.txt").write_text("bad")
    assert each() == 1
    assert made() == ["a.txt", "c.txt", "d.txt", "e.txt"]
    told = capsys.readouterr().err.splitlines()
    assert told == [
        "copier: b.txt: row 1: expected good, got bad",
        "share 0/1: 4 of 5 files are in made; failed: b.txt",
    ]
    Path("a.txt").write_text("new")
    Path("b.txt").write_text("good")
    assert each() == 0
    assert (Path("made/a.txt").read_text(), Path("made/b.txt").read_text()) == ("A", "GOOD")
    assert each("--force") == 0
    assert Path("made/a.txt").read_text() == "NEW"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--data", "*.csv", "--out", "made", "copier", "copy", "{data}", "{out}"], "no file is called so"),
        (["--data", "*.txt", "--out", "made", "copier", "copy", "{data}"], "expected {out} where"),
        (
            ["--data", "*.txt", "--out", "made", "--share", "2/2", "copier", "{data}{out}"],
            "--share 2/2: expected K/N",
        ),
        (
            ["--data", "*.txt", "--data", "sub/*", "--out", "made", "copier", "{data}{out}"],
            "2 files would be written",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(folder, capsys, words, told):
    (folder / "sub").mkdir()
    (folder / "sub" / "a.txt").write_text("a")
    assert cli.run(commands.app, ["each", *words]) == 2
    assert told in capsys.readouterr().err
    assert not Path("made").exists()


def test_a_package_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"^pytest: expected the name of an installed package with verbs"):
        many.command_line("pytest")
    assert many.command_line("cytosol") is commands.app
