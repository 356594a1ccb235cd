"""Energy and resources: genes compete for stores, what they spend is taken from them, and nothing comes from nowhere.

Every gene demands of every store. A store of size s under a total demand of D gives s / (s + D) of what is asked
(Michaelis and Menten), never more than it holds. Before that resources are burnt for energy, one for one. Always
stores before = stores after + spent. Letters: b cells, n tokens, r stores (energy first), w width; a full store is 1.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from virtualcell import checks
from virtualcell.options import ResourceOptions
from virtualcell.part import Info, Part, Room, Stage, masked


class Resources(Part):
    """Stores that genes draw on; a gene that gets less than it asks for is held back."""

    name = "resources"
    stage = Stage.OUTPUT
    reads = ("previous_energy_state", "previous_resource_state")
    Options = ResourceOptions

    def __init__(self, room: Room, options: ResourceOptions) -> None:
        super().__init__(room, options)
        d, e, r = room.d_model, options.energy_dim, options.num_resource_types
        self.norm, self.demand = nn.LayerNorm(d), nn.Linear(d, e + r)
        self.burn = nn.Linear(d, r * e)  # how much of each resource is burnt for each carrier of energy
        self.activity = nn.Linear(d, options.resource_dim)
        self.need = nn.Linear(
            e + r, options.resource_dim, bias=False
        )  # which shortage holds which activity back
        self.out = nn.Linear(options.resource_dim, d, bias=False)  # no bias: no shortage, no change

    def forward(self, h: Tensor, mask: Tensor, **inputs: Any) -> tuple[Tensor, Info]:
        """The change by gene `(b, n, d)`; the states after it `(b, e)` and `(b, r)` go into the next call.

        `previous_energy_state: (b, e)` and `previous_resource_state: (b, r)`, 0 and more; without them stores are
        full. `spent: (b, n)` by gene, `burnt: (b,)`, `satisfied: (b, n)` the share of its demand that a gene got.
        """
        inner = self.norm(h)
        stores = self._stores(len(h), h.device, inputs)
        stores, burnt = self._burn(stores, inner[:, 0])
        tokens = mask.sum(-1)[:, None, None].clamp_min(1)
        demand = masked(F.softplus(self.demand(inner).float()) / tokens, mask)
        total = demand.sum(1)
        granted = stores / (stores + total).clamp_min(torch.finfo(torch.float32).tiny)
        spent = demand * granted[:, None]
        after = stores - total * granted
        # what is missing of each store for each gene, by what the gene asks of it
        short = (demand * (1 - granted)[:, None]) * tokens
        held = self.need(short.to(inner.dtype)) * torch.tanh(self.activity(inner))
        e = self.options.energy_dim
        info = {
            "energy_state": after[:, :e],
            "resource_state": after[:, e:],
            "spent": spent.sum(-1).detach(),
            "burnt": burnt.detach(),
            "satisfied": (spent.sum(-1) / demand.sum(-1).clamp_min(1e-12)).detach(),
        }
        return self.out(held), info

    def _stores(self, cells: int, device: torch.device, inputs: dict[str, Any]) -> Tensor:
        """The stores `(b, e + r)` a call begins with."""
        found = []
        for word, width in (
            ("previous_energy_state", self.options.energy_dim),
            ("previous_resource_state", self.options.num_resource_types),
        ):
            given = inputs.get(word)
            if given is None:
                given = torch.ones(cells, width, device=device)
            elif given.ndim == 1 and width == 1:
                given = given[:, None]
            checks.per_cell(given, word, cells, width)
            found.append(given.float())
        return torch.cat(found, -1)

    def _burn(self, stores: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """The stores after resources were burnt for energy, and how much was `(b,)`."""
        e, r = self.options.energy_dim, self.options.num_resource_types
        energy, resource = stores.split([e, r], -1)
        # one choice more is to keep: no resource gives more than there is
        logits = self.burn(cell).float().unflatten(-1, (r, e))
        share = torch.cat([logits, torch.zeros_like(logits[..., :1]) + 2.0], -1).softmax(-1)[..., :e]
        moved = share * resource[..., None]  # (b, r, e)
        after = torch.cat([energy + moved.sum(1), resource - moved.sum(2)], -1)
        return after, moved.sum((1, 2))
