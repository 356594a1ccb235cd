"""How alike organisms are, by what is known of them: a sum of kernels over the blocks of their conditions.

Tokens (lineage, names): cosine of their words, rare ones weighing more. GC and size: Gaussian. Features of genomes:
the product of what stands out in both, so that a few k-mers of a gene that both have are seen among thousands. A block
that one of two organisms lacks adds nothing: what is not known makes nobody alike. Letters: n, b organisms, d features.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mediacvae.conditions import LINEAGE, NAMES, OTHERS, STATS, Block, Conditioner

WIDTH = 1.0  # of the Gaussian over GC and log size, in standard deviations
WEIGHTS = {NAMES: 8.0}  # of a block's kernel in the sum; the others count 1
TOGETHER = {NAMES: 8.0}  # of the product with the lineage's kernel
EVEN = 0.1  # share of the weight of genome features that does not depend on what they tell
GENOME = (1.0, 8.0, 32.0)  # weights that features of genomes may get; which, is chosen with the penalty


@dataclass(frozen=True)
class Kernel:
    """Fitted to training conditions. shift, scale: (d,), of numbers mean and spread, of tokens 0 and their weights.

    genome: weight of the genome features' kernels in the sum.
    """

    conditioner: Conditioner
    shift: np.ndarray
    scale: np.ndarray
    genome: float = 1.0

    @classmethod
    def fit(cls, conditioner: Conditioner, conditions: np.ndarray) -> Kernel:
        """Of training conditions (n, d), NaN where not known."""
        shift, scale = np.zeros(conditioner.width), np.ones(conditioner.width)
        for block in conditioner.blocks:
            own = conditioner.columns[block.name]
            values = _known(conditions[:, own])
            if block.kind == "tokens":
                share = (values > 0).mean(axis=0) if len(values) else np.ones(len(block.features))
                if block.features[-1] == OTHERS:
                    share[-1] = 1 / max(len(values), 2)
                # what all have says nothing, what few have says much (inverse document frequency, square root)
                scale[own] = np.sqrt(np.maximum(-np.log(np.clip(share, 1 / (len(values) + 1), 1)), 1e-6))
            elif len(values):
                shift[own], sd = values.mean(axis=0), values.std(axis=0)
                scale[own] = np.where(sd > 0, sd, 1.0)
        return cls(conditioner, shift, scale)

    def telling(self, conditions: np.ndarray, targets: np.ndarray, power: float) -> Kernel:
        """The same, but features of genomes weigh by what they tell of targets (n, t) of conditions (n, d).

        A feature's weight is the sum over targets of its squared correlation, as a share of the greatest that any
        feature has with this target, to a power: with a high one, what marks a single target counts as much as what
        goes a little with all, and what marks a faint target as much as what marks a clear one. Of a block, the mean
        weight stays 1, and `EVEN` of it is shared out evenly: kin that nothing marks is seen in all features together.
        """
        scale = self.scale.copy()
        for block in filter(of_genome, self.conditioner.blocks) if power else ():
            own = self.conditioner.columns[block.name]
            values = np.asarray(conditions[:, own], dtype=np.float64)
            known = np.isfinite(values).all(axis=1)
            if known.sum() > 2:
                size = _correlation(values[known], targets[known])
                weight = ((size / np.maximum(size.max(axis=0), 1e-6)) ** (2 * power)).sum(axis=1)
                scale[own] /= np.sqrt((1 - EVEN) * weight / max(weight.mean(), 1e-300) + EVEN)
        return replace(self, scale=scale)

    @property
    def weights(self) -> tuple[float, ...]:
        """The weights that its genome features may get; one, where it has none."""
        return GENOME if any(map(of_genome, self.conditioner.blocks)) else (1.0,)

    def __call__(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Likeness (n, b) of organisms with conditions (n, d) and (b, d)."""
        parts = {block.name: self.part(block, a, b) for block in self.conditioner.blocks}
        total = np.zeros((len(a), len(b)))
        for block in self.conditioner.blocks:
            part = parts[block.name]
            if of_genome(block):
                total += self.genome * part
                continue
            total += WEIGHTS.get(block.name, 1.0) * part
            if block.name != LINEAGE and LINEAGE in parts:
                total += TOGETHER.get(block.name, 1.0) * part * parts[LINEAGE]
        return total

    def own(self, a: np.ndarray) -> np.ndarray:
        """The likeness (n,) of each organism, with condition (n, d), to itself."""
        return np.array([self(row[None], row[None])[0, 0] for row in a])

    def correlation(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Likeness (n, b) from -1 to 1, a kernel too, of conditions (n, d) and (b, d): 1 where the same is known."""
        size = np.sqrt(np.outer(self.own(a), self.own(b)))
        return self(a, b) / np.maximum(size, 1e-12)

    def cosine(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """`correlation` from 0 to 1, (n, b): what is less alike than strangers counts as strange."""
        return np.clip(self.correlation(a, b), 0.0, 1.0)

    def part(self, block: Block, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Likeness (n, b) in one block of organisms with conditions (n, d) and (b, d)."""
        own = self.conditioner.columns[block.name]
        left, right = (np.asarray(x[:, own], dtype=np.float64) for x in (a, b))
        whole, its = (np.asarray(np.isfinite(x).all(axis=1)) for x in (left, right))
        known = whole[:, None] & its[None]
        left, right = np.nan_to_num(left), np.nan_to_num(right)
        if block.kind == "tokens":
            left, right = _unit(left * self.scale[own]), _unit(right * self.scale[own])
            # what nobody shares counts in the length only
            shared = -1 if block.features[-1] == OTHERS else None
            return left[:, :shared] @ right[:, :shared].T * known
        left, right = ((x - self.shift[own]) / self.scale[own] for x in (left, right))
        if of_genome(block):
            return left @ right.T / left.shape[1] * known
        square = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1)[None] - 2 * left @ right.T
        return np.exp(-np.maximum(square, 0.0) / (2 * WIDTH**2)) * known


def of_genome(block: Block) -> bool:
    """Whether a block's features are of the genome: k-mers and the like."""
    return block.kind == "numbers" and block.name != STATS


def _correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Sizes of the correlations (d, t) of columns (n, d) and (n, t); 0 where one of them is constant."""
    parts = []
    for x in (a, b):
        x = x - x.mean(axis=0)
        size = np.linalg.norm(x, axis=0)
        parts.append(x / np.where(size > 1e-9 * max(float(size.max()), 1e-300), size, np.inf))
    return np.abs(parts[0].T @ parts[1])


def _known(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    return values[np.isfinite(values).all(axis=1)]


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
