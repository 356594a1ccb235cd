"""Molecules, pathways and the cell: three scales with a width each, that look at each other.

Upwards, a pathway group gathers its genes and the cell gathers the groups; downwards, a gene looks at the groups it is
in and at the cell. Letters: b cells, n tokens, p groups, w width of molecules.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from virtualcell.options import ScaleOptions
from virtualcell.part import Info, Part, Room, Stage, attend
from virtualcell.parts.groups import members

HEADS = 4


class Scales(Part):
    """Three scales joined by cross attention, up and down."""

    name = "scales"
    stage = Stage.HIDDEN
    reads = ("pathway_groups",)
    Options = ScaleOptions

    def __init__(self, room: Room, options: ScaleOptions) -> None:
        super().__init__(room, options)
        d, w = room.d_model, options.molecular_scale_dim
        pathway, cell = options.pathway_scale_dim, options.cellular_scale_dim
        self.norm, self.molecule = nn.LayerNorm(d), nn.Linear(d, w)
        self.molecule_key_value = nn.Linear(w, 2 * w)
        self.groups = nn.Parameter(torch.randn(options.num_pathway_groups, w))
        self.cell_query = nn.Parameter(torch.randn(1, w))
        self.pathway = nn.Sequential(nn.Linear(w, pathway), nn.GELU(), nn.Linear(pathway, 2 * w))
        self.cell = nn.Sequential(nn.Linear(2 * w, cell), nn.GELU(), nn.Linear(cell, 2 * w))
        self.down_query, self.out = nn.Linear(w, w), nn.Linear(w, d)

    def forward(self, h: Tensor, mask: Tensor, **inputs: Any) -> tuple[Tensor, Info]:
        """The change by gene `(b, n, d)`, and how much each scale says: `molecular (b, n)`, `pathway (b, p)`, ...

        `pathway_groups: (b, n)` or `(b, n, k)`, -1 for none; without them there are molecules and the cell alone.
        """
        count = self.options.num_pathway_groups
        given = inputs.get("pathway_groups")
        inside = (
            torch.zeros(*mask.shape, count, dtype=torch.bool, device=mask.device)
            if given is None
            else members(given, mask, count, "pathway_groups")
        )
        present = inside.any(1)
        x = F.gelu(self.molecule(self.norm(h)))
        key, value = self.molecule_key_value(x).chunk(2, -1)
        # upwards: groups and the cell gather genes, then the cell gathers groups
        asks = torch.cat([self.cell_query, self.groups]).expand(len(h), -1, -1).to(x.dtype)
        sees = torch.cat([mask[:, None], inside.transpose(1, 2)], 1)
        up = attend(asks, key, value, HEADS, sees)
        group_key, group_value = self.pathway(asks[:, 1:] + up[:, 1:]).chunk(2, -1)
        whole = attend(asks[:, :1] + up[:, :1], group_key, group_value, HEADS, present[:, None])
        cell_key, cell_value = self.cell(torch.cat([up[:, :1], whole], -1)).chunk(2, -1)
        # downwards: a gene looks at the cell and at its groups, the cell token at all groups
        heard = torch.cat([present[:, None], inside[:, 1:]], 1)
        heard = torch.cat([torch.ones_like(heard[..., :1]), heard], -1)
        keys, values = torch.cat([cell_key, group_key], 1), torch.cat([cell_value, group_value], 1)
        query = self.down_query(x)
        down = attend(query, keys, values, HEADS, heard)
        info = {
            "molecular": _size(x) * mask,
            "pathway": _size(group_value) * present,
            "cellular": _size(cell_value)[:, 0],
        }
        if self.detail:
            scores = (query @ keys.transpose(1, 2)).float() / query.shape[-1] ** 0.5
            info["scale_attention"] = scores.masked_fill(~heard, -1e9).softmax(-1)
        return self.out(x + down), info


def _size(x: Tensor) -> Tensor:
    return x.detach().float().square().mean(-1).sqrt()
