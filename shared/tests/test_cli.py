"""Exit codes, one-line errors and shared options of `cytosol.cli`; the verbs of `cytosol`."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer

from cytosol import cli, commands, demos
from cytosol.config import ConfigError
from cytosol.story import Picture, Story

FAULTS: dict[str, tuple[Exception, int, str]] = {
    "config": (ConfigError("file a.yaml: unknown key 'x'"), 2, "tool: file a.yaml: unknown key 'x'"),
    "data": (ValueError("t.csv, row 3: negative\n  oxygen"), 2, "tool: t.csv, row 3: negative oxygen"),
    "usage": (typer.BadParameter("no"), 2, "tool fail: Invalid value: no"),
    "absent": (FileNotFoundError(errno.ENOENT, "No such file", "a.csv"), 2, "tool: a.csv: No such file"),
    "full": (OSError(errno.ENOSPC, "No space left", "a.csv"), 1, "tool: a.csv: No space left"),
    "run": (RuntimeError("loss is NaN at step 3"), 1, "tool: loss is NaN at step 3"),
    "bug": (KeyError("x"), 1, "tool: KeyError: 'x' (CYTOSOL_DEBUG=1 shows where)"),
    "long": (RuntimeError("x" * 5_000), 1, f"tool: {'x' * cli.LONGEST} ..."),
    "silent": (RuntimeError(), 1, "tool: RuntimeError: (CYTOSOL_DEBUG=1 shows where)"),
}


def tool() -> typer.Typer:
    """A command line with one verb that shows what it got and one that fails as told."""
    app = cli.app("tool", "A tool.")

    @app.command()
    def train(
        *,
        data: Annotated[Path, typer.Option("--data")],
        config: cli.ConfigFile = None,
        seed: cli.Seed = None,
        device: cli.Device = "auto",
        resume: cli.Resume = False,
        force: cli.Force = False,
        overrides: cli.Overrides,
    ) -> None:
        """Train it."""
        shown = {"data": str(data), "config": str(config), "seed": seed, "device": device}
        typer.echo(json.dumps(shown | {"resume": resume, "force": force, "overrides": overrides}))

    @app.command()
    def fail(*, how: str) -> None:
        """Fail in a way."""
        if how == "interrupt":
            message = "stopped at step 7; --resume goes on"
            raise KeyboardInterrupt(message)
        raise FAULTS[how][0]

    @app.command()
    @cli.resumable()
    def wait(*, number: int) -> None:
        """Be stopped."""
        os.kill(os.getpid(), number)
        time.sleep(10)

    return app


def outcome(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = cli.run(tool(), words)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_shared_options_reach_the_verb(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "--data", "t.csv", "a.b=1", "--config", "r.yaml", "--seed", "3", "--device", "cpu"]
    code, out, err = outcome(capsys, *words, "--resume", "--force", "c=x=y")
    assert (code, err) == (0, "")
    expected = {
        "data": "t.csv",
        "config": "r.yaml",
        "seed": 3,
        "device": "cpu",
        "resume": True,
        "force": True,
    }
    assert json.loads(out) == expected | {"overrides": ["a.b=1", "c=x=y"]}


def test_without_options_the_verb_gets_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = outcome(capsys, "train", "--data", "t.csv")
    expected = {"config": "None", "seed": None, "device": "auto", "resume": False, "force": False}
    assert json.loads(out) == expected | {"data": "t.csv", "overrides": []}


@pytest.mark.parametrize("how", FAULTS)
def test_every_fault_is_one_line_and_its_exit_code(capsys: pytest.CaptureFixture[str], how: str) -> None:
    _, expected_code, line = FAULTS[how]
    assert outcome(capsys, "fail", how) == (expected_code, "", line + "\n")


def test_an_interruption_keeps_its_message(capsys: pytest.CaptureFixture[str]) -> None:
    expected = (130, "", "tool: stopped at step 7; --resume goes on\n")
    assert outcome(capsys, "fail", "interrupt") == expected


@pytest.mark.parametrize(
    ("number", "said"), [(signal.SIGTERM, "stopped by SIGTERM"), (signal.SIGINT, "interrupted")]
)
def test_what_can_go_on_says_so_when_stopped(
    capsys: pytest.CaptureFixture[str], number: signal.Signals, said: str
) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have left it ignored
    expected = (130, "", f"tool: {said}: the same command with --resume goes on\n")
    try:
        assert outcome(capsys, "wait", str(int(number))) == expected
        assert signal.getsignal(signal.SIGTERM) == before[0]
    finally:
        signal.signal(signal.SIGINT, before[1])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("trian", "did you mean 'train'"),
        ("train", "--data"),
        ("train --data t --device tpu", "--device"),
        ("train --data t --seed -1", "--seed"),
        ("train --data t --seed x", "--seed"),
        ("train --data t --sed 1", "--sed"),
    ],
)
def test_bad_usage_is_one_line_that_names_the_word(
    capsys: pytest.CaptureFixture[str], words: str, said: str
) -> None:
    code, out, err = outcome(capsys, *words.split())
    assert (code, out) == (2, "")
    assert said.lower() in err.lower()
    assert err.count("\n") == 1
    assert err.startswith("tool")


def test_without_a_verb_help_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = outcome(capsys)
    assert (code, out) == (2, "")
    assert "train" in err


def test_help_and_version_are_results(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = outcome(capsys, "--help")
    assert (code, err) == (0, "")
    assert "train" in out
    assert cli.run(commands.app, ["--version"]) == 0
    assert capsys.readouterr().out.startswith("cytosol 0.")


def test_the_traceback_is_shown_on_request(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CYTOSOL_DEBUG", "1")
    code, _, err = outcome(capsys, "fail", "bug")
    assert code == 1
    assert "Traceback" in err
    monkeypatch.setenv("CYTOSOL_DEBUG", "0")
    assert "Traceback" not in outcome(capsys, "fail", "bug")[2]


def test_what_exists_is_refused_unless_told_otherwise(tmp_path: Path) -> None:
    cli.refuse_existing(tmp_path / "new")
    cli.refuse_existing(tmp_path)  # empty
    file = tmp_path / "filled.csv"
    file.write_text("x")
    for there in (file, tmp_path):
        with pytest.raises(ValueError, match="exists already: give another --out, or --force"):
            cli.refuse_existing(there)
        cli.refuse_existing(there, force=True)
        cli.refuse_existing(there, resume=True)
    with pytest.raises(ValueError, match="contradict"):
        cli.refuse_existing(tmp_path / "new", force=True, resume=True)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="exists already"):
        cli.refuse_existing(tmp_path / "link")


def shows(out: Path) -> Story:
    (out / "picture.svg").write_text("<svg/>")
    picture = Picture(path=out / "picture.svg", caption="c", alt="nothing at all")
    words = {"question": "what?", "setting": "here", "answer": "look", "own": "a file"}
    return Story(**words, tables=(), pictures=(picture,), commands=("tool",))


def breaks(out: Path) -> Story:
    message = f"cannot draw in {out.name}"
    raise RuntimeError(message)


@pytest.fixture
def three_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that shows something, one that breaks, one without a demo."""

    class Here(EntryPoint):
        def load(self) -> Any:
            return globals()[self.value]

    points = EntryPoints([Here("good", "shows", demos.GROUP), Here("bad", "breaks", demos.GROUP)])
    monkeypatch.setattr(demos.metadata, "entry_points", lambda **query: points.select(**query))
    monkeypatch.setattr(demos, "packages", lambda: ["bad", "good", "mute"])
    monkeypatch.setattr(demos.metadata, "version", lambda name: "1.2.3")
    monkeypatch.setattr(demos.metadata, "metadata", lambda name: {"Summary": f"{name} for all"})


@pytest.mark.usefixtures("three_packages")
def test_all_demos_run_and_a_broken_one_fails_the_whole(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):  # the default place may be used again
        assert cli.run(commands.app, ["demo"]) == 1
        captured = capsys.readouterr()
        assert captured.out.startswith("== good, 0 s\nwhat?\nhere\nlook\n")
        assert captured.out.endswith(
            "\n== nothing to show yet: mute\n== all of it to look at: runs/demo/report.html\n"
        )
        assert captured.err == "demo bad: cannot draw in bad\n"
    page = (tmp_path / "runs/demo/report.html").read_text()
    assert "This demo failed: cannot draw in bad" in page
    assert 'alt="nothing at all"' in page
    assert "good for all" in page


@pytest.mark.usefixtures("three_packages")
def test_a_run_that_is_broken_off_leaves_what_it_showed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(name: str, out: Path) -> Story:
        if name == "good":
            raise KeyboardInterrupt
        return shows(out)

    monkeypatch.setattr(demos, "run", stopped)
    (tmp_path / "out/bad").mkdir(parents=True)
    assert cli.run(commands.app, ["demo", "--force", "--out", str(tmp_path / "out")]) == 130
    assert "bad for all" in (tmp_path / "out/report.html").read_text()


@pytest.mark.usefixtures("three_packages")
@pytest.mark.parametrize(("told", "used"), [(None, "1"), ("7", "7")])
def test_a_demo_has_one_thread_unless_the_environment_says_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str | None, used: str
) -> None:
    monkeypatch.setenv(demos.THREADS, told or "")  # so that it is as before when the test is over
    if told is None:
        monkeypatch.delenv(demos.THREADS)
    demos.run("good", tmp_path / "out")
    assert os.environ[demos.THREADS] == used


@pytest.mark.usefixtures("three_packages")
def test_one_demo_by_name(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["demo", "--only", "good", "--out", str(out)]
    assert cli.run(commands.app, words) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("== good")
    assert "mute" not in captured.out
    assert cli.run(commands.app, words) == 2
    assert "exists already" in capsys.readouterr().err
    assert cli.run(commands.app, [*words, "--force"]) == 0


@pytest.mark.usefixtures("three_packages")
@pytest.mark.parametrize(
    ("name", "said"), [("mute", "nothing to show yet"), ("goood", "did you mean 'good'?")]
)
def test_a_demo_that_is_not_there(capsys: pytest.CaptureFixture[str], name: str, said: str) -> None:
    assert cli.run(commands.app, ["demo", "--only", name]) == 2
    assert said in capsys.readouterr().err


def test_the_installed_packages_are_found_by_what_they_build_on() -> None:
    assert "cytosol" not in demos.packages()
    assert "torch" not in demos.packages()


def test_info_says_device_precision_and_versions(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(commands.app, ["info", "--device", "cpu"]) == 0
    rows = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert rows["device"] == "cpu"
    assert rows["precision"] == "32-true"
    assert {"memory", "threads", "python", "cytosol", "torch", "lightning", "numpy"} <= rows.keys()


def test_inspect_prints_the_manifest_of_a_bundle(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    import torch

    from cytosol.bundle import save_bundle

    model = tmp_path / "model"
    save_bundle(
        model,
        kind="toy",
        package="cytosol",
        version="0",
        config={"a": 1},
        extra={},
        tensors={"w": torch.ones(2)},
    )
    assert cli.run(commands.app, ["inspect", str(model)]) == 0
    assert json.loads(capsys.readouterr().out)["config"] == {"a": 1}
    (model / "manifest.json").write_text("{")
    assert cli.run(commands.app, ["inspect", str(model)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_as_a_process_it_leaves_with_its_code_and_help_loads_no_torch() -> None:
    code = (
        "import sys; from cytosol import commands; sys.argv = ['cytosol', {!r}]\n"
        "try: commands.main()\n"
        "finally: print('torch' in sys.modules)"
    )
    for word, expected in (("--help", 0), ("nonsense", 2)):
        process = subprocess.run(
            [sys.executable, "-c", code.format(word)], capture_output=True, text=True, check=False
        )
        assert process.returncode == expected
        assert process.stdout.endswith("False\n")


def test_no_thread_left_behind_aborts_a_process_that_has_done_its_work() -> None:
    code = (
        "import ctypes, sys; from cytosol import commands; sys.argv = ['cytosol', '--version']\n"
        "class Last:\n"
        "    def __del__(self, abort=ctypes.CDLL(None).abort): abort()\n"
        "sys.last = Last()  # deleted while the interpreter is taken down\n"
        "commands.main()"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert process.returncode == 0
    assert process.stdout.startswith("cytosol ")
