"""What a run says about itself: the history as rows and CSV, one line on a terminal."""

from __future__ import annotations

import csv
import io
import sys
import time
from typing import TYPE_CHECKING, Any

import torch

from cytosol import terminal
from cytosol.files import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

COLUMNS = ("step", "train_loss", "val_loss", "lr", "grad_norm", "seconds")
_NAN = float("nan")


class History:
    """Rows of (step, train_loss, val_loss, lr, grad_norm, seconds [s]), kept on disk as they come.

    train_loss and grad_norm are means over the steps since the row before; the sums stay on the device, so
    that adding a step waits for nothing. val_loss is NaN in rows without a validation. path: the CSV file, or None.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.rows: list[list[float]] = []
        self.sums = torch.zeros(2)
        self.count = 0
        self._seconds_before, self._began = 0.0, time.monotonic()

    def add(self, loss: Tensor, norm: Tensor) -> None:
        """Add one step; loss and norm: a scalar each."""
        self.sums = self.sums.to(loss.device)
        self.sums += torch.stack((loss.detach(), norm.detach())).float()
        self.count += 1

    def means(self) -> Tensor:
        """Return the (2,) means of loss and gradient norm since the last row, and begin anew."""
        means = self.sums / max(self.count, 1)
        self.sums, self.count = torch.zeros_like(self.sums), 0
        return means

    def close_row(self, step: int, means: Tensor, val_loss: float | None, lr: float) -> list[float]:
        """Append a row, on disk too, and return it. means: (2,), as `means` gives them. lr: of the last step."""
        loss, norm = means.tolist()
        row = [step, loss, _NAN if val_loss is None else val_loss, lr, norm, self.seconds()]
        self.rows.append(row)
        if self.path is not None:
            with self.path.open("a", newline="", encoding="utf-8") as stream:
                csv.writer(stream, lineterminator="\n").writerow(_cells(row))
        return row

    def rewrite(self) -> None:
        """Make the file hold exactly the rows: a resumed run drops what was lost with the process."""
        if self.path is not None:
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows([COLUMNS, *map(_cells, self.rows)])
            write_atomically(self.path, text.getvalue().encode())

    def seconds(self) -> float:
        """Return the wall time of training so far, earlier processes included [s]."""
        return self._seconds_before + time.monotonic() - self._began

    def state(self) -> dict[str, Any]:
        """Return everything, for a checkpoint."""
        return {"rows": self.rows, "sums": self.sums, "count": self.count, "seconds": self.seconds()}

    def load(self, state: dict[str, Any]) -> None:
        """Take up what `state` returned."""
        self.rows = [list(row) for row in state["rows"]]
        self.sums, self.count = state["sums"].clone(), state["count"]
        self._seconds_before, self._began = state["seconds"], time.monotonic()


class Ticker:
    """One line on stderr that is written over; nothing at all where stderr is no terminal. total: steps of the run."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.on = sys.stderr.isatty()
        self._last, self._began = 0.0, (0, time.monotonic())

    def show(self, step: int, row: list[float] | None) -> None:
        """Show step and speed, at most five times a second, with the newest row's losses."""
        now = time.monotonic()
        if not self.on or now - self._last < 0.2:
            return
        if not self._last:
            self._began = (step, now)
        self._last = now
        speed = (step - self._began[0]) / max(now - self._began[1], 1e-9)
        text = f"step {step}/{self.total}  {speed:.1f} steps/s"
        if row is not None:
            text += f"  loss {row[1]:.4g}"
        terminal.say(text)

    def close(self) -> None:
        """Leave the line."""
        if self.on and self._last:
            terminal.leave()


def _cells(row: list[float]) -> list[str]:
    return [str(int(row[0]))] + ["" if value != value else f"{value:.9g}" for value in row[1:]]
