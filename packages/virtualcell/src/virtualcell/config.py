"""Every default of models that embed cells, typed and range-checked, and which settings a task has. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from cytosol.options import TrainerOptions
from virtualcell.checked import Checked, above, at_least, rising
from virtualcell.faults import refuse
from virtualcell.response_config import ResponseConfig

Task = Literal["embedding", "perturbation"]
VectorKind = Literal["coexpression", "names"]


@dataclass(frozen=True, kw_only=True)
class NetworkConfig(Checked):
    """The cell model, beside what its loader says of genes and their annotations."""

    d_model: int = 64  # width of the transformer, a multiple of nhead
    nhead: int = 4  # attention heads
    d_hid: int = 128  # width between the two maps of a layer
    nlayers: int = 2  # transformer layers
    output_dim: int = 32  # numbers of an embedding
    token_dim: int = 64  # of gene vectors, where none are given
    dropout: float = 0.0  # share of activations hidden in training
    pooled: bool = True  # the cell model corrects a linear map of all genes; False: it stands alone
    checkpointing: bool = False  # activations are computed again in the backward pass
    compile: bool = False  # layers are compiled at their first use

    def ranges(self) -> None:
        """Refuse values outside their range."""
        super().ranges()
        if not 0 <= self.dropout < 1:
            refuse(f"dropout: expected a number from 0 to below 1, got {self.dropout!r}")


@dataclass(frozen=True, kw_only=True)
class ObjectiveConfig(Checked):
    """What is hidden of a cell, how what is predicted of it counts, and how large steps are."""

    visible: tuple[float, float] = (0.3, 0.9)  # a share between these of a cell's counts is seen
    hidden_genes: float = 0.1  # share of the genes of which no count is seen
    max_tokens: int = 96  # genes of a cell that are looked at in one step, drawn anew each time
    token_weight: float = 0.0  # of the hidden counts of a token, predicted from its own output too
    mixing_weight: float = 0.0  # of the energy distance between batches (`batch_key`) among a process's cells
    learning_rate: float = 5e-4  # the highest, after the warm-up
    gate_rate: float = (
        10.0  # times the learning rate for gates, which begin at 0: the cell model's and its parts'
    )
    weight_decay: float = 0.01  # of AdamW, on matrices
    warmup_steps: int = 20  # in which the rate rises; at most half of all steps

    def ranges(self) -> None:
        """Refuse values outside their range."""
        rising(self, 0.0, 1.0, "visible")
        if not 0 <= self.hidden_genes < 1:
            refuse(f"hidden_genes: expected a number from 0 to below 1, got {self.hidden_genes!r}")
        at_least(self, 1, "max_tokens")
        at_least(self, 0, "token_weight", "mixing_weight", "weight_decay", "warmup_steps")
        above(self, 0.0, "learning_rate", "gate_rate")


def _trainer() -> TrainerOptions:
    return TrainerOptions(max_steps=120, batch_size=64, max_minutes=10.0, checkpoint_every=60, log_every=20)


@dataclass(frozen=True, kw_only=True)
class EmbeddingConfig(Checked):
    """A model that embeds cells, and how it learns."""

    task: Literal["embedding"] = "embedding"  # what a recipe is for
    model: str = "StateEmbeddingModel"  # or one of the twelve
    genes: int = 1000  # that vary most; they are the tokens
    vectors: VectorKind = "coexpression"  # what gene vectors begin as, where none are given
    learn_vectors: bool = True  # they change in training
    batch_key: str | None = None  # column of obs: the decoder is told of it, so that embeddings need not be
    target_sum: float = 1e3  # counts a cell is brought to before the logarithm: near what cells have
    fit_cells: int = 20_000  # cells that gene choice, vectors and loader are fitted on
    seed: int = 0  # of what is drawn: cells that are fitted on, first weights, batches, what is hidden
    network: NetworkConfig = field(default_factory=NetworkConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    trainer: TrainerOptions = field(default_factory=_trainer)

    def ranges(self) -> None:
        """Refuse values outside their range."""
        at_least(self, 0, "seed")
        at_least(self, 1, "genes", "fit_cells")
        above(self, 0.0, "target_sum")
        if self.objective.mixing_weight and self.batch_key is None:
            refuse("objective.mixing_weight: expected batch_key with it, got none")


# What `train` is told for each task: a recipe says which is meant by its key `task`.
CONFIGS: dict[str, type[EmbeddingConfig | ResponseConfig]] = {
    "embedding": EmbeddingConfig,
    "perturbation": ResponseConfig,
}
