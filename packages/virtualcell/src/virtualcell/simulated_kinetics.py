"""Promoters that open and close, transcripts made and lost: one stochastic trajectory a cell, by tau-leaping.

Two alleles of each gene open and close (two-state model: Peccoud and Ycart 1995); open ones make transcripts in a
Poisson number a leap, each transcript and protein is lost with its own chance (Gillespie 2001). Proteins of regulators
raise or lower the opening of their targets by occupancy: (1 + F x) / (1 + x) and (1 + x / F) / (1 + x) with x the
squared ratio of protein and half-occupancy. Letters: n cells, g genes, r regulators, p pathways.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from virtualcell.simulated_world import World

FOLD = 8.0  # times that a fully occupied site opens its promoter faster, or slower
PROTEIN_HALF_LIFE = 2.0  # [h]
HALF = 80.0  # proteins at which a site is occupied half of the time
MEMORY_HALF_LIFE = 48.0  # [h] of a pathway's opened chromatin
RESTING = 0.2  # share of what memory adds to a stimulus that opened chromatin also adds without one
STIMULUS = 6.0  # times that a stimulated pathway's promoters open faster


@dataclass(eq=False)
class State:
    """What moves: open alleles, transcripts (n, g) int64; protein (n, r); energy (n,), chromatin (n, p), of 0 to 1."""

    open: np.ndarray
    transcripts: np.ndarray
    protein: np.ndarray
    energy: np.ndarray
    chromatin: np.ndarray


@dataclass(frozen=True, eq=False)
class Fate:
    """What stays: kind (n,), the number of a cell's type; factor (n, g) of making; knocked (n, g) bool; supply (n,)."""

    kind: np.ndarray
    factor: np.ndarray
    knocked: np.ndarray
    supply: np.ndarray


def rest(world: World, fate: Fate, generator: np.random.Generator) -> State:
    """A state near the mean of each gene without regulation, energy full, chromatin closed."""
    opening = world.opening[fate.kind]
    share = opening / (opening + world.closing)
    n, _g = opening.shape
    opened = generator.binomial(2, share)
    transcripts = generator.poisson(2 * share * world.making * fate.factor / world.decay)
    protein = transcripts[:, : world.regulators].astype(float)
    return State(opened, transcripts, protein, np.ones(n), np.zeros((n, world.pathway.shape[1])))


def leap(
    state: State,
    world: World,
    fate: Fate,
    stimulus: np.ndarray,
    knocked: np.ndarray,
    *,
    dt: float,
    memory: float,
    scarcity: float,
    generator: np.random.Generator,
) -> None:
    """Move every cell on by dt [h], in place. stimulus: (n, p) 0..1; knocked: (n, g) bool makes no transcripts now."""
    x = (state.protein / HALF) ** 2
    lifted = np.log((1 + FOLD * x) / (1 + x)) @ world.up + np.log((1 + x / FOLD) / (1 + x)) @ world.down
    primed = stimulus * (1 + memory * state.chromatin)
    called = 1 + (STIMULUS - 1) * np.minimum((primed @ world.pathway.T), 4.0)
    leaky = 1 + RESTING * memory * (state.chromatin @ world.pathway.T)
    opening = world.opening[fate.kind] * np.exp(np.clip(lifted, -6, 6)) * called * leaky
    closed = 2 - state.open
    opened = generator.binomial(closed, 1 - np.exp(-opening * dt))
    shut = generator.binomial(state.open, 1 - np.exp(-world.closing * dt))
    fuel = state.energy / (state.energy + 0.2) * 1.2 if scarcity > 0 else np.ones(len(state.energy))
    rate = state.open * world.making * fate.factor * fuel[:, None] * ~knocked
    born = generator.poisson(rate * dt)
    lost = generator.binomial(state.transcripts, 1 - np.exp(-world.decay * dt))
    state.open += opened - shut
    state.transcripts += born - lost
    of_regulators = state.transcripts[:, : world.regulators]
    keep = np.exp(-np.log(2) / PROTEIN_HALF_LIFE * dt)
    state.protein = keep * state.protein + (1 - keep) * of_regulators * fuel[:, None]
    _stores(state, stimulus, born, world, fate.supply, dt=dt, scarcity=scarcity)


def _stores(
    state: State,
    stimulus: np.ndarray,
    born: np.ndarray,
    world: World,
    supply: np.ndarray,
    *,
    dt: float,
    scarcity: float,
) -> None:
    """Energy is refilled towards 1 and spent by making; chromatin opens under a stimulus and closes slowly."""
    usual = float(0.3 * (world.making).sum()) * dt
    spent = scarcity * dt * born.sum(axis=1) / max(usual, 1e-9)
    state.energy = np.clip(state.energy + 0.5 * supply * dt * (1 - state.energy) - 0.3 * spent, 0.02, 1.0)
    fade = np.exp(-np.log(2) / MEMORY_HALF_LIFE * dt)
    state.chromatin = np.where(
        stimulus > 0, np.minimum(state.chromatin + 0.5 * dt, 1.0), state.chromatin * fade
    )
