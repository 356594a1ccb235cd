"""Ctrl-C and SIGTERM as a wish, granted between two steps, where the state is whole."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class TrainingInterrupted(KeyboardInterrupt):
    """Training was asked to stop and did; the message says where it can be taken up."""


class Interrupts:
    """Remembers the first signal while installed; a second Ctrl-C interrupts at once.

    received: the signal's name, None before one came. Use as a context manager: on leaving, the handlers from before
    are back. Does nothing outside the main thread, where Python allows no handlers.
    """

    def __init__(self) -> None:
        self.received: str | None = None
        self.forward: Callable[[int], Any] | None = None  # to processes that the trainer started
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.getsignal(number) for number in _SIGNALS}
        return self

    def install(self) -> None:
        """Take the handlers over, from Lightning too: its own may start a collective in mid-step."""
        for number in self._before:
            signal.signal(number, self._note)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            # None: set by other than Python, which cannot set it again
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT:
            signal.default_int_handler(number, frame)
        self.received = signal.Signals(number).name
        if self.forward is not None and number == signal.SIGTERM:
            self.forward(number)
