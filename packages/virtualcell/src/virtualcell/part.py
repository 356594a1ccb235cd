"""What a part of a cell model is, and how what it proposes is added.

A part proposes a change and never makes it. Within a stage every part sees the same hidden states; each proposal passes
a gate that starts at zero, and the sum of what passes is added: a fresh model is the plain network, and the order of
parts does not matter. Letters: b cells, n tokens (CLS first), d width, h heads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from virtualcell.attention import Edges

Info = dict[str, Tensor]


class Stage(Enum):
    """Where a part looks and what it changes."""

    TOKENS = "tokens"  # hidden states before the first layer
    ATTENTION = "attention"  # sees these too, and changes the scores of every layer
    HIDDEN = "hidden"  # hidden states after half of the layers
    OUTPUT = "output"  # hidden states after the last layer


class Room(NamedTuple):
    """What a part must know of its network."""

    d_model: int  # width of its hidden states
    nhead: int  # its attention heads


class Part(nn.Module):
    """One piece of biology; subclasses say their `name` in `info`, `stage`, what they read, and their `Options`.

    An option that is a table of genes is kept as a buffer, and saved with the weights.
    """

    name: ClassVar[str]
    stage: ClassVar[Stage]
    reads: ClassVar[tuple[str, ...]] = ()
    Options: ClassVar[type]

    detail = False  # whether `info` also holds what is large, such as attention by gene

    def __init__(self, room: Room, options: Any) -> None:
        super().__init__()
        self.room, self.options = room, options

    def forward(self, h: Tensor, mask: Tensor, **inputs: Any) -> tuple[Tensor, Info]:
        """The proposed change and what is worth telling of it: all tensors of `info` have the cells first.

        `h: (b, n, d)`, `mask: (b, n)` bool; the change is `(b, n, d)`, in the attention stage `(b, h, n, n)` from
        query to key. Every input is optional. Padded tokens of h may hold anything finite.
        """
        raise NotImplementedError

    def sparse(self, h: Tensor, mask: Tensor, **inputs: Any) -> tuple[Edges, Info] | None:
        """The change of a part of the attention stage that speaks of few pairs: what `forward` says, edge by edge.

        `h: (b, n, d)`, `mask: (b, n)` as there; None of a part that speaks of all pairs.
        """
        del h, mask, inputs

    def gate_shape(self) -> tuple[int, ...]:
        """One gate a channel, or a head."""
        return (self.room.nhead, 1, 1) if self.stage is Stage.ATTENTION else (self.room.d_model,)


class Changes:
    """What the layers of a network ask for between them; this one changes nothing."""

    whole = False  # whether the last stage needs every token

    def add(self, stage: Stage, h: Tensor) -> Tensor:
        """The hidden states `(b, n, d)` after a stage."""
        del stage
        return h

    def bias(self, h: Tensor) -> Tensor | Edges | None:
        """What is added to the scores of every layer, `(b, h, n, n)`, or its edges."""
        del h
        return None


@dataclass
class PartChanges(Changes):
    """The gated proposals of parts; tells of them in `info` by part."""

    parts: Mapping[str, Part]
    gates: Mapping[str, Tensor]  # (d,), in the attention stage (h, 1, 1)
    mask: Tensor  # (b, n)
    inputs: Mapping[str, Any]  # of all parts, by word
    info: dict[str, Info]  # filled by each call

    def __post_init__(self) -> None:
        self.whole = any(part.stage is Stage.OUTPUT for part in self.parts.values())

    def add(self, stage: Stage, h: Tensor) -> Tensor:
        """The hidden states `(b, n, d)`, with what the parts of the stage propose."""
        change = None
        for delta in self._proposals(stage, h):
            change = delta if change is None else change + delta
        # a token beyond the mask's is the network's own (of the dataset) and of no concern to parts
        return h if change is None else h + F.pad(change, (0, 0, 0, h.shape[1] - change.shape[1]))

    def bias(self, h: Tensor) -> Tensor | Edges | None:
        """The sum of the proposed scores `(b, h, n, n)`; edges where one part alone proposes them; None for none."""
        found = list(self._proposals(Stage.ATTENTION, h))
        extra = h.shape[1] - self.mask.shape[1]
        if len(found) == 1 and isinstance(found[0], Edges):
            return found[0].padded(extra)
        total = None
        for change in found:
            dense = change.dense(h.dtype) if isinstance(change, Edges) else change
            total = dense if total is None else total + dense
        return total if total is None or not extra else F.pad(total, (0, extra, 0, extra))

    def _proposals(self, stage: Stage, h: Tensor) -> Iterator[Any]:
        """The gated proposals of a stage in the order of names: sums of floats depend on theirs."""
        for name, part in sorted(self.parts.items()):
            if part.stage is not stage:
                continue
            own = {word: self.inputs[word] for word in part.reads if self.inputs.get(word) is not None}
            real = h[:, : self.mask.shape[1]]
            few = part.sparse(real, self.mask, **own) if stage is Stage.ATTENTION else None
            delta, self.info[name] = part(real, self.mask, **own) if few is None else few
            gate = self.gates[name]
            yield delta.times(gate) if isinstance(delta, Edges) else delta * gate.to(delta.dtype)


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int, seen: Tensor | None = None) -> Tensor:
    """Multihead attention of `q: (b, q, w)` to `k, v: (b, k, w)`; `seen: (b, q, k)` bool or float, or broadcast to it.

    A query that may look at nothing gets zeros.
    """
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    if seen is None:
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    if seen.dtype != torch.bool:
        seen = seen.to(q.dtype)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=seen[:, None]).transpose(1, 2).flatten(2)
    some = seen.any(-1, keepdim=True)
    o = F.scaled_dot_product_attention(q, k, v, attn_mask=(seen | ~some)[:, None])
    return o.transpose(1, 2).flatten(2) * some


def masked(h: Tensor, mask: Tensor) -> Tensor:
    """`h: (b, n, d)` with zeros for padding."""
    return h.masked_fill(~mask[..., None], 0.0)
