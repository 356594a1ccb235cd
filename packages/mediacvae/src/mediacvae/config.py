"""Everything a training is told, in one flat dataclass: the only truth about its defaults."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Literal, get_args

from cytosol.options import Processes
from mediacvae.names import ORGANISM_TYPES, organism_type
from mediacvae.options import SimulationConfig
from mediacvae.vae_options import VaeOptions

ModelType = Literal["cvae", "hierarchical", "spec", "base"]
PHASES = ("bacteria", "archaea", "fungi", "protist")
# What only a network of our own kind reads, and what only a network does
OTHERS = ("hidden_dims", "condition_dim", "free_bits", "anneal", "dropout")
NETWORK = (
    *OTHERS, "epochs", "batch_size", "latent_dim", "beta", "lr", "weight_decay", "forget", "library",
    "curriculum_phases", "rehearsal", "share", "draws", "trainer",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How a model is trained. `model_type` spec is the specification's network, base leaves the network out.

    Raises ValueError for what is out of range.
    """

    model_type: ModelType = "cvae"
    epochs: int = 100  # passes over the pairs, shared out evenly over the phases
    batch_size: int = 64  # pairs, and media of which no organism is known, a step
    latent_dim: int = 16  # features of the latent
    hidden_dims: tuple[int, ...] = (128,)  # of the encoder; the decoder's are the same the other way round
    condition_dim: int = 16  # features that the condition is projected to; 0: it goes in as it is
    genus_dim: int = 8  # of a hierarchical latent, those that organisms of a genus share
    beta: float = 1.0  # weight of the divergence
    free_bits: float = 0.05  # [nats] a latent feature, below which the divergence costs nothing
    anneal: float = 0.3  # share of the first phase's steps over which beta rises from 0
    lr: float = 2e-3  # peak learning rate
    weight_decay: float = 0.02
    dropout: float = 0.3  # of hidden features; in use every draw has its own thinned decoder
    forget: float = 0.2  # share of the conditions' blocks hidden in training: they may be missing in use
    library: float = 0.3  # share of a batch that are media of which no organism is known
    # organism types, one after the other; those without pairs are skipped, others are not shown to the network
    curriculum_phases: tuple[str, ...] = PHASES
    rehearsal: float = 1.0  # share of earlier phases' pairs that a phase sees again
    # of the network in what is expected, beside kernel regression; none: the val split says
    share: float | None = None
    draws: int = 64  # of the latent, over which an expectation is taken
    device: str = "auto"  # auto, cpu, cuda, mps
    seed: int = 0  # of weights, order, folds and draws
    trainer: Processes = field(default_factory=Processes)  # that train the network together
    simulation: SimulationConfig = field(default_factory=SimulationConfig)  # the world that `demo` makes

    def __post_init__(self) -> None:
        """Refuse values outside their range; `archea` is understood."""
        if self.model_type not in get_args(ModelType):
            _refuse("model_type", f"one of {', '.join(get_args(ModelType))}", self.model_type)
        object.__setattr__(self, "curriculum_phases", tuple(map(organism_type, self.curriculum_phases)))
        object.__setattr__(self, "hidden_dims", tuple(self.hidden_dims))
        phases = self.curriculum_phases
        if not phases or len(set(phases)) < len(phases):
            _refuse("curriculum_phases", f"some of {', '.join(ORGANISM_TYPES)}, each once", phases)
        for name in ("epochs", "batch_size", "latent_dim", "draws"):
            if not getattr(self, name) >= 1:
                _refuse(name, "at least 1", getattr(self, name))
        for name in ("anneal", "forget", "share", "rehearsal"):
            if getattr(self, name) is not None and not 0 <= getattr(self, name) <= 1:
                _refuse(name, "a share from 0 to 1", getattr(self, name))
        if not 0 <= self.library < 1:
            _refuse("library", "a share from 0 to below 1", self.library)
        for name in ("beta", "free_bits", "weight_decay"):
            if not 0 <= getattr(self, name) < float("inf"):
                _refuse(name, "a finite number of at least 0", getattr(self, name))
        if not 0 < self.lr < float("inf"):
            _refuse("lr", "a finite number above 0", self.lr)
        if self.model_type == "hierarchical" and not 0 < self.genus_dim < self.latent_dim:
            _refuse("genus_dim", f"from 1 to less than latent_dim = {self.latent_dim}", self.genus_dim)
        self.vae()  # its own ranges

    def vae(self) -> VaeOptions:
        """The shape of the network."""
        if self.model_type == "spec":
            return VaeOptions(
                latent=self.latent_dim, encoder=(256, 128), decoder=(128, 64), condition=0, flags=False,
                likelihood="mse", prior="normal", norm=True, dropout=0.0,
            )  # fmt: skip
        return VaeOptions(
            latent=self.latent_dim,
            encoder=self.hidden_dims,
            decoder=self.hidden_dims[::-1],
            condition=self.condition_dim,
            genus=self.genus_dim if self.model_type == "hierarchical" else 0,
            dropout=self.dropout,
        )


def unread(config: TrainConfig) -> list[str]:
    """What differs from its default and is not read when a model is trained, one line."""
    ignored = NETWORK if config.model_type == "base" else OTHERS if config.model_type == "spec" else ()
    own = {*ignored, "simulation", *(() if config.model_type == "hierarchical" else ("genus_dim",))}
    plain = TrainConfig()
    named = [one.name for one in fields(TrainConfig) if one.name in own]
    changed = [name for name in named if getattr(config, name) != getattr(plain, name)]
    return [f"{', '.join(changed)}: not read by train with model_type={config.model_type}"] if changed else []


def _refuse(name: str, expected: str, value: object) -> None:
    msg = f"{name}: expected {expected}, got {value!r}"
    raise ValueError(msg)


Config = TrainConfig  # the name that every library has for what a recipe is read into
