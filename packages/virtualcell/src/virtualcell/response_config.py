"""Every setting of a perturbation predictor: the only truth about its defaults. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from cytosol.options import TrainerOptions
from virtualcell.checked import Checked, above, at_least
from virtualcell.faults import refuse


@dataclass(frozen=True, kw_only=True)
class TreeOptions(Checked):
    """Boosted trees on rows of genes."""

    use: bool = True  # False: no trees correct
    trees: int = 150  # of each forest
    leaves: int = 63  # of a tree, at most
    least_genes: int = 150  # rows in a leaf, at least
    learning_rate: float = 0.03  # share of a tree's answer that is added
    penalty: float = 5.0  # on the squared value of a leaf

    def ranges(self) -> None:
        """Refuse values outside their range."""
        at_least(self, 1, "trees", "least_genes")
        at_least(self, 2, "leaves")
        at_least(self, 0.0, "penalty")
        above(self, 0.0, "learning_rate")


@dataclass(frozen=True, kw_only=True)
class RowNetOptions(Checked):
    """The cell model on rows of genes."""

    use: bool = True  # False: no network corrects
    members: int = 2  # networks, each begun otherwise, that are averaged
    genes: int = 4096  # tokens: the genes with most change in the lessons; the others keep simple predictions
    tokens: int = 256  # genes of a training step, drawn anew each step
    d_model: int = 32  # width of the transformer, a multiple of nhead
    nhead: int = 4  # attention heads
    d_hid: int = 64  # width between the two maps of a layer
    nlayers: int = 2  # transformer layers
    dropout: float = 0.1  # share of activations hidden in training
    learning_rate: float = 3e-3  # the highest, after the warm-up
    weight_decay: float = 0.01  # of AdamW

    def ranges(self) -> None:
        """Refuse values outside their range."""
        at_least(self, 1, "members", "genes", "tokens", "d_model", "nhead", "d_hid", "nlayers")
        at_least(self, 0.0, "dropout", "weight_decay")
        above(self, 0.0, "learning_rate")
        if self.dropout >= 1:
            refuse(f"dropout: expected a number from 0 to below 1, got {self.dropout!r}")


@dataclass(frozen=True, kw_only=True)
class ResponseConfig(Checked):
    """A perturbation predictor: simple predictions, trees and a cell model that correct them, cells around the mean."""

    task: Literal["perturbation"] = "perturbation"  # what a recipe is for
    model: str = (
        "StateEmbeddingModel"  # or one of the twelve: the cell model that corrects simple predictions
    )
    seed: int = 0  # of what is drawn: first weights, batches, trees
    trees: TreeOptions = field(default_factory=TreeOptions)
    network: RowNetOptions = field(default_factory=RowNetOptions)
    trainer: TrainerOptions = field(
        default_factory=lambda: TrainerOptions(
            max_steps=300, batch_size=4, log_every=50, val_every=300, checkpoint_every=300, device="cpu"
        )
    )

    def ranges(self) -> None:
        """Refuse values outside their range."""
        at_least(self, 0, "seed")
