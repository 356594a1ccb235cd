"""How the network learns: the Lightning module of a phase, and the curriculum of phases.

A batch is pairs of organisms and media, and beside them media of which no organism is known: their condition is
missing as a whole, which teaches the decoder what media are like. Letters as in `model`.
"""

from __future__ import annotations

import json
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from cytosol import ranks
from cytosol.config import to_dict
from cytosol.files import write_atomically
from cytosol.options import TrainerOptions
from cytosol.trainer import adamw, fit, step_generator
from mediacvae.losses import free_bits
from mediacvae.model import ConditionalMediaVAE, Scale
from mediacvae.parts import reading_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mediacvae.conditions import Conditioner
    from mediacvae.config import TrainConfig

SETTINGS = "settings.json"  # of a run, beside its checkpoints
FREE = {"device", "draws", "share", "simulation", "trainer"}  # settings that a run does not depend on
BLOCK = 4096  # pairs looked at together after a phase
WARMUP = 0.1  # share of a phase's steps over which the learning rate rises


class Pairs(TorchDataset[tuple[Tensor, Tensor, Tensor]]):
    """Media (m,), conditions (d,) and genus of pairs, and of media without an organism (genus -1), drawn by number.

    The item of a number is the same whoever asks: the resumed run sees what the whole one would have seen.
    media: (b, m) [g/L]. conditions: (o, d). rows: (n, 2) numbers of organism and medium. genus: (o,) numbers.
    alone: numbers of media without an organism, `share` of what is drawn.
    """

    def __init__(
        self,
        media: np.ndarray,
        conditions: np.ndarray,
        rows: np.ndarray,
        genus: np.ndarray,
        alone: np.ndarray,
        *,
        share: float,
        seed: int,
    ) -> None:
        self.media, self.conditions, self.genus = media, conditions, genus
        extra = round(len(rows) * share / (1 - share)) if len(alone) else 0
        rng = np.random.default_rng(seed)
        drawn = rng.choice(alone, extra, replace=extra > len(alone)) if extra else alone[:0]
        none = np.stack([np.full(len(drawn), -1), drawn], axis=1)
        self.rows = np.concatenate([rows, none]).astype(np.int64)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, item: int) -> tuple[Tensor, Tensor, Tensor]:
        organism, medium = self.rows[item]
        media = torch.from_numpy(np.array(self.media[medium], dtype=np.float32))
        if organism < 0:
            return media, torch.full((self.conditions.shape[1],), torch.nan), torch.tensor(-1)
        condition = torch.from_numpy(np.array(self.conditions[organism], dtype=np.float32))
        return media, condition, torch.tensor(self.genus[organism])


class VaeTraining(LightningModule):
    """One phase of `steps` steps. begun: whether a phase before has done the annealing."""

    def __init__(self, net: ConditionalMediaVAE, config: TrainConfig, *, steps: int, begun: bool) -> None:
        super().__init__()
        self.net, self.config, self.steps, self.begun = net.train(), config, steps, begun

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], index: int) -> Tensor:
        """The loss of one batch, a scalar: reconstruction plus the divergence, [nats] or squared log1p g/L.

        batch: media (n, m) [g/L], conditions (n, d) and genera (n,), as `Pairs` gives them.
        """
        own, (media, condition, genus) = self.config, batch
        generator = step_generator(own.seed, self.global_step, self.global_rank)
        condition = self.net.reader.drop(condition, own.forget, generator)
        loss, divergence = self.net(media, condition, generator, genus)
        risen = 1.0 if self.begun else min(1.0, self.global_step / max(own.anneal * self.steps, 1))
        if own.model_type == "spec":  # the mean over features, as the specification has it
            return loss.mean() + own.beta * divergence.mean()
        return loss.mean() + own.beta * risen * free_bits(divergence, own.free_bits)

    def configure_optimizers(self) -> Any:
        """AdamW with a warm-up and a cosine."""
        own = self.config
        warmup = int(WARMUP * self.steps)
        return adamw(
            self.net.parameters(),
            steps=self.steps,
            warmup_steps=warmup,
            lr=own.lr,
            weight_decay=own.weight_decay,
        )


def learn(
    conditioner: Conditioner,
    conditions: np.ndarray,
    media: np.ndarray,
    pairs: np.ndarray,
    organisms: pd.DataFrame,
    alone: np.ndarray,
    config: TrainConfig,
    *,
    sizes: np.ndarray | None = None,
    out: Path | None = None,
    resume: bool = False,
    force: bool = False,
) -> tuple[ConditionalMediaVAE, pd.DataFrame]:
    """Train the network through the curriculum; it and the history, a row a note, with the phase and what is kept.

    conditions: (o, d). media: (b, m) [g/L]. pairs: (n, 2) numbers of organism and medium; those of types that are not
    in the curriculum are not looked at. organisms: a row an organism, with `organism_type` and `genus`. alone: numbers
    of media without an organism. sizes: (d,) as `parts.reading_of` takes them. out: directory of the checkpoints, from
    which `resume` goes on, and which `force` drops; without it, one that is gone afterwards. Raises ValueError for a
    run that is there and neither of them, or was begun with other settings, for `resume` without a directory, and where
    no pair is of a type of the curriculum.
    """
    if out is None:
        if resume:
            msg = "resume: expected the directory of the run (out) that is to go on, got none"
            raise ValueError(msg)
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder)
            return learn(
                conditioner, conditions, media, pairs, organisms, alone, config, sizes=sizes, out=out
            )
    own = organisms["organism_type"].to_numpy()[pairs[:, 0]]
    genus = pd.factorize(organisms["genus"].replace("", None))[0]  # -1 where it is not known
    phases = [kind for kind in config.curriculum_phases if (own == kind).any()]
    if not phases:
        msg = f"curriculum_phases: no pair of {', '.join(config.curriculum_phases)} to learn from"
        raise ValueError(msg)
    net = _untrained(conditioner, conditions, media, pairs, alone, config, sizes)
    if ranks.first():
        _claim(out, config, resume=resume, force=force)
    histories, rng = [], np.random.default_rng(config.seed)
    for at, kind in enumerate(phases):
        before = np.flatnonzero(np.isin(own, phases[:at]))
        again = rng.permutation(before)[: round(config.rehearsal * len(before))]
        rows = np.concatenate([np.flatnonzero(own == kind), np.sort(again)])
        seed = config.seed + at
        data = Pairs(media, conditions, pairs[rows], genus, alone, share=config.library, seed=seed)
        options = _options(len(data), len(phases), config)
        module = VaeTraining(net, config, steps=options.max_steps, begun=at > 0)
        history = fit(module, data, options=options, out=out / kind, seed=seed, resume=resume, force=force)
        kept = {f"loss_{name}": reconstruction(net, media, conditions, pairs[own == name]) for name in phases}
        histories.append(history.assign(phase=kind, **kept))
    net = net.eval().requires_grad_(requires_grad=False)
    return net, pd.concat(histories, ignore_index=True)


def _untrained(
    conditioner: Conditioner,
    conditions: np.ndarray,
    media: np.ndarray,
    pairs: np.ndarray,
    alone: np.ndarray,
    config: TrainConfig,
    sizes: np.ndarray | None,
) -> ConditionalMediaVAE:
    """The network before it has learned: its weights drawn, its scales those of what it will be shown."""
    columns = [conditioner.columns[block.name] for block in conditioner.blocks]
    tokens = [block.kind == "tokens" for block in conditioner.blocks]
    reading = reading_of(np.asarray(conditions[np.unique(pairs[:, 0])]), columns, tokens, sizes)
    scale = Scale.of(np.asarray(media[np.unique(np.concatenate([pairs[:, 1], alone]))]))
    with fresh_weights(config.seed):
        return ConditionalMediaVAE(
            media.shape[1], conditions.shape[1], config.vae(), scale=scale, reading=reading
        )


def _options(size: int, phases: int, config: TrainConfig) -> TrainerOptions:
    """How a phase of `size` samples is trained: its share of the passes, in steps."""
    # of one sample, there is no batch norm
    batch = _shared_batch(min(config.batch_size, max(size, 2)), config)
    steps = max(1, -(-config.epochs * size // (phases * batch)))
    return TrainerOptions(
        max_steps=steps, batch_size=batch, clip_norm=5.0, log_every=max(1, steps // 6), val_every=steps,
        checkpoint_every=max(steps // 4, 50), device=config.device, devices=config.trainer.devices,
        nodes=config.trainer.nodes, strategy=config.trainer.strategy,
    )  # fmt: skip


def _shared_batch(size: int, config: TrainConfig) -> int:
    """The largest batch of at most `size` that all processes have the same share of; two samples a process at least."""
    several = config.trainer.processes
    if several == 1:
        return size
    if size < 2 * several:
        msg = (
            f"trainer.devices * trainer.nodes = {several}: expected at most half of the samples a step, "
            f"which are {size} here; ask for fewer processes or a larger batch_size"
        )
        raise ValueError(msg)
    return size - size % several


def _claim(out: Path, config: TrainConfig, *, resume: bool, force: bool) -> None:
    """Write down what a run is told; ValueError for a run that is there, neither to be dropped nor told the same."""
    file, told = out / SETTINGS, to_dict(config)
    if file.is_file() and not (resume or force):
        msg = f"{out} holds an earlier run; resume it, force a new one, or choose another directory"
        raise ValueError(msg)
    if file.is_file() and resume:
        earlier = json.loads(file.read_text(encoding="utf-8"))
        for name in sorted(told.keys() - FREE):
            if earlier.get(name) != told[name]:
                msg = (
                    f"the run in {out} was begun with {name} = {earlier.get(name)}, now it is {told[name]}; "
                    f"resume with {earlier.get(name)}, or force a new run"
                )
                raise ValueError(msg)
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(file, json.dumps(told).encode())


@torch.no_grad()
def reconstruction(
    net: ConditionalMediaVAE, media: np.ndarray, conditions: np.ndarray, pairs: np.ndarray
) -> float:
    """Mean reconstruction loss plus divergence of pairs (n, 2), [nats] or squared log1p g/L, without dropout."""
    net.eval()
    generator, device, total = torch.Generator().manual_seed(0), net.log_sd.device, 0.0
    for start in range(0, len(pairs), BLOCK):
        organism, medium = pairs[start : start + BLOCK].T
        x = torch.as_tensor(np.asarray(media[medium]), dtype=torch.float32, device=device)
        c = torch.as_tensor(np.asarray(conditions[organism]), dtype=torch.float32, device=device)
        loss, divergence = net(x, c, generator)
        total += float((loss + divergence.sum(dim=1)).mean()) * len(organism)
    return total / len(pairs)


@contextmanager
def fresh_weights(seed: int) -> Iterator[None]:
    """Within it, layers begin with weights that depend on the seed only; torch's own generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
