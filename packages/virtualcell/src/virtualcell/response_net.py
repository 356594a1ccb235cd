"""What a perturbation makes of a cell or a population: a cell model over rows of features, one row a gene.

The network predicts what is to be added to a baseline; untrained it adds nothing. Letters: b rows of a batch (cells or
populations), n tokens (slot 0 the CLS), f features of a gene, k draws.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from virtualcell import checks

if TYPE_CHECKING:
    from virtualcell.part import Info
    from virtualcell.state import StateEmbeddingModel

START = 0.1  # overdispersion that an untrained network gives to every gene


class Response(NamedTuple):
    """delta (b, n): added to the baseline of each gene, 0 at the CLS and at padding. log_dispersion (b, n): ln of a
    where counts have the variance m + a m^2, None in a network without. info: what each part tells, by its name.
    """

    delta: Tensor
    log_dispersion: Tensor | None
    info: dict[str, Info]


class ResponseNet(nn.Module):
    """A cell model with a head whose last layer starts at zero: untrained it is the baseline.

    cell: a StateEmbeddingModel or one with parts, its `token_dim` being the features of a gene. dispersion: whether a
    gene also gets the overdispersion of its counts.
    """

    def __init__(self, cell: StateEmbeddingModel, *, dispersion: bool = False) -> None:
        super().__init__()
        self.cell = cell
        self.head = nn.Linear(cell.shape["output_dim"], 2 if dispersion else 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    @property
    def reads(self) -> tuple[str, ...]:
        """The inputs that the cell model's parts understand."""
        return getattr(self.cell, "reads", ())

    @property
    def draws(self) -> bool:
        """Whether the network has noise of its own, so that one row gives many cells."""
        return "generator" in self.reads

    def forward(self, src: Tensor, mask: Tensor, counts: Tensor | None = None, **inputs: Any) -> Response:
        """`src: (b, n, f)`, `mask: (b, n)` bool, True = real, `counts: (b, n)` of 0 and more, and what parts read.

        With a `generator` a network with noise draws, one cell a row; without one it gives its mean. Raises
        ValueError, in one line, for what does not fit.
        """
        checks.words(inputs, (*self.reads, "dataset_nums"), type(self).__name__, "input")
        told = self.cell(src, mask, counts, **inputs)
        real = mask.clone()
        real[:, 0] = False
        change = self.head(told[0]).float().masked_fill(~real[..., None], 0.0)
        delta, *more = change.unbind(-1)
        log_dispersion = more[0] + torch.tensor(START).log().to(delta) if more else None
        return Response(delta, log_dispersion, told[3] if len(told) > 3 else {})

    def several(self, k: int, generator: torch.Generator, inputs: dict[str, Any]) -> Response:
        """K draws of every row: `delta (b, k, n)` and `log_dispersion (b, k, n)`, `info` of b k rows.

        inputs: those of `forward`. Raises ValueError for a network without noise.
        """
        if not self.draws:
            checks.refuse(
                f"{type(self.cell).__name__} has no noise to draw: take one with the part Stochastic"
            )
        many = {word: x.repeat_interleave(k, 0) for word, x in inputs.items() if isinstance(x, Tensor)}
        got = self(**many, generator=generator)
        spread = got.log_dispersion
        return Response(
            got.delta.unflatten(0, (-1, k)),
            None if spread is None else spread.unflatten(0, (-1, k)),
            got.info,
        )
