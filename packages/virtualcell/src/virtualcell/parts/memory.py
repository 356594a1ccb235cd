"""What a cell has been through: a state carried from call to call, and a bank that is asked with it.

A cell carries numbers that decay at rates of their own, from short to long memory, and chances of its epigenetic
states, which change slowly and one into the other. The bank is learned; cells ask it with what they carry and what they
are, and write what they are now. Nothing of one cell reaches another. Letters: b cells, n tokens, s carried numbers, m
slots of the bank, w their width, e epigenetic states.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from virtualcell import checks
from virtualcell.options import MemoryOptions
from virtualcell.part import Info, Part, Room, Stage, attend

HEADS, WIDTH = 4, 64
STICKY = 3.0  # how much more likely, in logits, an epigenetic state stays than goes


class Memory(Part):
    """A memory bank with retrieval, update and decay, under epigenetic states."""

    name = "memory"
    stage = Stage.HIDDEN
    reads = ("previous_states",)
    Options = MemoryOptions

    decay: Tensor  # (s,) share kept a call

    def __init__(self, room: Room, options: MemoryOptions) -> None:
        super().__init__(room, options)
        d, s, e = room.d_model, options.memory_dim, options.num_epigenetic_states
        self.norm = nn.LayerNorm(d)
        self.keys = nn.Parameter(torch.randn(options.memory_size, WIDTH))
        self.values = nn.Parameter(torch.randn(options.memory_size, WIDTH))
        self.query, self.recall = nn.Linear(d, WIDTH), nn.Linear(s, WIDTH)
        self.write = nn.Linear(d + WIDTH, s)
        self.rest, self.moves = nn.Parameter(torch.zeros(e)), nn.Linear(d, e * e)
        self.openness = nn.Parameter(0.5 * torch.randn(e, WIDTH))  # what a state lets through of the bank
        self.out = nn.Linear(WIDTH, d)
        kind = torch.arange(s) * options.num_memory_types // s
        self.register_buffer("decay", options.memory_decay ** (0.25 ** kind.float()), persistent=False)
        self.carried: Tensor | None = None

    def forward(self, h: Tensor, mask: Tensor, **inputs: Any) -> tuple[Tensor, Info]:
        """The change by gene `(b, n, d)`; `state: (b, s + e)` is what the next call takes as `previous_states`.

        `previous_states: (b, s)` or `(b, s + e)`; without it a cell has been through nothing, or, with
        `carry_memory`, what the last call left.
        """
        del mask
        state, chance = self._previous(h, inputs.get("previous_states"))
        inner = self.norm(h)
        cell = inner[:, 0]
        # the epigenetic chances move first: rows of the matrix are where a state goes
        moves = self.moves(cell).unflatten(-1, (chance.shape[-1], -1)).float()
        moves = (moves + STICKY * torch.eye(chance.shape[-1], device=h.device)).softmax(-1)
        chance = (chance[:, None] @ moves)[:, 0]
        query = self.query(inner) + self.recall(state.to(inner.dtype))[:, None]
        keys, values = (x.expand(len(h), -1, -1).to(query.dtype) for x in (self.keys, self.values))
        read = attend(query, keys, values, HEADS)
        open_to = 1 + chance @ self.openness.float()
        read = read * open_to[:, None].to(read.dtype)
        written = torch.tanh(self.write(torch.cat([cell, read[:, 0]], -1))).float()
        new = self.decay * state + (1 - self.decay) * written
        after = torch.cat([new, chance], -1)
        if self.options.carry_memory:
            self.carried = after.detach()
        info = {
            "state": after,
            "epigenetic": chance.detach(),
            "recalled": read.detach().float().square().mean(-1).sqrt(),
        }
        if self.detail:
            info["slots"] = ((query[:, :1] @ keys.transpose(1, 2)).float() / WIDTH**0.5).softmax(-1)[:, 0]
        return self.out(read), info

    def reset(self) -> None:
        """Forget what the last call left."""
        self.carried = None

    def _previous(self, h: Tensor, given: Tensor | None) -> tuple[Tensor, Tensor]:
        """The carried numbers `(b, s)` and epigenetic chances `(b, e)` that a call starts from."""
        s, e = self.options.memory_dim, self.options.num_epigenetic_states
        rest = self.rest.float().softmax(-1).expand(len(h), -1)
        if given is None and self.options.carry_memory:
            given = self.carried
            if given is not None and len(given) != len(h):
                checks.refuse(
                    f"memory: the last call left {len(given)} cells, this one has {len(h)}: call reset_memory() "
                    "or pass previous_states"
                )
        if given is None:
            return h.new_zeros(len(h), s, dtype=torch.float32), rest
        if given.ndim != 2 or given.shape[0] != len(h) or given.shape[1] not in (s, s + e):
            expected = f"({len(h)}, {s}) or ({len(h)}, {s + e})"
            checks.refuse(f"previous_states: expected shape {expected}, got {tuple(given.shape)}")
        if checks.looking() and not bool(given.isfinite().all()):
            cell = int((~given.isfinite().all(-1)).nonzero()[0])
            checks.refuse(f"previous_states: cell {cell} holds NaN or infinity")
        given = given.float()
        return given[:, :s], given[:, s:] if given.shape[1] > s else rest
