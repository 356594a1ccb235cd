"""Pathways and compartments: genes speak to the groups they belong to, groups to each other, and groups to genes.

A gene may be in many groups. Attention runs along membership only: what a pathway knows comes from its own genes of
this cell. The cell token hears every pathway that the cell has. Letters: b cells, n tokens, p groups (pathways, then
compartments), w their width, m hubs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from virtualcell.options import HierarchyOptions
from virtualcell.part import Info, Part, Room, Stage, attend
from virtualcell.parts.groups import looked_up, members, table_of

HEADS, HUBS = 4, 16


class Hierarchy(Part):
    """Pathway attention by membership, compartments, and crosstalk of pathways through a few hubs."""

    name = "hierarchy"
    stage = Stage.HIDDEN
    reads = ("pathway_ids", "compartment_ids", "gene_ids")
    Options = HierarchyOptions

    def __init__(self, room: Room, options: HierarchyOptions) -> None:
        super().__init__(room, options)
        d, w = room.d_model, options.pathway_dim
        count = options.num_pathways + options.num_compartments
        self.groups = nn.Parameter(torch.randn(count, w))  # what each pathway and compartment is
        self.norm = nn.LayerNorm(d)
        self.to_key_value, self.to_query = nn.Linear(d, 2 * w), nn.Linear(d, w)
        self.group_key_value = nn.Linear(w, 2 * w)
        self.hubs = nn.Parameter(torch.randn(HUBS, w))
        self.hub_key_value, self.group_query = nn.Linear(w, 2 * w), nn.Linear(w, w)
        self.out = nn.Linear(w, d)
        for name in ("pathway_info", "compartment_info"):
            table = getattr(options, name)
            self.register_buffer(name, None if table is None else table_of(table))

    def forward(self, h: Tensor, mask: Tensor, **inputs: Any) -> tuple[Tensor, Info]:
        """The change by gene `(b, n, d)`, and how strongly each pathway and compartment speaks.

        `pathway_ids, compartment_ids: (b, n)` or `(b, n, k)`, -1 for none; or `gene_ids: (b, n)` where the model was
        built with `pathway_info` or `compartment_info`. Without either nothing changes.
        """
        inside = self._inside(mask, inputs)
        present = inside.any(1)
        inner = self.norm(h)
        key, value = self.to_key_value(inner).chunk(2, -1)
        own = self.groups.expand(len(h), -1, -1).to(key.dtype)
        z = own + attend(
            own, key, value, HEADS, inside.transpose(1, 2)
        )  # (b, p, w): a pathway hears its genes
        z = z + self._crosstalk(z, present)
        heard = torch.cat([present[:, None], inside[:, 1:]], 1)  # the cell token hears all that are there
        key, value = self.group_key_value(z).chunk(2, -1)
        query = self.to_query(inner)
        delta = self.out(attend(query, key, value, HEADS, heard)) * heard.any(-1, keepdim=True)
        p = self.options.num_pathways
        strength = (z.detach() - own.detach()).float().square().mean(-1).sqrt() * present
        info = {"pathway_activity": strength[:, :p], "compartment_activity": strength[:, p:]}
        if self.detail:
            scores = (query @ key.transpose(1, 2)).float() / query.shape[-1] ** 0.5
            share = scores.masked_fill(~heard, -1e9).softmax(-1) * heard
            info |= {"pathway_attention": share[..., :p], "compartment_attention": share[..., p:]}
        return delta, info

    def _crosstalk(self, z: Tensor, present: Tensor) -> Tensor:
        """What groups `(b, p, w)` hear of each other through the hubs, in O(p m)."""
        key, value = self.hub_key_value(z).chunk(2, -1)
        hubs = self.hubs.expand(len(z), -1, -1).to(key.dtype)
        said = attend(hubs, key, value, HEADS, present[:, None].expand(-1, HUBS, -1))
        return attend(self.group_query(z), hubs + said, said, HEADS)

    def _inside(self, mask: Tensor, inputs: dict[str, Any]) -> Tensor:
        """Who is in which group, `(b, n, p)` bool; what stands in the batch goes before what the tables say."""
        found = []
        for kind in ("pathway", "compartment"):
            ids, table = inputs.get(f"{kind}_ids"), getattr(self, f"{kind}_info")
            count = getattr(self.options, f"num_{kind}s")
            if ids is not None:
                found.append(members(ids, mask, count, f"{kind}_ids"))
            elif table is not None and "gene_ids" in inputs:
                found.append(looked_up(table, inputs["gene_ids"], mask, "gene_ids"))
            else:
                found.append(torch.zeros(*mask.shape, count, dtype=torch.bool, device=mask.device))
        return torch.cat(found, -1)
