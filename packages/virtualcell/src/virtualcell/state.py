"""The state embedding network: genes of a cell as tokens, the cell as the vector of its first slot.

Letters: b cells, n tokens (CLS first), t token width, d width, o output width. Written from the public description
(Adduri et al. 2025, State, Methods: embedding model); the mask is honoured.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from virtualcell import checks
from virtualcell.attention import Edges, Scores, scores
from virtualcell.layers import Block, Decoder, SoftBins, read_with_first
from virtualcell.options import NetworkOptions, refuse
from virtualcell.part import Changes, Stage

Output = tuple[Tensor, Tensor, Tensor | None]


class StateEmbeddingModel(nn.Module):
    """A transformer over the genes of a cell.

    token_dim: width of a gene's vector; d_model, nhead, d_hid, nlayers: of the transformer; output_dim: of the
    embedding. `words` are the fields of `options.NetworkOptions`. Raises ValueError for values out of range.
    """

    def __init__(
        self,
        token_dim: int,
        d_model: int,
        nhead: int,
        d_hid: int,
        nlayers: int,
        output_dim: int,
        dropout: float = 0.0,
        **words: Any,
    ) -> None:
        super().__init__()
        checks.words(words, NetworkOptions.__dataclass_fields__, type(self).__name__, "option")
        self.options = NetworkOptions(dropout=dropout, **words)
        self.shape = {
            "token_dim": token_dim,
            "d_model": d_model,
            "nhead": nhead,
            "d_hid": d_hid,
            "nlayers": nlayers,
            "output_dim": output_dim,
        }
        for name, value in self.shape.items():
            if type(value) is not int or value < 1:
                refuse(name, repr(value), "a whole number of 1 or more")
        if d_model % nhead:
            refuse("d_model", d_model, f"a multiple of nhead = {nhead}")
        own = self.options
        self.read, self.norm = nn.Linear(token_dim, d_model), nn.LayerNorm(d_model)
        self.bins = SoftBins(d_model)
        self.layers = nn.ModuleList(
            Block(d_model, nhead, d_hid, dropout=dropout, norm_first=own.norm_first) for _ in range(nlayers)
        )
        self.decoder = Decoder(d_model, output_dim)
        self.cls_token = nn.Parameter(torch.randn(token_dim)) if own.own_tokens else None
        self.dataset_token = nn.Parameter(torch.randn(token_dim)) if self._adds_slot() else None
        if own.num_datasets is not None:
            self.known_dataset = nn.Embedding(own.num_datasets, d_model)
            nn.init.zeros_(self.known_dataset.weight)
            self.dataset_head = nn.Sequential(
                nn.Linear(output_dim, d_model),
                nn.SiLU(),
                nn.LayerNorm(d_model),
                nn.Linear(d_model, own.num_datasets),
            )
        if own.compile:
            for block in self.layers:
                block.compile()

    def forward(
        self, src: Tensor, mask: Tensor, counts: Tensor | None = None, dataset_nums: Tensor | None = None
    ) -> Output:
        """Outputs by gene `(b, n, o)`, the cell's embedding `(b, o)` of length 1, the dataset's `(b, o)` or None.

        `src: (b, n, t)` gene vectors, slot 0 the CLS (zeros will do: the network adds its own); `mask: (b, n)` bool,
        True = real; `counts: (b, n)` of 0 and more; `dataset_nums: (b,)` from -1 (unknown) to num_datasets - 1.
        Outputs of padded tokens mean nothing. Raises ValueError, in one line, for what does not fit.
        """
        checks.batch(src, mask, self.shape["token_dim"])
        h = self._tokens(src, mask, counts)
        return self._outputs(self._through(self._with_dataset(h, dataset_nums), mask, Changes()), mask)

    @torch.no_grad()
    def gene_table(self, vectors: Tensor) -> Tensor:
        """Gene vectors `(g, t)` as tokens `(g + 1, d)` for `embed`: what need not be computed again for each cell."""
        if vectors.ndim != 2 or vectors.shape[1] != self.shape["token_dim"]:
            checks.refuse(f"vectors: expected (genes, {self.shape['token_dim']}), got {tuple(vectors.shape)}")
        return torch.cat([self._project(vectors.new_zeros(1, vectors.shape[1])), self._project(vectors)])

    def embed(
        self,
        src: Tensor,
        mask: Tensor,
        counts: Tensor | None = None,
        dataset_nums: Tensor | None = None,
        *,
        table: Tensor | None = None,
    ) -> Tensor:
        """The cells' embeddings `(b, o)` alone, as `forward` gives them; the last layer is computed for the CLS only.

        table: of `gene_table`; `src: (b, n)` is then the genes' rows in it, -1 for none (as of the CLS slot).
        """
        h = self._input(src, mask, counts, table)
        h = self._through(self._with_dataset(h, dataset_nums), mask, Changes(), first_only=True)
        return self._embedding(self.decoder(h[:, 0]))

    def dataset_logits(self, dataset_emb: Tensor) -> Tensor:
        """Which dataset a cell is of: `(b, o) -> (b, num_datasets)`. ValueError in a model without datasets."""
        if self.options.num_datasets is None:
            checks.refuse("this model knows no datasets: build it with num_datasets")
        return self.dataset_head(dataset_emb)

    def config(self) -> dict[str, Any]:
        """Every constructor word as plain JSON."""
        return {
            **self.shape,
            **{name: getattr(self.options, name) for name in NetworkOptions.__dataclass_fields__},
        }

    def _input(self, src: Tensor, mask: Tensor, counts: Tensor | None, table: Tensor | None) -> Tensor:
        """The tokens of vectors, or of rows in a table."""
        if table is None:
            checks.batch(src, mask, self.shape["token_dim"])
            return self._tokens(src, mask, counts)
        checks.real(mask, src.shape[0], src.shape[1])
        checks.ids(src, "src", mask, len(table) - 1)
        h = F.embedding(src.clamp_min(-1).masked_fill(~mask, -1) + 1, table)
        if self.cls_token is not None:
            h = torch.cat([self._project(self.cls_token).to(h.dtype).expand(len(h), 1, -1), h[:, 1:]], 1)
        return self._counted(h, mask, counts)

    def _tokens(self, src: Tensor, mask: Tensor, counts: Tensor | None) -> Tensor:
        """Tokens `(b, n, d)` of vectors; padding may hold anything, NaN too."""
        if not checks.looking():
            src = src.masked_fill(~mask[..., None], 0.0)
        encoded = self._linear(src)
        if checks.looking() and not checks.finite(encoded, mask, "src"):
            encoded = self._linear(
                src.masked_fill(~mask[..., None], 0.0)
            )  # zeros times NaN is NaN in gradients
        return self._counted(self._activate(encoded), mask, counts)

    def _linear(self, src: Tensor) -> Tensor:
        return self.read(src) if self.cls_token is None else read_with_first(src, self.cls_token, self.read)

    def _activate(self, encoded: Tensor) -> Tensor:
        return F.silu(self.norm(encoded)) * math.sqrt(self.shape["d_model"])

    def _project(self, vectors: Tensor) -> Tensor:
        return self._activate(self.read(vectors))

    def _counted(self, h: Tensor, mask: Tensor, counts: Tensor | None) -> Tensor:
        if counts is None:
            return h
        if self._slot_in_src() and counts.shape == (mask.shape[0], mask.shape[1] - 1):
            return h + F.pad(self._counted_vectors(counts, mask[:, :-1]), (0, 0, 0, 1)).to(h.dtype)
        return h + self._counted_vectors(counts, mask).to(h.dtype)

    def _counted_vectors(self, counts: Tensor, mask: Tensor) -> Tensor:
        if counts.shape != mask.shape:
            checks.refuse(f"counts: expected shape {tuple(mask.shape)}, got {tuple(counts.shape)}")
        checks.amounts(counts, mask, "counts")
        return self.bins(counts.masked_fill(~mask, 0))

    def _with_dataset(self, h: Tensor, dataset_nums: Tensor | None) -> Tensor:
        """The tokens, with the dataset's at the end where there is one."""
        count = self.options.num_datasets
        if count is None:
            if dataset_nums is not None:
                checks.refuse("dataset_nums: this model knows no datasets; build it with num_datasets")
            return h
        if self.dataset_token is not None:
            h = torch.cat([h, self._project(self.dataset_token).to(h.dtype).expand(len(h), 1, -1)], 1)
        if dataset_nums is None:
            return h
        checks.numbers(dataset_nums, "dataset_nums", len(h), count)
        known = self.known_dataset(dataset_nums.clamp_min(0)) * (dataset_nums >= 0)[:, None]
        return torch.cat([h[:, :-1], h[:, -1:] + known[:, None].to(h.dtype)], 1)

    def _through(self, h: Tensor, mask: Tensor, changes: Changes, *, first_only: bool = False) -> Tensor:
        """The layers, with what parts change between them; `(b, 1, d)` where only the first token is asked for."""
        mask = F.pad(mask, (0, h.shape[1] - mask.shape[1]), value=True)
        h = changes.add(Stage.TOKENS, h)
        seen = None if checks.looking() and bool(mask.all()) else mask[:, None, None, :]
        bias = changes.bias(h)
        if bias is not None:
            seen = self._scores(bias, seen, h)
        last = len(self.layers) - 1
        for i, block in enumerate(self.layers):
            if i == len(self.layers) // 2:
                h = changes.add(Stage.HIDDEN, h)
            only = first_only and i == last and not changes.whole
            if self.options.checkpointing and self.training and torch.is_grad_enabled():
                h = checkpoint(block, h, seen, first_only=only, use_reentrant=False)
            else:
                h = block(h, seen, first_only=only)
        return changes.add(Stage.OUTPUT, h)

    def _scores(self, bias: Tensor | Edges, seen: Tensor | None, h: Tensor) -> Tensor | Scores:
        """What is added to the scores of every layer, -inf for what may not be seen."""
        kind = h.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else h.dtype
        dropped = self.training and self.options.dropout > 0
        sparse = kind == "cpu" and not dropped and not self.options.compile and checks.looking()
        return scores(bias, seen, dtype, sparse=sparse)

    def _outputs(self, h: Tensor, mask: Tensor) -> Output:
        out = self.decoder(h)
        n = mask.shape[1]
        dataset_emb = None if self.options.num_datasets is None else out[:, -1]
        return out[:, :n], self._embedding(out[:, 0]), dataset_emb

    @staticmethod
    def _embedding(first: Tensor) -> Tensor:
        return F.normalize(first.float(), dim=-1)

    def _adds_slot(self) -> bool:
        return self.options.own_tokens and self.options.num_datasets is not None

    def _slot_in_src(self) -> bool:
        return not self.options.own_tokens and self.options.num_datasets is not None
