"""The line at the foot of a terminal."""

from __future__ import annotations

import io
import logging
from types import SimpleNamespace

import pytest

from cytosol import progress, terminal
from cytosol.progress import Ticker


class Screen(io.StringIO):
    """What a terminal would get."""

    def isatty(self) -> bool:
        return True

    def lines(self) -> list[str]:
        return [line.removesuffix("\x1b[K") for line in self.getvalue().split("\r")]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    made = Screen()
    for module in (terminal, progress):  # sys itself is pytest's own between fixture and test
        monkeypatch.setattr(module, "sys", SimpleNamespace(stderr=made))
    monkeypatch.setenv("COLUMNS", "70")
    return made


def test_a_bar_counts_what_is_done_and_leaves_no_trace(screen: Screen) -> None:
    bar = terminal.Bar(2)
    with bar.during("one"):
        assert bar.text().startswith("[--------------------] 1/2 one 0:00")
    assert bar.text().startswith("[##########----------] 2/2")
    with pytest.raises(KeyError), bar.during("two"):
        {}["what fails"]
    assert bar.done == 2
    assert screen.lines()[-1] == ""
    assert any("2/2 two" in line for line in screen.lines())
    assert "\n" not in screen.getvalue()


def test_a_training_speaks_behind_the_bar_and_alone_where_there_is_none(screen: Screen) -> None:
    bar = terminal.Bar(1)
    with bar.during("one"):
        ticker = Ticker(10)
        ticker.show(3, None)
        assert bar.text().endswith("step 3/10  0.0 steps/s")
        ticker.close()
        assert bar.text().endswith("one 0:00  ")
    before = len(screen.getvalue())
    ticker = Ticker(10)
    ticker.show(4, [4.0, 0.5])
    ticker.close()
    assert screen.getvalue()[before:] == "\rstep 4/10  0.0 steps/s  loss 0.5\x1b[K\n"


def test_a_line_never_folds(screen: Screen) -> None:
    terminal.write("x" * 200)
    assert screen.lines()[-1] == "x" * 69


def test_nothing_is_drawn_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal.Bar(1).during("one"):
        pass
    assert capsys.readouterr().err == ""


def test_a_line_of_the_log_takes_the_bar_s_place(screen: Screen) -> None:
    terminal.write("[####] 1/2 one")
    handler = terminal.LogHandler(screen)
    handler.emit(logging.makeLogRecord({"msg": "step 5 of 10"}))
    assert screen.getvalue().endswith("one\x1b[K\r\x1b[Kstep 5 of 10\n")


def test_the_log_of_a_file_has_no_control_characters() -> None:
    file = io.StringIO()
    terminal.LogHandler(file).emit(logging.makeLogRecord({"msg": "step 5 of 10"}))
    assert file.getvalue() == "step 5 of 10\n"
