"""Fast and slow responses over time, with the slow one holding back the fast one.

A gene's response has two pools, as early genes and their slower inhibitors have: with drive u of the cell's state,
    df/dt = (u - c s - f) / tau_fast,    ds/dt = (f - s) / tau_slow,    f(0) = s(0) = 0,    c >= 0, tau_fast < tau_slow,
so a response rises, overshoots and settles at u / (1 + c); nothing has happened at time 0. Solved by implicit Euler
steps that grow with time: stable at any time and feedback, and right at the end. Letters: b cells, n tokens, w width;
times in hours.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cytosol.features import sinusoidal
from virtualcell import checks
from virtualcell.options import TemporalOptions
from virtualcell.part import Info, Part, Room, Stage

SLOW = (4.0, 48.0)  # [h] first guesses of tau_slow, spread over the channels
RATIO = 0.1  # first guess of tau_fast / tau_slow


class Temporal(Part):
    """Two-pool kinetics of every gene, and a signal of the whole cell that attends by time."""

    name = "temporal"
    stage = Stage.HIDDEN
    reads = ("time_steps",)
    Options = TemporalOptions

    def __init__(self, room: Room, options: TemporalOptions) -> None:
        super().__init__(room, options)
        d, w = room.d_model, options.temporal_dim
        self.norm, self.drive = nn.LayerNorm(d), nn.Linear(d, w)
        self.key, self.query, self.signal = nn.Linear(d, w), nn.Linear(w, w), nn.Linear(d, w)
        slow = torch.linspace(*torch.tensor(SLOW).log().tolist(), w)
        self.log_slow = nn.Parameter(slow)  # ln tau_slow [ln h]
        self.ratio = nn.Parameter(torch.full((w,), RATIO).logit())  # of tau_fast / tau_slow, as a logit
        self.feedback = nn.Parameter(torch.zeros(w))  # softplus^-1 of c
        self.out = nn.Linear(2 * w, d, bias=False)  # no bias: no response, no change

    def forward(self, h: Tensor, mask: Tensor, **inputs: Any) -> tuple[Tensor, Info]:
        """The change by gene `(b, n, d)`, and how far each gene's fast and slow response have gone.

        `time_steps: (b,)` hours since the perturbation, 0 and more; without it `horizon_hours` is meant.
        """
        hours = self._hours(h, inputs.get("time_steps"))
        inner = self.norm(h)
        signal, looked = self._cell_signal(inner, mask, hours)
        fast, slow = self.respond(torch.tanh(self.drive(inner) + signal[:, None]), hours)
        delta = self.out(torch.cat([fast, slow], -1).to(inner.dtype))
        real = mask.float()
        info = {
            "fast": fast.detach().float().square().mean(-1).sqrt() * real,
            "slow": slow.detach().float().square().mean(-1).sqrt() * real,
            "time_attention": looked.detach(),
        }
        return delta, info

    def taus(self) -> tuple[Tensor, Tensor]:
        """The time constants `(w,)` [h] of the fast and the slow pool; the first is always the shorter."""
        slow = self.log_slow.exp()
        return slow * self.ratio.sigmoid(), slow

    def respond(self, drive: Tensor, hours: Tensor) -> tuple[Tensor, Tensor]:
        """The pools `(b, n, w)` each, `hours: (b,)` after the drive `(b, n, w)` has begun."""
        tau_fast, tau_slow = self.taus()
        c, drive = F.softplus(self.feedback), drive.float()
        fast = slow = torch.zeros_like(drive)
        steps = self.options.time_steps
        for j in range(steps):
            step = hours[:, None, None] * ((2 * j + 1) / steps**2)  # steps end at t (j / steps)^2
            go, slow_go = step / tau_fast, step / tau_slow
            held = 1 / (1 + slow_go)
            # both equations at the step's end, solved for its fast pool
            fast = (fast + go * (drive - c * held * slow)) / (1 + go * (1 + c * slow_go * held))
            slow = (slow + slow_go * fast) * held
        return fast, slow

    def _cell_signal(self, inner: Tensor, mask: Tensor, hours: Tensor) -> tuple[Tensor, Tensor]:
        """What the whole cell says `(b, w)`, and where it looked `(b, n)`: genes that count early, or late."""
        when = sinusoidal(hours, self.options.temporal_dim, max_period=1000.0).to(inner.dtype)
        scores = (self.key(inner) @ self.query(when)[..., None])[..., 0].float() / when.shape[-1] ** 0.5
        share = scores.masked_fill(~mask, float("-inf")).softmax(-1)
        pooled = (share.to(inner.dtype)[:, None] @ inner)[:, 0]
        return self.signal(pooled), share

    def _hours(self, h: Tensor, given: Tensor | None) -> Tensor:
        if given is None:
            return torch.full((len(h),), self.options.horizon_hours, device=h.device)
        checks.per_cell(given, "time_steps", len(h))
        return given.float()
