"""The one line at the foot of a terminal that is written over; nothing at all where stderr is not a terminal."""

from __future__ import annotations

import logging
import shutil
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Generator

CELLS = 20  # of the bar
EVERY = 0.25  # [s] between two drawings
CLEARED = "\r\x1b[K"  # to the line's beginning, and nothing after it
_running: list[Bar] = []  # a training inside a bar speaks behind it instead of over it


class Bar:
    """`[#####---------------] 1/4 NAME 0:23  step 40/100`: what is done of `total`, what runs, how long, its words."""

    def __init__(self, total: int) -> None:
        self.total, self.done = total, 0
        self.name, self.said = "", ""
        self._began = 0.0

    def text(self) -> str:
        """The line as it is now."""
        full = CELLS * self.done // max(self.total, 1)
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        bar = f"[{'#' * full}{'-' * (CELLS - full)}] {min(self.done + 1, self.total)}/{self.total}"
        return f"{bar} {self.name} {minutes}:{seconds:02d}  {self.said}"

    @contextmanager
    def during(self, name: str) -> Generator[None]:
        """Show the bar while the body runs, then take it away and count one more as done, failed or not."""
        self.name, self.said, self._began = name, "", time.monotonic()
        over = threading.Event()
        drawing = threading.Thread(target=self._draw, args=(over,), daemon=True)
        on = sys.stderr.isatty()
        _running.append(self)
        if on:
            drawing.start()
        try:
            yield
        finally:
            _running.remove(self)
            over.set()
            if on:
                drawing.join()
                write("")
            self.done += 1

    def _draw(self, over: threading.Event) -> None:
        while not over.is_set():
            write(self.text())
            over.wait(EVERY)


class LogHandler(logging.StreamHandler[TextIO]):
    """Lines of the log take the place of the line that is written over, instead of following on it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line; on a terminal the one at its foot is cleared first."""
        if self.stream.isatty():
            self.stream.write(CLEARED)
        super().emit(record)


def write(text: str) -> None:
    """Write over the last line of the terminal, cut where it would fold."""
    room = shutil.get_terminal_size().columns - 1
    sys.stderr.write(f"\r{text[:room]}\x1b[K")
    sys.stderr.flush()


def say(text: str) -> None:
    """Show what runs right now: behind the bar where one runs, else alone. How often, and whether, is the caller's."""
    if _running:
        _running[-1].said = text
    else:
        write(text)


def leave() -> None:
    """End what `say` shows: the line stays, or is taken from behind the bar."""
    if _running:
        _running[-1].said = ""
    else:
        sys.stderr.write("\n")
