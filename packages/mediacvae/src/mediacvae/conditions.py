"""What is known of an organism as a row of numbers: blocks of lineage, name, size and genome features.

A block is there or missing as a whole: NaN says that it is not known (a FASTA has no lineage). Letters: n organisms,
d features of all blocks.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Kind = Literal["tokens", "numbers"]
LINEAGE, NAMES, STATS = "lineage", "names", "stats"
RARE = 2  # organisms that must share a word of a lineage or a piece of a name, or it says nothing
# Root of the number of a name's pieces that no other name has: names of many are less alike
OTHERS = "(others)"
PIECES = (2, 3, 4)  # letters of the pieces a name is cut into


@dataclass(frozen=True)
class Organism:
    """What is known of one organism; None and absent vectors: not known.

    lineage: from the domain down, parted by `;`. gc: [percent]. length: of the genome [bases]. vectors: genome features
    (features,) by the name of the method.
    """

    genome_id: str
    name: str | None = None
    organism_type: str | None = None
    lineage: str | None = None
    gc: float | None = None
    length: float | None = None
    vectors: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Block:
    """A block of features by name. kind: tokens, 0 or 1 each (but `OTHERS`), or numbers, on scales of their own."""

    name: str
    kind: Kind
    features: tuple[str, ...]

    def of(self, organism: Organism) -> np.ndarray:
        """The row (features,) of an organism, all NaN where nothing is known.

        Raises ValueError where a genome's vector has another length than the block, or is not finite.
        """
        if self.kind == "tokens":
            words = lineage_words(organism) if self.name == LINEAGE else pieces(organism.name)
            known = [float(word in words) for word in self.features]
            if self.features[-1] == OTHERS:
                known[-1] = np.sqrt(len(words.difference(self.features)))
            return np.array(known) if words else np.full(len(known), np.nan)
        if self.name == STATS:
            return stats(organism)
        vector = organism.vectors.get(self.name)
        if vector is None:
            return np.full(len(self.features), np.nan)
        if vector.shape != (len(self.features),):
            msg = (
                f"{organism.genome_id}: expected {len(self.features)} features of {self.name}, got {vector.shape}; "
                "embed the genome by the method that the model was trained with"
            )
            raise ValueError(msg)
        if not np.isfinite(vector).all():
            strange = vector[~np.isfinite(vector)][0]
            msg = f"{organism.genome_id}: {self.name}: expected finite numbers, got {strange}"
            raise ValueError(msg)
        return vector.astype(np.float64)


@dataclass(frozen=True)
class Conditioner:
    """Organisms to rows of numbers, the blocks side by side in their order."""

    blocks: tuple[Block, ...]

    @classmethod
    def of(
        cls, organisms: Sequence[Organism], condition: Sequence[str], features: Mapping[str, Sequence[str]]
    ) -> Conditioner:
        """Learn the words of lineages and names from organisms.

        condition: blocks by name, `lineage`, `names`, `stats` or a genome method. features: names of each genome
        method's features. Raises ValueError for a block that is unknown or said twice.
        """
        blocks = []
        for name in condition:
            if condition.count(name) > 1:
                msg = f"condition: {name!r} is said twice"
                raise ValueError(msg)
            if name == LINEAGE:
                blocks.append(Block(name, "tokens", _common(map(lineage_words, organisms))))
            elif name == NAMES:
                shared = _common(pieces(one.name) for one in organisms)
                blocks.append(Block(name, "tokens", (*shared, OTHERS) if shared else ()))
            elif name == STATS:
                blocks.append(Block(name, "numbers", ("GC [percent]", "log10 length [bases]")))
            elif name in features:
                blocks.append(Block(name, "numbers", tuple(features[name])))
            else:
                known = ", ".join([LINEAGE, NAMES, STATS, *features])
                msg = f"condition: expected some of {known}, got {name!r}"
                raise ValueError(msg)
        if empty := [block.name for block in blocks if not block.features]:
            msg = f"condition {empty[0]}: no two organisms share anything in it; leave it out"
            raise ValueError(msg)
        return cls(tuple(blocks))

    @property
    def width(self) -> int:
        """Features of all blocks."""
        return sum(len(block.features) for block in self.blocks)

    @property
    def features(self) -> list[str]:
        """Names of all features, `block: feature`."""
        return [f"{block.name}: {name}" for block in self.blocks for name in block.features]

    @property
    def columns(self) -> dict[str, slice]:
        """Where each block stands among the d features."""
        made, at = {}, 0
        for block in self.blocks:
            made[block.name] = slice(at, at + len(block.features))
            at += len(block.features)
        return made

    def __call__(self, organisms: Iterable[Organism]) -> np.ndarray:
        """Rows (n, d) float32; NaN where a block is not known. Raises ValueError as `Block.of`."""
        rows = [np.concatenate([block.of(one) for block in self.blocks]) for one in organisms]
        return np.array(rows, dtype=np.float32).reshape(len(rows), self.width)

    def plain(self) -> list[dict[str, Any]]:
        """As JSON types."""
        return [{"name": b.name, "kind": b.kind, "features": list(b.features)} for b in self.blocks]

    @classmethod
    def from_plain(cls, blocks: Iterable[Mapping[str, Any]]) -> Conditioner:
        """What `plain` gave."""
        return cls(tuple(Block(b["name"], b["kind"], tuple(b["features"])) for b in blocks))


def lineage_words(organism: Organism) -> set[str]:
    """The names in a lineage (`Bacteria;Proteobacteria;...`); the organism type is one of them."""
    words = set(parted(organism.lineage or ""))
    return words | ({organism.organism_type} if organism.organism_type and words else set())


def parted(lineage: str) -> list[str]:
    """The names of a lineage `Bacteria;Proteobacteria;...`, in its order."""
    return [name for word in lineage.split(";") if (name := word.strip())]


def binomial(name: str | None) -> tuple[str, str]:
    """Genus, and genus with species, of an organism's name; empty where it has none."""
    words = (name or "").strip().removeprefix("Candidatus ").split()
    return (words[0] if words else ""), (" ".join(words[:2]) if len(words) > 1 else "")


def pieces(name: str | None) -> set[str]:
    """The genus of a name cut into pieces of two to four letters: `thermo`, `halo`, `coccus` have meanings."""
    genus = re.sub(r"[^a-z]", "", binomial(name)[0].lower())
    if not genus:
        return set()
    marked = f"^{genus}$"
    return {marked[a : a + k] for k in PIECES for a in range(len(marked) - k + 1)}


def stats(organism: Organism) -> np.ndarray:
    """GC [percent] and log10 of the genome's length [bases], (2,), NaN where not both are known."""
    gc, length = organism.gc, organism.length
    if gc is None or length is None or not (0 <= gc <= 100 and length > 0):
        return np.full(2, np.nan)
    return np.array([gc, np.log10(length)])


def _common(words: Iterable[set[str]]) -> tuple[str, ...]:
    """The words that several share, in order."""
    count = Counter(word for one in words for word in one)
    return tuple(sorted(word for word, n in count.items() if n >= RARE))
