"""How a response network learns. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass

from virtualcell.checked import Checked, above, at_least
from virtualcell.faults import refuse


@dataclass(frozen=True, kw_only=True)
class ResponseOptions(Checked):
    """What counts in the loss, and how large steps are. A weight of 0 leaves its loss out."""

    squared_weight: float = 1.0  # squared error of the population's mean against `target`
    energy_weight: float = 0.0  # energy distance of predicted cells to `cells`
    likelihood_weight: float = 0.0  # negative log likelihood a gene of the counts in `cells`
    draws: int = 1  # cells drawn of each row where the network has noise
    tokens_per_step: int = 0  # genes of a step, drawn anew each step; 0: all
    learning_rate: float = 1e-3  # the highest, after the warm-up
    gate_rate: float = 10.0  # times the learning rate for the gates of parts, which begin at 0
    weight_decay: float = 0.01  # of AdamW, on all but gates
    warmup_steps: int = 20  # in which the rate rises; at most half of all steps

    def ranges(self) -> None:
        """Refuse values outside their range."""
        weights = ("squared_weight", "energy_weight", "likelihood_weight")
        at_least(self, 0.0, *weights, "weight_decay")
        at_least(self, 0, "warmup_steps", "tokens_per_step")
        at_least(self, 1, "draws")
        above(self, 0.0, "learning_rate", "gate_rate")
        if not any(getattr(self, name) for name in weights):
            refuse(f"{', '.join(weights)}: expected at least one above 0")
