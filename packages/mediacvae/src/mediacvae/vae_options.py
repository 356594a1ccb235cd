"""What the variational autoencoder is told. Loads no torch: a config may hold these as fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Likelihood = Literal["hurdle", "mse"]
Prior = Literal["conditional", "normal"]


@dataclass(frozen=True, kw_only=True)
class VaeOptions:
    """The shape of the network; the specification's is what `TrainConfig(model_type="spec").vae()` gives.

    Raises ValueError for what is out of range.
    """

    latent: int = 32  # features
    encoder: tuple[int, ...] = (256, 128)  # hidden features, from the medium to the latent
    decoder: tuple[int, ...] = (128, 256)  # from the latent to the medium
    condition: int = 64  # features that the condition is projected to; 0: it goes in as it is
    flags: bool = True  # the network is told which blocks of the condition are known
    genus: int = 0  # of the latent's features, those that organisms of a genus share (hierarchical); 0: none
    likelihood: Likelihood = "hurdle"  # there or not and how much, or the squared error of log1p g/L
    prior: Prior = "conditional"  # depends on the condition, or is a standard normal
    norm: bool = False  # batch normalisation, as the specification draws it
    dropout: float = 0.1  # in use too: every draw has its own thinned decoder (Gal and Ghahramani 2016)

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        if self.latent < 1 or min((*self.encoder, *self.decoder), default=1) < 1 or self.condition < 0:
            msg = "latent, encoder and decoder: expected at least 1, and condition at least 0"
            raise ValueError(msg)
        if not 0 <= self.genus < self.latent:
            msg = f"genus: expected from 0 to less than latent = {self.latent}, got {self.genus}"
            raise ValueError(msg)
        if not 0 <= self.dropout < 1:
            msg = f"dropout: expected a share in [0, 1), got {self.dropout!r}"
            raise ValueError(msg)
        for name, allowed in (("likelihood", get_args(Likelihood)), ("prior", get_args(Prior))):
            if getattr(self, name) not in allowed:
                msg = f"{name}: expected one of {', '.join(allowed)}, got {getattr(self, name)!r}"
                raise ValueError(msg)
